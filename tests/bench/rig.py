"""Everything that is measured and everything around it: started here, ended with the block."""

import ast
import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import trustme
from conftest import (
    EXEC_API_KEY,
    ROOT,
    PostgreSQL,
    Sandbox,
    end,
    free_port,
    hold_port,
    inherited,
    portal_values,
    run_gunicorn,
    run_postgresql,
    wait_until,
)
from faults_people import cookie_of

from webapp import cookies
from webapp.sandbox.server import is_taken
from webapp.store import Store

from .far import Far, far_away
from .processes import cpu_seconds, memory, tree

PORTALS = 6
EXEC_ROUND_TRIP = 0.001  # seconds: so near that it hides nothing of ours
PROVIDER_ROUND_TRIP = 0.02


class Server:
    """A running gunicorn: the bare handler or a portal. `seconds` is how long its first page took to come."""

    def __init__(self, name: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        began = time.perf_counter()
        self.name = name
        self.port = port
        self.process = process
        self.log = log
        self.people: list[dict[str, str]] = [{}]
        wait_until(self._answers, f"{name}: see {log}")
        self.seconds = time.perf_counter() - began

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended: {self.log.read_text()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection), contextlib.suppress(ConnectionError):
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        return False

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def cpu(self) -> float:
        return cpu_seconds(tree(self.process.pid))

    def memory(self) -> int:
        return memory(tree(self.process.pid))

    def next(self, count: int) -> list[dict[str, str]]:
        """Return the cookies of so many people, others than the last time as far as there are others."""
        taken = list(itertools.islice(itertools.cycle(self.people), count))
        used = count % len(self.people)
        self.people = self.people[used:] + self.people[:used]
        return taken

    def sign_in(self, store: Store, issuer: str, count: int) -> None:
        """Let so many people be signed in."""
        name = cookies.name(self.url, cookies.SESSION)
        self.people = [{name: cookie_of(f"p{number}", issuer, store)} for number in range(count)]


class Rig:
    """The fake Exec, the provider and its relay, PostgreSQL; and how to start what is measured."""

    def __init__(self, directory: Path, postgresql: PostgreSQL, stack: ExitStack) -> None:
        self.directory = directory
        self.postgresql = postgresql
        self.stack = stack
        self.environment = inherited() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        self.busiest = 0.0  # the load's own share of a core
        self.authority, self.certificate = self._certificates()
        self.exec_port = self._start_exec()
        held = [stack.enter_context(hold_port()) for _ in range(PORTALS)]
        self.ports = iter([int(one.getsockname()[1]) for one in held])
        self.relay = self._start_provider([int(one.getsockname()[1]) for one in held])
        self.sandbox = Sandbox(f"https://localhost:{self.relay.port}", [])
        stack.callback(self.sandbox.http.close)

    def _certificates(self) -> tuple[Path, Path]:
        authority, certificate = self.directory / "authority.pem", self.directory / "localhost.pem"
        made = trustme.CA()
        made.cert_pem.write_to_path(authority)
        made.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        return authority, certificate

    def _start_exec(self) -> int:
        command = [sys.executable, "-m", "bench.fake_exec", str(self.certificate), str(EXEC_ROUND_TRIP)]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.stack.callback(end, process)
        assert process.stdout
        self.stack.callback(process.stdout.close)
        return int(process.stdout.readline())

    def _start_provider(self, portals: list[int]) -> Far:
        """Start the sandbox, which is reached by its relay alone."""
        port = free_port()
        relay = self.stack.enter_context(far_away(port, PROVIDER_ROUND_TRIP))
        command = [sys.executable, "-m", "webapp.sandbox", "serve", "--port", str(port)]
        command += ["--certificate", str(self.certificate), "--key", str(self.certificate)]
        command += ["--issuer-url", f"https://localhost:{relay.port}"]
        for portal in portals:
            command += ["--portal", f"http://localhost:{portal}"]
        with (self.directory / "sandbox.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=inherited(), stdout=log, stderr=log)
        self.stack.callback(end, process)
        wait_until(lambda: is_taken(port), "the provider")
        return relay

    @contextmanager
    def bare(self) -> Iterator[Server]:
        """Serve the bare handler with the portal's own numbers of processes and threads."""
        with hold_port() as held:
            port, log = held.getsockname()[1], self.directory / "bare.log"
            values = gunicorn_values()
            command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--preload"]
            command += ["--bind", f"127.0.0.1:{port}", "--no-control-socket"]
            command += ["--workers", str(values["workers"]), "--threads", str(values["threads"])]
            command += ["--worker-connections", str(values["worker_connections"])]
            command += ["--keep-alive", str(values["keepalive"])]
            settings = {
                "EXEC_API_URL": self.api_url,
                "EXEC_API_KEY": EXEC_API_KEY,
                "SSL_CERT_FILE": str(self.authority),
                "THREADS": str(values["threads"]),
            }
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*command, "bench.bare:app"],
                    cwd=self.directory,
                    env=self.environment | settings,
                    stdout=output,
                    stderr=output,
                )
            yield from self._until_the_end("bare", port, process, log)

    @contextmanager
    def portal(self, name: str, port: int, database_url: str, **changes: str) -> Iterator[Server]:
        """Serve the portal as in production; the workspace's ten a minute are off, a person's twenty stay."""
        environment = portal_values(self.sandbox, port, database_url) | self.settings | changes
        log = self.directory / f"portal-{port}.log"
        process = run_gunicorn(port, environment, log, self.directory)
        yield from self._until_the_end(name, port, process, log)

    def _until_the_end(
        self, name: str, port: int, process: "subprocess.Popen[bytes]", log: Path
    ) -> Iterator[Server]:
        try:
            yield Server(name, port, process, log)
        finally:
            end(process)

    @property
    def settings(self) -> dict[str, str]:
        """What a portal here is told beside what the tests tell one."""
        return {
            "EXEC_API_URL": self.api_url,
            "EXEC_STUDIO_HOSTS": f"localhost:{self.exec_port}",
            "EXEC_CREATIONS_PER_MINUTE": "0",
            "SSL_CERT_FILE": str(self.authority),
        }

    @property
    def api_url(self) -> str:
        return f"https://localhost:{self.exec_port}/rest/v1"

    @contextmanager
    def store(self, database_url: str) -> Iterator[Store]:
        """The memory of a portal that has started once."""
        store = Store(database_url)
        try:
            yield store
        finally:
            store.database.engine.dispose()

    def load(self, server: Server, count: int, **told: object) -> dict[str, list[Any]]:
        """Let people work, in a process of their own; return what they met. Nothing may fail."""
        found = self._load(port=server.port, cookies=server.next(count), slow=0, **told)
        assert not found["errors"], f"{server.name}: {found['errors'][:3]}, see {server.log}"
        return found

    def burst(self, server: Server, count: int, slow: float) -> dict[str, list[Any]]:
        """Let so many press at once, while the API takes so many seconds for each."""
        return self._load(what="burst", port=server.port, cookies=server.next(count), slow=slow)

    def call_directly(self, times: int) -> list[float]:
        """Return what calls of the API take that nobody stands between."""
        found = self._load(what="direct", port=self.exec_port, times=times, authority=str(self.authority))
        return found["create"]

    def _load(self, **told: object) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(told),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        if told["what"] == "visit":
            self.busiest = max(self.busiest, found["busy"])
        return found


def gunicorn_values() -> dict[str, Any]:
    """Return what `gunicorn.conf.py` sets to plain values, without running it."""
    body = ast.parse((ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")).body
    plain = [node for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in plain}


@contextmanager
def rig() -> Iterator[Rig]:
    """Set everything up in a directory of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-bench-")))
        postgresql = stack.enter_context(run_postgresql())
        postgresql.execute("ALTER SYSTEM RESET fsync")  # the tests do without
        postgresql.execute("SELECT pg_reload_conf()")
        yield Rig(directory, postgresql, stack)
