"""The sandbox, run for real: held to the vendor's description, and each of its faults seen from outside."""

import base64
import contextlib
import datetime as dt
import hashlib
import http.client
import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
import requests
import schemathesis
from conftest import free_port, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet
from schemathesis import GenerationMode

from webapp.sandbox import demo
from webapp.sandbox.server import is_taken
from webapp.sandbox.workspace import Limit

ROOT = Path(__file__).resolve().parents[1]
DESCRIPTION = ROOT / "webapp" / "sandbox" / "exec-openapi.yaml"
PORTAL = "http://localhost:8000"
CALLBACK = f"{PORTAL}/sign-in/callback"
SIGNED_OUT = f"{PORTAL}/signed-out"
CLIENT = ("scenario-portal", "sandbox-client-secret")
KEY = "exec_live_" + "sandbox0" * 5
INACTIVE_KEY = "exec_live_" + "inactive" * 5
DANA = "dana@acme.example"


# Running it


def wait_until_up(process: "subprocess.Popen[bytes]", port: int) -> None:
    def is_up() -> bool:
        assert process.poll() is None, f"the sandbox ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(is_up, "the sandbox")


@contextlib.contextmanager
def sandbox(*options: str) -> Iterator["Sandbox"]:
    """A sandbox of one's own, stopped at the end."""
    port = free_port()
    command = [sys.executable, "-m", "webapp.sandbox", "serve", "--port", str(port), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_up(process, port)
            yield Sandbox(port, process)
        finally:
            process.terminate()
            process.wait(10)


@dataclass
class Sandbox:
    """The addresses of a running sandbox, and the few calls that most tests make."""

    port: int
    process: "subprocess.Popen[bytes]"
    host: str = "127.0.0.1"
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://{self.host}:{self.port}"

    def create(self, prompt: str = "A discovery call", **more: object) -> requests.Response:
        body = {"user_email": DANA, "prompt": prompt, **more}
        return self.post(json=body)

    def post(self, key: str | None = KEY, timeout: float = 8, **more: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= more.pop("headers", {})
        url = f"{self.url}/rest/v1/scenario-studio"
        return requests.post(url, headers=headers, timeout=timeout, allow_redirects=False, **more)

    def report(self) -> dict[str, Any]:
        return requests.get(f"{self.url}/sandbox/requests?format=json", timeout=60).json()

    def last_call(self) -> dict[str, Any]:
        call: dict[str, Any] = self.report()["requests"][-1]
        return call


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """The sandbox without limits, shared by the tests that do not look at limits."""
    limits = ("--creations-per-minute", "0", "--requests-per-minute", "0", "--requests-per-day", "0")
    with sandbox(*limits) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Sandbox]:
    """A sandbox with other addresses than its own, for two portals."""
    addresses = ("--issuer-url", "https://idp.test", "--studio-url", "https://studio.test", "--sso-url")
    portals = ("--portal", "http://localhost:7001", "--portal", "https://portal.test/scenarios/")
    with sandbox(*addresses, "https://sso.test", *portals) as running:
        yield running


@pytest.fixture
def request_id() -> str:
    return f"test-{secrets.token_hex(8)}"


# The Exec API, held to its description

exec_api = schemathesis.openapi.from_path(DESCRIPTION)
exec_api.config.generation.update(modes=list(GenerationMode))


@exec_api.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_exec_api_is_what_its_description_says(case: schemathesis.Case, box: Sandbox) -> None:
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if valid and isinstance(case.body, dict):
        case.body["user_email"] = DANA
    response = case.call_and_validate(
        base_url=f"{box.url}/rest/v1", headers={"Authorization": f"Bearer {KEY}"}, timeout=8
    )
    assert not valid or response.status_code == 200


def test_description_is_served_unchanged(box: Sandbox) -> None:
    response = requests.get(f"{box.url}/rest/v1/openapi.yaml", timeout=60)
    assert response.content == DESCRIPTION.read_bytes()


def test_the_workspace_is_told_to_the_keys_owner_only(box: Sandbox) -> None:
    url = f"{box.url}/rest/v1/workspace"
    described = requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    assert described.json().keys() == {"id", "name", "url_slug", "created_at"}
    assert requests.get(url, timeout=60).json()["error"]["code"] == "invalid_api_key"


def test_member_gets_a_session(box: Sandbox) -> None:
    response = box.create()
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"id", "url", "is_new"}
    assert len(body["id"]) == 12
    assert body["url"] == f"{box.url}/chat/{body['id']}"
    assert body["is_new"] is True


@pytest.mark.parametrize("email", ["DANA@Acme.example", "p7@acme.example", "upton@acme.example"])
def test_membership_ignores_case_and_knows_generated_people(box: Sandbox, email: str) -> None:
    assert box.create(user_email=email).status_code == 200


@pytest.mark.parametrize("email", ["nina@acme.example", "p12345@acme.example", "p7@elsewhere.example"])
def test_stranger_to_the_workspace_is_user_not_found(box: Sandbox, email: str) -> None:
    response = box.create(user_email=email)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request"
    assert response.json()["error"]["code"] == "user_not_found"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"prompt": "x"}, "user_email"),
        ({"user_email": DANA}, "prompt"),
        ({"user_email": DANA, "prompt": 7}, "prompt"),
        ({"user_email": DANA, "prompt": None}, "prompt"),
        ({"user_email": DANA, "prompt": "x", "request_id": 7}, "request_id"),
        ({"user_email": "dana", "prompt": "x"}, "user_email"),
        (["a list"], "object"),
    ],
)
def test_invalid_field_is_refused_without_a_code(box: Sandbox, body: object, word: str) -> None:
    response = box.post(json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request"
    assert word in error["message"]
    assert "code" not in error


def test_prompt_may_have_ten_thousand_characters_and_no_more(box: Sandbox) -> None:
    assert box.create("林" * 10_000).status_code == 200
    response = box.create("林" * 10_001)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "prompt_too_long")


@pytest.mark.parametrize("key", [None, "", "exec_live_nonsense", INACTIVE_KEY, KEY + "0"])
def test_wrong_key_is_refused(box: Sandbox, key: str | None) -> None:
    response = box.post(key, json={"user_email": DANA, "prompt": "x"})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_unknown_address_method_and_format_keep_the_envelope(box: Sandbox) -> None:
    unknown = requests.post(f"{box.url}/rest/v1/nothing", timeout=60)
    wrong_method = requests.get(f"{box.url}/rest/v1/scenario-studio", timeout=60)
    form = box.post(data={"user_email": DANA, "prompt": "x"})
    assert [r.status_code for r in (unknown, wrong_method, form)] == [404, 405, 415]
    assert wrong_method.headers["Allow"] == "OPTIONS, POST"
    assert [r.json()["error"]["type"] for r in (unknown, wrong_method, form)] == [
        "not_found",
        "invalid_request",
        "invalid_request",
    ]


