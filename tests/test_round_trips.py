"""What each page asks of the database: statements and commits, held as numbers.

On PostgreSQL each is a round trip; on SQLite a commit waits for the disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import MakeApp, SignIn
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from sqlalchemy import event
from test_launches import make_due, press, text_with

from webapp.portal import portal_of


@contextmanager
def listening(app: Flask) -> Iterator[list[str]]:
    """Let the block's list grow by each statement and each commit."""
    engine, said = portal_of(app).store.database.engine, list[str]()
    heard = {
        "before_cursor_execute": lambda _connection, _cursor, statement, *_: said.append(statement),
        "commit": lambda _connection: said.append("COMMIT"),
    }
    for name, listener in heard.items():
        event.listen(engine, name, listener)
    yield said
    for name, listener in heard.items():
        event.remove(engine, name, listener)


def traffic(said: list[str]) -> tuple[int, int]:
    """Return how many statements there were, and how many commits."""
    commits = said.count("COMMIT")
    return len(said) - commits, commits


@pytest.fixture
def signed_in(make_app: MakeApp, sign_in: SignIn, database_url: str) -> Iterator[FlaskClient]:
    client = make_app(database_url=database_url).test_client()
    sign_in(client, "dana")
    yield client
    portal_of(client.application).store.database.engine.dispose()


@pytest.fixture
def begins(database_url: str) -> int:
    """PostgreSQL hears of each beginning; SQLite's is made below what is counted here."""
    return 0 if database_url.startswith("sqlite") else 2


def test_the_form_reads_the_sign_in_and_what_was_erased(signed_in: FlaskClient) -> None:
    with listening(signed_in.application) as said:
        assert signed_in.get("/").status_code == 200

    assert traffic(said) == (2, 0), said


def test_a_creation_writes_once_before_the_call_and_once_after(signed_in: FlaskClient, begins: int) -> None:
    fields = {**Page(signed_in.get("/").text).fields, "prompt": text_with()}

    with listening(signed_in.application) as said:
        assert "/chat/" in signed_in.post("/launches", data=fields).location

    # The sign-in; pace, launch, same text and time, event, own hour, queue, minute, call, launch;
    # launch, event.
    assert traffic(said) == (12 + begins, 2), said


def test_a_page_that_waits_reads_itself_and_its_outlook(signed_in: FlaskClient) -> None:
    waiting = press(signed_in, text_with("[[429]]")).location

    with listening(signed_in.application) as said:
        assert signed_in.get(waiting).status_code == 200

    assert traffic(said) == (7, 0), said


def test_a_page_whose_turn_came_writes_once_before_the_call_and_once_after(
    signed_in: FlaskClient, begins: int
) -> None:
    waiting = press(signed_in, text_with("[[429 x1]]")).location
    make_due(portal_of(signed_in.application).store)

    with listening(signed_in.application) as said:
        assert "/chat/" in signed_in.get(f"{waiting}?go=1").location

    assert traffic(said) == (11 + begins, 2), said


def test_the_list_is_one_statement(signed_in: FlaskClient) -> None:
    with listening(signed_in.application) as said:
        assert signed_in.get("/launches").status_code == 200

    assert traffic(said) == (2, 0), said
