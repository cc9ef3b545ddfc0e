"""Signing in at the sandbox: who gets in, and what everybody else reads."""

import json
import re
import socket
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from conftest import (
    CLIENT_SECRET,
    PUBLIC_URLS,
    BeginSignIn,
    Fetch,
    MakeApp,
    MakeSettings,
    Sandbox,
    SignIn,
    free_port,
    own_path,
    run_sandbox,
    sign_in_of,
    way_in,
)
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import RSAKey
from peers import Peer, http
from sqlalchemy import select
from test_check import look

from webapp.claims import GroupsLeftOut, UnverifiedEmail, UnvouchedEmail
from webapp.errors import sign_in_failed
from webapp.issuer import AT_ONCE, LEFT_ALONE, ProviderUnavailable
from webapp.logs import Sparing
from webapp.portal import portal_of
from webapp.store.tables import IdToken

OURS = RSAKey.generate_key(2048, {"kid": "ours", "use": "sig", "alg": "RS256"})
TRUST = {"oidc_trust_unverified_email": True, "allowed_email_domains": "acme.example"}
Refuse = Callable[..., None]


@pytest.fixture
def refuse(page: Fetch) -> Refuse:
    """Hold an answer to be a plain page with a way on, and the browser to be nobody's."""

    def check(client: FlaskClient, answer: object, status: int, title: str, way_on: str) -> None:
        refusal = page(client, answer, status)
        assert refusal.h1 == title
        assert urlsplit(refusal.link(way_on)).path.endswith("/sign-in")
        assert not re.search(r"error|exception|token|claim|oidc", refusal.main.words, re.IGNORECASE)
        with client.session_transaction() as session:
            assert "sign_in" not in session

    return check


def user_of(client: FlaskClient) -> dict[str, str]:
    row = sign_in_of(client)
    assert row is not None
    return {"issuer": row.issuer, "sub": row.sub, "email": row.email, "name": row.name}


# Who gets in


def test_a_person_signs_in(client: FlaskClient, sign_in: SignIn, sandbox: Sandbox) -> None:
    answer = sign_in(client)
    assert (answer.status_code, answer.location) == (303, "/")
    user = user_of(client)
    assert (user["issuer"], user["sub"]) == (sandbox.issuer, "acme|dana")
    assert (user["email"], user["name"]) == ("dana@acme.example", "Dana Whitfield")


def test_a_name_need_not_be_ascii(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client, "mei")
    assert "林美 Mei Lin" in page(client).words


def test_an_email_may_come_from_userinfo(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client, "ugo")
    assert user_of(client)["email"] == "ugo@acme.example"


@pytest.mark.parametrize("person", ["olga", "vito", "sina"])
def test_an_email_is_believed_from_the_document_that_vouches_for_it(
    client: FlaskClient, sign_in: SignIn, person: str
) -> None:
    assert sign_in(client, person).status_code == 303
    assert user_of(client)["email"] == f"{person}@acme.example"


def test_an_address_with_an_umlaut_is_what_servers_know_it_as(client: FlaskClient, sign_in: SignIn) -> None:
    assert sign_in(client, "bea").status_code == 303
    assert user_of(client)["email"] == "bea@xn--bcher-kva.example"


@pytest.mark.parametrize("choice", ["!new-key", "!half-name", "!odd-lifetime"])
def test_what_is_odd_but_legal_signs_in(app: Flask, sign_in: SignIn, choice: str) -> None:
    before, client = app.test_client(), app.test_client()
    sign_in(before)
    assert sign_in(client, choice).status_code == 303
    assert (user_of(client)["sub"], user_of(client)["name"]) == ("acme|dana", "Dana Whitfield")


@pytest.mark.parametrize("issuer", ["oidc-pushed", "oidc-odd-keys"])
def test_what_a_provider_may_want_or_publish_signs_in(
    make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn, issuer: str
) -> None:
    client = make_app(oidc_issuer=f"{sandbox.url}/{issuer}").test_client()
    assert sign_in(client).status_code == 303
    assert user_of(client)["issuer"] == f"{sandbox.url}/{issuer}"


def test_groups_that_are_left_out_matter_only_where_they_are_asked_for(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    without, client = make_app().test_client(), make_app(allowed_groups="sales").test_client()
    assert sign_in(without, "gus").status_code == 303
    assert page(client, sign_in(client, "gus"), 403).h1 == "The portal cannot see your groups"
    assert "_claim_names" in caplog.text


def test_an_email_may_come_from_another_claim_with_trust(make_app: MakeApp, sign_in: SignIn) -> None:
    client = make_app(oidc_email_claim="upn", **TRUST).test_client()
    sign_in(client, "upton")
    assert user_of(client)["email"] == "upton@acme.example"


def test_an_unverified_email_is_enough_with_trust(make_app: MakeApp, sign_in: SignIn) -> None:
    client = make_app(**TRUST).test_client()
    sign_in(client, "una")
    assert user_of(client)["email"] == "una@acme.example"


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_email_domains": "elsewhere.example, Acme.Example"},
        {"allowed_groups": "sales"},
        {"allowed_groups": "board, sales"},
        {"allowed_groups": "sales", "allowed_email_domains": "acme.example"},
    ],
)
def test_those_who_are_allowed_get_in(make_app: MakeApp, sign_in: SignIn, settings: dict[str, str]) -> None:
    client = make_app(**settings).test_client()
    sign_in(client)
    assert user_of(client)["email"] == "dana@acme.example"


