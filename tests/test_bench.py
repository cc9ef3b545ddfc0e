"""The benchmark runs, measures all that it says, and reads the right clocks; it judges nobody's speed."""

import json
import math
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
from bench import far, processes, table, where
from bench.figures import percentile
from bench.load import hidden_fields
from bench.rig import gunicorn_values
from conftest import ROOT, Sandbox, inherited
from flask import Flask
from peers import Peer

DOCUMENT = ROOT / "docs" / "performance.md"


@pytest.fixture(scope="module")
def measured() -> dict[str, list[float]]:
    """Every figure of the least run there is, by name."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--least", "--json"],
        env=inherited() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, list[float]] = json.loads(done.stdout)
    return figures


@pytest.mark.slow
def test_every_figure_is_a_number(measured: dict[str, list[float]]) -> None:
    for name, values in measured.items():
        assert values, name
        assert all(math.isfinite(value) for value in values), name


@pytest.mark.slow
def test_the_document_has_every_figure(measured: dict[str, list[float]]) -> None:
    rows = DOCUMENT.read_text(encoding="utf-8").partition(table.BEGIN)[2].partition(table.END)[0]
    written = re.findall(r"(?m)^\| ([^|]+) \| [^|]+ \| *-?[0-9]", rows)
    assert [without_sizes(name) for name in written] == [without_sizes(name) for name in measured]


def without_sizes(name: str) -> str:
    """What a figure is called, however many people or rows it was measured with."""
    return re.sub(r"[0-9][0-9,.]*", "N", name)


@pytest.mark.slow
def test_what_is_counted_does_not_depend_on_the_size(measured: dict[str, list[float]]) -> None:
    assert min(measured["sign-in callback: round trips to the provider"]) == 1
    assert measured["form page, signed in: steps after the HTML"] == [1]
    assert min(measured["statements: create"]) > min(measured["statements: form"]) > 0


def test_make_runs_it_whole_and_quick() -> None:
    for arguments, said in ((), "-m bench\n"), (("QUICK=1",), "-m bench --quick\n"):
        command = ["make", "--no-print-directory", "-n", "bench", *arguments]
        # `make test QUICK=1` hands its own arguments on in these.
        handed_on = ("QUICK", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")
        environment = {name: value for name, value in os.environ.items() if name not in handed_on}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert re.sub(r" *\n", "\n", done.stdout).endswith(said)


def test_the_cpu_clock_is_the_other_process_s_own() -> None:
    before = time.process_time()
    read = processes.cpu_seconds([os.getpid()])
    assert before <= read <= time.process_time()


def test_memory_that_is_written_counts() -> None:
    before = processes.memory([os.getpid()])
    held = b"x" * 50_000_000
    assert processes.memory([os.getpid()]) - before > 0.9 * len(held)


def test_all_that_a_process_started_counts() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = processes.tree(os.getpid())
        child.kill()
    assert child.pid in found


@pytest.fixture
def distant(tmp_path: Path) -> Iterator[tuple[far.Far, str]]:
    """A server over TLS behind the relay, and the CA file."""
    authority, path = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    tls = authority.issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.configure_cert(context)
    with Peer(tls=context) as peer, far.far_away(peer.port, 0.3) as relay:
        yield relay, str(path)


def test_a_cold_call_counts_three_round_trips_and_a_warm_one_counts_one(
    distant: tuple[far.Far, str],
) -> None:
    relay, authority = distant
    with requests.Session() as http:
        http.trust_env = False
        http.verify = authority
        trips = [relay.trips]
        for _ in range(3):
            assert http.get(f"https://localhost:{relay.port}", timeout=60).ok
            trips.append(relay.trips)
    assert trips == [0, 3, 4, 5]


def test_where_the_time_goes_adds_up(app: Flask, sandbox: Sandbox) -> None:
    for what, profile in where.visits(app, sandbox.issuer, 2).items():
        shares = where.parts(profile)
        assert all(seconds >= 0 for seconds in shares.values()), what
        assert ("page: templates" in shares) == (what == "form")
        assert ("Exec's API: client, TLS, JSON" in shares) == (what == "create")
        assert any(name.startswith("store: sign_ins.") for name in shares)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile(range(1, 1001), 99) == 990
    assert percentile([3, 1, 2], 99) == 3


def test_the_bare_handler_has_the_portal_s_threads() -> None:
    assert {"workers", "threads", "worker_connections", "keepalive"} <= gunicorn_values().keys()


def test_a_form_brings_its_hidden_fields_along() -> None:
    page = '<input type="hidden" name="a" value="1&amp;2"><input name="b"><input type="hidden" name="c">'
    assert hidden_fields(page) == {"a": "1&2", "c": ""}


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    figures = [table.Figure("one", "ms", [3, 1, 2.5])]
    written = table.markdown(figures, ["two cores"])
    table.write_into(document, written)
    assert "| one | ms | 1 | 2.5 | 3 |" in written
    assert document.read_text() == f"before\n{table.BEGIN}\n\n{written}\n\n{table.END}\nafter\n"
