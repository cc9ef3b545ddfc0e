"""A workshop in real time: forty people press the button in the same second, all are in minutes later."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Sandbox, portal_values, run_sandbox
from faults_people import Instance, Trip, Visitor, cookie_of, serving, store_of

pytestmark = pytest.mark.slow

PEOPLE = 40
LONGEST = 300  # seconds; forty at ten a minute take a little more than three minutes


@pytest.fixture
def limited_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with the vendor's own limits: ten creations a minute."""
    with run_sandbox(tmp_path / "sandbox.log", limited=True) as running:
        yield running


def hold(portal: Instance, sandbox: Sandbox) -> list[Trip]:
    """Let all open the form, press together, and stay on their page until they are in the studio."""
    names = [f"p{number}" for number in range(1, PEOPLE + 1)]
    with store_of(portal) as store:
        visitors = [Visitor(name, [portal.url], cookie_of(name, sandbox.issuer, store)) for name in names]
    together = threading.Barrier(PEOPLE)

    trips: dict[str, Trip] = {}

    def come(visitor: Visitor) -> None:
        fields = visitor.open_form(f"Workshop: {visitor.person} sells a crane to a shipyard.")
        together.wait(60)
        trips[visitor.person] = visitor.press(fields, patience=LONGEST)

    # Daemons: when the run is given up, nobody waits for them.
    threads = [threading.Thread(target=come, args=(visitor,), daemon=True) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(trips.values())


def calls_in(database: Path) -> list[dict[str, float]]:
    """When each call began by the portal's own books, and when its launch had been recorded; in order."""
    query = "SELECT c.began, l.created FROM calls c JOIN launches l ON l.id = c.launch_id ORDER BY c.began"
    with contextlib.closing(sqlite3.connect(database)) as db:
        return [{"began": began, "recorded": recorded} for began, recorded in db.execute(query)]


def test_a_workshop_of_forty_arrives_in_order_within_the_limit(
    limited_sandbox: Sandbox, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    port, database = limited_sandbox.portal_ports[0], tmp_path / "portal.sqlite"
    environment = portal_values(limited_sandbox, port, f"sqlite:///{database}")
    with serving(Instance(port, environment, tmp_path)) as [portal]:
        trips = hold(portal, limited_sandbox)
    calls, requests = calls_in(database), limited_sandbox.requests()

    assert len(trips) == PEOPLE, portal.output
    assert len(limited_sandbox.report()["sessions"]) == len({trip.studio for trip in trips}) == PEOPLE
    assert not any(trip.broken or trip.refused for trip in trips), "somebody had to press again"
    assert {request["status"] for request in requests} == {200}
    assert "Traceback" not in portal.output

    began = [call["began"] for call in calls]
    arrived = sorted(request["time"] for request in requests)
    assert len(began) == len(arrived) == PEOPLE
    for times in (began, arrived):
        assert all(later - earlier > 60 for earlier, later in zip(times, times[10:], strict=False))

    recorded = [call["recorded"] for call in calls]
    assert max(recorded) < began[10], "somebody had not pressed when the second ten went"

    # Ten may go in the same moment, in any order; nobody goes before ten who came before.
    in_turn = sorted(recorded)
    tens = range(0, PEOPLE, 10)
    assert [sorted(recorded[n : n + 10]) for n in tens] == [in_turn[n : n + 10] for n in tens]

    most = max(sum(first <= time < first + 60 for time in arrived) for first in arrived)
    figures(
        f"A workshop: 40 people pressed within {max(recorded) - min(recorded):.1f} s, all arrived in their "
        f"turn without pressing again, the last after {max(trip.seconds for trip in trips):.0f} s; at most "
        f"{most} calls in any 60 s, no 429"
    )
