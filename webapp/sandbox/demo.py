"""`make demo`: the portal and the sandbox side by side, wired to each other, until Ctrl-C."""

import ctypes
import http.client
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .exec_api import API_KEY
from .provider import CLIENT_ID, CLIENT_SECRET
from .server import is_taken

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20
STOP_SECONDS = 4  # in all: who stops us by force waits five
PR_SET_PDEATHSIG = 1  # prctl(2)
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT")
"""What the portal gets of the caller's environment; a developer's own settings must not leak in."""

TEXT = """
  Scenario Portal   http://localhost:{port}
  The sandbox       http://127.0.0.1:{sandbox_port}   who can sign in, what can go wrong, what was asked
  An intranet page  http://127.0.0.1:{sandbox_port}/intranet   with the portal in a frame

  Open the portal, choose Dana, describe a meeting, press the button. Nothing here is real.
  Ctrl-C stops both.
"""


class DemoFailed(Exception):
    """The demonstration cannot go on; the message is for the person at the terminal."""


def run() -> int:
    """Serve both until a signal comes; return the exit status."""
    stopping, parent = threading.Event(), os.getppid()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stopping.set())
    children: dict[str, subprocess.Popen[bytes]] = {}
    with tempfile.TemporaryDirectory(prefix="scenario-portal-demo-") as directory:
        try:
            port, sandbox_port = read_ports()
            children["sandbox"] = start_sandbox(port, sandbox_port)
            children["portal"] = start_portal(port, sandbox_port, Path(directory))
            wait_for(children, {"sandbox": (sandbox_port, "/"), "portal": (port, "/healthz")}, stopping)
            if not stopping.is_set():
                print(TEXT.format(port=port, sandbox_port=sandbox_port), flush=True)
            while not stopping.wait(0.2) and os.getppid() == parent:
                check_alive(children)
        except DemoFailed as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            stop(children)
    return 0


def read_ports() -> tuple[int, int]:
    """The portal's port and the sandbox's, both free."""
    port, sandbox_port = read_port("PORT", 8000), read_port("SANDBOX_PORT", 8001)
    if port == sandbox_port:
        raise DemoFailed(f"PORT and SANDBOX_PORT are both {port}. Choose another one: make demo PORT=8080")
    return port, sandbox_port


def read_port(name: str, default: int) -> int:
    """The port that the environment names, checked to be free."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise DemoFailed(f"{name} must be a port number, not {value!r}: make demo {name}={default}")
    port = int(value)
    if is_taken(port):
        raise DemoFailed(f"Port {port} is taken. Choose another one: make demo {name}={port + 80}")
    return port


def start_sandbox(port: int, sandbox_port: int) -> "subprocess.Popen[bytes]":
    """Start the sandbox, with the portal's address registered."""
    command = [sys.executable, "-m", "webapp.sandbox", "serve"]
    command += ["--port", str(sandbox_port), "--portal", f"http://localhost:{port}"]
    return start(command, inherited())


def start_portal(port: int, sandbox_port: int, directory: Path) -> "subprocess.Popen[bytes]":
    """Start the portal in production's way, with every setting given."""
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
    return start(command, inherited() | portal_settings(port, sandbox_port, directory))


def start(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a child in a group of its own, so that Ctrl-C reaches only us, and we end it in order."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=end_with_parent,  # noqa: PLW1509  # there is one thread here
    )


def end_with_parent() -> None:
    """Let this process be told to end when its parent is killed; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def inherited() -> dict[str, str]:
    """The few variables that both children need from the caller."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def portal_settings(port: int, sandbox_port: int, directory: Path) -> dict[str, str]:
    """Every setting of the portal: what is set here, a `.env` file cannot change."""
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PUBLIC_URL": f"http://localhost:{port}",
        "OIDC_ISSUER": f"{sandbox}/oidc",
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_EMAIL_CLAIM": "email",
        "OIDC_TRUST_UNVERIFIED_EMAIL": "false",
        "ALLOWED_EMAIL_DOMAINS": "acme.example",
        "ALLOWED_GROUPS": "",
        "ADMIN_EMAILS": "omar@acme.example",
        "EXEC_API_KEY": API_KEY,
        "EXEC_API_URL": f"{sandbox}/rest/v1",
        "EXEC_STUDIO_HOSTS": f"127.0.0.1:{sandbox_port},localhost:{sandbox_port}",
        "EXEC_CREATIONS_PER_MINUTE": "10",
        "CREATIONS_PER_PERSON_PER_HOUR": "20",
        "DATABASE_URL": f"sqlite:///{directory / 'demo.sqlite3'}",
        "FRAME_ANCESTORS": sandbox,
        "EMBED_REVIEW": "false",
        "EMBED_COEP": "false",
        "TRUSTED_PROXIES": "0",
        "SESSION_HOURS": "8",
        "SESSION_IDLE_HOURS": "4",
        "LOG_FORMAT": "text",
        "RETENTION_DAYS": "30",
        "SUPPORT_CONTACT": "it-help@acme.example",
        "METRICS_TOKEN": "",
    }


def wait_for(
    children: dict[str, "subprocess.Popen[bytes]"],
    addresses: dict[str, tuple[int, str]],
    stopping: threading.Event,
) -> None:
    """Wait until each child answers 200 at its port and path, or until a signal comes."""
    deadline = time.monotonic() + START_SECONDS
    for name, (port, path) in addresses.items():
        while not answers(port, path) and not stopping.wait(0.05):
            check_alive(children)
            if time.monotonic() > deadline:
                raise DemoFailed(f"The {name} did not answer within {START_SECONDS} seconds.")


def answers(port: int, path: str) -> bool:
    """Whether something answers 200 there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def check_alive(children: dict[str, "subprocess.Popen[bytes]"]) -> None:
    """Raise DemoFailed if one of the children has ended."""
    for name, child in children.items():
        if child.poll() is not None:
            raise DemoFailed(f"The {name} has stopped (exit status {child.returncode}), so the demo ends.")


def stop(children: dict[str, "subprocess.Popen[bytes]"]) -> None:
    """End every child and wait for it; one that does not end is killed with all it started."""
    until = time.monotonic() + STOP_SECONDS
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
