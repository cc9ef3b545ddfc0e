"""`python -m webapp erase`, as an operator runs it: a process of its own, settings from the environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from conftest import OpenStore, Shell
from sqlalchemy import select, update

from webapp import show
from webapp.store import Store
from webapp.store.migration import migrate
from webapp.store.pace import Pacer
from webapp.store.tables import Launch, Link, Reason, SignIn

DAY = 24 * 3600


def record(store: Store, email: str, days_ago: float = 0) -> None:
    recorded = store.launches.record(email, email, "token", "Talk", another=False)
    assert recorded.launch
    with store.database.write() as db:
        aged = update(Launch).where(Launch.id == recorded.launch.id)
        db.execute(aged.values(created=Launch.created - days_ago * DAY))


def remaining(store: Store) -> set[str | None]:
    with store.database.read() as db:
        return set(db.scalars(select(Launch.email).where(Launch.erased.is_(None))))


DANA, OMAR = "da0a@acme.example", "0ae@acme.example"


@pytest.fixture
def sqlite_store(shell: Shell) -> Store:
    migrate(shell.environment["DATABASE_URL"])
    return Store(shell.environment["DATABASE_URL"])


def test_erase_forgets_what_is_older_than_the_days_to_keep(shell: Shell, sqlite_store: Store) -> None:
    record(sqlite_store, DANA, days_ago=8)
    record(sqlite_store, OMAR, days_ago=6)

    done = shell.run("erase", RETENTION_DAYS="7")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Erased 1 launch older than 7 days.\n", "")
    assert remaining(sqlite_store) == {OMAR}


def test_erase_forgets_one_person(shell: Shell, sqlite_store: Store) -> None:
    record(sqlite_store, DANA)
    record(sqlite_store, OMAR, days_ago=40)
    sqlite_store.links.make(Link(person=DANA, email=DANA, title="Renewal", prompt="Talk", ask=False), "token")

    done = shell.run("erase", "--person", DANA.upper())

    assert (done.returncode, done.stdout) == (
        0,
        "Erased 1 launch, 0 drafts and 1 shared text of DA0A@ACME.EXAMPLE.\n",
    )
    assert remaining(sqlite_store) == {OMAR}


def test_erase_takes_an_empty_name_for_nobody(shell: Shell, sqlite_store: Store) -> None:
    """As in `erase --person "$EMAIL"` where EMAIL is not set: nobody must believe it was done."""
    record(sqlite_store, DANA, days_ago=400)

    done = shell.run("erase", "--person", "")

    assert (done.returncode, done.stdout) == (0, "Erased 0 launches, 0 drafts and 0 shared texts of .\n")
    assert remaining(sqlite_store) == {DANA}


def test_erase_works_on_a_database_that_nobody_used_yet(shell: Shell) -> None:
    done = shell.run("erase")

    assert (done.returncode, done.stdout) == (0, "Erased 0 launches older than 30 days.\n")


def test_erase_says_which_setting_is_wrong(shell: Shell) -> None:
    done = shell.run("erase", RETENTION_DAYS="soon", OIDC_ISSUER="")

    assert done.returncode == 1
    assert "RETENTION_DAYS" in done.stderr
    assert "OIDC_ISSUER is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_erase_says_that_the_database_cannot_be_reached(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "no.sqlite").mkdir()

    done = shell.run("erase", DATABASE_URL=f"sqlite:///{tmp_path / 'no.sqlite'}")

    assert done.returncode == 1
    assert done.stderr.startswith("DATABASE_URL: SQLite ")
    assert "SQLITE_CANTOPEN" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("erase", "dana")], ids=str)
def test_a_mistyped_command_erases_nothing(
    shell: Shell, sqlite_store: Store, arguments: tuple[str, ...]
) -> None:
    record(sqlite_store, DANA, days_ago=400)

    done = shell.run(*arguments)

    assert done.returncode == 2
    assert "usage: python -m webapp" in done.stderr
    assert remaining(sqlite_store) == {DANA}


def test_erase_reaches_postgresql(shell: Shell, open_store: OpenStore) -> None:
    store = open_store()
    record(store, "da0" * 20, days_ago=400)

    done = shell.run("erase", DATABASE_URL=store.database.url)

    assert (done.returncode, done.stdout) == (0, "Erased 1 launch older than 30 days.\n"), done.stderr
    assert remaining(store) == set()


def sign_in(store: Store, email: str) -> None:
    store.sign_ins.begin(
        SignIn(
            id=email,
            person=email,
            issuer="https://idp.example",
            sub=email,
            email=email,
            claim="email",
            name=email,
            groups="[]",
            proved=False,
            browser="Firefox",
        )
    )


def test_sign_out_ends_the_sign_ins_of_one_person(shell: Shell, sqlite_store: Store) -> None:
    sign_in(sqlite_store, DANA)
    sign_in(sqlite_store, OMAR)

    done = shell.run("sign-out", "--person", DANA.upper())

    assert (done.returncode, done.stdout) == (0, "Ended 1 sign-in.\n"), done.stderr
    assert sqlite_store.sign_ins.of_person(DANA) == []
    assert len(sqlite_store.sign_ins.of_person(OMAR)) == 1


def test_sign_out_ends_everybodys(shell: Shell, sqlite_store: Store) -> None:
    sign_in(sqlite_store, DANA)
    sign_in(sqlite_store, OMAR)

    assert shell.run("sign-out", "--everybody").stdout == "Ended 2 sign-ins.\n"
    assert shell.run("sign-out", "--everybody").stdout == "Ended 0 sign-ins.\n"


def test_sign_out_wants_to_know_whose(shell: Shell) -> None:
    done = shell.run("sign-out")

    assert done.returncode == 2
    assert "--person --everybody is required" in done.stderr


def test_show_tells_what_happened_to_a_persons_scenarios(shell: Shell, sqlite_store: Store) -> None:
    sign_in(sqlite_store, DANA)
    record(sqlite_store, DANA)
    record(sqlite_store, OMAR)
    launch = sqlite_store.launches.newest(DANA, None)[0]

    told = shell.run("show", "--person", DANA.upper())

    assert told.returncode == 0, told.stderr
    assert (
        f"launch {launch.id}: waiting, asked {launch.created_at:%Y-%m-%d %H:%M:%S}, 0 attempts" in told.stdout
    )
    assert "launch.asked" in told.stdout
    assert "Firefox" in told.stdout
    assert "Talk" not in told.stdout
    assert told.stdout.count("launch.asked") == 1


@pytest.mark.parametrize("prefix", ["", "portal-"], ids=["id", "request_id"])
def test_show_tells_what_happened_to_one_launch(shell: Shell, sqlite_store: Store, prefix: str) -> None:
    record(sqlite_store, DANA)
    launch = sqlite_store.launches.newest(DANA, None)[0]

    told = shell.run("show", "--launch", f"{prefix}{launch.id}").stdout

    assert told.startswith(DANA)
    assert f"launch {launch.id}: waiting" in told


def test_show_says_what_holds_a_scenario_and_what_to_change(shell: Shell, sqlite_store: Store) -> None:
    record(sqlite_store, DANA)
    with sqlite_store.database.write() as db:
        db.execute(update(Launch).values(held=True, reason="no_access"))

    told = shell.run("show", "--person", DANA).stdout

    assert ": on hold, reason no_access: Exec refuses EXEC_API_KEY: set a new one and restart" in told


def test_every_reason_is_one_that_show_explains() -> None:
    assert set(show.WHY) == set(get_args(Reason))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--person", "nobody@acme.example"), "Nobody with the address nobody@acme.example is known"),
        (("--launch", "7"), "7 is no launch's id"),
        (("--launch", "7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e"), "There is no launch"),
    ],
)
def test_show_says_when_there_is_nothing(shell: Shell, arguments: tuple[str, str], words: str) -> None:
    assert words in shell.run("show", *arguments).stdout


def test_resume_lifts_what_stops_everybody(shell: Shell, sqlite_store: Store) -> None:
    record(sqlite_store, DANA)
    launch = sqlite_store.launches.newest(DANA, None)[0]
    pacer = Pacer(sqlite_store.database, 10, 0, "key")
    lease = pacer.begin(launch.id, DANA)
    assert lease
    pacer.busy(lease, 3000)
    assert pacer.begin(launch.id, DANA) is None

    assert shell.run("resume").returncode == 0

    assert pacer.begin(launch.id, DANA)


def test_backup_copies_the_database_while_it_is_in_use(
    shell: Shell, sqlite_store: Store, tmp_path: Path
) -> None:
    record(sqlite_store, DANA)
    with sqlite_store.database.write():
        done = shell.run("backup", str(tmp_path / "copy.db"))
    assert done.returncode == 0, done.stderr

    copy = Store(f"sqlite:///{tmp_path / 'copy.db'}")
    assert len(copy.launches.newest(DANA, None)) == 1
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    again = shell.run("backup", str(tmp_path / "copy.db"))
    assert "exists: name a file that does not" in again.stderr


def test_a_reader_who_has_seen_enough_is_no_error(shell: Shell) -> None:
    """As in `python -m webapp show … | head`."""
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "webapp", "show", "--person", DANA]
    where = {"cwd": shell.directory, "env": shell.environment}
    with os.fdopen(writes, "wb") as gone:
        done = subprocess.run(command, **where, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Broken" in done.stderr, "Traceback" in done.stderr) == (0, False, False)