# De-duplication and limits


def test_same_request_id_returns_the_first_session_whoever_asks(box: Sandbox, request_id: str) -> None:
    first = box.create(request_id=request_id).json()
    again = box.create("Another prompt", request_id=request_id, user_email="omar@acme.example").json()
    assert again == {**first, "is_new": False}
    assert [s["user_email"] for s in box.report()["sessions"] if s["request_id"] == request_id] == [DANA]


def test_without_request_id_each_call_makes_a_session(box: Sandbox) -> None:
    first, second = box.create().json(), box.create().json()
    assert first["id"] != second["id"]
    assert second["is_new"] is True


def test_simultaneous_calls_with_one_request_id_make_one_session(box: Sandbox, request_id: str) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(box.create(request_id=request_id).json()))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len({answer["id"] for answer in answers}) == 1
    assert sum(answer["is_new"] for answer in answers) == 1


def test_limits_answer_429_with_the_seconds_to_wait() -> None:
    options = ("--creations-per-minute", "3", "--requests-per-minute", "5", "--requests-per-day", "900")
    with sandbox(*options) as box:
        statuses = [box.create().status_code for _ in range(3)]
        over_creations = box.create()
        not_a_member = box.create(user_email="nina@acme.example")
        over_requests = box.create(user_email="nina@acme.example")
        limits = {limit["name"]: limit for limit in box.report()["limits"]}
    assert statuses == [200, 200, 200]
    assert not_a_member.status_code == 400
    for refused in (over_creations, over_requests):
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "rate_limited"
        assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert limits["creations_per_minute"]["used"] == limits["creations_per_minute"]["allowed"] == 3
    assert limits["requests_per_minute"]["used"] == 5
    assert limits["requests_per_day"] == {
        "name": "requests_per_day",
        "allowed": 900,
        "used": 5,
        "seconds_to_wait": 0,
        "window_seconds": 86_400,
    }


def test_limit_slides() -> None:
    limit = Limit("two a minute", allowed=2, window=60)
    limit.times.extend([100.0, 130.0])
    assert [limit.wait(at) for at in (131.0, 159.5, 160.0)] == [29, 1, 0]
    limit.times.append(160.0)
    assert limit.wait(161.0) == 29


def test_daily_limit_waits_for_hours() -> None:
    limit = Limit("one a day", allowed=1, window=86_400)
    limit.times.append(100.0)
    assert limit.wait(3_700.0) == 82_800


# Faults


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("429", 429, "rate_limited"),
        ("500", 500, "internal_error"),
        ("503", 503, "unavailable"),
        ("401", 401, "authentication_error"),
        ("403", 403, "authorization_error"),
        ("400", 400, "invalid_request"),
        ("413", 413, "invalid_request"),
        ("422", 422, "invalid_request"),
    ],
)
def test_status_fault_answers_in_the_envelope_and_creates_nothing(
    box: Sandbox, request_id: str, word: str, status: int, kind: str
) -> None:
    response = box.create(f"A call [[{word}]]", request_id=request_id)
    assert response.status_code == status
    assert response.json()["error"]["type"] == kind
    assert box.last_call()["fault"] == word
    assert box.create(request_id=request_id).json()["is_new"] is True


def test_400_fault_carries_markup(box: Sandbox) -> None:
    error = box.create("[[400]]").json()["error"]
    assert "<b>markup</b>" in error["message"]
    assert error["code"] != "user_not_found"


def test_what_stops_everybody_stops_them_once(box: Sandbox, request_id: str) -> None:
    assert box.create("[[429-day]]", request_id=request_id).status_code == 429
    assert box.create("[[429-day]]", request_id=request_id).status_code == 200


def test_429_faults_say_how_long_in_five_ways_or_not_at_all(box: Sandbox) -> None:
    answers = {w: box.create(f"[[429{w}]]") for w in ("", "-date", "-error", "-body", "-day", "-bare")}
    assert {response.status_code for response in answers.values()} == {429}
    assert answers[""].headers["Retry-After"] == "5"
    assert answers["-day"].headers["Retry-After"] == "660"
    until = parsedate_to_datetime(answers["-date"].headers["Retry-After"])
    assert 2 < (until - dt.datetime.now(dt.UTC)).total_seconds() < 6
    assert answers["-error"].json()["error"]["retry_after"] == 5
    assert answers["-body"].json()["retry_after"] == 5
    for word in ("-error", "-body", "-bare"):
        assert "Retry-After" not in answers[word].headers
    assert "retry_after" not in answers["-bare"].text


def test_html_faults_are_html(box: Sandbox) -> None:
    bad_gateway, not_json = box.create("[[502]]"), box.create("[[not-json]]")
    assert (bad_gateway.status_code, not_json.status_code) == (502, 200)
    for response in (bad_gateway, not_json):
        assert response.headers["Content-Type"].startswith("text/html")
        assert response.text.startswith("<!doctype html>")


def test_200_without_url_as_a_list_or_without_content(box: Sandbox) -> None:
    no_url, a_list, nothing = box.create("[[no-url]]"), box.create("[[list]]"), box.create("[[204]]")
    assert (no_url.status_code, set(no_url.json())) == (200, {"id", "is_new"})
    assert (a_list.status_code, a_list.json()) == (200, [])
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_url_faults_point_elsewhere(box: Sandbox) -> None:
    words = ("strange-host", "http-url", "userinfo-url", "backslash-url", "newline-url")
    urls = {word: box.create(f"[[{word}]]").json()["url"] for word in words}
    assert urlsplit(urls["strange-host"]).hostname == "evil.example"
    assert urls["http-url"].startswith("http://acme.app.exec.com/chat/")
    assert urls["userinfo-url"].startswith("https://127.0.0.1@evil.example/chat/")
    assert urls["backslash-url"].startswith("https://evil.example\\@127.0.0.1/chat/")
    assert urls["newline-url"].endswith("\r\nSet-Cookie: stolen=1")


def test_huge_is_a_good_answer_in_ten_megabytes(box: Sandbox) -> None:
    response = box.create("[[huge]]")
    assert len(response.content) > 10_000_000
    assert response.json()["url"].startswith(box.url)


def test_slow_answers_after_three_seconds_even_if_the_client_left(box: Sandbox, request_id: str) -> None:
    with pytest.raises(requests.exceptions.ReadTimeout):
        box.post(json={"user_email": DANA, "prompt": "[[slow]]", "request_id": request_id}, timeout=0.3)
    began = time.monotonic()
    assert box.create("[[slow]]").json()["is_new"] is True
    assert time.monotonic() - began > 2.9
    left = next(call for call in box.report()["requests"] if call["request_id"] == request_id)
    assert (left["status"], left["delivered"]) == (200, False)


