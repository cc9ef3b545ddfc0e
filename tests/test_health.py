"""Whether a process says the truth of what it can, and at what cost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient

from webapp.health import FRESH, ROOM, Health
from webapp.ops import PADDING, check_signer
from webapp.portal import portal_of
from webapp.store import Store
from webapp.store.database import Database
from webapp.store.migration import migrate


class Watched(Database):
    """Counts its probes, and answers when it is let."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.probes = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.room: int | None = None

    def probe(self) -> None:
        self.probes += 1
        self.may_answer.wait(30)
        super().probe()

    def free_bytes(self) -> int | None:
        return super().free_bytes() if self.room is None else self.room


@pytest.fixture
def database(tmp_path: Path) -> Watched:
    url = f"sqlite:///{tmp_path / 'health.sqlite'}"
    migrate(url)
    return Watched(url)


def test_a_database_that_can_be_written_is_ready(store: Store) -> None:
    health = Health(store.database)
    assert health.ask() == ""
    assert Health(store.database).ask() == ""  # the row is there by now


def test_all_that_ask_share_one_probe_in_five_seconds(database: Watched) -> None:
    now = [0.0]
    health = Health(database, lambda: now[0])
    with ThreadPoolExecutor(8) as monitors:
        assert set(monitors.map(lambda _: health.ask(), range(40))) == {""}
    assert database.probes == 1
    now[0] = FRESH - 0.1
    health.ask()
    assert database.probes == 1
    now[0] = FRESH
    health.ask()
    assert database.probes == 2


def test_a_database_that_hangs_is_told_in_time_and_asked_once(database: Watched) -> None:
    now = [0.0]
    health = Health(database, lambda: now[0], patience=0.05)
    database.may_answer.clear()
    assert "did not answer" in health.ask()
    now[0] = 60
    assert "did not answer" in health.ask()
    assert database.probes == 1
    database.may_answer.set()


def test_a_disk_that_is_nearly_full_is_not_ready(database: Watched) -> None:
    database.room = ROOM - 1
    assert Health(database).ask().startswith("the disk of the database is full: 49 MB")
    assert database.probes == 0


def test_a_database_that_can_only_be_read_is_not_ready(
    make_app: MakeApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(database_url=f"sqlite:///file:{tmp_path}/ro.sqlite?uri=true")
    with portal_of(app).store.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = 1")
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the database cannot be written\n")
    assert "not ready" in caplog.text
    assert app.test_client().get("/healthz").status_code == 200


def test_check_learns_what_the_way_here_does(client: FlaskClient) -> None:
    token = check_signer(portal_of(client.application).settings).dumps("check")
    answer = client.get(f"/healthz?check={token}", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
    assert answer.json == {"portal": "http://localhost:8000", "forwarded": 2, "https": False}
    head = sum(len(name) + len(value) + 4 for name, value in answer.headers.items())
    assert PADDING < head <= 3500
    assert head > 3300


@pytest.mark.parametrize("token", ["", "forged", "ImNoZWNrIg.aaaaaa.bbbbbbbb"])
def test_nobody_else_learns_it(client: FlaskClient, token: str) -> None:
    answer = client.get(f"/healthz?check={token}", headers={"X-Forwarded-For": "198.51.100.7"})
    assert (answer.text, "X-Padding" in answer.headers) == ("ok\n", False)
