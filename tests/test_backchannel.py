"""The provider ends sign-ins here: whichever token is not to the letter ends nothing."""

import json
import math
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from conftest import CLIENT_SECRET, BeginSignIn, MakeApp, own_path, sign_in_of
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jws
from joserfc.jwk import Key, OctKey, RSAKey
from peers import http
from test_oidc import Provider, one_provider, provider, written
from werkzeug.test import TestResponse

from webapp.issuer import Document, ProviderUnavailable
from webapp.portal import portal_of
from webapp.store.sign_ins import EndedAlready
from webapp.store.tables import Logout

__all__ = ["one_provider", "provider"]  # fixtures

EVENT = "http://schemas.openid.net/event/backchannel-logout"
OURS = RSAKey.generate_key(2048, {"kid": "logout", "use": "sig", "alg": "RS256"})
Tell = Callable[..., TestResponse]


@pytest.fixture
def app(make_app: MakeApp, provider: Provider) -> Flask:
    """A portal whose provider has one more key, which signs what these tests send."""
    assert provider.behind
    keys = provider.behind.http.get(f"{provider.behind.url}/oidc/jwks.json", timeout=30).json()["keys"]
    provider.answers["jwks.json"] = http(json.dumps({"keys": [*keys, OURS.as_dict(private=False)]}).encode())
    return make_app(oidc_issuer=provider.issuer)


@pytest.fixture
def signed_in(app: Flask, provider: Provider, begin_sign_in: BeginSignIn) -> FlaskClient:
    client = app.test_client()
    client.get(own_path(client, provider.choose(begin_sign_in(client), "dana")))
    assert is_signed_in(client)
    return client


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/launches").status_code == 200


@pytest.fixture
def tell(app: Flask, provider: Provider) -> Tell:
    """`tell(sub="acme|dana")`: the provider posts a logout token with these claims; None takes one out."""

    def post(
        key: Key = OURS,
        alg: str = "RS256",
        typ: str | None = "logout+jwt",
        spoil: Callable[[str], str] = str,
        **changes: object,
    ) -> TestResponse:
        now = int(time.time())
        claims: dict[str, Any] = {"iss": provider.issuer, "aud": "scenario-portal", "jti": uuid4().hex}
        claims |= {"iat": now, "exp": now + 120, "events": {EVENT: {}}, "sub": "acme|dana", **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        head = {"alg": alg, "kid": "logout"} | ({"typ": typ} if typ else {})
        text = json.dumps(claims)  # jwt.encode() writes no lone surrogates
        token = jws.serialize_compact(head, text, key, algorithms=[alg])
        return app.test_client().post("/backchannel-logout", data={"logout_token": spoil(token)})

    return post


def test_a_persons_sign_ins_end(signed_in: FlaskClient, tell: Tell) -> None:
    answer = tell()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert not is_signed_in(signed_in)


def test_another_persons_do_not(signed_in: FlaskClient, tell: Tell) -> None:
    assert tell(sub="acme|omar").status_code == 200
    assert is_signed_in(signed_in)


def test_one_session_ends_and_the_others_stay(app: Flask, signed_in: FlaskClient, tell: Tell) -> None:
    row = sign_in_of(signed_in)
    assert row
    with portal_of(app).store.database.write() as db:
        db.get_one(type(row), row.id).sid = "s-1"
    assert tell(sub=None, sid="s-2").status_code == 200
    assert is_signed_in(signed_in)
    assert tell(sub=None, sid="s-1").status_code == 200
    assert not is_signed_in(signed_in)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"iat": 1},
        {"iat": None},
        {"iat": "now"},
        {"exp": 1},
        {"jti": None},
        {"jti": ""},
        {"jti": "\ud800"},
        {"events": {}},
        {"events": {EVENT: None}},
        {"events": None},
        {"events": []},
        {"nonce": "n"},
        {"sub": None},
        {"sub": 7},
        {"sub": "\ud800"},
        {"sid": 7},
        {"sid": "\ud800"},
        {"sid": "\0"},
        {"sid": ""},
        {"sid": False},
        {"sub": "", "sid": "s-1"},
        {"sub": [], "sid": "s-1"},
        {"exp": math.nan},
    ],
    ids=str,
)
def test_a_token_that_is_not_to_the_letter_ends_nothing(
    signed_in: FlaskClient, tell: Tell, changes: dict[str, object]
) -> None:
    assert tell(**changes).status_code == 400
    assert is_signed_in(signed_in)


def test_a_token_of_the_future_ends_nothing(signed_in: FlaskClient, tell: Tell) -> None:
    """It would refuse sign-ins that begin until then."""
    assert tell(iat=int(time.time()) + 120).status_code == 400
    assert is_signed_in(signed_in)

    assert tell(iat=int(time.time()) + 30).status_code == 200  # clocks may differ
    assert not is_signed_in(signed_in)


def test_a_token_of_nobodys_key_ends_nothing(signed_in: FlaskClient, tell: Tell) -> None:
    assert tell(RSAKey.generate_key(2048, {"kid": "logout"})).status_code == 400
    assert is_signed_in(signed_in)


@pytest.mark.parametrize(
    ("typ", "status"),
    [("JWT", 200), (None, 200), ("application/logout+jwt", 200), ("at+jwt", 400), ("secevent+jwt", 400)],
)
def test_a_token_of_another_kind_ends_nothing(
    signed_in: FlaskClient, tell: Tell, typ: str | None, status: int
) -> None:
    assert tell(typ=typ).status_code == status
    assert is_signed_in(signed_in) is (status == 400)