def test_a_provider_without_userinfo_is_enough(make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn) -> None:
    client = make_app(oidc_issuer=f"{sandbox.url}/oidc-plain").test_client()
    sign_in(client)
    assert user_of(client)["email"] == "dana@acme.example"


def test_an_issuer_may_be_written_with_a_slash(make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn) -> None:
    client = make_app(oidc_issuer=f"{sandbox.issuer}/").test_client()
    assert sign_in(client).location == "/"


def test_each_portal_asks_its_own_provider(
    make_app: MakeApp, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    first, second = make_app(), make_app(oidc_issuer=f"{sandbox.url}/oidc-plain")
    for app, issuer in ((first, "/oidc/"), (second, "/oidc-plain/"), (first, "/oidc/")):
        assert urlsplit(begin_sign_in(app.test_client())).path.startswith(issuer)


# What is asked of the provider


def test_the_request_is_a_code_flow_with_pkce_state_and_nonce(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    address = begin_sign_in(client)
    asked = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(f"{sandbox.issuer}/authorize?")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"{PUBLIC_URLS[0]}/sign-in/callback"
    assert asked["scope"] == "openid email profile"
    assert all(len(asked[name]) >= 20 for name in ("state", "nonce", "code_challenge"))
    assert "prompt" not in asked


def test_nothing_asked_of_the_provider_is_ever_the_same(
    client: FlaskClient, begin_sign_in: BeginSignIn
) -> None:
    first, second = (parse_qs(urlsplit(begin_sign_in(client)).query) for _ in range(2))
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


@pytest.mark.parametrize(
    ("query", "prompt"),
    [
        ("?prompt=select_account", ["select_account"]),
        ("?prompt=login", ["login"]),
        ("?prompt=none", None),
        ("?prompt=", None),
        ("?prompt=x%0d%0a", None),
    ],
)
def test_only_known_prompts_are_passed_on(
    client: FlaskClient, begin_sign_in: BeginSignIn, query: str, prompt: list[str] | None
) -> None:
    assert parse_qs(urlsplit(begin_sign_in(client, query)).query).get("prompt") == prompt


# Who does not get in


@pytest.mark.parametrize(
    ("person", "status", "title", "way_on"),
    [
        ("noel", 403, "Your account has no e-mail address", "Use another account"),
        ("upton", 403, "Your account has no e-mail address", "Use another account"),
        ("una", 403, "Your e-mail address is not verified", "Use another account"),
        ("nadia", 403, "The portal cannot tell whether your e-mail address is yours", "Use another account"),
        ("uwe", 502, "The sign-in could not be verified", "Try again"),
        ("!told-why", 400, "The sign-in could not be verified", "Try again"),
        ("!no-sender", 502, "The sign-in could not be verified", "Try again"),
        ("!wrong-sender", 502, "The sign-in could not be verified", "Try again"),
        ("!early", 502, "The sign-in could not be verified", "Try again"),
        ("!no-sub", 502, "The sign-in could not be verified", "Try again"),
        ("!token-cut", 503, "Sign-in is not available right now", "Try again"),
        ("!server-error", 400, "Sign-in is not available right now", "Try again"),
        ("!bad-signature", 502, "The sign-in could not be verified", "Try again"),
        ("!wrong-audience", 502, "The sign-in could not be verified", "Try again"),
        ("!wrong-issuer", 502, "The sign-in could not be verified", "Try again"),
        ("!expired", 502, "The sign-in could not be verified", "Try again"),
        ("!wrong-nonce", 502, "The sign-in could not be verified", "Try again"),
        ("!no-nonce", 502, "The sign-in could not be verified", "Try again"),
        ("!alg-none", 502, "The sign-in could not be verified", "Try again"),
        ("!token-not-json", 502, "The sign-in could not be verified", "Try again"),
        ("!token-refused", 502, "The sign-in could not be verified", "Try again"),
        ("!token-500", 503, "Sign-in is not available right now", "Try again"),
    ],
)
def test_each_failed_sign_in_has_its_own_words(
    client: FlaskClient, sign_in: SignIn, refuse: Refuse, person: str, status: int, title: str, way_on: str
) -> None:
    refuse(client, sign_in(client, person), status, title, way_on)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("nadia", "set OIDC_TRUST_UNVERIFIED_EMAIL"),
        ("uwe", "claim sub"),
        (
            "!told-why",
            r"unauthorized_client \(The application is switched off \(code 50105\)\): see OIDC_CLIENT_ID",
        ),
        ("!no-sender", r"names no issuer \(iss\)"),
        ("!wrong-sender", "comes from https://login.elsewhere.example"),
        ("!wrong-audience", "claim aud: 'another-client'; see OIDC_CLIENT_ID"),
        ("!wrong-issuer", "claim iss: 'https://login.elsewhere.example'; see OIDC_ISSUER"),
        ("!expired", "claim exp: [0-9]+ s in the past"),
        ("!early", "claim iat: [0-9]+ s in the future.*set the clock of what signs its tokens"),
        ("!no-sub", "claim sub"),
        ("!bad-signature", "no key of the provider has signed the token, alg RS256"),
        ("!alg-none", "alg none"),
        ("!token-refused", r"400 invalid_grant \(The code was refused\)"),
        ("!token-500", "/oidc/token answered 500"),
        ("!token-cut", "127.0.0.1 broke off"),
    ],
)
def test_the_log_names_what_was_wrong(
    client: FlaskClient, sign_in: SignIn, caplog: pytest.LogCaptureFixture, choice: str, told: str
) -> None:
    sign_in(client, choice)
    [line] = [record for record in caplog.records if record.__dict__.get("event") == "sign_in.failed"]
    assert re.search(told, line.getMessage())


