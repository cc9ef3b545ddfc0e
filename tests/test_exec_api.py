"""The client of Exec's API: what it sends, what it makes of each answer, and what it never tells."""

import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from conftest import EXEC_API_KEY, Sandbox, free_port
from peers import Peer, head, http

from webapp.exec_api import (
    ExecBusy,
    ExecClient,
    ExecError,
    ExecRefusedKey,
    ExecRefusedRequest,
    ExecSession,
    ExecUnavailable,
    ExecUntrusted,
    ExecWorkspace,
    NotAMember,
    http_origins,
    is_studio_url,
)
from webapp.transport import Limits, Transport, tls_context

DANA = "dana@acme.example"
PROMPT = "A first call with an IT director"
SHORT = Limits(connect=0.5, whole=1, size=65536)
PATIENT = Limits(connect=5, whole=5, size=65536)
SYSTEM = tls_context(None)  # takes 20 ms to read
Create = Callable[..., ExecSession]


def client(
    url: str, hosts: tuple[str, ...] = ("*.app.exec.com",), limits: Limits = PATIENT, key: str = EXEC_API_KEY
) -> ExecClient:
    return ExecClient(url, key, hosts, Transport(SYSTEM, limits, 10, None, ()))


@pytest.fixture
def create(sandbox: Sandbox) -> Create:
    """Ask the sandbox for a session, as Dana unless told otherwise."""

    def call(prompt: str = PROMPT, email: str = DANA, request_id: str = "", **more: object) -> ExecSession:
        exec_client = client(sandbox.api_url, (sandbox.studio_host,), **more)
        return exec_client.create_scenario_studio_session(email, prompt, request_id or str(uuid.uuid4()))

    return call


def ask(peer: Peer) -> ExecSession:
    return client(f"{peer.url}/rest/v1").create_scenario_studio_session(DANA, PROMPT, "portal-1")


def answer_of(body: object, status: str = "200 OK", *headers: str) -> bytes:
    return http(json.dumps(body).encode(), status, *headers)


# The request


def test_the_request_is_exactly_the_described_one() -> None:
    body = {"id": "x9y8", "url": "https://acme.app.exec.com/chat/x9y8", "is_new": True}
    with Peer(answer_of(body)) as peer:
        ask(peer)
        start, _, sent = peer.requests[0].partition(b"\r\n\r\n")
    line, *fields = start.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    assert line == "POST /rest/v1/scenario-studio HTTP/1.1"
    assert headers["Authorization"] == f"Bearer {EXEC_API_KEY}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"localhost:{peer.port}"
    assert json.loads(sent) == {"user_email": DANA, "prompt": PROMPT, "request_id": "portal-1"}


def test_no_cookie_is_kept_between_calls() -> None:
    body = {"id": "x9y8", "url": "https://acme.app.exec.com/chat/x9y8", "is_new": True}
    with Peer(answer_of(body, "200 OK", "Set-Cookie: who=dana; Path=/")) as peer:
        exec_client = client(peer.url)
        for email in (DANA, "omar@acme.example"):
            exec_client.create_scenario_studio_session(email, PROMPT, "portal-1")
        assert b"cookie" not in peer.requests[1].lower()


def test_a_session_is_created_for_the_person(create: Create, sandbox: Sandbox) -> None:
    request_id = str(uuid.uuid4())
    session = create(request_id=request_id)
    (call,) = sandbox.requests(request_id=request_id)
    assert (call["user_email"], call["prompt_length"], call["status"]) == (DANA, len(PROMPT), 200)
    assert session == ExecSession(call["session_id"], f"{sandbox.url}/chat/{call['session_id']}", is_new=True)


def test_the_same_request_id_returns_the_same_session(create: Create) -> None:
    first, second = create(request_id="twice"), create(request_id="twice")
    assert (first.id, first.url) == (second.id, second.url)
    assert (first.is_new, second.is_new) == (True, False)


