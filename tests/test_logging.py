"""What a portal writes: who asked for what and how it went, and never what anybody typed or holds."""

import secrets
import socket
from dataclasses import dataclass

import pytest
import requests
from conftest import (
    CLIENT_SECRET,
    EXEC_API_KEY,
    SECRET_KEY,
    Fetch,
    Portal,
    Sandbox,
    SignIn,
    end,
    portal_values,
    run_gunicorn,
    wait_until,
)
from flask.testing import FlaskClient
from reading import Page

# A word that is nobody's, so that every place it turns up is one where it was written.
PLANTED = f"planted{secrets.token_hex(8)}"
BROKEN = ("!bad-signature", "!token-not-json", "!token-500", "!deny", "una", "noel", "uwe")


@dataclass
class Story:
    """Everything that a portal wrote, and the secrets that passed through it."""

    output: str
    passed: set[str]


def raw(portal: Portal, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", portal.port), timeout=5) as connection:
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
        return self.http.get(self.portal.url + path, allow_redirects=False, timeout=10, **more)  # type: ignore[arg-type]

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


@pytest.mark.parametrize(
    "line",
    [
        " GET / 200 ",
        " GET /nowhere 404 ",
        " GET /sign-in 303 ",
        " GET /sign-in/callback 502 ",
        " POST /launches 303 ",
    ],
)
def test_every_request_is_written_with_its_path_and_status(story: Story, line: str) -> None:
    assert line in story.output


@pytest.mark.parametrize(
    "words",
    [
        "sign-in failed: BadAnswer",
        "sign-in failed: ProviderUnavailable",
        "sign-in failed: UnverifiedEmail",
        "sign-in failed: NoEmail",
        "signed in",
        "created launch=",
        "not created launch=",
        "500 internal_error",
        "401 authentication_error invalid_api_key",
    ],
)
def test_what_happened_is_written(story: Story, words: str) -> None:
    assert words in story.output


def test_no_line_is_forged(story: Story) -> None:
    assert "\x16" not in story.output
    assert all(line.startswith(("[", "127.0.0.1 ")) for line in story.output.splitlines() if line)


@pytest.mark.parametrize(
    ("word", "level", "told"),
    [
        ("400", "INFO", "400 invalid_request content_policy"),
        ("413", "INFO", "413 invalid_request -"),
        ("401", "ERROR", "401 authentication_error invalid_api_key"),
        ("403", "ERROR", "403 authorization_error workspace_inactive"),
        ("429", "WARNING", "429 rate_limited"),
        ("500", "WARNING", "500 internal_error -"),
        ("502", "WARNING", "502 - -"),
        ("cut", "WARNING", "broke off"),
        ("half", "WARNING", "broke off"),
        ("not-json", "ERROR", "200 without a url; text/html"),
        ("no-url", "ERROR", "200 without a url; application/json"),
        ("list", "ERROR", "200 without a url; application/json, 2 bytes"),
        ("redirect", "ERROR", "307 - -"),
        ("strange-host", "ERROR", "host 'evil.example'"),
        ("userinfo-url", "ERROR", "host 'evil.example'"),
        ("backslash-url", "ERROR", "200 with a url outside EXEC_STUDIO_HOSTS"),
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
    (record,) = [record for record in caplog.records if record.name.startswith("webapp")]
    assert record.levelname == level
    assert told in record.getMessage()
    for secret in (PLANTED, "dana", EXEC_API_KEY, "/chat/"):
        assert secret not in caplog.text
