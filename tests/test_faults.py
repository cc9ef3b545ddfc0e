"""What must hold when things break: killed workers, restarts, a database away, a full disk, a stalled Exec.

Real processes, real databases, real time. What was measured is printed at the end of the run.
"""

import os
import random
import resource
import signal
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import Environment, PostgreSQL, Sandbox, wait_until
from faults_people import Instance, Trip, Visitor, cookie_of, email_of, serving, store_of
from sqlalchemy.orm import Session

from webapp.store import Store
from webapp.store.migration import migrate
from webapp.store.pace import Pacer
from webapp.store.tables import Launch, launch_id

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(10**6)))
NO_PACE = {"EXEC_CREATIONS_PER_MINUTE": "0", "CREATIONS_PER_PERSON_PER_HOUR": "0"}
PEOPLE = count(2001)  # the sandbox is shared: nobody here is in another test

Instances = Callable[..., list[Instance]]
Invite = Callable[[int, Iterable[Instance]], list[Visitor]]
Say = Callable[[str], None]
Send = Callable[..., Future[Any]]


@pytest.fixture
def instances(sandbox: Sandbox, portal_environment: Environment, tmp_path: Path) -> Instances:
    """`instances(2, DATABASE_URL=url)`: that many portals behind one address, without a pace, not started."""

    def make(number: int, **changes: str) -> list[Instance]:
        ports = sandbox.portal_ports[:number]
        public = f"http://localhost:{ports[0]}"
        settings = {"PUBLIC_URL": public, **NO_PACE, **changes}
        return [Instance(port, portal_environment(port, **settings), tmp_path) for port in ports]

    return make


@pytest.fixture
def chance() -> random.Random:
    """What happens by chance, and happens again with the seed that the run printed."""
    return random.Random(SEED)  # noqa: S311


@pytest.fixture
def leaving() -> threading.Event:
    """Set when the test is over: everybody gives up."""
    return threading.Event()


@pytest.fixture
def invite(sandbox: Sandbox, leaving: threading.Event) -> Invite:
    """`invite(40, portals)`: so many people, signed in, whom no other test knows."""

    def sign_in(number: int, portals: Iterable[Instance]) -> list[Visitor]:
        addresses = [portal.url for portal in portals]
        names = [f"p{next(PEOPLE)}" for _ in range(number)]
        with store_of(next(iter(portals))) as store:
            cookies = [cookie_of(name, sandbox.issuer, store) for name in names]
        return [
            Visitor(name, addresses, cookie, leaving) for name, cookie in zip(names, cookies, strict=True)
        ]

    return sign_in


@pytest.fixture
def send(leaving: threading.Event) -> Iterator[Send]:
    """`send(visitor.press, fields)`: do it beside the rest."""
    with ThreadPoolExecutor(500) as threads:
        yield threads.submit
        leaving.set()


def check_one_session_each(
    sandbox: Sandbox, texts: dict[str, str], trips: Iterable[tuple[str, Trip]]
) -> None:
    """Everybody (`texts`: person -> text) has one session, made from their text, and arrived at it alone."""
    report = sandbox.report()
    emails = {email_of(person): person for person in texts}
    sessions = {s["id"]: s for s in report["sessions"] if s["user_email"] in emails}
    assert Counter(emails[s["user_email"]] for s in sessions.values()) == Counter(list(texts))
    assert len({s["request_id"] for s in sessions.values()}) == len(texts)
    last: dict[str, float] = {}
    for call in report["requests"]:
        if call["user_email"] in emails:
            person = emails[call["user_email"]]
            assert call["prompt_sha256"] == sha256(texts[person].encode()).hexdigest()
            assert call["time"] - last.get(person, 0) > 2, "two calls for one intention at once"
            last[person] = call["time"]
    for person, trip in trips:
        session = sessions[trip.studio.rpartition("/")[2]]
        assert session["user_email"] == email_of(person)


def add_faults(texts: dict[str, str], *words: str) -> None:
    """Put these magic words into the texts, in turn."""
    for person, word in zip(texts, cycle(words), strict=False):
        texts[person] = f"{texts[person]} {word}".strip()