@pytest.mark.parametrize(
    ("choice", "status", "title", "way_on"),
    [
        ("!deny", 403, "Sign-in was refused", "Try again"),
        ("!cancel", 400, "Sign-in was cancelled", "Sign in"),
    ],
)
def test_who_turns_back_is_told_so(
    client: FlaskClient, sign_in: SignIn, refuse: Refuse, choice: str, status: int, title: str, way_on: str
) -> None:
    refuse(client, sign_in(client, choice), status, title, way_on)


def test_a_provider_without_a_chooser_is_asked_for_a_new_sign_in(make_app: MakeApp, sandbox: Sandbox) -> None:
    client = make_app(oidc_issuer=f"{sandbox.issuer}-plain").test_client()
    wanted = urlsplit(way_in(client.get("/launches"))).query
    refused = requests.get(
        client.get(f"/sign-in?{wanted}&prompt=select_account").location, allow_redirects=False, timeout=60
    )
    assert "error=invalid_request" in refused.headers["Location"]
    again = client.get(refused.headers["Location"].removeprefix("http://localhost:8000"))
    assert again.status_code == 303
    assert "prompt=login" in again.location
    callback = sandbox.choose(again.location, "dana")
    assert client.get(own_path(client, callback)).location == "/launches"


@pytest.mark.parametrize(
    ("query", "status", "title"),
    [
        ("error=access_denied&error_subcode=cancel", 400, "Sign-in was cancelled"),
        ("error=login_required", 400, "Sign-in was cancelled"),
        ("error=temporarily_unavailable", 400, "Sign-in is not available right now"),
        ("error=invalid_scope", 400, "The sign-in could not be verified"),
        ("error=%3Cscript%3E%0d%0a&error_description=planted", 400, "The sign-in could not be verified"),
        ("error=", 400, "The sign-in could not be verified"),
    ],
)
def test_what_the_provider_says_has_its_own_words(
    client: FlaskClient, page: Fetch, query: str, status: int, title: str
) -> None:
    refusal = page(client, f"/sign-in/callback?{query}", status)
    assert refusal.h1 == title
    assert "planted" not in refusal.html


@pytest.mark.parametrize(
    ("settings", "person"),
    [
        ({"allowed_email_domains": "acme.example"}, "otto"),
        ({"allowed_email_domains": "example"}, "dana"),
        ({"allowed_email_domains": "cme.example"}, "dana"),
        ({"allowed_email_domains": "sub.acme.example"}, "dana"),
        ({"allowed_groups": "board"}, "dana"),
        ({"allowed_groups": "Sales"}, "dana"),
        ({"allowed_groups": "sale"}, "dana"),
        ({"allowed_groups": "sales"}, "otto"),
        ({"allowed_groups": "board", "allowed_email_domains": "acme.example"}, "dana"),
    ],
)
def test_those_who_are_not_allowed_read_so(
    make_app: MakeApp, sign_in: SignIn, refuse: Refuse, settings: dict[str, str], person: str
) -> None:
    client = make_app(**settings).test_client()
    refuse(client, sign_in(client, person), 403, "This account may not use the portal", "Use another account")


def test_trust_does_not_open_other_domains(make_app: MakeApp, sign_in: SignIn, refuse: Refuse) -> None:
    client = make_app(**TRUST).test_client()
    title = "This account may not use the portal"
    refuse(client, sign_in(client, "otto"), 403, title, "Use another account")