@pytest.mark.parametrize("prompt", ["Пример 例 🎭", "a\nb\n\n\tc", '"quoted" \\ <b>&amp;', "x" * 10_000])
def test_the_prompt_arrives_as_it_was_typed(create: Create, sandbox: Sandbox, prompt: str) -> None:
    session = create(prompt)
    (shown,) = [s for s in sandbox.report()["sessions"] if s["id"] == session.id]
    assert shown["prompt_length"] == len(prompt)


def test_the_returned_address_is_never_opened_by_the_server(create: Create, sandbox: Sandbox) -> None:
    session = create()
    (shown,) = [s for s in sandbox.report()["sessions"] if s["id"] == session.id]
    assert shown["opens"] == 0


# The answers, as the sandbox gives them


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("400", ExecRefusedRequest),
        ("413", ExecRefusedRequest),
        ("422", ExecRefusedRequest),
        ("401", ExecRefusedKey),
        ("403", ExecRefusedKey),
        ("429", ExecBusy),
        ("500", ExecUnavailable),
        ("502", ExecUnavailable),
        ("503", ExecUnavailable),
        ("lost", ExecUnavailable),
        ("half", ExecUnavailable),
        ("cut", ExecUnavailable),
        ("huge", ExecUnavailable),
        ("stall", ExecUnavailable),
        ("drip", ExecUnavailable),
        ("drip-body", ExecUnavailable),
        ("204", ExecUntrusted),
        ("not-json", ExecUntrusted),
        ("no-url", ExecUntrusted),
        ("list", ExecUntrusted),
        ("strange-host", ExecUntrusted),
        ("http-url", ExecUntrusted),
        ("userinfo-url", ExecUntrusted),
        ("backslash-url", ExecUntrusted),
        ("newline-url", ExecUntrusted),
        ("redirect", ExecUntrusted),
    ],
)
def test_each_answer_has_its_own_meaning(create: Create, word: str, becomes: type[ExecError]) -> None:
    with pytest.raises(ExecError) as caught:
        create(f"planted [[{word}]]", limits=SHORT)
    assert type(caught.value) is becomes
    for secret in (EXEC_API_KEY, DANA, "planted"):
        assert secret not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def test_somebody_outside_the_workspace_is_not_a_member(create: Create) -> None:
    with pytest.raises(NotAMember):
        create(email="nina@acme.example")


def test_an_inactive_key_is_refused(create: Create) -> None:
    with pytest.raises(ExecRefusedKey):
        create(key="exec_live_" + "inactive" * 5)


def test_a_redirect_is_not_followed_and_the_key_stays(create: Create, sandbox: Sandbox) -> None:
    before = len(sandbox.report()["stolen"])
    with pytest.raises(ExecUntrusted):
        create("[[redirect]]")
    assert len(sandbox.report()["stolen"]) == before


def test_a_prompt_over_the_limit_is_refused_in_execs_words(create: Create) -> None:
    with pytest.raises(ExecRefusedRequest) as caught:
        create("x" * 10_001)
    assert caught.value.message == "prompt must be at most 10000 characters"
    assert str(caught.value) == "400 invalid_request prompt_too_long"


def test_a_retry_after_a_lost_answer_finds_the_session(create: Create, sandbox: Sandbox) -> None:
    request_id = str(uuid.uuid4())
    with pytest.raises(ExecUnavailable):
        create("[[lost x1]]", request_id=request_id)
    session = create("[[lost x1]]", request_id=request_id)
    assert not session.is_new
    assert {call["session_id"] for call in sandbox.requests(request_id=request_id)} == {session.id}


# The answers, as nobody described them


