"""A workshop in real time, in a process of its own: forty people press the button in the same second.

Takes minutes, so it runs beside the other tests: `python tests/faults_workshop.py DIRECTORY` leaves what
happened in `DIRECTORY/workshop.json`. It judges nothing.
"""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from conftest import ROOT, Sandbox, answers, end, free_port, inherited, portal_values, wait_until
from faults_people import Instance, Trip, Visitor, cookie_of, serving, store_of

PEOPLE = 40
LONGEST = 300  # seconds; forty at ten a minute take a little more than three minutes


def main(directory: Path) -> None:
    """Hold the workshop and write down what happened."""
    with limited_sandbox(directory) as sandbox:
        port = free_port()
        database = directory / "portal.sqlite"
        environment = portal_values(sandbox, port, f"sqlite:///{database}")
        with serving(Instance(port, environment, directory)) as [portal]:
            trips = hold(portal, sandbox)
        result = {
            "trips": [asdict(trip) for trip in trips],
            "calls": calls_in(database),
            "api_calls": sandbox.requests(),
            "sessions": sandbox.report()["sessions"],
            "output": portal.output,
        }
    (directory / "workshop.json").write_text(json.dumps(result))


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


@contextlib.contextmanager
def limited_sandbox(directory: Path) -> Iterator[Sandbox]:
    """A sandbox with the vendor's own limits: ten creations a minute."""
    port = free_port()
    command = [sys.executable, "-m", "webapp.sandbox", "serve", "--port", str(port)]
    with (directory / "sandbox.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=inherited(), stdout=output, stderr=output)
    try:
        running = Sandbox(f"http://127.0.0.1:{port}", [])
        wait_until(lambda: answers(running.url), "the sandbox")
        yield running
        running.http.close()
    finally:
        end(process)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("given up"))
    main(Path(sys.argv[1]))
