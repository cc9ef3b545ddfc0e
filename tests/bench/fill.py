"""Years of use, written past the portal: launches with their events, sign-ins and links."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from uuid import uuid5

import psycopg
from psycopg import sql

from webapp.store.tables import LAUNCHES, person_key

OF_A_PERSON = 200  # launches
DAYS = 29  # all within RETENTION_DAYS: nothing is to be erased while it is measured
TEXT = "Who meets: I, from sales, with the IT director of a company that plans in spreadsheets. " * 4
Rows = Iterator[tuple[object, ...]]


def fill(database_url: str, issuer: str, launches: int) -> None:
    """Write so many launches, two events for each, and a sign-in and a link for some."""
    people = [person_key(issuer, f"acme|p{number}") for number in range(max(1, launches // OF_A_PERSON))]
    tables = {
        "launches": (LAUNCH, _launches(people, launches)),
        "events": (EVENT, _events(people, launches)),
        "sign_ins": (SIGN_IN, _sign_ins(issuer, people, launches // 5)),
        "links": (LINK, _links(people, launches // 50)),
    }
    write = _into_sqlite if database_url.startswith("sqlite:") else _into_postgresql
    write(database_url, tables)


LAUNCH = (
    "id", "person", "email", "form_token", "prompt", "prompt_hash", "state", "held", "url", "attempt",
    "created", "queued", "not_before", "seen", "due", "finished", "erase_after_call",
)  # fmt: skip
EVENT = ("at", "name", "person", "email", "launch_id", "address", "request_id", "detail")
SIGN_IN = (
    "id", "person", "issuer", "sub", "email", "claim", "name", "groups", "proved", "browser",
    "created", "used", "ended",
)  # fmt: skip
LINK = ("id", "slug", "person", "email", "title", "prompt", "ask", "created", "used")


def _times(count: int) -> Iterator[float]:
    """Return as many times, from long ago until an hour ago."""
    now = time.time()
    return (now - 3600 - DAYS * 86_400 * (1 - number / count) for number in range(count))


def _launches(people: list[str], count: int) -> Rows:
    for number, at in enumerate(_times(count)):
        person, token = people[number % len(people)], f"filled-{number}"
        key, prompt = uuid5(LAUNCHES, token).hex, f"{TEXT}{number}"
        hashed = sha256(prompt.encode()).hexdigest()
        url = f"https://acme.app.exec.com/chat/{number}"
        address = f"p{number % len(people)}@acme.example"
        yield (
            key, person, address, token, prompt, hashed, "ready", False, url, 1,
            at, at, at, at, at, at + 1, False,
        )  # fmt: skip


def _events(people: list[str], launches: int) -> Rows:
    for number, at in enumerate(_times(launches)):
        key, address = uuid5(LAUNCHES, f"filled-{number}").hex, f"p{number % len(people)}@acme.example"
        for name in ("launch.asked", "launch.created"):
            yield at, name, people[number % len(people)], address, key, "192.0.2.7", "0" * 16, ""


def _sign_ins(issuer: str, people: list[str], count: int) -> Rows:
    for number, at in enumerate(_times(count)):
        who = number % len(people)
        yield (
            sha256(f"filled {number}".encode()).hexdigest(), people[who], issuer, f"acme|p{who}",
            f"p{who}@acme.example", "email", f"Person {who}", "[]", False, "Firefox on Windows", at, at, at,
        )  # fmt: skip


def _links(people: list[str], count: int) -> Rows:
    for number, at in enumerate(_times(count)):
        key, who = uuid5(LAUNCHES, f"link {number}").hex, number % len(people)
        yield key, f"{number:010}", people[who], f"p{who}@acme.example", "Discovery", TEXT, False, at, at


def _into_sqlite(database_url: str, tables: dict[str, tuple[tuple[str, ...], Rows]]) -> None:
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=60)) as connection:
        for name, (columns, rows) in tables.items():
            names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" for _ in columns)
            insert = f"INSERT INTO {name} ({names}) VALUES ({marks})"  # noqa: S608  # our own names
            connection.executemany(insert, rows)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _into_postgresql(database_url: str, tables: dict[str, tuple[tuple[str, ...], Rows]]) -> None:
    with psycopg.connect(database_url) as connection:
        for name, (columns, rows) in tables.items():
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with connection.cursor().copy(into) as copy:
                for row in rows:
                    copy.write_row(row)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")  # as the server itself does within minutes