@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        (http(b"", "301 Moved", "Location: https://evil.example/"), ExecUntrusted),
        (http(b"{}", "404 Not Found"), ExecUntrusted),
        (http(b"{}", "405 Method Not Allowed"), ExecUntrusted),
        (http(b"{}", "415 Unsupported Media Type"), ExecUntrusted),
        (http(b"{}", "201 Created"), ExecUntrusted),
        (http(b"{}", "408 Request Timeout"), ExecUnavailable),
        (http(b"{}", "409 Conflict"), ExecUnavailable),
        (http(b"{}", "425 Too Early"), ExecUnavailable),
        (http(b"{}", "599 Whatever"), ExecUnavailable),
        (http(b"<html>", "400 Bad Request"), ExecRefusedRequest),
        (http(b'{"error": "user_not_found"}', "400 Bad Request"), ExecRefusedRequest),
        (http(b'{"error": {"code": ["user_not_found"]}}', "400 Bad Request"), ExecRefusedRequest),
        (http(b'{"error": {"code": "user_not_found"}}', "401 Unauthorized"), ExecRefusedKey),
        (http(b'{"error": {"code": "user_not_found"}}', "500 Oh"), ExecUnavailable),
        (http(b'{"url": null}'), ExecUntrusted),
        (http(b'{"url": 7}'), ExecUntrusted),
        (http(b'{"url": ["https://acme.app.exec.com/"]}'), ExecUntrusted),
        (http(b'{"url": ""}'), ExecUntrusted),
        (http(b'"https://acme.app.exec.com/"'), ExecUntrusted),
        (http(b"null"), ExecUntrusted),
        (http(b""), ExecUntrusted),
        (http(b"\xff\xfe\x00"), ExecUntrusted),
        (http(b"[" * 60_000), ExecUntrusted),
        (http(b'{"url": ' + b"9" * 5000 + b"}"), ExecUntrusted),
        (http(b'{"error": {"code": ' + b"9" * 5000 + b"}}", "500 Oh"), ExecUnavailable),
        (
            head("Content-Type: application/json; charset=nonsense", "Content-Length: 2") + b"{}",
            ExecUntrusted,
        ),
    ],
)
def test_an_undescribed_answer_is_told_by_its_status(answer: bytes, becomes: type[ExecError]) -> None:
    with Peer(answer) as peer:
        with pytest.raises(ExecError) as caught:
            ask(peer)
        assert type(caught.value) is becomes
        assert len(peer.requests) == 1


def test_more_fields_than_described_do_no_harm() -> None:
    with Peer(answer_of({"url": "https://acme.app.exec.com/chat/1", "id": 7, "is_new": "?"})) as peer:
        assert ask(peer) == ExecSession("7", "https://acme.app.exec.com/chat/1", is_new=True)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "url": "https://acme.app.exec.com/chat/1\ud800"},
        {"id": "\udfff", "url": "https://acme.app.exec.com/chat/1"},
        {"id": "1", "url": "https://acme.app.exec.com/chat/1", "more": [{"\ud800": 1}]},
    ],
)
def test_half_a_character_anywhere_is_not_trusted(body: object) -> None:
    with Peer(answer_of(body)) as peer, pytest.raises(ExecUntrusted, match="half a character"):
        ask(peer)


# The workspace, for `check`


def test_the_workspace_says_whose_key_it_is(sandbox: Sandbox) -> None:
    assert client(sandbox.api_url).workspace() == ExecWorkspace("Acme", "127")
    call = sandbox.report()["requests"][-1]
    assert (call["method"], call["path"], call["session_id"]) == ("GET", "/rest/v1/workspace", None)


@pytest.mark.parametrize(
    ("answer", "becomes", "says"),
    [
        (
            answer_of({"error": {"type": "authentication_error", "code": "invalid_api_key"}}, "401 No"),
            ExecRefusedKey,
            r"^EXEC_API_KEY is refused \(401 invalid_api_key\): make a new key in Exec under Settings > API",
        ),
        (
            answer_of({"error": {"type": "authorization_error", "code": "workspace_inactive"}}, "403 No"),
            ExecRefusedKey,
            "the workspace is not active",
        ),
        (answer_of({"name": "\ud800"}), ExecUntrusted, "half a character"),
        (answer_of({}), ExecUntrusted, r"^200 \(application/json, 2 bytes\) without a workspace"),
        (answer_of({}, "404 No"), ExecUntrusted, r"is EXEC_API_URL right\?$"),
        (answer_of({}, "500 No"), ExecUnavailable, "^500"),
    ],
)
def test_what_keeps_the_workspace_from_answering_is_told(
    answer: bytes, becomes: type[ExecError], says: str
) -> None:
    with Peer(answer) as peer, pytest.raises(becomes, match=says):
        client(peer.url).workspace()


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(ExecUnavailable, match="ECONNREFUSED"):
        client(f"http://127.0.0.1:{free_port()}").create_scenario_studio_session(DANA, PROMPT, "1")


