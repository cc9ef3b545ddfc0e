"""Whatever is sent: no answer is a 5xx, none reflects it, no line of the log is forged or names a secret.

20,000 requests to a portal in this process and a thousand over real sockets; `make fuzz` sends many more.
"""

import io
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from conftest import CLIENT_SECRET, EXEC_API_KEY, SECRET_KEY, MakeApp, SignIn, StartPortal, sign_in_of
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from reading import Page
from test_house import ID, rules
from werkzeug.test import create_environ

from webapp.logs import PortalHandler

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
ROUTES = 30  # at least; each example goes to every one

MARK = "zq9x"  # in what nobody else may read: queries, bodies, cookies, most headers
SHOWN = "pq7x"  # in what the log may name
SECRETS = (EXEC_API_KEY, SECRET_KEY, CLIENT_SECRET)

FIELDS = (
    "prompt", "form_token", "csrf_token", "title", "once", "review", "another", "go", "before", "starter",
    "request_id", "launch", "s", "k", "page", "tab", "state", "code", "error", "error_description", "iss",
    "check", "file", "role", "v",
)  # fmt: skip
HEADERS = (
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Encoding", "Cookie", "If-Match",
    "If-Modified-Since", "If-None-Match", "If-Range", "Purpose", "Range", "Referer", "Sec-Fetch-Dest",
    "Sec-Fetch-Site", "Sec-Purpose", "traceparent", "Upgrade", "User-Agent", "X-Forwarded-For",
    "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Http-Method-Override", "X-Original-Url",
)  # fmt: skip
NASTY = (
    "", " ", "0", "-1", "1e999", "9" * 400, "null", "true", "../../etc/passwd", "%", "%0d%0aX: y", "\x00",
    "\n", "\r\nFORGED", "\x1b[2J", "\u2028", "\u202e", "\ud800", "\ufeff", "é", "💥", "[]", "{}",
    "' OR 1=1 --", "{{7*7}}", "%s%n", "Infinity", "1_000", "nan", "\u0661", ID, "abcdefghjk", "a" * 3000,
    "bytes=0-", "bytes=-1,5-", 'W/"x"', "Thu, 99 Foo 2026", "Basic Og==", "Bearer x", "none", "document",
    "prefetch", "=?utf-8?b?", ";", ",,,", f"00-{'a' * 32}-{'b' * 16}-01", "gzip;q=1e9", "::1",
    "999.999.999.999", "on", "x;q=\u00b2",
)  # fmt: skip
KINDS = (
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=edge", "multipart/form-data",
    "multipart/form-data; boundary=\"", "application/json", "text/plain; charset=nope", "x", "/", "",
    "application/x-www-form-urlencoded; charset=utf-7", "multipart/form-data; boundary=edge; boundary=x",
)  # fmt: skip
METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")

values = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=20),
    st.sampled_from(NASTY).map(lambda text: f"{MARK}<i'\">{text}"),
)
shown = st.one_of(st.sampled_from(NASTY), st.sampled_from(NASTY).map(lambda text: SHOWN + text))