def test_a_refusal_names_whom_to_ask(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    client = make_app(support_contact="help@acme.example").test_client()
    asked = page(client, sign_in(client, "noel"), 403).link("help@acme.example")
    assert asked == "mailto:help@acme.example?subject=Scenario%20Portal"


# An answer that belongs to no sign-in of this browser

STALE = (400, "This sign-in has expired", "Sign in again")


def test_a_callback_out_of_nowhere_is_stale(client: FlaskClient, refuse: Refuse) -> None:
    refuse(client, client.get("/sign-in/callback?code=abc&state=def"), *STALE)


@pytest.mark.parametrize("query", ["", "?code=abc", "?state=abc", "?code=&state="])
def test_half_a_callback_is_stale(
    client: FlaskClient, begin_sign_in: BeginSignIn, refuse: Refuse, query: str
) -> None:
    begin_sign_in(client)
    refuse(client, client.get(f"/sign-in/callback{query}"), *STALE)


@pytest.mark.parametrize("known", ["", ".{8}"], ids=["wholly", "all but its cookie's name"])
def test_a_forged_state_is_stale(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn, refuse: Refuse, known: str
) -> None:
    callback = sandbox.choose(begin_sign_in(client), "dana")
    forged = re.sub(f"(state={known})[^&]+", r"\1forged", callback)
    refuse(client, client.get(own_path(client, forged)), *STALE)


def test_another_browsers_callback_is_stale(
    app: Flask, sandbox: Sandbox, begin_sign_in: BeginSignIn, refuse: Refuse
) -> None:
    attacker, victim = app.test_client(), app.test_client()
    callback = sandbox.choose(begin_sign_in(attacker), "omar")
    begin_sign_in(victim)
    refuse(victim, victim.get(own_path(victim, callback)), *STALE)


def test_a_callback_works_once(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn, refuse: Refuse
) -> None:
    callback = own_path(client, sandbox.choose(begin_sign_in(client), "dana"))
    assert client.get(callback).status_code == 303
    with client.session_transaction() as session:
        del session["sign_in"]
    refuse(client, client.get(callback), *STALE)


def test_a_callback_again_leaves_one_signed_in(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    callback = own_path(client, sandbox.choose(begin_sign_in(client), "dana"))
    client.get(callback)
    assert (client.get(callback).status_code, user_of(client)["sub"]) == (303, "acme|dana")


def test_a_sign_in_without_its_session_is_stale(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn, refuse: Refuse
) -> None:
    callback = sandbox.choose(begin_sign_in(client), "dana")
    client._cookies.clear()
    refuse(client, client.get(own_path(client, callback)), *STALE)


def test_a_person_may_take_hours_at_the_provider(client: FlaskClient) -> None:
    [kept] = client.get("/sign-in").headers.getlist("Set-Cookie")
    assert f"Max-Age={24 * 3600}" in kept


# A provider that is down, slow, or not what it says

UNAVAILABLE = (503, "Sign-in is not available right now", "Try again")


@pytest.mark.parametrize("issuer", ["oidc-down", "oidc-lying", "oidc-garbled", "nowhere"])
def test_a_provider_that_cannot_be_used_is_unavailable(
    make_app: MakeApp, sandbox: Sandbox, refuse: Refuse, issuer: str
) -> None:
    client = make_app(oidc_issuer=f"{sandbox.url}/{issuer}").test_client()
    refuse(client, client.get("/sign-in"), *UNAVAILABLE)


def test_a_provider_that_is_not_there_is_unavailable(make_app: MakeApp, refuse: Refuse) -> None:
    client = make_app(oidc_issuer=f"http://127.0.0.1:{free_port()}").test_client()
    refuse(client, client.get("/sign-in"), *UNAVAILABLE)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"https://login.acme.example"',
        b"{}",
        b"[" * 100_000,
        b'{"issuer": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b'{"issuer": 1, "authorization_endpoint": 2, "token_endpoint": 3, "jwks_uri": 4}',
        b"x" * 2_000_000,
    ],
)
def test_a_discovery_that_is_none_is_unavailable(make_app: MakeApp, refuse: Refuse, body: bytes) -> None:
    with Peer(http(body)) as peer:
        client = make_app(oidc_issuer=peer.url).test_client()
        refuse(client, client.get("/sign-in"), *UNAVAILABLE)


def test_a_discovery_that_redirects_is_unavailable(
    make_app: MakeApp, sandbox: Sandbox, refuse: Refuse
) -> None:
    location = f"Location: {sandbox.issuer}/.well-known/openid-configuration"
    with Peer(http(b"{}", "302 Found", location)) as peer:
        client = make_app(oidc_issuer=peer.url).test_client()
        refuse(client, client.get("/sign-in"), *UNAVAILABLE)


def signed(claims: dict[str, object]) -> str:
    head = {"alg": "RS256", "kid": OURS.kid}
    return jwt.encode(head, {name: value for name, value in claims.items() if value is not None}, OURS)