def test_a_proxys_password_is_not_in_the_error() -> None:
    proxy = f"http://joe:planted@127.0.0.1:{free_port()}"
    transport = Transport(SYSTEM, PATIENT, 1, proxy, ())
    exec_client = ExecClient("https://api.exec.example", EXEC_API_KEY, (), transport)
    with pytest.raises(ExecUnavailable) as caught:
        exec_client.create_scenario_studio_session(DANA, PROMPT, "1")
    assert "planted" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert caught.value.__suppress_context__


def test_a_vendors_words_cannot_forge_a_log_line() -> None:
    error = {"type": "a\r\nERROR forged", "code": "b\u2028" + "c" * 500, "message": "d" * 9000}
    with Peer(answer_of({"error": error}, "422 No")) as peer, pytest.raises(ExecRefusedRequest) as caught:
        ask(peer)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    assert len(caught.value.message) == 500


def test_a_vendors_sentence_can_be_stored_and_shown() -> None:
    body = {"error": {"message": "Too\x00 long\ud83d for\nus. Schade, 残念 🙂"}}
    with Peer(answer_of(body, "400 No")) as peer, pytest.raises(ExecRefusedRequest) as caught:
        ask(peer)
    assert caught.value.message == "Too  long  for us. Schade, 残念 🙂"


@pytest.mark.parametrize(
    "url", ["https://evil.example/planted?planted", "https://planted@evil.example/", "https://x\n.example"]
)
def test_of_an_untrusted_address_only_the_host_is_told(url: str) -> None:
    with Peer(answer_of({"url": url})) as peer, pytest.raises(ExecUntrusted) as caught:
        ask(peer)
    assert "planted" not in str(caught.value)
    assert str(caught.value).isprintable()


# How long to wait


def wait_of(*headers: str, body: object = None) -> float | None:
    with Peer(answer_of(body, "429 Too Many Requests", *headers)) as peer, pytest.raises(ExecBusy) as caught:
        ask(peer)
    return caught.value.retry_after


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(("hint", "seconds"), [("7", 7), ("2.5", 2.5), ("0", 1), ("-5", 1), ("86400", 86400)])
def test_the_header_tells_the_seconds(hint: str, seconds: float) -> None:
    assert wait_of(f"Retry-After: {hint}") == seconds


@pytest.mark.parametrize(
    "hint", ["86401", "86400000", "1795000000", "999999999999", "Fri, 1 Jan 2100 00:00:00 GMT"]
)
def test_a_wait_of_more_than_a_day_is_not_believed(hint: str) -> None:
    assert wait_of(f"Retry-After: {hint}") is None
    assert wait_of(f"Retry-After: {hint}", body={"retry_after": 7}) == 7


def test_the_header_may_be_a_date() -> None:
    assert wait_of(f"Retry-After: {format_datetime(in_seconds(120), usegmt=True)}") == pytest.approx(
        120, abs=3
    )


def test_a_date_that_has_passed_is_a_second() -> None:
    assert wait_of(f"Retry-After: {format_datetime(in_seconds(-120), usegmt=True)}") == 1