def test_redirect_notes_whether_the_key_came_along(box: Sandbox) -> None:
    response = box.create("[[redirect]]")
    assert response.status_code == 307
    assert response.headers["Location"] == f"{box.url}/sandbox/stolen"
    before = len(box.report()["stolen"])
    requests.post(response.headers["Location"], timeout=60)
    requests.post(response.headers["Location"], headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    assert [visit["authorization"] for visit in box.report()["stolen"][before:]] == [False, True]


def test_half_creates_and_breaks_off(box: Sandbox, request_id: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        box.create("[[half]]", request_id=request_id)
    assert_created_but_not_delivered(box, request_id)


def test_cut_creates_and_hangs_up(box: Sandbox, request_id: str) -> None:
    with pytest.raises(requests.exceptions.ConnectionError, match="closed connection without response"):
        box.create("[[cut]]", request_id=request_id)
    assert_created_but_not_delivered(box, request_id)


def test_lost_creates_and_answers_500(box: Sandbox, request_id: str) -> None:
    assert box.create("[[lost x1]]", request_id=request_id).status_code == 500
    again = box.create("[[lost x1]]", request_id=request_id)
    assert (again.status_code, again.json()["is_new"]) == (200, False)


def assert_created_but_not_delivered(box: Sandbox, request_id: str) -> None:
    call = box.last_call()
    assert (call["request_id"], call["delivered"], call["status"]) == (request_id, False, None)
    again = box.create(request_id=request_id).json()
    assert again["is_new"] is False
    assert again["id"] == call["session_id"]


def speak_raw(box: Sandbox, prompt: str, seconds: float) -> bytes:
    """What arrives within so many seconds."""
    body = json.dumps({"user_email": DANA, "prompt": prompt}).encode()
    head = (
        f"POST /rest/v1/scenario-studio HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    received = b""
    with socket.create_connection(("127.0.0.1", box.port), timeout=seconds) as connection:
        connection.sendall(head.encode() + body)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                data = connection.recv(4096)
                assert data, "the sandbox hung up"
                received += data
    return received


@pytest.fixture(scope="module")
def heard(box: Sandbox) -> dict[str, bytes]:
    """What each of the silent and the dripping lines said within a second and a half, all at a time."""
    words = ("stall", "drip", "drip-body")
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda word: speak_raw(box, f"[[{word}]]", seconds=1.5), words)
        return dict(zip(words, answers, strict=True))


def test_stall_says_nothing_and_keeps_the_line(heard: dict[str, bytes]) -> None:
    assert heard["stall"] == b""


def test_drip_sends_the_head_a_byte_a_second(heard: dict[str, bytes]) -> None:
    assert b"HTTP/1.1".startswith(heard["drip"])
    assert 1 <= len(heard["drip"]) <= 2


def test_drip_body_sends_the_head_at_once_and_the_body_slowly(heard: dict[str, bytes]) -> None:
    head, _, body = heard["drip-body"].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert 1 <= len(body) <= 2


def test_counted_word_fails_only_the_first_attempts_of_one_request_id(box: Sandbox, request_id: str) -> None:
    prompt = "A call [[500 x2]] with a director"
    statuses = [box.create(prompt, request_id=request_id).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert box.create(prompt, request_id=f"{request_id}-other").status_code == 500


def test_words_can_follow_each_other(box: Sandbox, request_id: str) -> None:
    prompt = "[[500 x1]] [[429 x2]] [[unheard-of]]"
    assert [box.create(prompt, request_id=request_id).status_code for _ in range(3)] == [500, 429, 200]


# The requests page


def test_report_names_the_prompt_by_its_digest_and_never_the_key(box: Sandbox, request_id: str) -> None:
    began = time.time()
    prompt = "Unheard-of words 林"
    session = box.create(prompt, request_id=request_id).json()
    call = box.last_call()
    assert began <= call["time"] <= time.time()
    assert call["user_email"] == DANA
    assert call["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert call["prompt_length"] == len(prompt)
    assert (call["status"], call["delivered"], call["session_id"]) == (200, True, session["id"])
    for page in (
        requests.get(f"{box.url}/sandbox/requests", headers={"Accept": "text/html"}, timeout=60),
        requests.get(f"{box.url}/sandbox/requests", headers={"Accept": "application/json"}, timeout=60),
    ):
        assert session["id"] in page.text
        assert KEY not in page.text
        assert "Unheard-of words" not in page.text


def test_lone_surrogate_breaks_no_page(box: Sandbox) -> None:
    body = '{"user_email": "dana@acme.example", "prompt": "\\ud800", "request_id": "\\udfff"}'
    session = box.post(data=body, headers={"Content-Type": "application/json"}).json()
    assert requests.get(f"{box.url}/sandbox/requests", timeout=60).status_code == 200
    assert requests.get(session["url"], timeout=60).status_code == 200


# Signing in


class SignIn:
    """A relying party that does everything by hand, with plain requests."""

    def __init__(self, box: Sandbox, issuer: str = "oidc") -> None:
        self.issuer = f"{box.url}/{issuer}"
        self.browser = requests.Session()
        self.verifier = secrets.token_urlsafe(48)
        self.nonce = secrets.token_urlsafe(16)
        self.state = secrets.token_urlsafe(16)

    def authorization_url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": CLIENT[0],
            "redirect_uri": CALLBACK,
            "scope": "openid profile email",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.issuer}/authorize?{urlencode({k: v for k, v in asked.items() if v is not None})}"

    def ask(self, **changes: str | None) -> requests.Response:
        return self.browser.get(self.authorization_url(**changes), allow_redirects=False, timeout=60)

    def choose(self, person: str, **changes: str | None) -> requests.Response:
        url = self.authorization_url(**changes)
        return self.browser.post(url, data={"person": person}, allow_redirects=False, timeout=60)

    def exchange(self, code: str, timeout: float = 5, **changes: str) -> requests.Response:
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **changes,
        }
        return requests.post(f"{self.issuer}/token", data=body, auth=CLIENT, timeout=timeout)

    def tokens(self, person: str) -> dict[str, Any]:
        response = self.exchange(answer_of(self.choose(person))["code"])
        assert response.status_code == 200, response.text
        return response.json()

    def claims(self, person: str) -> dict[str, Any]:
        return self.verify(self.tokens(person)["id_token"])

    def verify(self, id_token: str) -> dict[str, Any]:
        """The claims of a good ID token; raises a JoseError for any other."""
        keys = KeySet.import_key_set(requests.get(f"{self.issuer}/jwks.json", timeout=60).json())
        token = jwt.decode(id_token, keys, algorithms=["RS256"])
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": CLIENT[0]},
            nonce={"essential": True, "value": self.nonce},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(token.claims)
        return dict(token.claims)

    def userinfo(self, access_token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return requests.get(f"{self.issuer}/userinfo", headers=headers, timeout=60)


def answer_of(response: requests.Response) -> dict[str, str]:
    """What the provider sends back to the portal."""
    assert response.status_code == 302, response.text
    location = response.headers["Location"]
    assert location.startswith(f"{CALLBACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
def sign_in(box: Sandbox) -> SignIn:
    return SignIn(box)


def test_discovery_names_every_endpoint(box: Sandbox) -> None:
    metadata = requests.get(f"{box.url}/oidc/.well-known/openid-configuration", timeout=60).json()
    assert metadata["issuer"] == f"{box.url}/oidc"
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint"):
        assert metadata[name].startswith(f"{box.url}/oidc/")
        assert requests.get(metadata[name], timeout=60).status_code != 404
    key = requests.get(metadata["jwks_uri"], timeout=60).json()["keys"][0]
    assert (key["kty"], key["alg"], "d" in key) == ("RSA", "RS256", False)


def test_code_flow_signs_dana_in(sign_in: SignIn) -> None:
    chooser = sign_in.ask()
    assert chooser.status_code == 200
    answer = answer_of(sign_in.choose("dana"))
    assert answer["state"] == sign_in.state
    response = sign_in.exchange(answer["code"])
    tokens = response.json()
    assert "no-store" in response.headers["Cache-Control"]
    claims = sign_in.verify(tokens["id_token"])
    assert claims["email"] == DANA
    assert claims["email_verified"] is True
    assert claims["groups"] == ["sales"]
    userinfo = sign_in.userinfo(tokens["access_token"]).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["email"] == DANA


def test_client_may_authenticate_in_the_body(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("dana"))["code"]
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": sign_in.verifier,
        "client_id": CLIENT[0],
        "client_secret": CLIENT[1],
    }
    assert requests.post(f"{sign_in.issuer}/token", data=body, timeout=60).status_code == 200


def test_code_works_once(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("dana"))["code"]
    assert sign_in.exchange(code).status_code == 200
    again = sign_in.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": f"{CALLBACK}/other"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_exchange_is_refused(sign_in: SignIn, changes: dict[str, str], error: str) -> None:
    response = sign_in.exchange(answer_of(sign_in.choose("dana"))["code"], **changes)
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_wrong_client_secret_is_refused(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("dana"))["code"]
    body = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    response = requests.post(f"{sign_in.issuer}/token", data=body, auth=(CLIENT[0], "guess"), timeout=60)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
    ],
)
def test_sign_in_without_s256_is_refused(sign_in: SignIn, changes: dict[str, str | None]) -> None:
    answer = answer_of(sign_in.choose("dana", **changes))
    assert (answer["error"], answer["state"]) == ("invalid_request", sign_in.state)


@pytest.mark.parametrize("changes", [{"redirect_uri": "https://evil.example/callback"}, {"client_id": "x"}])
def test_unregistered_address_is_never_redirected_to(sign_in: SignIn, changes: dict[str, str]) -> None:
    response = sign_in.choose("dana", **changes)
    assert response.status_code in {400, 401}
    assert "Location" not in response.headers
    assert "This is the sandbox" in response.text


def test_each_portal_is_registered(elsewhere: Sandbox) -> None:
    sign_in = SignIn(elsewhere)
    for portal in ("http://localhost:7001", "https://portal.test/scenarios"):
        response = sign_in.choose("dana", redirect_uri=f"{portal}/sign-in/callback")
        assert response.headers["Location"].startswith(f"{portal}/sign-in/callback?code=")
    assert sign_in.choose("dana", redirect_uri=CALLBACK).status_code == 400


def test_second_sign_in_is_silent(sign_in: SignIn) -> None:
    sign_in.choose("omar")
    answer = answer_of(sign_in.ask())
    claims = sign_in.verify(sign_in.exchange(answer["code"]).json()["id_token"])
    assert claims["email"] == "omar@acme.example"


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_prompt_shows_the_chooser_again(sign_in: SignIn, prompt: str) -> None:
    sign_in.choose("omar")
    assert sign_in.ask(prompt=prompt).status_code == 200
    answer = answer_of(sign_in.choose("mei", prompt=prompt))
    assert sign_in.verify(sign_in.exchange(answer["code"]).json()["id_token"])["name"] == "林美 Mei Lin"


def test_prompt_none_never_shows_a_page(sign_in: SignIn) -> None:
    assert answer_of(sign_in.ask(prompt="none"))["error"] == "login_required"
    sign_in.choose("dana")
    assert "code" in answer_of(sign_in.ask(prompt="none"))


def test_unknown_person_gets_the_chooser_again(sign_in: SignIn) -> None:
    response = sign_in.choose("<b>nobody</b>")
    assert response.status_code == 400
    assert "&lt;b&gt;nobody&lt;/b&gt;" in response.text


def test_end_session_forgets_and_sends_back(sign_in: SignIn) -> None:
    id_token = sign_in.tokens("dana")["id_token"]
    kept = sign_in.browser.cookies.copy()
    response = end_session(sign_in, id_token_hint=id_token, client_id=CLIENT[0], state="s1")
    assert response.headers["Location"] == f"{SIGNED_OUT}?state=s1"
    assert sign_in.ask().status_code == 200, "the browser still has the cookie"
    sign_in.browser.cookies.update(kept)
    assert sign_in.ask().status_code == 200, "the provider still knows the cookie"


def end_session(sign_in: SignIn, **asked: str) -> requests.Response:
    query = urlencode({"post_logout_redirect_uri": SIGNED_OUT, **asked})
    url = f"{sign_in.issuer}/end-session?{query}"
    return sign_in.browser.get(url, allow_redirects=False, timeout=60)


def test_end_session_sends_back_who_is_signed_out_already(sign_in: SignIn) -> None:
    id_token = sign_in.tokens("dana")["id_token"]
    for _ in range(2):
        assert end_session(sign_in, id_token_hint=id_token).headers["Location"] == SIGNED_OUT


def test_end_session_asks_where_no_hint_says_that_it_is_meant(sign_in: SignIn) -> None:
    """RP-Initiated Logout 1.0, section 2: without a hint, or with one of somebody else, it must."""
    another = sign_in.tokens("omar")["id_token"]
    sign_in.choose("dana")
    for hint in ({}, {"id_token_hint": another}):
        asked = end_session(sign_in, client_id=CLIENT[0], state="<s1>", **hint)
        assert "Do you want to sign out?" in asked.text
        assert sign_in.ask().status_code == 302, "asking is not ending"
    form = {one["name"]: one["value"] for one in Page(asked.text).all("input")} | {"sure": "yes"}
    url = f"{sign_in.issuer}/end-session"
    response = sign_in.browser.post(url, data=form, allow_redirects=False, timeout=60)
    assert response.headers["Location"] == f"{SIGNED_OUT}?state=%3Cs1%3E"
    assert sign_in.ask().status_code == 200


def test_end_session_refuses_a_hint_that_is_not_of_this_provider(sign_in: SignIn, box: Sandbox) -> None:
    other = SignIn(box)
    other.issuer = f"{box.url}/oidc-plain"
    of_another = other.tokens("dana")["id_token"]
    sign_in.choose("dana")
    for hint in (of_another, sign_in.tokens("!bad-signature")["id_token"], "planted"):
        refused = end_session(sign_in, id_token_hint=hint, client_id=CLIENT[0])
        assert (refused.status_code, "Location" in refused.headers) == (400, False)
        assert "This cannot go on" in refused.text
        sign_in.choose("dana")
    assert end_session(sign_in, id_token_hint=hint, client_id="another").status_code == 400


def test_end_session_goes_nowhere_unregistered(sign_in: SignIn) -> None:
    id_token = sign_in.tokens("dana")["id_token"]
    response = end_session(sign_in, id_token_hint=id_token, post_logout_redirect_uri="https://evil.example/")
    assert response.status_code == 200
    assert "You are signed out" in response.text
    assert sign_in.ask().status_code == 200


# People


def test_una_is_not_verified(sign_in: SignIn) -> None:
    assert sign_in.claims("una")["email_verified"] is False


def test_noel_has_no_email_anywhere(sign_in: SignIn) -> None:
    tokens = sign_in.tokens("noel")
    assert "email" not in sign_in.verify(tokens["id_token"])
    assert "email" not in sign_in.userinfo(tokens["access_token"]).json()


def test_ugo_has_his_email_in_userinfo_only(sign_in: SignIn) -> None:
    tokens = sign_in.tokens("ugo")
    claims, userinfo = sign_in.verify(tokens["id_token"]), sign_in.userinfo(tokens["access_token"]).json()
    assert "email" not in claims
    assert (userinfo["sub"], userinfo["email"]) == (claims["sub"], "ugo@acme.example")


def test_uwe_is_somebody_else_in_userinfo(sign_in: SignIn) -> None:
    tokens = sign_in.tokens("uwe")
    claims, userinfo = sign_in.verify(tokens["id_token"]), sign_in.userinfo(tokens["access_token"]).json()
    assert "email" not in claims
    assert userinfo["email"] == "uwe@acme.example"
    assert userinfo["sub"] != claims["sub"]


def test_upton_has_upn_only(sign_in: SignIn) -> None:
    claims = sign_in.claims("upton")
    assert "email" not in claims
    assert claims["upn"] == "upton@acme.example"


def documents(sign_in: SignIn, person: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the ID token and userinfo say of somebody."""
    tokens = sign_in.tokens(person)
    return sign_in.verify(tokens["id_token"]), sign_in.userinfo(tokens["access_token"]).json()


def test_olga_is_vouched_for_in_userinfo_only(sign_in: SignIn) -> None:
    claims, userinfo = documents(sign_in, "olga")
    assert claims["email"] == userinfo["email"] == "olga@acme.example"
    assert "email_verified" not in claims
    assert userinfo["email_verified"] is True


def test_vito_has_two_addresses_and_one_is_vouched_for(sign_in: SignIn) -> None:
    claims, userinfo = documents(sign_in, "vito")
    assert (claims["email"], "email_verified" in claims) == (DANA, False)
    assert (userinfo["email"], userinfo["email_verified"]) == ("vito@acme.example", True)


def test_nobody_vouches_for_nadia(sign_in: SignIn) -> None:
    for document in documents(sign_in, "nadia"):
        assert document["email"] == "nadia@acme.example"
        assert "email_verified" not in document


def test_sina_has_her_email_in_a_signed_userinfo_only(sign_in: SignIn) -> None:
    tokens = sign_in.tokens("sina")
    assert "email" not in sign_in.verify(tokens["id_token"])
    answer = sign_in.userinfo(tokens["access_token"])
    assert answer.headers["Content-Type"] == "application/jwt"
    keys = KeySet.import_key_set(requests.get(f"{sign_in.issuer}/jwks.json", timeout=60).json())
    claims = jwt.decode(answer.text, keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"]) == (sign_in.issuer, CLIENT[0])
    assert claims["email"] == "sina@acme.example"


def test_bea_is_a_member_as_servers_write_her_address(box: Sandbox, sign_in: SignIn) -> None:
    assert sign_in.claims("bea")["email"] == "bea@bücher.example"
    assert box.create(user_email="bea@xn--bcher-kva.example").status_code == 200


def test_gus_has_his_groups_elsewhere(sign_in: SignIn) -> None:
    claims, userinfo = documents(sign_in, "gus")
    assert "groups" not in claims | userinfo
    assert claims["_claim_names"]["groups"] in claims["_claim_sources"]


def test_otto_is_outside_and_generated_people_are_inside(sign_in: SignIn) -> None:
    assert sign_in.claims("otto")["email"] == "otto@elsewhere.example"
    assert sign_in.claims("p123")["email"] == "p123@acme.example"
    assert sign_in.choose("p12345").status_code == 400


def test_everybody_has_a_sub_of_their_own(sign_in: SignIn) -> None:
    people = ("dana", "omar", "mei", "nina", "una", "noel", "ugo", "uwe", "otto", "upton", "p1", "p2")
    assert len({sign_in.claims(person)["sub"] for person in people}) == len(people)


def test_scope_decides_what_is_told(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("dana", scope="openid"))["code"]
    tokens = sign_in.exchange(code).json()
    assert {"email", "name", "groups"}.isdisjoint(sign_in.verify(tokens["id_token"]))
    assert set(sign_in.userinfo(tokens["access_token"]).json()) == {"sub"}


def test_userinfo_refuses_a_made_up_token(sign_in: SignIn) -> None:
    response = sign_in.userinfo("made-up")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# Odd and broken sign-ins


@pytest.mark.parametrize(
    ("choice", "error", "description"),
    [
        ("!deny", "access_denied", "The person refused"),
        ("!cancel", "access_denied", "cancelled"),
        ("!server-error", "server_error", "The provider failed"),
        ("!told-why", "unauthorized_client", "The application is switched off (code 50105)"),
    ],
)
def test_sign_in_that_ends_at_once_comes_back_with_an_error(
    sign_in: SignIn, choice: str, error: str, description: str
) -> None:
    answer = answer_of(sign_in.choose(choice))
    more = {"iss": sign_in.issuer} | ({"error_subcode": "cancel"} if choice == "!cancel" else {})
    assert answer == {"error": error, "error_description": description, "state": sign_in.state} | more


@pytest.mark.parametrize(
    ("choice", "claim"),
    [
        ("!wrong-audience", "aud"),
        ("!wrong-issuer", "iss"),
        ("!expired", "exp"),
        ("!early", "iat"),
        ("!wrong-nonce", "nonce"),
        ("!no-nonce", "nonce"),
    ],
)
def test_spoilt_claim_is_the_only_thing_wrong(sign_in: SignIn, choice: str, claim: str) -> None:
    good, spoilt = sign_in.claims("dana"), sign_in.tokens(choice)["id_token"]
    with pytest.raises(JoseError) as caught:
        sign_in.verify(spoilt)
    assert getattr(caught.value, "claim", "exp") == claim
    keys = KeySet.import_key_set(requests.get(f"{sign_in.issuer}/jwks.json", timeout=60).json())
    claims = jwt.decode(spoilt, keys, algorithms=["RS256"]).claims
    assert claims["sub"] == good["sub"]
    assert {"exp": claims["exp"] < time.time() - 300, "nonce": claims.get("nonce") != good["nonce"]}.get(
        claim, claims.get(claim) != good.get(claim)
    )


def test_the_answer_names_its_sender_unless_it_is_broken(sign_in: SignIn) -> None:
    choices = ("dana", "!deny", "!no-sender", "!wrong-sender")
    senders = [answer_of(sign_in.choose(choice)).get("iss") for choice in choices]
    assert senders == [sign_in.issuer, sign_in.issuer, None, "https://login.elsewhere.example"]


def test_a_new_key_has_the_old_name(sign_in: SignIn) -> None:
    def published() -> dict[str, str]:
        (key,) = requests.get(f"{sign_in.issuer}/jwks.json", timeout=60).json()["keys"]
        return key

    old = published()
    assert sign_in.claims("!new-key")["email"] == DANA
    new = published()
    assert (new["kid"], new["n"] == old["n"]) == (old["kid"], False)


def test_the_lifetime_can_be_an_odd_text(sign_in: SignIn) -> None:
    tokens = sign_in.tokens("!odd-lifetime")
    assert tokens["expires_in"] == "3599.5"
    assert sign_in.verify(tokens["id_token"])["email"] == DANA


def test_the_token_endpoint_can_hang_up(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("!token-cut"))["code"]
    with pytest.raises(requests.exceptions.ConnectionError, match="closed connection without response"):
        sign_in.exchange(code)


def test_the_id_token_can_name_nobody(sign_in: SignIn) -> None:
    assert part(sign_in.tokens("!no-sub")["id_token"], 1)["sub"] == ""


def test_a_name_can_hold_half_a_pair(sign_in: SignIn) -> None:
    assert sign_in.claims("!half-name")["name"] == "Dana \ud800Whitfield"


def test_a_person_need_not_have_been_asked(sign_in: SignIn) -> None:
    claims = sign_in.claims("!not-asked")
    assert claims["iat"] - claims["auth_time"] >= 3600


def test_bad_signature_names_the_right_key(sign_in: SignIn) -> None:
    good, bad = sign_in.tokens("dana")["id_token"], sign_in.tokens("!bad-signature")["id_token"]
    with pytest.raises(BadSignatureError):
        sign_in.verify(bad)
    assert part(bad, 0)["kid"] == part(good, 0)["kid"]
    assert part(bad, 1)["nonce"] == sign_in.nonce


def test_alg_none_is_not_signed(sign_in: SignIn) -> None:
    id_token = sign_in.tokens("!alg-none")["id_token"]
    assert part(id_token, 0)["alg"] == "none"
    assert part(id_token, 1)["email"] == DANA
    assert id_token.endswith(".")
    with pytest.raises(JoseError):
        sign_in.verify(id_token)


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


@pytest.mark.parametrize(
    ("choice", "status", "content_type"),
    [
        ("!token-500", 500, "application/json"),
        ("!token-not-json", 200, "text/html; charset=utf-8"),
        ("!token-refused", 400, "application/json"),
    ],
)
def test_token_endpoint_fails_as_chosen(sign_in: SignIn, choice: str, status: int, content_type: str) -> None:
    response = sign_in.exchange(answer_of(sign_in.choose(choice))["code"])
    assert (response.status_code, response.headers["Content-Type"]) == (status, content_type)
    if choice == "!token-refused":
        assert response.json()["error"] == "invalid_grant"


def test_token_endpoint_can_be_slow(sign_in: SignIn) -> None:
    code = answer_of(sign_in.choose("!token-slow"))["code"]
    with pytest.raises(requests.exceptions.ReadTimeout):
        sign_in.exchange(code, timeout=0.7)


def test_broken_sign_in_is_not_remembered(sign_in: SignIn) -> None:
    sign_in.choose("!wrong-nonce")
    assert sign_in.ask().status_code == 200


# Further issuers


def discover(box: Sandbox, issuer: str, timeout: float = 5) -> requests.Response:
    return requests.get(f"{box.url}/{issuer}/.well-known/openid-configuration", timeout=timeout)


def test_plain_issuer_signs_in_without_userinfo_and_end_session(box: Sandbox) -> None:
    metadata = discover(box, "oidc-plain").json()
    assert {"userinfo_endpoint", "end_session_endpoint"}.isdisjoint(metadata)
    assert requests.get(f"{box.url}/oidc-plain/end-session", timeout=60).status_code == 404
    assert SignIn(box, "oidc-plain").claims("dana")["iss"] == metadata["issuer"] == f"{box.url}/oidc-plain"


def test_further_issuers_fail_discovery_each_in_its_way(box: Sandbox) -> None:
    assert discover(box, "oidc-down").status_code == 503
    assert discover(box, "oidc-lying").json()["issuer"] == "https://login.elsewhere.example"
    with pytest.raises(requests.exceptions.JSONDecodeError):
        discover(box, "oidc-garbled").json()
    with pytest.raises(requests.exceptions.ReadTimeout):
        discover(box, "oidc-slow", timeout=0.7)
    assert discover(box, "oidc-unheard-of").status_code == 404


def test_pushed_issuer_takes_what_was_handed_over_and_nothing_else(box: Sandbox) -> None:
    metadata, sign_in = discover(box, "oidc-pushed").json(), SignIn(box, "oidc-pushed")
    assert metadata["require_pushed_authorization_requests"] is True
    assert sign_in.choose("dana").status_code == 400
    asked = dict(parse_qs(urlsplit(sign_in.authorization_url()).query))
    endpoint = metadata["pushed_authorization_request_endpoint"]
    assert requests.post(endpoint, data=asked, auth=(CLIENT[0], "guess"), timeout=60).status_code == 401
    pushed = requests.post(endpoint, data=asked, auth=CLIENT, timeout=60)
    assert pushed.status_code == 201
    brought = {"client_id": CLIENT[0], "request_uri": pushed.json()["request_uri"]}
    address = f"{sign_in.issuer}/authorize?{urlencode(brought)}"
    assert sign_in.browser.get(address, timeout=60).status_code == 200
    answer = sign_in.browser.post(address, data={"person": "dana"}, allow_redirects=False, timeout=60)
    id_token = sign_in.exchange(answer_of(answer)["code"]).json()["id_token"]
    assert sign_in.verify(id_token)["email"] == DANA


def test_odd_keys_stand_beside_a_good_one(box: Sandbox) -> None:
    keys = requests.get(f"{box.url}/oidc-odd-keys/jwks.json", timeout=60).json()["keys"]
    assert [key["kty"] for key in keys] == ["AKP", "RSA", "EC"]
    with pytest.raises((JoseError, KeyError)):
        KeySet.import_key_set({"keys": keys})
    assert part(SignIn(box, "oidc-odd-keys").tokens("dana")["id_token"], 0)["kid"] == keys[1]["kid"]


def test_issuers_do_not_share_who_is_signed_in(box: Sandbox) -> None:
    browser = SignIn(box)
    browser.choose("dana")
    browser.issuer = f"{box.url}/oidc-plain"
    assert browser.ask().status_code == 200
    browser.choose("omar")
    browser.issuer = f"{box.url}/oidc"
    code = answer_of(browser.ask())["code"]
    assert browser.verify(browser.exchange(code).json()["id_token"])["email"] == DANA


# The Studio


def test_first_visitor_goes_through_a_third_origin(box: Sandbox) -> None:
    session = box.create("Sell <b>umbrellas</b>").json()
    browser = requests.Session()
    page = browser.get(session["url"], timeout=60)
    hops = [hop.headers["Location"] for hop in page.history]
    assert hops[0].startswith(f"http://localhost:{box.port}/studio-sso?")
    assert hops[1].startswith(f"{session['url']}?ticket=")
    assert hops[2] == page.url == session["url"]
    cookie = page.history[2].headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "<title>Scenario Studio (sandbox)</title>" in page.text
    assert "Sell &lt;b&gt;umbrellas&lt;/b&gt;" in page.text
    assert browser.get(session["url"], timeout=60).history == []


def test_ticket_works_once(box: Sandbox) -> None:
    session = box.create().json()
    page = requests.get(session["url"], timeout=5, allow_redirects=False)
    ticket = requests.get(page.headers["Location"], timeout=5, allow_redirects=False).headers["Location"]
    assert "Set-Cookie" in requests.get(ticket, timeout=5, allow_redirects=False).headers
    again = requests.get(ticket, timeout=5, allow_redirects=False)
    assert "Set-Cookie" not in again.headers
    assert "/studio-sso?" in again.headers["Location"]


def test_opens_are_counted_by_real_views_only(box: Sandbox) -> None:
    session = box.create().json()

    def opens() -> int:
        return next(int(s["opens"]) for s in box.report()["sessions"] if s["id"] == session["id"])

    browser = requests.Session()
    assert opens() == 0
    browser.get(session["url"], timeout=60)
    assert opens() == 1
    browser.head(session["url"], timeout=60)
    browser.get(session["url"], headers={"Sec-Purpose": "prefetch;prerender"}, timeout=60)
    assert opens() == 1
    browser.get(session["url"], timeout=60)
    assert opens() == 2


def test_unknown_session_is_a_page_that_says_so(box: Sandbox) -> None:
    response = requests.get(f"{box.url}/chat/unheard-of", timeout=60)
    assert response.status_code == 404
    assert "no such session" in response.text
    assert requests.get(f"{box.url}/studio-sso?session=unheard-of", timeout=60).status_code == 404


# Pages


class Page(HTMLParser):
    """What a page consists of, as far as these tests ask."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def pages(box: Sandbox, sign_in: SignIn) -> dict[str, requests.Response]:
    session = box.create().json()

    def get(path: str) -> requests.Response:
        return requests.get(box.url + path, timeout=60)

    return {
        "first": get("/"),
        "requests": get("/sandbox/requests"),
        "missing": get("/nowhere"),
        "chooser": sign_in.ask(),
        "refused": sign_in.ask(client_id="x"),
        "sign out?": get("/oidc/end-session"),
        "signed out": requests.post(f"{box.url}/oidc/end-session", data={"sure": "yes"}, timeout=60),
        "studio": requests.get(session["url"], timeout=60),
    }


def test_every_page_says_what_it_is_and_refuses_framing(pages: dict[str, requests.Response]) -> None:
    for name, response in pages.items():
        assert "This is the sandbox: nothing here is real" in response.text, name
        assert '<meta name="description"' in response.text, name
        assert response.headers["X-Frame-Options"] == "DENY", name
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin", name
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"], name
        assert "form-action" not in response.headers["Content-Security-Policy"], name


def test_every_page_is_well_made(pages: dict[str, requests.Response], box: Sandbox) -> None:
    for name, response in pages.items():
        page = Page(response.text)
        assert len(page.all("h1")) == 1, name
        assert page.all("html") == [{"lang": "en"}], name
        assert not page.all("script"), name
        assert not page.all("style"), name
        ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), name
        for attributes in page.all("link"):
            href = urljoin(box.url, str(attributes["href"]))
            assert href == "data:," or requests.get(href, timeout=60).status_code == 200, name


def test_redirects_of_the_provider_refuse_framing_too(sign_in: SignIn) -> None:
    response = sign_in.choose("dana")
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Content-Security-Policy" in response.headers


def test_chooser_posts_to_its_own_address_and_offers_everybody(sign_in: SignIn) -> None:
    page = Page(sign_in.ask().text)
    assert all("action" not in form for form in page.all("form"))
    assert {form["method"] for form in page.all("form")} == {"post"}
    offered = [str(button["value"]) for button in page.all("button") if "value" in button]
    assert {"dana", "omar", "mei", "nina", "una", "noel", "ugo", "uwe", "otto", "upton"} <= set(offered)
    assert {"!deny", "!cancel", "!server-error", "!alg-none", "!token-slow"} <= set(offered)
    for person in offered:
        assert sign_in.choose(person, prompt="login").status_code == 302, person


def test_first_page_lists_what_can_be_tried(box: Sandbox) -> None:
    first = requests.get(f"{box.url}/", timeout=60).text
    page = Page(first)
    assert {"href": f"{PORTAL}/", "class": "button"} in page.all("a")
    for word in ("stall", "drip-body", "429-date", "backslash-url", "204"):
        assert f"[[{word}]]" in first
    assert "!wrong-nonce" in first
    assert "Dana Whitfield" in first


# The process


def test_own_addresses_come_from_options_not_from_the_request(elsewhere: Sandbox) -> None:
    headers = {"Host": "evil.example"}
    url = f"{elsewhere.url}/oidc/.well-known/openid-configuration"
    metadata = requests.get(url, headers=headers, timeout=60).json()
    session = elsewhere.create().json()
    chat = f"{elsewhere.url}/chat/{session['id']}"
    hop = requests.get(chat, headers=headers, timeout=5, allow_redirects=False).headers["Location"]
    assert metadata["issuer"] == "https://idp.test/oidc"
    assert metadata["token_endpoint"] == "https://idp.test/oidc/token"
    assert session["url"] == f"https://studio.test/chat/{session['id']}"
    assert hop.startswith("https://sso.test/studio-sso?")


def test_connection_is_kept_open(box: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=60)
    with contextlib.closing(connection):
        for _ in range(2):
            connection.request("GET", "/oidc/jwks.json")
            answer = connection.getresponse()
            assert json.loads(answer.read())["keys"]
            assert not answer.will_close


def test_client_that_keeps_a_cut_line_open_holds_up_nobody(box: Sandbox) -> None:
    body = json.dumps({"user_email": DANA, "prompt": "[[cut]]"})
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/rest/v1/scenario-studio", body, headers)
        assert connection.sock.recv(1) == b""
        assert box.create().status_code == 200, "it waited for the connection that is still open"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_process_ends_at_once_although_somebody_waits(end: signal.Signals) -> None:
    with sandbox() as box, socket.create_connection(("127.0.0.1", box.port)) as waiting:
        waiting.sendall(b"GET /oidc-slow/.well-known/openid-configuration HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        box.process.send_signal(end)
        assert box.process.wait(20) == 0, "it waited for the 30 s of the slow discovery"
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200"), "whoever waited got no answer"


def test_tls_with_given_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with sandbox("--certificate", str(certificate), "--key", str(key)) as box:
        trust = str(certificate)
        url = f"https://127.0.0.1:{box.port}"
        metadata = requests.get(
            f"{url}/oidc/.well-known/openid-configuration", verify=trust, timeout=5
        ).json()
        assert metadata["issuer"] == f"{url}/oidc"
        headers = {"Authorization": f"Bearer {KEY}"}

        def create(prompt: str) -> requests.Response:
            body = {"user_email": DANA, "prompt": prompt, "request_id": prompt}
            endpoint = f"{url}/rest/v1/scenario-studio"
            return requests.post(endpoint, json=body, headers=headers, verify=trust, timeout=60)

        assert create("[[http-url]]").json()["url"].startswith(f"http://127.0.0.1:{box.port}/chat/")
        for word in ("cut", "half"):
            with pytest.raises(requests.exceptions.RequestException):
                create(f"[[{word} x1]]")
            assert create(f"[[{word} x1]]").json()["is_new"] is False
        calls = requests.get(f"{url}/sandbox/requests?format=json", verify=trust, timeout=60).json()
        assert [call["delivered"] for call in calls["requests"]] == [True, False, True, False, True]


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    now = dt.datetime.now(dt.UTC)
    address = ipaddress.ip_address("127.0.0.1")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(address)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = directory / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key = directory / "key.pem"
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, key


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "webapp.sandbox", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_serve_says_that_its_port_is_taken(box: Sandbox) -> None:
    result = run("serve", "--port", str(box.port))
    assert result.returncode == 1
    assert result.stderr == f"Port {box.port} is taken. Choose another one with --port.\n"


@pytest.mark.parametrize(("name", "other"), [("PORT", "SANDBOX_PORT"), ("SANDBOX_PORT", "PORT")])
def test_demo_says_which_port_is_taken_and_how_to_change_it(box: Sandbox, name: str, other: str) -> None:
    result = run("demo", **{name: str(box.port), other: str(free_port())})
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"Port {box.port} is taken" in result.stderr
    assert f"make demo {name}=" in result.stderr


@pytest.mark.parametrize("value", ["eighty", "0", "65536"])
def test_demo_refuses_what_is_no_port(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", value)
    with pytest.raises(demo.DemoFailed, match="PORT must be a port number"):
        demo.read_ports()


def test_demo_wants_two_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    monkeypatch.setenv("PORT", port)
    monkeypatch.setenv("SANDBOX_PORT", port)
    with pytest.raises(demo.DemoFailed, match=f"are both {port}"):
        demo.read_ports()


def test_demo_serves_both_and_leaves_nothing_behind() -> None:
    port, sandbox_port = free_port(), free_port()
    environment = {**os.environ, "PORT": str(port), "SANDBOX_PORT": str(sandbox_port)}
    command = [sys.executable, "-m", "webapp.sandbox", "demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as both:
        assert both.stdout is not None
        told = b""
        while b"Ctrl-C" not in told:
            line = both.stdout.readline()
            assert line, "the demo ended without a word"
            told += line
        assert f"http://localhost:{port}" in told.decode()
        assert requests.get(f"http://localhost:{port}/healthz", timeout=60).status_code == 200
        both.send_signal(signal.SIGINT)
        assert both.wait(15) == 0
    for closed in (port, sandbox_port):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", closed), 1):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word to the children is Linux's")
@pytest.mark.parametrize("around", [(), ("sh", "-c", '"$@"; exit', "sh")], ids=["killed", "its make killed"])
def test_demo_ended_by_force_leaves_nothing_running(around: tuple[str, ...]) -> None:
    port, sandbox_port = free_port(), free_port()
    environment = {**os.environ, "PORT": str(port), "SANDBOX_PORT": str(sandbox_port)}
    command = [*around, sys.executable, "-m", "webapp.sandbox", "demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as both:
        assert both.stdout is not None
        while b"Ctrl-C" not in both.stdout.readline():
            assert both.poll() is None, "the demo ended without a word"
        both.kill()
    deadline = time.monotonic() + 40
    while is_taken(port) or is_taken(sandbox_port):
        assert time.monotonic() < deadline, "something runs on"
        time.sleep(0.1)