def test_every_intention_makes_one_session_while_workers_are_killed(
    sandbox: Sandbox,
    instances: Instances,
    invite: Invite,
    postgresql: PostgreSQL,
    send: Send,
    chance: random.Random,
    figures: Say,
) -> None:
    people, kills, spread = 200, 12, 10.0
    with postgresql.database() as url, serving(*instances(2, DATABASE_URL=url)) as portals:
        visitors = invite(people, portals)
        texts = {
            v.person: f"A customer of {v.person} wants out of the contract. {v.person * 20}" for v in visitors
        }
        faults = "[[500 x1]]", "[[cut x1]]", "[[half x1]]", "[[lost x1]] [[slow]]"
        add_faults(texts, "[[slow]]", "", "[[slow]]", *faults)

        def come(visitor: Visitor, after: float) -> list[Trip]:
            time.sleep(after)
            fields = visitor.open_form(texts[visitor.person])
            other = send(visitor.tab().press, fields, 1)
            return [visitor.press(fields, 0), other.result()]

        arrivals = [send(come, visitor, chance.uniform(0, spread)) for visitor in visitors]
        began, killed = time.monotonic(), 0
        for moment in sorted(chance.uniform(0.5, spread + 1) for _ in range(kills)):
            time.sleep(max(0, began + moment - time.monotonic()))
            killed += chance.choice(portals).kill_one(chance)
        trips = [
            (v.person, trip) for v, made in zip(visitors, arrivals, strict=True) for trip in made.result()
        ]
    seconds = time.monotonic() - began
    broken = sum(len(trip.broken) for _, trip in trips)
    assert killed > kills / 2
    assert broken > 0
    check_one_session_each(sandbox, texts, trips)
    assert "Traceback" not in portals[0].output + portals[1].output
    longest = max(trip.seconds for _, trip in trips)
    taken_over = sum(trip.seconds > 40 for _, trip in trips)
    figures(
        f"{people} submissions sent twice while {killed} workers were killed: {broken} connections broke, "
        f"{taken_over // 2} waited for a dead worker's lease, {people} people at one session each, "
        f"0 texts lost, the longest way {longest:.1f} s, {seconds:.1f} s in all (FAULTS_SEED={SEED})"
    )


def test_sigterm_lets_calls_finish(
    sandbox: Sandbox, instances: Instances, invite: Invite, send: Send, figures: Say
) -> None:
    [portal] = instances(1)
    with serving(portal):
        visitors = invite(12, [portal])
        texts = {visitor.person: f"About to be stopped {visitor.person}" for visitor in visitors}
        add_faults(texts, "[[slow]]", "[[slow]]", "[[stall x1]]")
        forms = [visitor.open_form(texts[visitor.person]) for visitor in visitors]
        sent = [send(v.press, fields) for v, fields in zip(visitors, forms, strict=True)]
        calls_under_way = set(map(email_of, texts))
        wait_until(
            lambda: calls_under_way <= {call["user_email"] for call in sandbox.requests()}, "calls", 10
        )
        began = time.monotonic()
        portal.stop()
        stopped = time.monotonic() - began
        output = portal.output
        portal.start()
        trips = [(v.person, trip.result()) for v, trip in zip(visitors, sent, strict=True)]
    check_one_session_each(sandbox, texts, trips)
    assert portal.process.returncode == 0
    assert "Traceback" not in output
    assert {trip.first for _, trip in trips} == {303}
    finished = [trip for person, trip in trips if "slow" in texts[person]]
    assert not any(trip.broken or trip.waits for trip in finished)
    figures(
        f"SIGTERM with {len(trips)} calls under way: ended after {stopped:.1f} s; {len(finished)} finished, "
        f"{len(trips) - len(finished)} stalled ones went on after the restart, one session each"
    )


def test_a_rolling_restart_loses_nothing(
    sandbox: Sandbox, instances: Instances, invite: Invite, postgresql: PostgreSQL, send: Send, figures: Say
) -> None:
    with postgresql.database() as url, serving(*instances(2, DATABASE_URL=url)) as portals:

        def restart() -> float:
            for portal in portals:
                portal.reload()
            reloaded = time.monotonic()
            for portal in portals:
                portal.stop()
                portal.start()
            return reloaded

        def come(visitor: Visitor, number: int) -> Trip:
            # The balancer takes turns: the form comes from one, and goes to the other.
            return visitor.press(visitor.open_form(texts[visitor.person], number), number + 1)

        began = time.monotonic()
        texts: dict[str, str] = {}
        sent: list[tuple[str, Future[Trip]]] = []
        restarting = send(restart)
        while not restarting.done() and len(sent) < 500:
            [visitor], number = invite(1, portals), len(sent)
            texts[visitor.person] = (
                f"Sent during a restart {visitor.person}{'' if number % 4 else ' [[slow]]'}"
            )
            sent.append((visitor.person, send(come, visitor, number)))
            time.sleep(0.15)
        reloaded = restarting.result()
        restarted = time.monotonic() - began
        trips = [(person, trip.result()) for person, trip in sent]
    check_one_session_each(sandbox, texts, trips)
    broken = [moment for _, trip in trips for moment in trip.broken]
    figures(
        f"Two instances reloaded, then restarted, one after the other under {len(trips)} submissions "
        f"({restarted:.1f} s): {sum(moment < reloaded for moment in broken)} and "
        f"{sum(moment > reloaded for moment in broken)} connections had to be made again, 0 texts lost, "
        f"one session each, the longest way {max(trip.seconds for _, trip in trips):.1f} s"
    )