@pytest.mark.parametrize(
    "hint",
    [
        "",
        "soon",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e999",
        "12:00",
        "5 minutes",
        "Mon, 99 Foo 2026 99:99:99 GMT",
        "Mon, 1 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 1 Jan 2026 00:00:00 +99999999",
    ],
)
def test_a_header_that_says_nothing_is_a_minute(hint: str) -> None:
    assert wait_of(f"Retry-After: {hint}") == 60


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"retry_after": 7}}, 7),
        ({"error": {"retry_after": "7"}}, 7),
        ({"error": {"retry_after": 0.5}}, 1),
        ({"retry_after": 9}, 9),
        ({"error": {"retry_after": 7}, "retry_after": 9}, 7),
        ({"error": {"retry_after": None}, "retry_after": 9}, 9),
        ({"error": {"retry_after": "soon"}, "retry_after": 9}, 9),
        ({"error": "rate_limited", "retry_after": 9}, 9),
        ({"retry_after": 10**400}, 60),
        ({"retry_after": math.nan}, 60),
        ({"retry_after": math.inf}, 60),
        ({"retry_after": True}, 60),
        ({"retry_after": [5]}, 60),
        ({"retry_after": {"seconds": 5}}, 60),
        ({"retry_after": ""}, 60),
        ({"error": {}}, 60),
        ([], 60),
        (None, 60),
    ],
)
def test_else_the_body_tells(body: object, seconds: float) -> None:
    assert wait_of(body=body) == seconds


def test_the_body_may_tell_a_date() -> None:
    assert wait_of(body={"retry_after": in_seconds(90).isoformat()}) == pytest.approx(90, abs=3)


def test_the_header_comes_before_the_body() -> None:
    assert wait_of("Retry-After: 3", body={"error": {"retry_after": 7}}) == 3


def test_a_header_that_says_nothing_gives_way_to_the_body() -> None:
    assert wait_of("Retry-After: soon", body={"error": {"retry_after": 7}}) == 7


# Where a person may be sent