class Provider(Peer):
    """Stands in front of a sandbox of its own, and answers for it at the endpoints of `answers`."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.issuer = f"{self.url}/oidc"
        self.answers: dict[str, bytes] = {}
        self.behind: Sandbox | None = None
        self.secret = CLIENT_SECRET  # as it wants to be shown it: it decodes nothing

    def serve(self, connection: socket.socket) -> None:
        assert self.behind
        start, _, body = self.requests[-1].partition(b"\r\n\r\n")
        line, *fields = start.decode().split("\r\n")
        method, path, _ = line.split()
        kept = [
            field.split(": ", 1) for field in fields if field.startswith(("Authorization", "Content-Type"))
        ]
        known, own = (
            b64encode(f"scenario-portal:{one}".encode()).decode() for one in (self.secret, CLIENT_SECRET)
        )
        kept = [[name, value.replace(known, own)] for name, value in kept]
        for endpoint, answer in self.answers.items():
            if path.endswith(f"/{endpoint}"):
                connection.sendall(answer)
                return
        got = self.behind.http.request(
            method, self.behind.url + path, data=body, headers=dict(kept), timeout=60
        )
        connection.sendall(http(got.content, f"{got.status_code} {got.reason}"))

    def choose(self, begun: str, person: str) -> str:
        assert self.behind
        return self.behind.choose(begun.replace(self.issuer, self.behind.issuer), person)

    def vouch(self, begun: str, **claims: object) -> str:
        """Answer from now on with an ID token of these claims of Dana's; return the callback of `begun`.

        None takes a claim out.
        """
        asked = {name: values[0] for name, values in parse_qs(urlsplit(begun).query).items()}
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "sub": "acme|dana",
            "iat": now,
            "exp": now + 60,
        }
        usual |= {"nonce": asked["nonce"], "email": "dana@acme.example", "email_verified": True}
        id_token = signed({**usual, **claims})
        self.answers["jwks.json"] = http(json.dumps({"keys": [OURS.as_dict(private=False)]}).encode())
        tokens = {"access_token": "a", "token_type": "Bearer", "id_token": id_token}
        self.answers["token"] = http(json.dumps(tokens).encode())
        answer = {"code": "c", "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"


@pytest.fixture(scope="module")
def one_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    log = tmp_path_factory.mktemp("provider") / "output"
    with Provider() as provider, run_sandbox(log, "--issuer-url", provider.url) as behind:
        provider.behind = behind
        yield provider


@pytest.fixture
def provider(one_provider: Provider) -> Provider:
    one_provider.answers.clear()
    one_provider.requests.clear()
    one_provider.secret = CLIENT_SECRET
    return one_provider


def test_a_provider_that_comes_back_is_asked_again(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    provider.answers["openid-configuration"] = http(b"", "503 Down")
    client = make_app(oidc_issuer=provider.issuer).test_client()
    assert client.get("/sign-in").status_code == 503
    provider.answers.clear()
    assert begin_sign_in(client).startswith(f"{provider.issuer}/authorize")


def test_a_discovery_is_read_once(make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    for _ in range(3):
        begin_sign_in(client)
    assert len(provider.requests) == 1


def test_the_keys_are_read_once(make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn) -> None:
    app = make_app(oidc_issuer=provider.issuer)
    for _ in range(3):
        client = app.test_client()
        client.get(own_path(client, provider.choose(begin_sign_in(client), "dana")))
        assert user_of(client)["sub"] == "acme|dana"
    assert len([one for one in provider.requests if b"jwks" in one]) == 1


def test_the_client_shows_its_secret_in_the_header_only(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    client.get(own_path(client, provider.choose(begin_sign_in(client), "dana")))
    (asked,) = [one for one in provider.requests if b"/token " in one]
    start, _, body = asked.partition(b"\r\n\r\n")
    pair = b64encode(f"scenario-portal:{CLIENT_SECRET}".encode())
    assert b"Authorization: Basic " + pair in start
    assert CLIENT_SECRET.encode() not in body
    assert parse_qs(body.decode())["code_verifier"]


def test_a_provider_need_not_decode_what_the_client_shows(
    make_app: MakeApp, make_settings: MakeSettings, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    provider.secret = "100% secret: a+b"
    told = {"oidc_issuer": provider.issuer, "oidc_client_secret": provider.secret}
    client = make_app(**told).test_client()
    callback = provider.choose(begin_sign_in(client), "dana")
    assert client.get(own_path(client, callback)).status_code == 303
    assert look(make_settings(**told))["client_secret"].ok is True


def test_a_secret_of_letters_is_shown_once(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    client = make_app(oidc_issuer=provider.issuer, oidc_client_secret="another-secret").test_client()
    callback = provider.choose(begin_sign_in(client), "dana")
    assert client.get(own_path(client, callback)).status_code == 502
    assert len([one for one in provider.requests if b"/token " in one]) == 1


NO_JSON = {
    "a page": b"<!doctype html>",
    "a list": b"[]",
    "nothing": b"",
    "null": b"null",
    "a text": b'"planted"',
    "too deep": b"[" * 100_000,
    "too long a number": b'{"sub": ' + b"9" * 5000 + b"}",
    "not UTF-8": b"\xff\xfe",
}
NO_TOKEN = {
    "empty": b"{}",
    "no ID token": b'{"access_token": "a", "token_type": "Bearer"}',
    "an ID token that is a number": b'{"access_token": "a", "token_type": "Bearer", "id_token": 7}',
    "an ID token that is none": b'{"access_token": "a", "token_type": "Bearer", "id_token": "planted"}',
    "an encrypted ID token": b'{"access_token": "a", "token_type": "Bearer", "id_token": "a.b.c.d.e"}',
    "a lifetime that is none": b'{"access_token": "a", "token_type": "Bearer", "expires_in": "soon"}',
    "an error that is none": b'{"error": ["planted"]}',
}


@pytest.mark.parametrize("body", (NO_JSON | NO_TOKEN).values(), ids=NO_JSON | NO_TOKEN)
@pytest.mark.parametrize("endpoint", ["token", "userinfo", "jwks.json"])
def test_an_answer_that_is_none_signs_nobody_in(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn, page: Fetch, endpoint: str, body: bytes
) -> None:
    provider.answers[endpoint] = http(body)
    client = make_app(oidc_issuer=provider.issuer).test_client()
    answer = client.get(own_path(client, provider.choose(begin_sign_in(client), "ugo")))
    assert answer.status_code in (502, 503)
    assert "planted" not in page(client, answer, answer.status_code).html
    with client.session_transaction() as session:
        assert "sign_in" not in session


@pytest.mark.parametrize("endpoint", ["token", "userinfo", "jwks.json"])
def test_no_redirect_of_the_provider_is_followed(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn, endpoint: str
) -> None:
    """The client's secret and the person's token go nowhere but where the discovery says."""
    location = f"Location: {provider.url}/elsewhere"
    provider.answers[endpoint] = http(b"{}", "307 Temporary Redirect", location)
    client = make_app(oidc_issuer=provider.issuer).test_client()
    answer = client.get(own_path(client, provider.choose(begin_sign_in(client), "ugo")))
    assert answer.status_code in (502, 503)
    assert not [one for one in provider.requests if b"/elsewhere" in one]


def test_behind_the_stand_in_a_person_does_sign_in(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    client.get(own_path(client, provider.choose(begin_sign_in(client), "ugo")))
    assert user_of(client)["email"] == "ugo@acme.example"


@pytest.mark.parametrize("body", [b'{"error": "oops"}', b'{"keys": [{}]}', b'{"keys": []}', b"[]"])
def test_keys_that_are_none_are_not_kept(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn, body: bytes
) -> None:
    provider.answers["jwks.json"] = http(body)
    client = make_app(oidc_issuer=provider.issuer).test_client()
    for expected in (503, 303):
        callback = provider.choose(begin_sign_in(client), "dana")
        assert client.get(own_path(client, callback)).status_code == expected
        provider.answers.clear()


@pytest.mark.parametrize("endpoint", ["token", "userinfo", "jwks.json"])
def test_an_endpoint_that_is_away_is_unavailable(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn, refuse: Refuse, endpoint: str
) -> None:
    provider.answers[endpoint] = http(b"{}", "500 Oh")
    client = make_app(oidc_issuer=provider.issuer).test_client()
    callback = provider.choose(begin_sign_in(client), "ugo")
    refuse(client, client.get(own_path(client, callback)), *UNAVAILABLE)


def test_a_slow_provider_is_given_up_in_time(client: FlaskClient, sign_in: SignIn, refuse: Refuse) -> None:
    begun = time.monotonic()
    answer = sign_in(client, "!token-slow")
    assert time.monotonic() - begun < 10
    refuse(client, answer, *UNAVAILABLE)


# What providers want, and what they send


def discovery(provider: Provider, **changes: object) -> None:
    """Let the provider describe itself with these members changed."""
    assert provider.behind
    url = f"{provider.behind.url}/oidc/.well-known/openid-configuration"
    said = {**provider.behind.http.get(url, timeout=60).json(), **changes}
    provider.answers["openid-configuration"] = http(json.dumps(said).encode())


def test_a_pushed_request_goes_ahead_where_it_must(make_app: MakeApp, provider: Provider) -> None:
    discovery(
        provider,
        require_pushed_authorization_requests=True,
        pushed_authorization_request_endpoint=f"{provider.url}/oidc/par",
    )
    provider.answers["par"] = http(b'{"request_uri": "urn:acme:1", "expires_in": 60}', "201 Created")

    address = make_app(oidc_issuer=provider.issuer).test_client().get("/sign-in").location

    assert parse_qs(urlsplit(address).query) == {
        "client_id": ["scenario-portal"],
        "request_uri": ["urn:acme:1"],
    }
    [pushed] = [one for one in provider.requests if b"POST /oidc/par" in one]
    asked = parse_qs(pushed.partition(b"\r\n\r\n")[2].decode())
    assert {"state", "nonce", "code_challenge", "redirect_uri"} <= asked.keys()


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 303),
        ({"aud": ["another", "scenario-portal"]}, 303),
        ({"aud": "another"}, 502),
        ({"iss": "https://login.elsewhere.example"}, 502),
        ({"sub": "acme|omar"}, 502),
    ],
)
def test_signed_userinfo_is_ours_and_the_providers(
    make_app: MakeApp,
    provider: Provider,
    begin_sign_in: BeginSignIn,
    claims: dict[str, object],
    status: int,
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    callback = provider.vouch(begin_sign_in(client), email=None, email_verified=None)
    usual = {"sub": "acme|dana", "email": "dana@acme.example", "email_verified": True}
    said = http(signed({**usual, **claims}).encode())
    provider.answers["userinfo"] = said.replace(b"application/json", b"application/jwt")
    assert client.get(own_path(client, callback)).status_code == status


@pytest.mark.parametrize(("changes", "status"), [({}, 303), ({"kid": "another"}, 502), ({"use": "enc"}, 503)])
def test_the_key_that_signed_is_the_one_that_is_named_and_for_signing(
    make_app: MakeApp,
    provider: Provider,
    begin_sign_in: BeginSignIn,
    changes: dict[str, str],
    status: int,
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    callback = provider.vouch(begin_sign_in(client))
    key = {**OURS.as_dict(private=False), **changes}
    provider.answers["jwks.json"] = http(json.dumps({"keys": [key]}).encode())
    assert client.get(own_path(client, callback)).status_code == status


def test_groups_are_asked_for_only_where_the_provider_knows_the_scope(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    discovery(provider, scopes_supported=["openid", "email"])
    client = make_app(oidc_issuer=provider.issuer, allowed_groups="sales").test_client()
    asked = parse_qs(urlsplit(begin_sign_in(client)).query)
    assert asked["scope"] == ["openid email profile"]


def test_a_provider_that_lists_no_chooser_is_asked_for_a_new_sign_in(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    discovery(provider, prompt_values_supported=["none", "login"])
    client = make_app(oidc_issuer=provider.issuer).test_client()
    asked = parse_qs(urlsplit(begin_sign_in(client, "?prompt=select_account")).query)
    assert asked["prompt"] == ["login"]


def test_a_new_sign_in_that_is_refused_is_not_asked_for_again(
    client: FlaskClient, begin_sign_in: BeginSignIn, refuse: Refuse
) -> None:
    """Or the browser would go to and fro for ever."""
    [state] = parse_qs(urlsplit(begin_sign_in(client, "?prompt=login")).query)["state"]
    answer = client.get(f"/sign-in/callback?error=invalid_request&state={state}")
    refuse(client, answer, 400, "The sign-in could not be verified", "Try again")


@pytest.mark.parametrize("date", ["Mon, 01 Jan 2001 00:00:00 GMT", "Sat, 01 Jan 2101 00:00:00 GMT"])
def test_a_machine_whose_clock_is_wrong_is_told_to_set_it(
    make_app: MakeApp,
    provider: Provider,
    begin_sign_in: BeginSignIn,
    caplog: pytest.LogCaptureFixture,
    date: str,
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    callback = provider.vouch(begin_sign_in(client), exp=1)
    head, _, body = provider.answers["token"].partition(b"\r\n\r\n")
    provider.answers["token"] = head + f"\r\nDate: {date}\r\n\r\n".encode() + body
    client.get(own_path(client, callback))
    assert "set this machine's clock" in caplog.text


def test_an_empty_sender_is_none(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn, refuse: Refuse
) -> None:
    callback = re.sub(r"iss=[^&]+", "iss=", sandbox.choose(begin_sign_in(client), "dana"))
    answer = client.get(own_path(client, callback))
    refuse(client, answer, 502, "The sign-in could not be verified", "Try again")


def test_a_wrong_sender_is_refused_although_none_was_announced(
    make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn
) -> None:
    client = make_app(oidc_issuer=f"{sandbox.url}/oidc-plain").test_client()
    assert sign_in(client, "!wrong-sender").status_code == 502


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"},
        {"kty": "EC", "crv": "P-999", "kid": "new", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "half", "n": "AQ"},
        "no object",
        {},
    ],
)
def test_keys_that_nobody_knows_do_not_spoil_the_others(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn, odd: object
) -> None:
    assert provider.behind
    keys = provider.behind.http.get(f"{provider.behind.url}/oidc/jwks.json", timeout=60).json()["keys"]
    provider.answers["jwks.json"] = http(json.dumps({"keys": [odd, *keys, odd]}).encode())
    client = make_app(oidc_issuer=provider.issuer).test_client()
    callback = provider.choose(begin_sign_in(client), "dana")
    assert client.get(own_path(client, callback)).status_code == 303


def test_keys_are_fetched_once_more_when_none_fits(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    """A provider put a new key under the old name."""
    assert provider.behind
    [key] = provider.behind.http.get(f"{provider.behind.url}/oidc/jwks.json", timeout=60).json()["keys"]
    other = RSAKey.generate_key(2048, {"kid": key["kid"], "use": "sig"}).as_dict(private=False)
    provider.answers["jwks.json"] = http(json.dumps({"keys": [other]}).encode())
    app = make_app(oidc_issuer=provider.issuer)
    client = app.test_client()
    assert client.get(own_path(client, provider.choose(begin_sign_in(client), "dana"))).status_code == 502

    provider.answers.clear()

    assert client.get(own_path(client, provider.choose(begin_sign_in(client), "dana"))).status_code == 303


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "token_endpoint_auth_methods"),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, "id_token_signing_alg_values"),
        ({"response_types_supported": ["id_token"]}, "response_types_supported"),
        ({"require_signed_request_object": True}, "require_signed_request_object"),
    ],
)
def test_what_the_portal_cannot_do_is_named(
    make_app: MakeApp,
    provider: Provider,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    told: str,
) -> None:
    discovery(provider, **changes)
    answer = make_app(oidc_issuer=provider.issuer).test_client().get("/sign-in")
    assert answer.status_code == 503
    assert "A setting has to be changed first" in answer.text
    assert told in caplog.text
    assert "WARNING" in caplog.text


@pytest.mark.parametrize("address", ["http://login.acme.example/token", "//login.acme.example/token", 7])
def test_an_endpoint_without_tls_is_none(
    make_app: MakeApp,
    provider: Provider,
    refuse: Refuse,
    caplog: pytest.LogCaptureFixture,
    address: object,
) -> None:
    discovery(provider, token_endpoint=address)
    client = make_app(oidc_issuer=provider.issuer).test_client()
    refuse(client, client.get("/sign-in"), *UNAVAILABLE)
    assert "no usable token_endpoint" in caplog.text


def test_what_only_the_operator_mends_is_a_warning(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """A person can do nothing about a claim that never comes, and INFO wakes nobody."""
    app = make_app()
    for kind, level in ((UnvouchedEmail, "WARNING"), (GroupsLeftOut, "WARNING"), (UnverifiedEmail, "INFO")):
        caplog.clear()
        with app.test_request_context("/sign-in/callback", base_url=PUBLIC_URLS[0]):
            app.preprocess_request()
            sign_in_failed(kind("why"))
        assert [record.levelname for record in caplog.records] == [level]


def test_what_anybody_can_call_up_is_written_once_a_minute(
    client: FlaskClient, begin_sign_in: BeginSignIn, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Each cause is a line of its own, whatever a stranger says beside it."""

    def callback(**answer: str) -> None:
        state = parse_qs(urlsplit(begin_sign_in(client)).query)["state"][0]
        client.get(f"/sign-in/callback?{urlencode({'state': state, **answer})}")

    for number in range(30):
        callback(code=f"c{number}", iss=f"{sandbox.url}/oidc")
        callback(code="c", iss=f"https://evil{number}.example")
        callback(error=f"e{number}", error_description=f"d{number}")
        client.get(f"/sign-in/callback?state=s{number}&code=none")
        client.get(f"/sign-in/callback?error=s{number}")
    callback(error="invalid_request", error_description="redirect_uri")
    for choice in ("!bad-signature", "!wrong-audience", "una"):
        client.get(own_path(client, sandbox.choose(begin_sign_in(client), choice)))

    told = written(caplog, "sign_in.failed")
    begins = [
        "BadAnswer: the token endpoint answered 400 invalid_grant",
        "BadAnswer: the answer comes from https://evil0.example (iss)",
        "BadAnswer: the provider sent back e0 (d0)",
        "Stale: no such sign-in",
        "BadAnswer: an error came back that belongs to no sign-in under way",
        "BadAnswer: the provider sent back invalid_request (redirect_uri)",
        "BadAnswer: no key of the provider has signed the token",
        "BadAnswer: claim aud: 'another-client'",
        "UnverifiedEmail: email_verified is False",
    ]
    assert len(told) == len(begins), told
    for line, begin in zip(told, begins, strict=True):
        assert line.startswith(f"a sign-in failed: {begin}")