def test_the_database_gone_for_some_seconds(
    sandbox: Sandbox, instances: Instances, invite: Invite, postgresql: PostgreSQL, send: Send, figures: Say
) -> None:
    people, spread = 40, 8.0
    with postgresql.database() as url, serving(*instances(1, DATABASE_URL=url)) as [portal]:
        visitors = invite(people, [portal])
        texts = {
            visitor.person: f"Typed while the database was away {visitor.person}" for visitor in visitors
        }
        forms = [visitor.open_form(texts[visitor.person]) for visitor in visitors]
        workers = portal.workers()

        def come(visitor: Visitor, fields: dict[str, str], after: float) -> Trip:
            time.sleep(after)
            return visitor.press(fields)

        sent = [
            send(come, visitor, fields, spread * number / people)
            for number, (visitor, fields) in enumerate(zip(visitors, forms, strict=True))
        ]
        time.sleep(1.5)
        began = time.monotonic()
        with crashed(postgresql):
            time.sleep(4)
            assert requests.get(f"{portal.url}/readyz", timeout=60).status_code == 503
            assert requests.get(f"{portal.url}/healthz", timeout=60).status_code == 200
        away = time.monotonic() - began
        trips = [(v.person, trip.result()) for v, trip in zip(visitors, sent, strict=True)]
        assert portal.workers() == workers
        wait_until(lambda: requests.get(f"{portal.url}/readyz", timeout=60).status_code == 200, "a new probe")
    check_one_session_each(sandbox, texts, trips)
    told = [seconds for _, trip in trips for seconds in trip.refused]
    assert len(told) >= people / 4
    assert max(told) < 5
    assert "Traceback" not in portal.output
    back = (
        max(trip.pressed + trip.seconds for _, trip in trips) - time.time() + time.monotonic() - began - away
    )
    figures(
        f"PostgreSQL crashed for {away:.1f} s under {people} submissions: {len(told)} answers 503 with "
        f"the text (the slowest after {max(told):.1f} s), all at one session each {back:.1f} s later"
    )


class crashed:  # noqa: N801  # reads like a state of the server
    """Inside the block the server is gone, without having said goodbye; then it recovers."""

    def __init__(self, postgresql: PostgreSQL) -> None:
        self.server = postgresql.server

    def __enter__(self) -> None:
        info = self.server.get_postmaster_info()
        os.kill(info.pid, signal.SIGQUIT)  # PostgreSQL's "immediate" shutdown
        wait_until(lambda: not info.is_running(), "PostgreSQL's end")

    def __exit__(self, *_: object) -> None:
        self.server.ensure_postgres_running()


def test_sqlite_locked_by_another_for_some_seconds(
    sandbox: Sandbox, instances: Instances, invite: Invite, send: Send, figures: Say, tmp_path: Path
) -> None:
    locked = 9.5
    with serving(*instances(1)) as [portal]:
        early, late = invite(5, [portal]), invite(5, [portal])
        visitors = early + late
        texts = {
            visitor.person: f"Typed while the database was locked {visitor.person}" for visitor in visitors
        }
        forms = {visitor.person: visitor.open_form(texts[visitor.person]) for visitor in visitors}
        other = sqlite3.connect(tmp_path / "portal.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        sent = [send(visitor.press, forms[visitor.person]) for visitor in early]
        time.sleep(5)
        sent += [send(visitor.press, forms[visitor.person]) for visitor in late]
        began = time.monotonic()
        early[0].open_form("")  # reading goes on
        reading = time.monotonic() - began
        time.sleep(locked - 5 - reading)
        other.rollback()
        other.close()
        trips = [(v.person, trip.result()) for v, trip in zip(visitors, sent, strict=True)]
    check_one_session_each(sandbox, texts, trips)
    assert reading < 3
    told = [seconds for _, trip in trips[:5] for seconds in trip.refused]
    assert len(told) >= 5
    assert max(told) < 15
    assert not any(trip.refused for _, trip in trips[5:]), "a short lock is waited for"
    assert "SQLITE_BUSY" in portal.output
    figures(
        f"SQLite locked for {locked} s: {len(told)} answers 503 with the text after {max(told):.1f} s, "
        f"5 others waited {max(trip.seconds for _, trip in trips[5:]):.1f} s, all at one session each"
    )


def test_a_full_disk(
    sandbox: Sandbox, instances: Instances, invite: Invite, send: Send, figures: Say, tmp_path: Path
) -> None:
    with serving(*instances(1)) as [portal]:
        visitors = invite(23, [portal])
        texts = {visitor.person: f"Typed while the disk was full {visitor.person}" for visitor in visitors}
        forms = {visitor.person: visitor.open_form(texts[visitor.person]) for visitor in visitors}
        trips = [(visitor.person, visitor.press(forms[visitor.person])) for visitor in visitors[:3]]
        workers = portal.workers()
        # Not a small file system: mounting one is root's. For SQLite it is the same: writing fails.
        room = (tmp_path / "portal.sqlite-wal").stat().st_size
        before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in (portal.process.pid, *workers)}
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, hard))
        sent = [send(visitor.press, forms[visitor.person]) for visitor in visitors[3:]]
        time.sleep(2)
        assert not any(trip.done() for trip in sent)
        own = visitors[0].http.get(f"{portal.url}/launches", timeout=60)
        assert own.status_code == 200
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        made_room = time.time()
        trips += [(v.person, trip.result()) for v, trip in zip(visitors[3:], sent, strict=True)]
        assert portal.workers() == workers
    check_one_session_each(sandbox, texts, trips)
    told = [seconds for _, trip in trips for seconds in trip.refused]
    assert all(trip.refused for _, trip in trips[3:])
    assert max(told) < 15
    assert "SQLITE_IOERR" in portal.output
    assert "Traceback" not in portal.output
    back = max(trip.pressed + trip.seconds for _, trip in trips) - made_room
    figures(
        f"A full disk: {len(told)} answers 503 with the text (the slowest after {max(told):.1f} s), "
        f"20 people at one session each {back:.1f} s after there was room"
    )


