"""People in front of the portal whose browsers have no scripts, and portals that are killed and restarted.

Nothing here knows what the portal should do; the tests judge what these people met.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from secrets import token_urlsafe
from urllib.parse import urljoin, urlsplit

import requests
from conftest import SECRET_KEY, answers, end, run_gunicorn, wait_until
from flask import Flask
from reading import Page

from webapp import cookies, keys
from webapp.store import Store
from webapp.store.tables import SignIn, person_key

REFRESH = re.compile(r'<meta http-equiv="refresh" content="([0-9]+); url=([^"]+)">')
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def email_of(person: str) -> str:
    """The address of one of the sandbox's generated people (`p7`)."""
    return f"{person}@acme.example"


@contextlib.contextmanager
def store_of(portal: "Instance") -> Iterator[Store]:
    """The memory of a running portal."""
    store = Store(portal.environment["DATABASE_URL"])
    try:
        yield store
    finally:
        store.database.engine.dispose()


def cookie_of(person: str, issuer: str, store: Store) -> str:
    """Sign somebody in without the way there, which takes a minute for two hundred; return the cookie."""
    secret, email, sub = token_urlsafe(), email_of(person), f"acme|{person}"
    key = sha256(secret.encode()).hexdigest()
    store.sign_ins.begin(
        SignIn(
            id=key,
            person=person_key(issuer, sub),
            issuer=issuer,
            sub=sub,
            email=email,
            claim="email",
            name=person,
            groups="[]",
            proved=False,
            browser="",
        )
    )
    app = Flask(__name__, static_folder=None)
    keys.init_app(app, [SECRET_KEY])
    signer = keys.Sessions().get_signing_serializer(app)
    assert signer is not None
    cookie = signer.dumps({"_permanent": True, "sign_in": secret})
    return cookie if isinstance(cookie, str) else cookie.decode()


@dataclass
class Trip:
    """What a press of the button became: where it ended, when, and what the person met on the way."""

    studio: str = ""
    pressed: float = 0
    seconds: float = 0
    first: int = 0  # the status of the first answer
    broken: list[float] = field(default_factory=list)  # when a connection broke; the same was sent again
    waits: int = 0  # pages that said to wait
    refused: list[float] = field(default_factory=list)  # seconds that each 503 took to come


class Visitor:
    """One person's browser. `addresses` are the instances behind one balancer: one that breaks is left.

    When `leaving` is set, everybody gives up at once.
    """

    def __init__(
        self, person: str, addresses: Sequence[str], cookie: str, leaving: threading.Event | None = None
    ) -> None:
        self.person = person
        self.email = email_of(person)
        self.addresses = addresses
        self.leaving = leaving or threading.Event()
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Origin"] = addresses[0]  # what PUBLIC_URL says, whichever instance is asked
        name = cookies.name(addresses[0], cookies.SESSION)
        self.http.cookies.set(name, cookie, domain="localhost.local", path="/")  # as cookiejar names it

    def tab(self) -> "Visitor":
        """A second tab of the same browser."""
        other = Visitor(self.person, self.addresses, "", self.leaving)
        other.http.cookies.update(self.http.cookies)
        return other

    def open_form(self, text: str, at: int = 0) -> dict[str, str]:
        """Open the form, again if the connection breaks, and type."""
        while True:
            try:
                address = self.addresses[at % len(self.addresses)]
                answer = self.http.get(f"{address}/", allow_redirects=False, timeout=120)
            except BROKEN:
                at += 1
                self._wait(0.3)
                continue
            assert answer.status_code == 200, answer.status_code
            return {**Page(answer.text).fields, "prompt": text}

    def press(self, fields: dict[str, str], at: int = 0, patience: float = 110) -> Trip:
        """Send the form to instance `at` and go where it leads, until the studio's door."""
        trip = Trip(pressed=time.time())
        began = time.monotonic()
        method, path = "POST", "/launches"
        while not trip.studio:
            assert time.monotonic() - began < patience, f"{self.person} never arrived: {trip}"
            sent = time.monotonic()
            try:
                answer = self.http.request(
                    method,
                    self.addresses[at % len(self.addresses)] + path,
                    data=fields if method == "POST" else None,
                    allow_redirects=False,
                    timeout=(60, 120),
                )
            except BROKEN:  # Reload sends the same again
                trip.broken.append(time.monotonic())
                at += 1
                self._wait(0.3)
                continue
            trip.first = trip.first or answer.status_code
            if answer.status_code == 503:
                trip.refused.append(time.monotonic() - sent)
                if method == "POST":
                    self._still_has(answer.text, fields)
                self._wait(0.7)
            elif answer.status_code == 303:
                target = urljoin(answer.url, answer.headers["Location"])
                if urlsplit(target).netloc != urlsplit(answer.url).netloc:
                    trip.studio = target
                method, path = "GET", urlsplit(target).path
            elif refresh := REFRESH.search(answer.text) if answer.status_code == 200 else None:
                trip.waits += 1
                self._wait(int(refresh[1]))
                path = urlsplit(path).path + refresh[2]
            else:
                page = Page(answer.text)
                opened = page.find("a", class_="primary") if method == "GET" else []
                assert page.h1 == "Your scenario is ready", (
                    f"{self.person}: {answer.status_code} {page.main.words}"
                )
                trip.studio = opened[0].attrs["href"]
        trip.seconds = time.monotonic() - began
        return trip

    def _wait(self, seconds: float) -> None:
        assert not self.leaving.wait(seconds), "the test is over"

    def _still_has(self, html: str, fields: dict[str, str]) -> None:
        """The form came back with the text, the same token, and a word about what happened."""
        page = Page(html)
        assert page.prompt == fields["prompt"]
        assert page.fields["form_token"] == fields["form_token"]
        assert "Your text is still here" in page.main.words


class Instance:
    """One gunicorn on a port of its own that a test may kill, reload, stop and start again."""

    def __init__(self, port: int, environment: dict[str, str], directory: Path) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.directory = directory
        self.environment = environment
        self.starts = 0
        self.process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What the running process has written."""
        return self.directory / f"portal-{self.port}-{self.starts}.log"

    @property
    def output(self) -> str:
        """Everything written by it and those before it on this port."""
        logs = sorted(self.directory.glob(f"portal-{self.port}-*.log"))
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)

    def start(self) -> "Instance":
        self.starts += 1
        self.process = run_gunicorn(self.port, self.environment, self.log, self.directory)
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/healthz"), "the portal")
        return self

    def stop(self) -> None:
        end(self.process)

    def reload(self) -> None:
        """Replace the workers, as a new configuration or a renewed log file does."""
        before = self.log.read_text().count("Booting worker")
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.read_text().count("Booting worker") >= before + 2, "new workers")

    def kill_one(self, chance: Random) -> bool:
        """Kill a worker without a warning; say whether there was one."""
        workers = self.workers()
        with contextlib.suppress(ProcessLookupError):
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
                return True
        return False

    def workers(self) -> list[int]:
        """The process ids of the workers there are now."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]


@contextlib.contextmanager
def serving(*instances: Instance) -> Iterator[tuple[Instance, ...]]:
    """Start them, and end what then runs in their place."""
    with contextlib.ExitStack() as stack:
        for instance in instances:
            stack.callback(instance.stop)
            instance.start()
        yield instances