def written(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """What of this event is written, of all that was said."""
    sparing = Sparing()
    passed = [record for record in caplog.records if sparing.filter(record)]
    return [record.getMessage() for record in passed if record.__dict__.get("event") == event]


def test_old_documents_that_are_used_are_told_once_a_minute(
    make_app: MakeApp, provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    assert client.get("/sign-in").status_code == 303
    provider.answers["openid-configuration"] = http(b"", "503 Down")
    monkeypatch.setattr("webapp.issuer.FRESH", 0)  # an hour has passed
    for _ in range(3):
        assert client.get("/sign-in").status_code == 303
    assert len(written(caplog, "provider.away")) == 1


def test_a_provider_that_does_not_answer_is_left_alone_for_seconds(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(oidc_issuer=f"http://127.0.0.1:{free_port()}").test_client()
    for _ in range(2):
        assert client.get("/sign-in").status_code == 503
    assert "ECONNREFUSED" in caplog.text
    assert "remembered for 5 s" in caplog.text
    assert len(written(caplog, "sign_in.failed")) == 1


def test_a_provider_that_fails_again_is_left_alone_again(make_app: MakeApp) -> None:
    with Peer(b"no answer\r\n\r\n") as peer:
        app = make_app(oidc_issuer=peer.url)
        client, issuer = app.test_client(), portal_of(app).provider.issuer
        for connections in (1, 2):
            for _ in range(2):
                assert client.get("/sign-in").status_code == 503
            assert peer.connections == connections
            failed = issuer._failures.items()
            issuer._failures = {address: (at - LEFT_ALONE, why) for address, (at, why) in failed}


def test_a_call_that_fails_gives_its_turn_back(app: Flask) -> None:
    issuer, nowhere = portal_of(app).provider.issuer, f"http://127.0.0.1:{free_port()}"
    for number in range(AT_ONCE + 1):
        with pytest.raises(ProviderUnavailable, match="ECONNREFUSED"):
            issuer.call("GET", f"{nowhere}/{number}")


def test_what_a_stranger_says_of_an_error_is_not_repeated(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/sign-in/callback?error=planted&error_description=planted").status_code == 400
    assert "planted" not in caplog.text


# Signing out there


def test_a_hint_is_sent_while_the_address_stays_short(app: Flask) -> None:
    provider, back = portal_of(app).provider, "http://localhost:8000/signed-out"
    claims = urlsafe_b64encode(json.dumps({"aud": ["scenario-portal"]}).encode()).decode()
    token = f"x.{claims.rstrip('=')}.x"
    room = 1999 - len(provider.end_session_address(back, token) or "")
    with_hint = provider.end_session_address(back, token + "x" * room)
    assert with_hint
    assert len(with_hint) == 1999
    without = provider.end_session_address(back, None)
    assert provider.end_session_address(back, token + "x" * (room + 1)) == without


def test_a_token_with_hundreds_of_groups_signs_in_and_is_not_kept(
    make_app: MakeApp, provider: Provider, begin_sign_in: BeginSignIn
) -> None:
    client = make_app(oidc_issuer=provider.issuer).test_client()
    for count, kept in ((300, 0), (1, 1)):
        groups = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(count)]
        callback = provider.vouch(begin_sign_in(client, "?prompt=login"), groups=groups)
        answer = client.get(own_path(client, callback))
        assert answer.status_code == 303
        with portal_of(client.application).store.database.read() as db:
            assert len(db.scalars(select(IdToken)).all()) == kept