HOSTS = (
    "*.app.exec.com",
    "studio.acme.example:8443",
    "localhost:8001",
    "127.0.0.1:8001",
    "exec.acme.example",
)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.app.exec.com/chat/x9y8z7w6v5u4",
        "https://acme.app.exec.com",
        "https://acme.app.exec.com:443/chat/1",
        "https://a.b.app.exec.com/chat/1",
        "https://ACME.App.Exec.com/chat/1",
        "HTTPS://acme.app.exec.com/chat/1",
        "https://acme-2.app.exec.com/chat/1?a=b&c=@d#e",
        "https://studio.acme.example:8443/chat/1",
        "https://exec.acme.example/",
        "http://localhost:8001/chat/1",
        "http://127.0.0.1:8001/chat/1",
    ],
)
def test_a_studio_address_is_trusted(url: str) -> None:
    assert is_studio_url(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/chat/1",
        "//acme.app.exec.com/chat/1",
        "acme.app.exec.com/chat/1",
        "https:acme.app.exec.com/chat/1",
        "https:/acme.app.exec.com/chat/1",
        "https:///acme.app.exec.com/chat/1",
        "https://",
        "https://?acme.app.exec.com",
        "https://#acme.app.exec.com",
        # another scheme
        "http://acme.app.exec.com/chat/1",
        "http://exec.acme.example/",
        "ftp://acme.app.exec.com/",
        "javascript://acme.app.exec.com/%0aalert(1)",
        "data://acme.app.exec.com/",
        "blob:https://acme.app.exec.com/1",
        "view-source:https://acme.app.exec.com/",
        "httpss://acme.app.exec.com/",
        "wss://acme.app.exec.com/",
        # another host
        "https://evil.example/chat/1",
        "https://app.exec.com/chat/1",
        "https://.app.exec.com/chat/1",
        "https://evilapp.exec.com/chat/1",
        "https://evil-app.exec.com/chat/1",
        "https://acme.app.exec.com.evil.example/chat/1",
        "https://acme.app.exec.com./chat/1",
        "https://acme..app.exec.com/chat/1",
        "https://*.app.exec.com/chat/1",
        "https://evil.example/acme.app.exec.com",
        "https://evil.example?acme.app.exec.com",
        "https://evil.example#acme.app.exec.com",
        "https://evil.example/?.app.exec.com",
        "https://evil.example#.app.exec.com",
        "https://evil.example;.app.exec.com/",
        "https://evil.example,.app.exec.com/",
        "https://evil.example%2F.app.exec.com/",
        "https://evil.example%00.app.exec.com/",
        "https://evil.example%23.app.exec.com/",
        "https://evil_host.app.exec.com/",
        "https://sub.exec.acme.example/",
        "https://[::1]/",
        "https://[::1].app.exec.com/",
        "https://[acme.app.exec.com]/",
        "https://[v1.acme.app.exec.com]/",
        "https://[::ffff:127.0.0.1%25.app.exec.com]/",
        "https://2130706433/",
        # user-info
        "https://acme.app.exec.com@evil.example/chat/1",
        "https://joe@acme.app.exec.com/chat/1",
        "https://joe:password@acme.app.exec.com/chat/1",
        "https://@acme.app.exec.com/chat/1",
        "https://:@acme.app.exec.com/chat/1",
        "https://evil.example@@acme.app.exec.com/",
        # a port
        "https://acme.app.exec.com:8443/chat/1",
        "https://acme.app.exec.com:80/chat/1",
        "https://acme.app.exec.com:0/chat/1",
        "https://acme.app.exec.com:/chat/1",
        "https://acme.app.exec.com:99999/chat/1",
        "https://acme.app.exec.com:port/chat/1",
        "https://acme.app.exec.com:-1/chat/1",
        "https://acme.app.exec.com:٤٤٣/chat/1",
        "https://studio.acme.example/chat/1",
        "https://studio.acme.example:443/chat/1",
        "http://localhost/chat/1",
        "http://localhost:8000/chat/1",
        "http://127.0.0.1:8000/chat/1",
        "http://[::1]:8001/chat/1",
        "http://127.1:8001/chat/1",
        "http://0.0.0.0:8001/chat/1",
        "http://localhost.evil.example:8001/chat/1",
        # what browsers read differently
        "https://evil.example\\@acme.app.exec.com/",
        "https://evil.example\\.app.exec.com/",
        "https:\\\\acme.app.exec.com/chat/1",
        "https://acme.app.exec.com\\@evil.example/",
        "https://acme.app.exec.com/chat\\1",
        " https://acme.app.exec.com/chat/1",
        "https://acme.app.exec.com/chat/1 ",
        "https://acme.app.exec.com/chat /1",
        "https://evil.example /.app.exec.com/",
        "https://acme.app.exec.com/chat/1\r\nSet-Cookie: a=b",
        "https://acme.app.exec.com/chat/1\n",
        "https://ev\til.app.exec.com/",
        "ht\ntps://acme.app.exec.com/",
        "\x00https://acme.app.exec.com/",
        "https://acme.app.exec.com/\x00",
        "https://acme.app.exec.com/\x1f",
        "https://acme.app.exec.com/\x7f",
        "https://acme.app.exec.com/\x85",
        "https://acme.app.exec.com/\xa0",
        "https://acme.app.exec.com/\u2028",
        "https://acme.app.exec.com/\u3000",
        # letters that look or are folded alike
        "https://аcme.app.exec.com/",
        "https://acme.app.exеc.com/",
        "https://acme。app。exec。com/",
        "https://acme.app.exec。com/",
        "https://evil.example／.app.exec.com/",
        "https://evil.example℀.app.exec.com/",
        "https://evil.example＃.app.exec.com/",
        "https://acme\u00ad.app.exec.com/",
        "https://acme\u200b.app.exec.com/",
        "https://acme.app.exec.com\u200b/",
        "https://ａcme.app.exec.com/",
        "https://ﬁ.app.exec.com/",
        "https://K.app.exec.com/".replace("K", "\u212a"),
        "https://ß.app.exec.com/",
    ],
)
def test_any_other_address_is_not(url: str) -> None:
    assert not is_studio_url(url, HOSTS)


def test_without_hosts_no_address_is_trusted() -> None:
    assert not is_studio_url("https://acme.app.exec.com/", ())


def test_of_the_studio_hosts_only_loopback_is_reached_by_http() -> None:
    assert http_origins(HOSTS) == ("http://localhost:8001", "http://127.0.0.1:8001")
