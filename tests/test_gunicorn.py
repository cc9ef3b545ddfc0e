"""The portal as it is served: its start with wrong settings, its limits, its end."""

import contextlib
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from conftest import (
    EXEC_API_KEY,
    ROOT,
    Environment,
    Portal,
    Sandbox,
    StartPortal,
    end,
    free_port,
    portal_values,
    run_gunicorn,
    wait_until,
)


@pytest.fixture(scope="module")
def refused(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A start with three things wrong at once."""
    directory = tmp_path_factory.mktemp("refused")
    environment = portal_values(sandbox, free_port(), f"sqlite:///{directory}/portal.sqlite")
    environment |= {"EXEC_API_KEY": "planted", "PUBLIC_URL": "http://acme.example"}
    del environment["OIDC_CLIENT_SECRET"]
    return start(environment, directory)


def start(environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Start a portal that will not come up; wait for its end."""
    log = directory / "output"
    status = run_gunicorn(free_port(), environment, log, directory).wait(30)
    return subprocess.CompletedProcess([], status, log.read_text())


def test_a_wrong_setting_stops_the_start(refused: subprocess.CompletedProcess[str]) -> None:
    assert refused.returncode != 0
    assert "Booting worker" not in refused.stdout


def test_a_refused_start_names_every_problem(refused: subprocess.CompletedProcess[str]) -> None:
    for problem in (
        "OIDC_CLIENT_SECRET is missing",
        "EXEC_API_KEY: must be",
        "PUBLIC_URL: must begin with https",
    ):
        assert problem in refused.stdout


def test_a_refused_start_shows_no_traceback_and_no_secret(refused: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in refused.stdout
    assert "planted" not in refused.stdout


def test_a_refused_start_says_so_once(refused: subprocess.CompletedProcess[str]) -> None:
    assert refused.stdout.count("The portal cannot start") == 1


def test_a_database_that_cannot_be_opened_stops_the_start(
    portal_environment: Environment, tmp_path: Path
) -> None:
    url = "sqlite:////dev/null/portal.sqlite"
    started = start(portal_environment(free_port(), DATABASE_URL=url), tmp_path)
    assert started.returncode != 0
    assert "The portal cannot start: DATABASE_URL" in started.stdout
    assert "Traceback" not in started.stdout


def test_importing_the_portal_needs_no_settings(tmp_path: Path) -> None:
    code = "import webapp, webapp.config, webapp.auth, webapp.launches, webapp.store"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False, capture_output=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def running(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for all tests that only ask it something."""
    directory = tmp_path_factory.mktemp("running")
    port, log = sandbox.portal_ports[-1], directory / "output"
    environment = portal_values(sandbox, port, f"sqlite:///{directory}/portal.sqlite")
    process = run_gunicorn(port, environment, log, directory)
    try:
        portal = Portal(port, process, log)
        wait_until(lambda: portal.output.count("Booting worker") == 2, "the portal")
        yield portal
    finally:
        end(process)


def test_the_longest_links_are_served_and_longer_ones_refused(running: Portal) -> None:
    for length, status in ((8190, b"200"), (8200, b"414")):
        line = b"GET /?prompt=" + b"x" * (length - len(b"GET /?prompt= HTTP/1.1\r\n")) + b" HTTP/1.1\r\n"
        answer = running.say(line + b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert answer.split()[1] == status


def test_two_full_cookies_are_read(running: Portal) -> None:
    with requests.Session() as http:
        http.trust_env = False
        cookie = f"wanted-0={'x' * 3600}; wanted-1={'x' * 3600}; portal={'y' * 4000}; other={'z' * 4000}"
        assert http.get(f"{running.url}/healthz", headers={"Cookie": cookie}, timeout=60).status_code == 200


def test_a_bare_request_gets_an_answer(running: Portal) -> None:
    assert running.say(b"GET /healthz HTTP/1.0\r\n\r\n").split()[1] == b"200"
    assert b"Location" not in running.say(
        b"GET // HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )


def test_a_lost_worker_is_replaced(portal: StartPortal) -> None:
    running = portal("--workers", "1")
    (worker,) = [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", running.output)]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: running.output.count("Booting worker") == 2, "a new worker")
    with requests.Session() as http:
        http.trust_env = False
        assert http.get(f"{running.url}/healthz", timeout=60).status_code == 200


def test_workers_that_have_just_begun_hear_that_they_shall_end(
    portal_environment: Environment, tmp_path: Path
) -> None:
    port, log, slow = free_port(), tmp_path / "output", tmp_path / "slow.py"
    own = ROOT / "gunicorn.conf.py"
    slow.write_text(
        f"import time\nexec(open({str(own)!r}).read())\n"
        "def post_fork(server, worker):\n    print('forked', flush=True)\n    time.sleep(1)\n"
    )
    process = run_gunicorn(port, portal_environment(port), log, tmp_path, "--config", str(slow))
    try:
        wait_until(lambda: log.read_text().count("forked") == 2, "both workers")
        process.send_signal(signal.SIGTERM)
        # Unheard, the signal is waited for as long as a call to Exec may take: 30 s.
        assert process.wait(15) == 0
    finally:
        end(process)
    assert "Traceback" not in log.read_text()


def test_the_portal_ends_when_it_is_told_to(portal: StartPortal) -> None:
    running = portal()
    begun = time.monotonic()
    running.stop()
    assert running.process.returncode == 0
    assert time.monotonic() - begun < 10
    assert "Traceback" not in running.output
    assert EXEC_API_KEY not in running.output


@pytest.mark.parametrize(
    ("head", "status", "words"),
    [
        (b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414", b"That link is too long"),
        (b"GET / HTTP/1.1\r\nCookie: " + b"x" * 17000 + b"\r\n\r\n", b"431", b"Your browser sent too much"),
        (b"GET / HTTP/1.1\r\n" + b"X: %s\r\n" % (b"x" * 9000) * 5 + b"\r\n", b"431", b"sent too much"),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 120 + b"\r\n", b"431", b"sent too much"),
        (b"nonsense\r\n\r\n", b"400", b"That request was not complete"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400", b"That request was not complete"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", b"400", b"That request was not complete"),
        (b"GET / HTTP/1.1\r\nExpect: more\r\n\r\n", b"400", b"That request was not complete"),
    ],
)
def test_what_cannot_be_read_is_answered_in_our_words(
    running: Portal, head: bytes, status: bytes, words: bytes
) -> None:
    answer = running.say(head)
    assert answer.split()[1] == status
    assert words in answer
    for header in (b"Content-Security-Policy: default-src 'none'", b"X-Frame-Options: DENY", b"no-store"):
        assert header in answer
    assert b"Set-Cookie" not in answer


def connect(portal: Portal) -> socket.socket:
    return socket.create_connection(("127.0.0.1", portal.port), timeout=60)


def test_who_dawdles_is_shed_while_others_are_served(portal: StartPortal) -> None:
    running = portal("--workers", "1", "--threads", "8", "--worker-connections", "100")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(running)) for _ in range(41)]
        drips, silent, halves = clients[0], clients[1:21], clients[21:]
        for half in halves:
            half.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-")
        kind = b"Content-Type: application/x-www-form-urlencoded"
        drips.sendall(b"POST /launches HTTP/1.1\r\n" + kind + b"\r\nContent-Length: 100000\r\n\r\nprompt=")
        assert running.say(b"GET /healthz HTTP/1.0\r\n\r\n").split()[1] == b"200"
        for shed in (*silent, *halves):
            assert shed.recv(1) == b""
        assert drips.recv(12) == b"HTTP/1.1 400"
    assert "Traceback" not in running.output


def test_a_slow_body_that_makes_progress_is_whole(portal: StartPortal) -> None:
    running = portal("--workers", "1")
    body = b"form_token=f&prompt=" + b"x" * 30_000
    head = b"POST /launches HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    with connect(running) as slow:
        slow.sendall(head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        for begin in range(0, len(body), 10_000):  # 14 s in all: longer than a stretch, shorter than two
            time.sleep(3.5)
            slow.sendall(body[begin : begin + 10_000])
        assert slow.recv(12) == b"HTTP/1.1 422"  # far too long, and told so


def test_who_does_not_close_delays_nobody(portal: StartPortal) -> None:
    running = portal("--workers", "1")
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stay = stack.enter_context(connect(running))
            stay.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        begun = time.monotonic()
        assert running.say(b"GET /healthz HTTP/1.0\r\n\r\n").split()[1] == b"200"
        # One after the other, as gunicorn closes by itself, 60 of them take two minutes.
        assert time.monotonic() - begun < 50


def test_it_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    assert runpy.run_path(str(ROOT / "gunicorn.conf.py"))["bind"].startswith("127.0.0.1:")


def test_it_starts_from_any_directory(portal_environment: Environment, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "output"
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--chdir", str(ROOT)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{port}"],
            cwd=tmp_path,
            env=portal_environment(port),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: log.read_text().count("Booting worker") == 2, "both workers")
    finally:
        end(process)


def test_a_hang_up_says_what_it_does_not_do(portal: StartPortal) -> None:
    running = portal("--workers", "1")
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "restart the portal to change them" in running.output, "the warning")
