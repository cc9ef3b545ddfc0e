"""What a portal writes: who asked for what and how it went, and never what anybody typed or holds."""

import json
import logging
import math
import re
import secrets
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from conftest import (
    CLIENT_SECRET,
    EXEC_API_KEY,
    SECRET_KEY,
    Fetch,
    MakeApp,
    Portal,
    Sandbox,
    SignIn,
    StartPortal,
    end,
    portal_values,
    run_gunicorn,
    wait_until,
)
from flask.testing import FlaskClient
from reading import Page

from webapp.bodies import REFUSED
from webapp.logs import APART, JSONLines, Sparing, TextLines

# A word that is nobody's, so that every place it turns up is one where it was written.
PLANTED = f"planted{secrets.token_hex(8)}"
BROKEN = ("!bad-signature", "!token-not-json", "!token-500", "!deny", "una", "noel", "uwe")


@dataclass
class Story:
    """Everything that a portal wrote, and the secrets that passed through it."""

    output: str
    passed: set[str]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


def raw(portal: Portal, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", portal.port), timeout=30) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        try:
            while connection.recv(65536):
                pass
        except OSError:
            return


class Browser:
    """Somebody with a browser at a real portal."""

    def __init__(self, portal: Portal, sandbox: Sandbox) -> None:
        self.portal = portal
        self.sandbox = sandbox
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str, **more: object) -> requests.Response:
        return self.http.get(self.portal.url + path, allow_redirects=False, timeout=10, **more)

    def post(self, path: str, **data: str) -> requests.Response:
        return self.http.post(self.portal.url + path, data=data, allow_redirects=False, timeout=25)

    def sign_in(self, person: str) -> str:
        callback = self.sandbox.choose(self.get("/sign-in").headers["Location"], person)
        self.http.get(callback, allow_redirects=False, timeout=15)
        return callback

    def create(self, prompt: str) -> requests.Response:
        fields = Page(self.get("/").text).fields
        return self.post("/launches", **{**fields, "prompt": prompt})


