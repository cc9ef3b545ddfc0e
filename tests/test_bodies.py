"""Bodies of odd shape, sent to a portal over real sockets: half of one makes nothing, and none is a 500."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from conftest import Portal, Sandbox, end, portal_values, run_gunicorn, wait_until
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from test_house import rules
from werkzeug.test import EnvironBuilder

ORDER = ("csrf_token", "form_token", "title", "prompt")  # what is cut off is the prompt's end
KINDS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=edge")


@dataclass
class Visitor:
    """Somebody at a portal of this file's, speaking to it in bytes."""

    portal: Portal
    database: Path
    cookies: str
    fields: dict[str, str]

    def post(self, path: str, kind: str, body: bytes, *, missing: int = 0, chunked: bool = False) -> bytes:
        """Send a body, that many bytes of which never come; return the answer."""
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + missing}"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {self.cookies}\r\nConnection: close\r\n"
        head += f"Content-Type: {kind}\r\n{size}\r\n\r\n"
        return self.portal.say(head.encode() + body, then_end=True)

    @property
    def made(self) -> int:
        """How many launches and drafts there are."""
        with sqlite3.connect(self.database) as connection:
            counts = "SELECT (SELECT count(*) FROM launches) + (SELECT count(*) FROM drafts)"
            return int(connection.execute(counts).fetchone()[0])


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, Path]]:
    directory = tmp_path_factory.mktemp("bodies")
    port, database = sandbox.portal_ports[-2], directory / "portal.sqlite"
    process = run_gunicorn(
        port, portal_values(sandbox, port, f"sqlite:///{database}"), directory / "output", directory
    )
    try:
        portal = Portal(port, process, directory / "output")
        wait_until(lambda: portal.output.count("Booting worker") == 2, "the portal")
        yield portal, database
        assert "Traceback" not in portal.output
    finally:
        end(process)


@pytest.fixture(scope="module")
def stranger(served: tuple[Portal, Path]) -> Visitor:
    return Visitor(*served, "", {"form_token": "f"})


@pytest.fixture(scope="module")
def person(served: tuple[Portal, Path], sandbox: Sandbox) -> Visitor:
    with requests.Session() as http:
        http.trust_env = False
        provider = http.get(f"{served[0].url}/sign-in", allow_redirects=False, timeout=15)
        http.get(sandbox.choose(provider.headers["Location"], "omar"), allow_redirects=False, timeout=15)
        page = Page(http.get(f"{served[0].url}/", timeout=15).text)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in http.cookies)
    return Visitor(*served, cookies, page.fields)


def body(kind: str, fields: dict[str, str]) -> bytes:
    ordered = {name: fields[name] for name in ORDER if name in fields}
    if kind.startswith("application"):
        return urlencode(ordered).encode()
    parts = "".join(
        f'--edge\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in ordered.items()
    )
    return f"{parts}--edge--\r\n".encode()