@dataclass(frozen=True)
class Asked:
    """What one request brings along, whatever it asks for."""

    method: str | None  # instead of the route's own
    below: str  # behind a route's path, and in place of it
    query: str
    headers: Mapping[str, str]
    kind: str
    fields: tuple[tuple[str, str], ...]
    body: bytes | None  # instead of the fields
    who: int
    token: bool  # whether the page's own token comes along

    def content(self, own: Mapping[str, str]) -> bytes:
        """Return the body, the page's `own` hidden fields among the others where they come along."""
        if self.body is not None:
            return self.body
        fields = {"prompt": "A first call", **dict(self.fields)}
        fields |= {name: own[name] for name in ("csrf_token", "form_token") if self.token and name in own}
        if "boundary=edge" in self.kind:
            part = '--edge\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
            parts = (part.format(*field) for field in fields.items())
            return _bytes("".join(parts) + "--edge--\r\n")
        return urlencode(fields, errors="surrogatepass").encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _line(text: str) -> str:
    """Return a header's value as gunicorn hands it over: bytes as Latin-1, no line ends."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "", _bytes(text).decode("latin-1"))


asked = st.builds(
    Asked,
    method=st.one_of(st.none(), st.none(), st.sampled_from(METHODS)),
    below=shown,
    query=st.lists(st.tuples(st.sampled_from(FIELDS), values), max_size=3).map(
        lambda pairs: urlencode(pairs, errors="surrogatepass")
    ),
    headers=st.builds(
        lambda one, other: {**one, **other},
        st.dictionaries(st.sampled_from(HEADERS), values, max_size=3),
        st.dictionaries(st.sampled_from(("Host", "Origin")), shown, max_size=1),
    ),
    kind=st.one_of(st.just(KINDS[0]), st.just(KINDS[1]), st.sampled_from(KINDS)),
    fields=st.lists(st.tuples(st.sampled_from(FIELDS), values), max_size=4).map(tuple),
    body=st.one_of(st.none(), st.none(), st.none(), values.map(_bytes), st.binary(max_size=40)),
    who=st.integers(0, 2),
    token=st.booleans(),
)


def routes_of(app: Flask) -> list[tuple[str, str]]:
    """Return method and address of every route."""
    return [
        ("POST" if "POST" in (rule.methods or set()) else "GET", path) for rule, path in rules(app).values()
    ]


many = settings(
    max_examples=REQUESTS // ROUTES,
    derandomize="FUZZ_REQUESTS" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # what failed is told in full; to make it smaller takes minutes
)


class Visitors:
    """A stranger, somebody signed in, and somebody whose sign-in is over, at one portal."""

    def __init__(self, app: Flask, sign_in: SignIn) -> None:
        self.app, self.sign_in = app, sign_in
        self.cookies: list[str] = ["", "", ""]
        self.fields: list[dict[str, str]] = [{"form_token": "f"}, {}, {}]
        self.known = ""  # a launch that there is
        self.clients: list[FlaskClient] = [app.test_client() for _ in range(3)]
        self.log = io.StringIO()

    def refresh(self) -> None:
        """Sign in those whose sign-in a request has ended."""
        for number, person in ((1, "dana"), (2, "omar")):
            client = self.clients[number]
            row = sign_in_of(client)
            if row is None or (number == 1 and row.ended is not None):
                self.sign_in(client, person)
                self.fields[number] = Page(client.get("/").text).fields
                cookies = client._cookies.values()
                self.cookies[number] = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies)
                self.clients[number].post("/launches", data={**self.fields[number], "prompt": "Something"})
        waiting = re.search(r"/launches/([0-9a-f-]{36})", self.clients[1].get("/launches").text)
        self.known = waiting[1] if waiting else ID
        over = sign_in_of(self.clients[2])
        if over is not None and over.ended is None:
            self.clients[2].post("/sign-out", data=self.fields[2])

    def send(self, one: Asked, method: str, path: str, who: int) -> tuple[int, str, bytes]:
        """Give it to the portal as gunicorn would; return status, head and body."""
        # One looks outside for seconds, and one ends the sign-in that all others need: other tests'.
        own = {} if path in ("/admin/check", "/sign-out") else self.fields[who]
        content = one.content(own)
        path = path.replace(ID, self.known) if one.token else path
        environ = create_environ(
            method=one.method or method,
            query_string=one.query,
            input_stream=io.BytesIO(content),
            errors_stream=self.log,
        )
        environ |= {
            "PATH_INFO": _bytes(path).decode("latin-1"),
            "CONTENT_TYPE": _line(one.kind),
            "CONTENT_LENGTH": str(len(content)),
            "wsgi.input_terminated": True,
        }
        for name, value in one.headers.items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = _line(value)
        if self.cookies[who]:
            environ["HTTP_COOKIE"] = "; ".join((self.cookies[who], environ.get("HTTP_COOKIE", "")))
        told: list[str] = []
        answer = self.app.wsgi_app(environ, lambda status, headers, *_: told.extend((status, str(headers))))
        body = b"".join(answer)
        answer.close()
        return int(told[0].split()[0]), told[1], body


@pytest.fixture
def visitors(make_app: MakeApp, sign_in: SignIn) -> Iterator[Visitors]:
    app = make_app(
        exec_creations_per_minute=0, creations_per_person_per_hour=0, admin_emails="dana@acme.example"
    )
    here = Visitors(app, sign_in)
    handler = PortalHandler("json", b"key")
    handler.setStream(here.log)
    logging.getLogger().addHandler(handler)
    try:
        yield here
    finally:
        logging.getLogger().removeHandler(handler)


def hold_answer(status: int, head: str, body: bytes, what: object) -> None:
    assert status < 500, what
    assert MARK not in head, what
    assert f"{MARK}<".encode() not in body, what
    assert not [secret for secret in SECRETS if secret.encode() in body or secret in head], what


def hold_log(lines: list[str]) -> None:
    for line in lines:
        told = json.loads(line)
        assert {"time", "level", "event", "message"} <= told.keys(), line
        assert "error" not in told, line
        # A path is written; over sockets, a byte that is lost makes a path of a query.
        hidden = SECRETS if told["event"] == "request" else (MARK, "dana@", "omar@", *SECRETS)
        assert not [word for word in hidden if word in line], line


@pytest.mark.slow
@many
@given(data=st.data())
def test_nothing_that_is_sent_breaks_anything(visitors: Visitors, data: st.DataObject) -> None:
    visitors.refresh()
    one, routes = data.draw(asked), routes_of(visitors.app)
    odd = [("GET", f"{routes[one.who][1]}/{one.below}"), ("GET", f"/{one.below}")]
    for number, (method, path) in enumerate(routes + odd):
        answer = visitors.send(one, method, path, (one.who + number) % 3)
        hold_answer(*answer, (method, path, one))
    hold_log(visitors.log.getvalue().splitlines())
    visitors.log.seek(0)
    visitors.log.truncate()


SLIPS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), st.one_of(st.just(b""), st.binary(max_size=8))), max_size=3
)


def spoken(one: Asked, method: str, path: str) -> bytes:
    """Return a request as bytes."""
    content = one.content({})
    lines = [f"{one.method or method} {quote(path)}?{one.query} HTTP/1.1", f"Content-Type: {_line(one.kind)}"]
    lines += [f"{name}: {_line(value)}" for name, value in one.headers.items()]
    size = "Transfer-Encoding: chunked" if one.token else f"Content-Length: {len(content)}"
    if one.token:
        content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    head = "\r\n".join([*lines, size, "Connection: close", "", ""])
    return head.encode("latin-1") + content


def slipped(said: bytes, slips: list[tuple[float, int, bytes]]) -> bytes:
    """Return it with some bytes lost and others in their place."""
    for where, lost, instead in slips:
        at = int(where * len(said))
        said = said[:at] + instead + said[at + lost :]
    return said


@pytest.mark.slow
def test_nothing_that_is_said_breaks_anything(portal: StartPortal, app: Flask) -> None:
    running, routes = portal(), routes_of(app)

    @settings(many, max_examples=REQUESTS // 20)
    @given(one=asked, route=st.sampled_from(routes), slips=SLIPS)
    def say(one: Asked, route: tuple[str, str], slips: list[tuple[float, int, bytes]]) -> None:
        said = slipped(spoken(one, *route), slips)
        answer = running.say(said or b" ", then_end=True)
        assert not re.match(rb"HTTP/1.1 5", answer), said
        assert f"{MARK}<".encode() not in answer, said
        assert not [secret for secret in SECRETS if secret.encode() in answer], said

    say()
    running.stop()
    assert running.process.returncode == 0
    assert running.output.count("Booting worker") == 2
    hold_log(running.output.splitlines())