def test_a_stalled_exec_does_not_block_others(
    sandbox: Sandbox, instances: Instances, invite: Invite, send: Send, figures: Say
) -> None:
    with serving(*instances(1)) as [portal]:
        stalled, others = invite(30, [portal]), invite(40, [portal])
        texts = {visitor.person: f"Takes its time {visitor.person} [[stall x1]]" for visitor in stalled}
        texts |= {visitor.person: f"In a hurry {visitor.person}" for visitor in others}
        forms = {visitor.person: visitor.open_form(texts[visitor.person]) for visitor in stalled}
        trips: list[tuple[str, Trip]] = []

        def serve(visitors: list[Visitor]) -> tuple[float, float]:
            """The usual seconds that the form and a creation take."""
            opening, creating = [], []
            for visitor in visitors:
                began = time.monotonic()
                fields = visitor.open_form(texts[visitor.person])
                opening.append(time.monotonic() - began)
                trips.append((visitor.person, visitor.press(fields)))
                creating.append(trips[-1][1].seconds)
            return statistics.median(opening), statistics.median(creating)

        serve(others[:4])
        before = serve(others[4:22])
        sent = [send(visitor.press, forms[visitor.person]) for visitor in stalled]
        emails = {visitor.email for visitor in stalled}
        wait_until(lambda: emails <= {call["user_email"] for call in sandbox.requests()}, "all calls")
        meanwhile = serve(others[22:])
        assert not any(trip.done() for trip in sent), "not all were stalled meanwhile"
        waited = [(v.person, trip.result()) for v, trip in zip(stalled, sent, strict=True)]
    check_one_session_each(sandbox, texts, trips + waited)
    assert all(trip.waits and trip.first == 303 for _, trip in waited)
    assert "Traceback" not in portal.output
    for usual, now in zip(before, meanwhile, strict=True):
        assert now < 5 * usual + 0.1
    figures(
        f"30 calls stalled: the form in {meanwhile[0] * 1000:.0f} ms (before: {before[0] * 1000:.0f}), "
        f"a creation in {meanwhile[1] * 1000:.0f} ms (before: {before[1] * 1000:.0f})"
    )


def test_the_first_to_come_is_served_first_however_slowly_it_is_written(
    postgresql: PostgreSQL, send: Send
) -> None:
    with postgresql.database() as url:
        migrate(url)
        store = Store(url)
        first, second = "1" * 16, "2" * 16
        row = Launch(
            id=launch_id(first, "token", "A text"), person=first, form_token="token", state="waiting"
        )
        row.created = row.queued = row.not_before = row.seen = row.due = 0

        def come(person: str) -> bool:
            launch = store.launches.record(
                person, "anna@acme.example", "token", "A text", another=False
            ).launch
            assert launch is not None
            return (
                Pacer(store.database, per_minute=1, per_hour=0, access="").begin(
                    launch.id, "anna@acme.example"
                )
                is not None
            )

        with Session(store.database.engine) as other:
            other.add(row)
            other.flush()  # whoever writes the same row waits for the end of this transaction
            served = [send(come, first)]
            time.sleep(0.5)
            served.append(send(come, second))
            time.sleep(0.5)
        assert [one.result() for one in served] == [True, False]
        store.database.engine.dispose()