def posts(app: Flask) -> list[str]:
    return [path for rule, path in rules(app).values() if "POST" in (rule.methods or set())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", ["stranger", "person"])
def test_half_a_body_makes_nothing(request: pytest.FixtureRequest, app: Flask, kind: str, who: str) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    whole = body(kind, {**visitor.fields, "title": "t", "prompt": "A first call. " * 20})
    before = visitor.made
    for path in posts(app):
        for cut in (15, 40, 200):
            answer = visitor.post(path, kind, whole[:-cut], missing=cut)
            assert answer.split()[1] == b"400", path
        answer = visitor.post(path, kind, f"{len(whole):x}\r\n".encode() + whole[:-40], chunked=True)
        assert answer.split()[1] == b"400", path
    assert visitor.made == before


@pytest.mark.parametrize("who", ["stranger", "person"])
@pytest.mark.parametrize("path", ["/texts", "/launches", "/links", "/embed"])
def test_a_text_that_arrived_whole_is_given_back(request: pytest.FixtureRequest, who: str, path: str) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    fields = {**visitor.fields, "form_token": "my-token", "prompt": "A first call.\r\n--edg"}
    file = 'Content-Disposition: form-data; name="file"; filename="notes.txt"\r\n\r\nHel'
    arrived = body(KINDS[1], fields).removesuffix(b"--\r\n") + b"\r\n"
    before = visitor.made
    for cut in (arrived + file.encode(), arrived + file.encode()[:20], arrived, arrived[:-2]):
        head, _, page = visitor.post(path, KINDS[1], cut, missing=20).partition(b"\r\n\r\n")
        given = Page(page.decode())
        assert head.split()[1] == b"400"
        assert (given.fields["prompt"], given.fields["form_token"]) == ("A first call.\n--edg", "my-token")
        assert "Not everything arrived" in given.words
    assert visitor.made == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", ["stranger", "person"])
def test_a_whole_body_makes_one(request: pytest.FixtureRequest, kind: str, who: str) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    whole = body(kind, {**visitor.fields, "prompt": f"A first call, {who}, {kind}"})
    before = visitor.made
    assert visitor.post("/launches", kind, whole).split()[1] == b"303"
    assert visitor.made == before + 1


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nprompt=Hello\r\n0\r\n\r\n",
        b"-5\r\nprompt=Hello\r\n0\r\n\r\n",
        b"c\r\nprompt=HelloXX0\r\n\r\n",
        b"c\r\nprompt=Hello\r\n",
        b"c\r\nprompt=Hello\r\n0\r\n",
        b"c;bad\rext\r\nprompt=Hello\r\n0\r\n\r\n",
        b"c\r\nprompt=Hello\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"c\r\nprompt=Hello\r\n" + b"0" * 20000,
        b"",
    ],
)
def test_malformed_chunks_make_nothing(stranger: Visitor, chunks: bytes) -> None:
    before = stranger.made
    for path in ("/launches", "/embed"):
        answer = stranger.post(path, KINDS[0], chunks, chunked=True)
        assert answer.split()[1] == b"400"
        assert answer.count(b"HTTP/1.1 ") == 1
    assert stranger.made == before


@pytest.mark.parametrize("name", ["prompt", "form_token", "csrf_token", "title", "file", "review"])
def test_a_file_that_is_called_like_a_field_is_none(person: Visitor, name: str) -> None:
    head = f'Content-Disposition: form-data; name="{name}"; filename="a.txt"'
    part = f"--edge\r\n{head}\r\n\r\nHello\r\n--edge--\r\n"
    before = person.made
    for path in ("/launches", "/embed", "/sign-out"):
        answer = person.post(path, KINDS[1], part.encode())
        assert answer.split()[1] in (b"400", b"422"), path
    assert person.made == before


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("multipart/form-data", b"prompt=Hello"),
        ("multipart/form-data; boundary=\xc3\xa4".encode().decode("latin-1"), b"prompt=Hello"),
        (
            "multipart/form-data; boundary=edge",
            b'--edge\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHel',
        ),
        ("multipart/form-data; boundary=edge", b"--edge\r\nno colon\r\n\r\nHello\r\n--edge--\r\n"),
        ("application/x-www-form-urlencoded", b"prompt=\xff\xfe"),
    ],
)
def test_a_form_that_cannot_be_read_is_not_taken_for_an_empty_one(
    client: FlaskClient, kind: str, data: bytes
) -> None:
    answer = client.post("/launches", data=data, content_type=kind)
    assert answer.status_code == 400
    assert "That request was not complete" in answer.text


@pytest.mark.parametrize("data", [b"[1]", b"5", b'{"prompt": {"a": 1}}', b"{", b'"\\ud800"'])
def test_no_json_is_taken_for_a_form(client: FlaskClient, data: bytes) -> None:
    answer = client.post("/launches", data=data, content_type="application/json")
    assert answer.status_code == 422


def test_scheme_and_path_come_from_no_header(person: Visitor, stranger: Visitor) -> None:
    for name in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "X-Forwarded-Ssl", "X-Forwarded-Protocol"):
        for visitor in (person, stranger):
            head = f"GET /launches HTTP/1.1\r\nHost: x\r\n{name}: https\r\nCookie: {visitor.cookies}\r\n"
            answer = visitor.portal.say(head.encode() + b"Connection: close\r\n\r\n")
            assert answer.split()[1] == (b"200" if visitor is person else b"303"), name
            assert b"https" not in re.findall(rb"Location: (.*)", answer)


@pytest.mark.parametrize("path", ["/launches", "/launches/7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e", "/sign-ins"])
def test_a_strangers_long_address_is_no_surprise(client: FlaskClient, path: str) -> None:
    query = "".join(f"{number:x}" for number in range(2000, 4600))[:7900]
    environ = EnvironBuilder(path=path, query_string=query).get_environ()
    answer = client.open(environ)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "http://localhost:8000/sign-in")
