"""`make bench` measures for some ten minutes, `make bench QUICK=1` for one."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .figures import measure
from .machine import description
from .rig import Rig, rig
from .sizes import FULL, LEAST, QUICK, Size
from .table import markdown, text, write_into


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print one table, or JSON, or write the table into a document."""
    chosen = parser().parse_args(arguments)
    size = QUICK if chosen.quick else LEAST if chosen.least else FULL
    _allow_many_connections()
    began = time.monotonic()
    with rig() as running:
        machine = description(running.directory, postgresql_version(running))
        figures = measure(running, size)
        notes = [*machine, how(running, size, time.monotonic() - began)]
    if chosen.json:
        print(json.dumps({figure.name: list(figure.values) for figure in figures}))
    elif chosen.markdown:
        write_into(chosen.markdown, markdown(figures, notes))
    else:
        print("\n".join([*notes, "", text(figures)]))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="a minute's worth")
    how_much.add_argument("--least", action="store_true", help="whether it runs; the figures say nothing")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print every round's value")
    shown.add_argument("--markdown", type=Path, metavar="FILE", help="write the table between FILE's marks")
    return parser


def postgresql_version(running: Rig) -> str:
    return running.postgresql.server.psql("SHOW server_version").split("\n")[2].split()[0]


def how(running: Rig, size: Size, seconds: float) -> str:
    """Say how much was measured, and whether the load could keep up."""
    return (
        f"{size.rounds} rounds in turn: {size.steps} visits of one person, {size.visits} of each of eight;"
        f" {size.bursts} bursts, {size.starts + 1} starts; {seconds / 60:.1f} minutes;"
        f" the load took {running.busiest:.0%} of one core at most"
    )


def _allow_many_connections() -> None:
    """Let this and all it starts hold as many sockets as the machine lets them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