def live(portal: Portal, sandbox: Sandbox) -> set[str]:
    """Do everything that people and attackers do; return the secrets that it took."""
    passed = set()
    visitor = Browser(portal, sandbox)
    visitor.get(f"/?prompt={PLANTED}", headers={"Referer": f"https://{PLANTED}.example/?q={PLANTED}"})
    raw(portal, b"GET /nope%0d%0aFORGED HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    visitor.get(f"/nowhere?{PLANTED}", headers={"User-Agent": PLANTED, "Cookie": f"portal={PLANTED}"})
    visitor.get(f"/sign-in/callback?code={PLANTED}&state={PLANTED}")
    visitor.get(f"/sign-in/callback?error={PLANTED}&error_description={PLANTED}")
    visitor.post("/launches", prompt=PLANTED, form_token=PLANTED)
    visitor.post("/sign-out", csrf_token=PLANTED)
    for person in BROKEN:
        passed.add(Browser(portal, sandbox).sign_in(person).rpartition("code=")[2].partition("&")[0])
    person = Browser(portal, sandbox)
    callback = person.sign_in("dana")
    passed |= {part.partition("=")[2] for part in callback.partition("?")[2].split("&")}
    person.get(f"/?prompt={PLANTED}&starter={PLANTED}&request_id={PLANTED}&launch={PLANTED}")
    person.get(f"/launches?before={PLANTED}")
    person.create(PLANTED)
    person.create(f"{PLANTED}\x00")
    person.create(PLANTED * 1000)
    for word in ("500", "cut", "half", "400", "401"):  # the last one holds all further ones
        person.create(f"{PLANTED} [[{word}]]")
    passed |= {value for cookie in person.http.cookies if (value := cookie.value) and len(value) > 20}
    leaving = person.post("/sign-out", csrf_token=Page(person.get("/").text).fields["csrf_token"])
    [id_token] = set(re.findall('id_token_hint=([^&"]+)', leaving.text))
    passed |= {id_token, *id_token.split(".")}
    raw(portal, f"GET /?prompt={PLANTED} {PLANTED}\r\n\r\n".encode())
    raw(portal, f"{PLANTED}\r\n\r\n".encode())
    raw(portal, f"GET /?prompt={PLANTED * 400} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    raw(portal, f"GET / HTTP/1.1\r\nHost: x\r\n{PLANTED} {PLANTED}\r\n\r\n".encode())
    raw(portal, f"GET / HTTP/1.1\r\nHost: x\r\nX: {PLANTED * 1000}\r\n\r\n".encode())
    raw(portal, f"GET / HTTP/1.1\r\nHost: x\r\nX{PLANTED}(): {PLANTED}\r\n\r\n".encode())
    raw(portal, f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {PLANTED}\r\n\r\n".encode())
    raw(portal, f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {PLANTED}\r\n\r\n".encode())
    raw(portal, f"{PLANTED} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    raw(portal, f"GET / HTTP/{PLANTED}\r\nHost: x\r\n\r\n".encode())
    raw(
        portal,
        f"GET http://{PLANTED}.example/?{PLANTED} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    )
    raw(portal, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + PLANTED.encode())
    raw(
        portal, f"POST /launches HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nprompt={PLANTED}".encode()
    )
    return {secret for secret in passed if len(secret) > 20}


@pytest.fixture(scope="module")
def story(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Story:
    directory = tmp_path_factory.mktemp("logging")
    port = sandbox.portal_ports[0]
    environment = portal_values(sandbox, port, f"sqlite:///{directory}/portal.sqlite")
    environment |= {"EXEC_CREATIONS_PER_MINUTE": "0", "CREATIONS_PER_PERSON_PER_HOUR": "0"}
    process = run_gunicorn(port, environment, directory / "output", directory)
    portal = Portal(port, process, directory / "output")
    try:
        wait_until(lambda: portal.output.count("Booting worker") == 2, "the portal")
        passed = live(portal, sandbox)
    finally:
        end(process)
    return Story(portal.output, passed)


def test_what_people_typed_is_nowhere(story: Story) -> None:
    assert [line for line in story.output.splitlines() if PLANTED in line] == []


@pytest.mark.parametrize(
    "secret", [EXEC_API_KEY, CLIENT_SECRET, SECRET_KEY], ids=["key", "client", "signing"]
)
def test_what_the_portal_holds_is_nowhere(story: Story, secret: str) -> None:
    assert secret not in story.output
    assert secret[10:30] not in story.output


def test_what_passed_through_is_nowhere(story: Story) -> None:
    assert len(story.passed) > len(BROKEN)
    assert [secret for secret in story.passed if secret in story.output] == []


def test_whose_it_was_is_nowhere(story: Story) -> None:
    assert "dana" not in story.output.lower()
    assert "acme.example" not in story.output


def test_nothing_of_it_was_a_surprise(story: Story) -> None:
    assert "Traceback" not in story.output
    assert [line for line in story.lines if "error" in line] == []


def test_every_line_is_an_object_with_its_time_level_and_event(story: Story) -> None:
    for line in story.lines:
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
        assert line["level"] in ("debug", "info", "warning", "error", "critical")
        assert line["event"]
        assert line["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/sign-in", 303),
        ("GET", "/sign-in/callback", 502),
        ("POST", "/launches", 303),
        ("GET", "/nope%0d%0aFORGED", 404),
    ],
)
def test_every_request_is_written_with_its_path_and_status(
    story: Story, method: str, path: str, status: int
) -> None:
    wanted = {"event": "request", "method": method, "path": path, "status": status}
    assert any(wanted.items() <= line.items() for line in story.lines)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("sign_in.failed", "BadAnswer"),
        ("sign_in.failed", "ProviderUnavailable"),
        ("sign_in.failed", "UnverifiedEmail"),
        ("sign_in.failed", "NoEmail"),
        ("sign_in", "signed in"),
        ("launch.created", "a session was created"),
        ("launch.unavailable", "500 internal_error"),
        ("launch.held", "EXEC_API_KEY is refused (401 invalid_api_key): make a new key"),
        ("post.refused", "a post was refused"),
    ],
)
def test_what_happened_is_written(story: Story, event: str, words: str) -> None:
    assert any(line["event"] == event and words in line["message"] for line in story.lines)


def test_the_lines_of_one_request_share_its_id(story: Story) -> None:
    [created] = [line for line in story.lines if line["event"] == "launch.created"]
    same = [line for line in story.lines if line.get("request_id") == created["request_id"]]
    assert [line["event"] for line in same] == ["launch.created", "request"]
    assert {line["person"] for line in same} == {created["person"]}
    assert len(created["person"]) == 16
    assert created["launch"]


def test_what_strangers_can_cause_is_written_once_a_minute(story: Story) -> None:
    assert len([line for line in story.lines if line["event"] == "post.refused"]) <= 2  # a worker each


def test_no_line_is_forged(story: Story) -> None:
    assert "\x16" not in story.output
    assert "FORGED" not in [line["message"][:6] for line in story.lines]


# What one process writes


@pytest.mark.parametrize(
    ("traceparent", "is_taken"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_proxys_trace_is_the_requests_id(client: FlaskClient, traceparent: str, is_taken: bool) -> None:
    named = client.get("/", headers={"traceparent": traceparent}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", named)
    assert (named == "4bf92f3577b34da6a3ce929d0e0e4736") is is_taken


def test_a_page_that_names_whom_to_ask_names_the_request(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    refused = page(client, sign_in(client, "una"), 403)
    assert refused.response.headers["X-Request-ID"] in refused.words


@pytest.mark.parametrize(
    ("proxies", "forwarded", "warned"),
    [
        (0, "198.51.100.7", "TRUSTED_PROXIES is 0"),
        (2, "198.51.100.7", "TRUSTED_PROXIES is 2"),
        (1, "198.51.100.7", None),
        (1, "203.0.113.9, 198.51.100.7", None),
        (0, None, None),
    ],
)
def test_a_wrong_number_of_proxies_is_told(
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    proxies: int,
    forwarded: str | None,
    warned: str | None,
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    make_app(trusted_proxies=proxies).test_client().get("/", headers=headers)
    told = [
        record.getMessage() for record in caplog.records if record.__dict__.get("event") == "proxies.wrong"
    ]
    assert bool(told) is bool(warned)
    assert all(str(warned) in line for line in told)


def test_another_hosts_name_is_told(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/", headers={"Host": "127.0.0.1:8000"})
    client.get("/healthz", headers={"Host": "10.0.0.7"})
    told = [
        record.getMessage() for record in caplog.records if record.__dict__.get("event") == "host.foreign"
    ]
    assert len(told) == 1
    assert "host 127.0.0.1:8000, and PUBLIC_URL's is localhost:8000" in told[0]


def test_a_request_that_could_not_be_read_is_blamed_on_no_proxy(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    answer = make_app(trusted_proxies=1).test_client().get("/", environ_overrides={REFUSED: 414})
    assert answer.status_code == 414
    assert told_of("proxies.wrong", caplog) == told_of("host.foreign", caplog) == []


def told_of(event: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.__dict__.get("event") == event]


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("webapp", logging.WARNING, "", 0, message, None, None)
    made.__dict__.update(more)
    return made


def test_a_repeated_line_says_how_often_it_was_left_out() -> None:
    sparing = Sparing()
    assert sparing.filter(record("refused", event="x", every=math.inf))
    assert not sparing.filter(record("refused", event="x", every=math.inf))
    again = record("refused", event="x", every=0)
    assert sparing.filter(again)
    assert again.__dict__["repeated"] == 1
    assert sparing.filter(record("something else"))


def test_another_cause_of_the_same_event_is_a_line_of_its_own() -> None:
    sparing = Sparing()
    causes = [{"about": "iat"}, {"about": "aud"}, {"about": "iat", "cause": "Other"}, {"about": ""}]
    for passes in (True, False):
        for cause in causes:
            assert sparing.filter(record("refused", event="x", every=60, **cause)) is passes


def test_however_many_causes_strangers_invent_lines_and_memory_are_few() -> None:
    sparing = Sparing()
    invented = [record("refused", event="x", every=60, about=f"cause {number}") for number in range(500)]
    assert len([one for one in invented if sparing.filter(one)]) == APART + 1
    assert sparing.filter(record("refused", event="another", every=60))
    assert len(sparing.seen["x "]) == APART + 1


def test_causes_of_long_ago_make_room() -> None:
    sparing = Sparing()
    for number in range(APART):
        assert sparing.filter(record("refused", event="x", every=0, about=f"cause {number}"))
    for number in range(APART):
        assert sparing.filter(record("refused", event="x", every=0, about=f"later {number}"))
    assert len(sparing.seen["x "]) <= APART


@pytest.mark.parametrize("form", [JSONLines(b"key"), TextLines(b"key")], ids=["json", "text"])
def test_a_message_forges_no_line(form: logging.Formatter) -> None:
    line = form.format(record("one\ntwo\r\x1b[31m\u2028three\ud800", path="/a\nb"))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    line.encode()


def test_of_an_exception_only_its_type_and_its_place_are_written() -> None:
    try:
        int(PLANTED)
    except ValueError:
        made = record("it broke", exc_info=sys.exc_info())
    told = json.loads(JSONLines(b"key").format(made))
    assert told["error"].startswith("ValueError < ")
    assert "test_logging.py" in told["error"]
    assert PLANTED not in json.dumps(told)


def test_text_is_for_a_terminal(portal: StartPortal) -> None:
    running = portal(LOG_FORMAT="text")
    requests.get(f"{running.url}/healthz", timeout=30)
    running.stop()
    assert "  INFO  request  GET /healthz 200" in running.output
    assert "{" not in running.output


@pytest.mark.parametrize(
    ("word", "level", "told"),
    [
        ("400", "INFO", "400 invalid_request content_policy"),
        ("413", "INFO", "413 invalid_request -"),
        ("401", "ERROR", "EXEC_API_KEY is refused (401 invalid_api_key): make a new key"),
        ("403", "ERROR", "EXEC_API_KEY is refused (403 workspace_inactive): the workspace is not active"),
        ("429", "WARNING", "429 rate_limited"),
        ("500", "WARNING", "500 internal_error -"),
        ("502", "WARNING", "502 - -"),
        ("cut", "WARNING", "broke off"),
        ("half", "WARNING", "broke off"),
        ("not-json", "ERROR", "200 (text/html, "),
        ("no-url", "ERROR", "bytes) without a url: is EXEC_API_URL right?"),
        ("list", "ERROR", "200 (application/json, 2 bytes) without a url"),
        ("redirect", "ERROR", "307 - -"),
        ("strange-host", "ERROR", "host 'evil.example'"),
        ("userinfo-url", "ERROR", "host 'evil.example'"),
        ("backslash-url", "ERROR", "200 with a url outside EXEC_STUDIO_HOSTS"),
        ("surrogate-url", "ERROR", "with half a character in it"),
        ("429-ms", "WARNING", "to wait 86400000 s: over a day, not believed"),
        ("newline-url", "ERROR", "200 with a url outside EXEC_STUDIO_HOSTS"),
    ],
)
def test_each_fault_is_told_once_at_its_level(
    client: FlaskClient,
    sign_in: SignIn,
    page: Fetch,
    caplog: pytest.LogCaptureFixture,
    word: str,
    level: str,
    told: str,
) -> None:
    sign_in(client)
    fields = page(client).fields
    caplog.clear()
    client.post("/launches", data={**fields, "prompt": f"{PLANTED} [[{word}]]"})
    (record,) = [record for record in caplog.records if record.name == "webapp.attempts"]
    assert record.levelname == level
    assert told in record.getMessage()
    for secret in (PLANTED, "dana", EXEC_API_KEY, "/chat/"):
        assert secret not in caplog.text