def test_a_token_that_nobody_signed_ends_nothing(signed_in: FlaskClient, tell: Tell) -> None:
    assert tell(spoil=lambda token: f"{unsigned(alg='none')}.{token.split('.')[1]}.").status_code == 400
    assert is_signed_in(signed_in)


def test_a_token_signed_with_the_clients_secret_ends_nothing(signed_in: FlaskClient, tell: Tell) -> None:
    assert tell(OctKey.import_key(CLIENT_SECRET), "HS256").status_code == 400
    assert is_signed_in(signed_in)


def test_refused_sign_outs_are_written_once_a_minute_each_cause(
    tell: Tell, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        tell(RSAKey.generate_key(2048, {"kid": f"k{number}"})) if number < 2 else None
        told = {"logout_token": f"{unsigned(alg=f'a{number}', kid=f'k{number}')}.e30.AAAA"}
        app.test_client().post("/backchannel-logout", data=told)
        tell(iat=number)
        tell(aud=f"a{number}")
    told = written(caplog, "logout.refused")
    assert [line.partition("refused: ")[2].partition(",")[0] for line in told] == [
        "no key of the provider has signed the token",
        "the token cannot be verified: unsupported_algorithm",
        "the logout token is not good: claim iat",
        "the logout token is not good: claim aud",
    ]


def unsigned(**header: str) -> str:
    return urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


@pytest.mark.parametrize("token", ["", "planted", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_ends_nothing(signed_in: FlaskClient, app: Flask, token: str) -> None:
    answer = app.test_client().post("/backchannel-logout", data={"logout_token": token})
    assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})
    assert is_signed_in(signed_in)


def test_a_provider_that_cannot_be_asked_may_tell_again(provider: Provider, tell: Tell) -> None:
    """What is refused as wrong is not sent a second time."""
    provider.answers["openid-configuration"] = http(b"", "503 Down")
    assert tell().status_code == 503
    provider.answers.pop("openid-configuration")
    assert tell().status_code == 200


def test_a_token_ends_once(signed_in: FlaskClient, tell: Tell) -> None:
    assert tell(jti="once", sub="acme|omar").status_code == 200
    assert tell(jti="once").status_code == 400
    assert is_signed_in(signed_in)


def test_keys_are_fetched_anew_for_it_once_a_minute_at_most(
    signed_in: FlaskClient, tell: Tell, provider: Provider
) -> None:
    for _ in range(5):
        tell(RSAKey.generate_key(2048, {"kid": "new"}))
    assert len([one for one in provider.requests if b"jwks" in one]) <= 2
    assert is_signed_in(signed_in)


def test_a_fetch_that_fails_counts_as_one() -> None:
    """Or a provider whose keys are away is asked for every token that anybody sends."""
    answers: Iterator[str | None] = iter(["old", None, None, "new"])
    fetched = []

    def fetch() -> str:
        fetched.append(answer := next(answers))
        if answer is None:
            raise ProviderUnavailable("away")
        return answer

    keys = Document(fetch)
    assert keys.get() == "old"
    since = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        keys.get(since)
    assert [keys.get(since) for _ in range(3)] == ["old"] * 3
    assert fetched == ["old", None]
    with pytest.raises(ProviderUnavailable):  # a sign-in wants this very moment's
        keys.get(time.monotonic())
    assert keys.get(time.monotonic()) == "new"


@pytest.mark.parametrize(
    ("ended", "id_token", "is_refused"),
    [
        ({"sub": None, "sid": "s-1"}, {"sid": "s-1"}, True),
        ({"sub": None, "sid": "s-1"}, {"sid": "s-2"}, False),
        ({"sub": None, "sid": "s-1"}, {}, False),
        ({"sid": "s-1"}, {"sid": "s-1"}, True),
        ({"sid": "s-1"}, {"sid": "s-2", "auth_time": -60}, False),
        ({"sid": "s-1", "sub": "acme|omar"}, {"sid": "s-1"}, False),
        ({}, {"auth_time": -1}, True),
        ({}, {"auth_time": -1, "sid": "s-1"}, True),
        ({}, {"auth_time": 0}, False),
        ({}, {"iat": -1}, True),
        ({}, {"iat": -1, "auth_time": 1}, False),
        ({"sub": "acme|omar"}, {"auth_time": -60}, False),
    ],
    ids=str,
)
def test_what_ended_while_it_came_back_is_refused(
    app: Flask,
    provider: Provider,
    begin_sign_in: BeginSignIn,
    tell: Tell,
    ended: dict[str, object],
    id_token: dict[str, Any],
    is_refused: bool,
) -> None:
    """Times are told from the moment in which the provider ended it."""
    client, at = app.test_client(), int(time.time())
    begun = begin_sign_in(client)
    assert tell(iat=at, **ended).status_code == 200

    claims = {name: value + at if name in ("iat", "auth_time") else value for name, value in id_token.items()}
    answer = client.get(own_path(client, provider.vouch(begun, **claims)))

    assert answer.status_code == (502 if is_refused else 303)
    assert is_signed_in(client) is not is_refused


def test_a_sign_in_that_ended_while_it_came_back_is_refused(app: Flask, signed_in: FlaskClient) -> None:
    sign_ins = portal_of(app).store.sign_ins
    row = sign_in_of(signed_in)
    assert row
    sign_ins.end_by_provider(Logout(id="x", person=row.person, sid=None, at=(row.auth_time or 0) + 1))
    again = type(row)(**{c.name: getattr(row, c.name) for c in type(row).__table__.columns})
    again.id, again.ended = "another", None
    with pytest.raises(EndedAlready):
        sign_ins.begin(again)
    again.auth_time = (row.auth_time or 0) + 2
    sign_ins.begin(again)
