"""The session: how it begins and ends, what its cookies are, and where a person comes out."""

import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha512
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import uuid4

import pytest
import requests
from conftest import (
    PUBLIC_URLS,
    SECRET_KEY,
    SESSION_COOKIE,
    BeginSignIn,
    Fetch,
    MakeApp,
    Sandbox,
    SignIn,
    StartPortal,
    change_sign_in,
    free_port,
    own_path,
    settings_of,
    sign_in_of,
    way_in,
)
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import delete, event, select, update
from werkzeug.test import TestResponse

from webapp import cookies, keys
from webapp.portal import portal_of
from webapp.store.tables import IdToken


def cookies_of(answer: TestResponse) -> dict[str, dict[str, str]]:
    """The cookies that an answer sets: name -> attributes, and the value as `value`."""
    found = {}
    for line in answer.headers.getlist("Set-Cookie"):
        ((name, morsel),) = SimpleCookie(line).items()
        assert name not in found, f"{name} is set twice"
        found[name] = {"value": morsel.value} | {k: v for k, v in morsel.items() if v}
    return found


HOUR = 3600


def is_signed_in(client: FlaskClient) -> bool:
    return (
        client.get(f"{client.application.extensions['portal'].settings.base_path}/launches").status_code
        == 200
    )


# The session


def test_a_sign_in_clears_what_was_in_the_session(client: FlaskClient, sign_in: SignIn) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody before"
        session["csrf_token"] = "planted"
    sign_in(client)
    with client.session_transaction() as session:
        assert set(session) - {"_permanent", "csrf_token"} == {"sign_in"}
        assert session.get("csrf_token") != "planted"


def test_a_sign_in_as_another_replaces_the_first(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    callback = client.get("/sign-in?prompt=select_account")
    assert callback.status_code == 303
    with client.session_transaction() as session:
        del session["sign_in"]
    sign_in(client, "omar")
    words = page(client).words
    assert "Omar Haddad" in words
    assert "Dana Whitfield" not in words


def test_another_account_may_be_chosen_while_signed_in(
    client: FlaskClient, sign_in: SignIn, sandbox: Sandbox, begin_sign_in: BeginSignIn, page: Fetch
) -> None:
    sign_in(client)
    address = begin_sign_in(client, "?prompt=select_account")
    client.get(own_path(client, sandbox.choose(address, "omar")))
    assert "Omar Haddad" in page(client).words


def test_who_is_signed_in_does_not_sign_in_again(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    assert client.get("/sign-in").location == "/"


def test_the_provider_is_asked_to_show_its_chooser_again(
    client: FlaskClient, begin_sign_in: BeginSignIn
) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        begun = begin_sign_in(client)
        browser.post(begun, data={"person": "dana"}, allow_redirects=False, timeout=30)
        assert browser.get(begun, allow_redirects=False, timeout=30).status_code == 302
        chooser = browser.get(begin_sign_in(client, "?prompt=select_account"), timeout=30)
        assert "Who are you?" in chooser.text


def under_way(client: FlaskClient) -> dict[str, str]:
    """The cookies of sign-ins that began in this browser."""
    begins = cookies.name(settings_of(client).public_url, cookies.UNDER_WAY).split("s-")[0] + "s-"
    return {name: one.value for (_, _, name), one in client._cookies.items() if name.startswith(begins)}


def test_abandoned_sign_ins_do_not_fill_the_cookies(client: FlaskClient, begin_sign_in: BeginSignIn) -> None:
    for _ in range(8):
        begin_sign_in(client, f"?to={signed('/?prompt=' + 'x' * 290)}")
    assert len(under_way(client)) == 5
    assert sum(len(name) + len(value) + 2 for name, value in under_way(client).items()) < 3000


def test_nothing_of_a_sign_in_is_in_the_session(client: FlaskClient, begin_sign_in: BeginSignIn) -> None:
    begin_sign_in(client)
    assert client.get_cookie(SESSION_COOKIE) is None


def test_five_tabs_restored_at_once_come_back_to_their_own_text(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    ways = [way_in(client.get(f"/?prompt=tab-{number}")) for number in range(5)]
    begun = [begin_sign_in(client, f"?{urlsplit(way).query}") for way in ways]
    callbacks = [own_path(client, sandbox.choose(address, "dana")) for address in begun]

    ends = [client.get(callback).location for callback in reversed(callbacks)]

    assert ends == [f"/?prompt=tab-{number}" for number in reversed(range(5))]
    assert under_way(client) == {}


def test_the_three_newest_sign_ins_can_be_finished(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    begun = [begin_sign_in(client) for _ in range(4)]
    answers = [client.get(own_path(client, sandbox.choose(address, "dana"))) for address in begun[1:]]
    assert [answer.status_code for answer in answers] == [303, 303, 303]


@pytest.mark.parametrize(
    ("settings", "aged"),
    [
        ({"session_hours": 3}, {"created": -3 * HOUR, "used": -60}),
        ({"session_idle_hours": 1}, {"created": -2 * HOUR, "used": -HOUR}),
    ],
    ids=["at-most", "unused"],
)
def test_a_sign_in_ends_after_its_hours(
    make_app: MakeApp, sign_in: SignIn, settings: dict[str, int], aged: dict[str, int]
) -> None:
    client = make_app(**settings).test_client()
    sign_in(client)
    row = sign_in_of(client)
    assert row

    change_sign_in(client, **{name: getattr(row, name) + age + 30 for name, age in aged.items()})
    assert is_signed_in(client)
    change_sign_in(client, **{name: getattr(row, name) + age - 1 for name, age in aged.items()})
    assert "/sign-in?to=" in client.get("/launches").location


def test_using_a_sign_in_keeps_it_alive_and_is_noted_now_and_then(
    client: FlaskClient, sign_in: SignIn
) -> None:
    sign_in(client)
    for minutes, is_noted in [(9, False), (11, True)]:
        change_sign_in(client, used=time.time() - minutes * 60)
        client.get("/")
        assert (time.time() - sign_in_of(client).used < 60) is is_noted


def test_a_page_that_waits_is_no_use(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    change_sign_in(client, used=time.time() - 3600)
    client.get(f"/launches/{uuid4()}?go=1")
    assert time.time() - sign_in_of(client).used > 3500


def test_a_copied_cookie_ends_with_the_sign_out(app: Flask, sign_in: SignIn, page: Fetch) -> None:
    client, thief = app.test_client(), app.test_client()
    sign_in(client)
    thief.set_cookie(SESSION_COOKIE, client.get_cookie(SESSION_COOKIE).value)
    assert is_signed_in(thief)

    sign_out(client, page)

    assert not is_signed_in(thief)


@pytest.mark.parametrize(
    "changes",
    [
        {"allowed_email_domains": "other.example"},
        {"allowed_groups": "nobody"},
        {
            "oidc_email_claim": "upn",
            "oidc_trust_unverified_email": True,
            "allowed_email_domains": "acme.example",
        },
        {"oidc_issuer": "https://login.other.example"},
    ],
    ids=["domain", "group", "claim", "issuer"],
)
def test_a_setting_that_lets_nobody_in_any_more_ends_sign_ins(
    make_app: MakeApp, sign_in: SignIn, changes: dict[str, object]
) -> None:
    before = make_app().test_client()
    sign_in(before)
    after = make_app(**changes).test_client()
    after.set_cookie(SESSION_COOKIE, before.get_cookie(SESSION_COOKIE).value)

    assert is_signed_in(before)
    assert not is_signed_in(after)


@pytest.mark.parametrize("planted", [{"user": {"sub": "1"}}, {"sign_in": 7}, {"sign_in": ["x"]}, {}])
def test_a_cookie_of_another_shape_is_nobody(client: FlaskClient, planted: dict[str, object]) -> None:
    with client.session_transaction() as session:
        session.update(planted)
    assert client.get("/").status_code == 200
    assert "/sign-in?to=" in client.get("/launches").location


def test_a_forged_session_is_nobodys(make_app: MakeApp, sign_in: SignIn) -> None:
    forger, client = (make_app(secret_key=key).test_client() for key in ("forged-0123456789abc", SECRET_KEY))
    sign_in(forger)
    cookie = forger.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    client.set_cookie(SESSION_COOKIE, cookie.value)
    assert not is_signed_in(client)


def test_a_new_signing_key_keeps_people_signed_in(make_app: MakeApp, sign_in: SignIn) -> None:
    old, new = "the-old-key-0123456789", "the-new-key-0123456789"
    before, after = make_app(secret_key=old).test_client(), make_app(secret_key=f"{new},{old}").test_client()
    sign_in(before)
    cookie = before.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    after.set_cookie(SESSION_COOKIE, cookie.value)
    assert is_signed_in(after)


def test_a_signing_key_that_is_gone_signs_people_out(make_app: MakeApp, sign_in: SignIn) -> None:
    old, new = "the-old-key-0123456789", "the-new-key-0123456789"
    before, after = make_app(secret_key=f"{old},{new}").test_client(), make_app(secret_key=new).test_client()
    sign_in(before)
    cookie = before.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    after.set_cookie(SESSION_COOKIE, cookie.value)
    assert not is_signed_in(after)


def test_a_new_signing_key_keeps_where_a_stranger_wanted_to_go(make_app: MakeApp, sandbox: Sandbox) -> None:
    old, new = "the-old-key-0123456789", "the-new-key-0123456789"
    before, after = make_app(secret_key=old).test_client(), make_app(secret_key=f"{new},{old}").test_client()
    begun = before.get(urlsplit(way_in(before.get("/?prompt=hello")))._replace(scheme="", netloc="").geturl())
    for name, value in under_way(before).items():
        after.set_cookie(name, value)
    callback = own_path(after, sandbox.choose(str(begun.location), "dana"))
    assert after.get(callback).location == "/?prompt=hello"


def test_of_the_tokens_nothing_is_kept(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    with client.session_transaction() as session:
        assert set(session) - {"_permanent", "csrf_token"} == {"sign_in"}


# Cookies


@pytest.mark.parametrize(
    ("public_url", "prefix"), [*zip(PUBLIC_URLS, ("", "", "__Host-", "__Host-"), strict=True)]
)
def test_the_session_cookie_is_as_narrow_as_can_be(
    make_app: MakeApp, sign_in: SignIn, public_url: str, prefix: str
) -> None:
    client = make_app(public_url=public_url).test_client()
    name = cookies.name(public_url, cookies.SESSION)
    assert name.startswith(f"{prefix}portal-")
    cookie = cookies_of(sign_in(client))[name]
    assert (cookie["path"], cookie.get("samesite"), cookie.get("httponly")) == ("/", "Lax", True)
    assert bool(cookie.get("secure")) is bool(prefix)
    assert "domain" not in cookie


@pytest.mark.parametrize("public_url", PUBLIC_URLS)
def test_the_cookie_of_a_sign_in_is_as_narrow_as_can_be(make_app: MakeApp, public_url: str) -> None:
    client = make_app(public_url=public_url).test_client()
    [(name, cookie)] = cookies_of(client.get(f"{urlsplit(public_url).path}/sign-in")).items()
    assert name.startswith("__Host-s-" if public_url.startswith("https:") else "s-")
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/", "Lax", True)
    assert bool(cookie.get("secure")) is public_url.startswith("https:")
    assert "domain" not in cookie


def test_a_cookie_is_dropped_as_it_was_set(make_app: MakeApp) -> None:
    """Browsers refuse to change a `__Host-` cookie by one that has not its flags."""
    client = make_app(public_url="https://portal.example").test_client()
    for _ in range(cookies.MOST):
        client.get("/sign-in", base_url="https://portal.example")
    answer = client.get("/sign-in", base_url="https://portal.example")
    [dropped] = [one for one in answer.headers.getlist("Set-Cookie") if "Max-Age=0" in one]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(dropped.split("; "))


def test_a_strangers_first_page_sets_no_session(client: FlaskClient) -> None:
    assert not {name for name in cookies_of(client.get("/")) if "portal" in name}


# Where a person comes out

# Letters that no compression shortens by much.
DENSE = urlsafe_b64encode(b"".join(sha512(bytes([number])).digest() for number in range(93))).decode()
TEXTS = {
    "line breaks": "Situation\nGoal\n\n  - a\t- b",
    "emoji": "🎭👩🏽‍💻" * 3,
    "Cyrillic": "Первый разговор с директором.",
    "Chinese": "与一家公司的信息主管进行第一次通话。",
    "what addresses are made of": "a&b=c?d#e%20f+g;h/i\\j\"k'l<m>",
    "dense": DENSE[:250],
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_shared_link_survives_the_sign_in(
    client: FlaskClient, sign_in: SignIn, page: Fetch, text: str
) -> None:
    path = f"/?prompt={quote(text)}&request_id=shared-1"
    page(client, path)
    location = sign_in(client, after=path).location
    assert page(client, location).prompt == text.strip()
    assert page(client, location).fields["form_token"] == "shared-1"


@pytest.mark.parametrize("length", [288, 289, 600, 3000, 7900])
def test_a_stranger_writes_no_cookie_however_long_the_link(client: FlaskClient, length: int) -> None:
    answer = client.get(f"/?prompt={'x' * length}")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert ('name="review"' in answer.text) is (length > 291)


def test_a_link_that_no_cookie_holds_gets_its_text_back(client: FlaskClient, page: Fetch) -> None:
    shown = page(client, f"/?prompt={DENSE[:7900]}&request_id=shared-1")
    (box,) = shown.find("textarea", name="prompt")
    assert box.text == DENSE[:7900]


def test_a_shared_link_survives_real_servers(portal: StartPortal, sandbox: Sandbox) -> None:
    running = portal()
    with requests.Session() as http:
        http.trust_env = False
        text = "Первый разговор\n\n🎭"
        path = f"/?prompt={quote(text)}"
        shown = http.get(running.url + path, timeout=30)
        [way] = set(re.findall(r'href="([^"]*/sign-in[?][^"]*)"', shown.text))
        begun = http.get(unescape(way), allow_redirects=False, timeout=30).headers["Location"]
        form = http.get(sandbox.choose(begun, "dana"), timeout=30)
        assert form.url == running.url + path
        assert text in form.text


def test_a_wish_is_granted_once(client: FlaskClient, sign_in: SignIn) -> None:
    assert sign_in(client, after="/?prompt=hello").location == "/?prompt=hello"
    assert under_way(client) == {}
    assert client.get("/sign-in").location == "/"


def test_a_deeper_page_is_come_back_to(client: FlaskClient, sign_in: SignIn) -> None:
    assert sign_in(client, after="/launches?before=1").location == "/launches?before=1"


def test_of_an_address_too_long_to_carry_the_page_is_come_back_to(
    client: FlaskClient, sign_in: SignIn
) -> None:
    assert sign_in(client, after="/launches?before=" + "1" * 400).location == "/launches"


def test_who_is_signed_in_goes_where_the_way_in_leads(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    assert client.get(f"/sign-in?to={signed('/launches?before=1')}").location == "/launches?before=1"


def test_a_post_is_not_come_back_to(client: FlaskClient) -> None:
    answer = client.post("/launches/7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e/erase")
    assert answer.status_code == 400 or answer.location == "http://localhost:8000/sign-in"


@pytest.mark.parametrize("name", ["next", "url", "return_to", "redirect_uri", "wanted", "to"])
def test_no_address_names_where_to_go(client: FlaskClient, sandbox: Sandbox, name: str) -> None:
    begun = client.get(f"/sign-in?{name}=https://evil.example/").location
    assert begun.startswith(f"{sandbox.issuer}/authorize?")
    assert "evil" not in begun
    callback = sandbox.choose(begun, "dana")
    assert client.get(f"{own_path(client, callback)}&{name}=https://evil.example/").location == "/"


def signed(wanted: str, key: str = SECRET_KEY, use: keys.Use = "wanted") -> str:
    return str(keys.signer([key], use).dumps(wanted))


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example/",
        "/?prompt=unsigned",
        "",
        "planted",
        signed("/?prompt=forged", key="forged-0123456789abc"),
        signed("/?prompt=forged", use="check"),
        "A" + signed("/?prompt=forged")[1:],
        signed("/?prompt=forged")[:40],
        "x" * 3600,
    ],
    ids=["foreign", "unsigned", "none", "a word", "another key", "another use", "changed", "cut", "long"],
)
def test_a_forged_wish_is_not_granted(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn, value: str
) -> None:
    callback = sandbox.choose(begin_sign_in(client, f"?to={quote(value)}"), "dana")
    assert client.get(own_path(client, callback)).location == "/"


class LongAgo(TimestampSigner):
    def get_timestamp(self) -> int:
        return int(time.time()) - 48 * 3600


def signed_two_days_before(value: object) -> str:
    signer = keys.signer([SECRET_KEY], "wanted")
    signer.signer = LongAgo
    return str(signer.dumps(value))


def test_a_wish_of_two_days_before_is_not_granted(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    old = signed_two_days_before("/?prompt=old")
    callback = sandbox.choose(begin_sign_in(client, f"?to={old}"), "dana")
    assert client.get(own_path(client, callback)).location == "/"


def test_a_sign_in_that_began_two_days_before_is_stale(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    callback = sandbox.choose(begin_sign_in(client), "dana")
    [(name, kept)] = under_way(client).items()
    value, _, at = kept.rpartition(".")
    begun = keys.signer([SECRET_KEY], "wanted").loads(value)
    client.set_cookie(name, f"{signed_two_days_before(begun)}.{at}")
    assert client.get(own_path(client, callback)).status_code == 400


@pytest.mark.parametrize(("letters", "carried"), [(148, True), (149, False)])
def test_what_is_carried_through_a_sign_in_is_counted_in_bytes(
    client: FlaskClient, letters: int, carried: bool
) -> None:
    """Cookies hold bytes, and all of ours together must stay below 4 KB."""
    page = client.get("/s/" + quote("ä" * letters))
    assert ("to=" in way_in(page)) is carried


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "///evil.example",
        "/%2Fevil.example",
        "/\\evil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
    ],
)
def test_a_path_that_leads_elsewhere_is_not_remembered(
    client: FlaskClient, sign_in: SignIn, path: str
) -> None:
    answer = client.get("/", environ_overrides={"PATH_INFO": unquote(path), "REQUEST_URI": path})
    assert answer.status_code == 404
    assert "Location" not in answer.headers
    assert sign_in(client).location == "/"


@pytest.mark.parametrize("host", ["evil.example", "localhost:8000@evil.example", "evil.example:80", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/launches",
        "/sign-in",
        "/sign-in/callback",
        "/signed-out",
        "//",
        "//sign-in",
        "/sign-in//callback",
        "/static",
    ],
)
def test_no_answer_takes_its_address_from_the_request(client: FlaskClient, path: str, host: str) -> None:
    headers = {"Host": host, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    answer = client.get("/", headers=headers, environ_overrides={"PATH_INFO": path, "REQUEST_URI": path})
    if answer.location:
        asked = parse_qs(urlsplit(answer.location).query)
        assert asked.get("redirect_uri", [f"{PUBLIC_URLS[0]}/sign-in/callback"]) == [
            f"{PUBLIC_URLS[0]}/sign-in/callback"
        ]
    for text in (answer.get_data(as_text=True), str(answer.headers)):
        assert "evil.example" not in text


# Below a path


@pytest.fixture
def mounted(make_app: MakeApp) -> FlaskClient:
    """A browser of a portal whose `PUBLIC_URL` has a path."""
    return make_app(public_url=PUBLIC_URLS[1]).test_client()


def test_below_a_path_everything_works(mounted: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    location = sign_in(mounted, after="/scenarios/?prompt=hello").location
    assert location == "/scenarios/?prompt=hello"
    assert page(mounted, location).prompt == "hello"
    assert page(mounted, "/scenarios").h1 == "Create a scenario"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sign-in",
        "/launches",
        "/scenario",
        "/scenariosx",
        "/scenariossign-in",
        "/scenarios-2/",
        "/static/portal.css",
        "//scenarios/",
    ],
)
def test_beside_the_path_nothing_is_there(mounted: FlaskClient, page: Fetch, path: str) -> None:
    page(mounted, mounted.open(path), 404)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/scenarios/healthz", "/scenarios/readyz"])
def test_health_answers_at_the_root_too(mounted: FlaskClient, path: str) -> None:
    answer = mounted.get(path, headers={"Host": "10.0.0.7"})
    assert (answer.status_code, answer.text) == (200, "ok\n")


# Signing out


def sign_out(client: FlaskClient, page: Fetch, **headers: str) -> TestResponse:
    path = client.application.extensions["portal"].settings.base_path
    token = page(client, f"{path}/").find("input", name="csrf_token")[0].attrs["value"]
    return client.post(f"{path}/sign-out", data={"csrf_token": token}, headers=headers)


@pytest.mark.parametrize("public_url", PUBLIC_URLS)
def test_signing_out_ends_both_sessions(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, public_url: str, sandbox: Sandbox
) -> None:
    client = make_app(public_url=public_url).test_client()
    sign_in(client)
    leaving = page(client, sign_out(client, page))
    assert not is_signed_in(client)
    address = leaving.one("meta", http_equiv="refresh").attrs["content"].removeprefix("0; url=")
    assert address == leaving.link("Go on")
    assert address.startswith(f"{sandbox.issuer}/end-session?")
    asked = parse_qs(urlsplit(address).query)
    assert asked["client_id"] == ["scenario-portal"]
    assert json.loads(urlsafe_b64decode(asked["id_token_hint"][0].split(".")[1] + "=="))["sub"] == "acme|dana"
    onward = sandbox.http.get(address, allow_redirects=False, timeout=30).headers["Location"]
    assert onward.partition("?")[0] == f"{public_url}/signed-out"
    assert page(client, own_path(client, onward)).h1 == "You are signed out"


def test_the_provider_forgets_the_person_too(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        begun = client.get("/sign-in").location
        browser.post(begun, data={"person": "dana"}, allow_redirects=False, timeout=30)
        assert browser.get(begun, allow_redirects=False, timeout=30).status_code == 302
        sign_in(client)
        leaving = page(client, sign_out(client, page)).link("Go on")
        browser.get(leaving, allow_redirects=False, timeout=30)
        assert "Who are you?" in browser.get(begun, allow_redirects=False, timeout=30).text


def way_out(client: FlaskClient, page: Fetch) -> dict[str, list[str]]:
    """Sign out; return what the provider is asked."""
    return parse_qs(urlsplit(page(client, sign_out(client, page)).link("Go on")).query)


def test_who_signs_out_as_another_than_is_signed_in_there_is_asked_there(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        begun = client.get("/sign-in").location
        browser.post(begun, data={"person": "omar"}, allow_redirects=False, timeout=30)
        sign_in(client)
        leaving = page(client, sign_out(client, page)).link("Go on")
        assert "Do you want to sign out?" in browser.get(leaving, allow_redirects=False, timeout=30).text


def kept_id_tokens(client: FlaskClient) -> list[str]:
    with portal_of(client.application).store.database.read() as db:
        return list(db.scalars(select(IdToken.sealed)).all())


def test_the_id_token_is_kept_sealed_and_until_the_sign_out(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    [sealed] = kept_id_tokens(client)
    [id_token] = way_out(client, page)["id_token_hint"]
    assert keys.unseal(sealed, [SECRET_KEY], "id_token") == id_token
    assert kept_id_tokens(client) == []
    database = portal_of(client.application).store.database.file
    assert database
    for path in database.parent.glob(f"{database.name}*"):
        assert not any(part.encode() in path.read_bytes() for part in id_token.split("."))


def test_an_old_signing_key_still_opens_the_id_token(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    old, new = "the-old-key-0123456789", "the-new-key-0123456789"
    before, after = make_app(secret_key=old).test_client(), make_app(secret_key=f"{new},{old}").test_client()
    sign_in(before)
    after.set_cookie(SESSION_COOKIE, before.get_cookie(SESSION_COOKIE).value)
    assert "id_token_hint" in way_out(after, page)


def test_an_id_token_of_another_client_is_no_hint(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    """The provider holds both to name the same client (RP-Initiated Logout 1.0, section 2)."""
    before, after = make_app().test_client(), make_app(oidc_client_id="new-client").test_client()
    sign_in(before)
    after.set_cookie(SESSION_COOKIE, before.get_cookie(SESSION_COOKIE).value)
    asked = way_out(after, page)
    assert (asked["client_id"], "id_token_hint" in asked) == (["new-client"], False)


@pytest.mark.parametrize(
    "sealed",
    ["", "planted", "ü", keys.seal("a.b.c", ["another-0123456"], "id_token")],
    ids=["none", "a word", "letters", "another key"],
)
def test_an_id_token_that_cannot_be_opened_is_no_hint(
    client: FlaskClient, sign_in: SignIn, page: Fetch, sealed: str
) -> None:
    sign_in(client)
    with portal_of(client.application).store.database.write() as db:
        db.execute(update(IdToken).values(sealed=sealed))
    asked = way_out(client, page)
    assert set(asked) == {"post_logout_redirect_uri", "client_id"}
    assert not is_signed_in(client)


def test_a_sign_in_of_a_release_before_has_no_hint(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    with portal_of(client.application).store.database.write() as db:
        db.execute(delete(IdToken))
    assert set(way_out(client, page)) == {"post_logout_redirect_uri", "client_id"}


def test_no_other_page_reads_the_id_token(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    asked: list[str] = []
    engine = portal_of(client.application).store.database.engine
    event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for path in ("/", "/launches", "/sign-ins", "/links", "/signed-out"):
        assert client.get(path).status_code == 200
    assert any("sign_ins" in one for one in asked)
    assert not any("id_tokens" in one for one in asked)


def test_signed_out_starts_no_sign_in(client: FlaskClient, page: Fetch) -> None:
    signed_out = page(client, "/signed-out")
    assert not signed_out.find("meta", http_equiv="refresh")
    assert signed_out.link("Sign in again") == "/sign-in?prompt=select_account"


def test_signing_out_works_without_the_providers_help(
    make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn, page: Fetch
) -> None:
    client = make_app(oidc_issuer=f"{sandbox.url}/oidc-plain").test_client()
    sign_in(client)
    assert page(client, sign_out(client, page)).link("Go on") == "/signed-out"
    assert not is_signed_in(client)


@pytest.mark.parametrize("issuer", ["/oidc-down", "/oidc-lying", "/oidc-garbled", None])
def test_signing_out_works_while_the_provider_is_down(
    make_app: MakeApp, sandbox: Sandbox, sign_in: SignIn, page: Fetch, issuer: str | None
) -> None:
    before = make_app().test_client()
    sign_in(before)
    cookie = before.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    address = f"{sandbox.url}{issuer}" if issuer else f"http://127.0.0.1:{free_port()}"
    change_sign_in(before, issuer=address)
    client = make_app(oidc_issuer=address).test_client()
    client.set_cookie(SESSION_COOKIE, cookie.value)
    assert page(client, sign_out(client, page)).link("Go on") == "/signed-out"
    assert not is_signed_in(client)


@pytest.mark.parametrize("token", [None, "", "planted", "IjEi.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"])
def test_nobody_is_signed_out_without_the_pages_token(
    client: FlaskClient, sign_in: SignIn, page: Fetch, token: str | None
) -> None:
    sign_in(client)
    refusal = page(client, client.post("/sign-out", data={"csrf_token": token} if token else {}), 400)
    assert refusal.h1 == "This page had expired"
    assert is_signed_in(client)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:8001",
        "https://localhost:8000",
        "",
    ],
)
def test_nobody_is_signed_out_from_another_site(
    client: FlaskClient, sign_in: SignIn, page: Fetch, origin: str
) -> None:
    sign_in(client)
    page(client, sign_out(client, page, Origin=origin), 400)
    assert is_signed_in(client)


def test_our_own_page_may_sign_out(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    page(client, sign_out(client, page, Origin=PUBLIC_URLS[0]), 200)
    assert not is_signed_in(client)


def test_another_persons_token_signs_nobody_out(app: Flask, sign_in: SignIn, page: Fetch) -> None:
    dana, omar = app.test_client(), app.test_client()
    sign_in(dana)
    sign_in(omar, "omar")
    token = page(omar).find("input", name="csrf_token")[0].attrs["value"]
    page(dana, dana.post("/sign-out", data={"csrf_token": token}), 400)
    assert is_signed_in(dana)


def test_nobody_is_signed_out_by_a_link(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    page(client, "/sign-out", 405)
    assert is_signed_in(client)


def test_a_token_lives_as_long_as_the_session(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    app = make_app(session_hours=100)
    client = app.test_client()
    sign_in(client)
    page(client)
    with client.session_transaction() as session:
        raw = session["csrf_token"]

    class LongAgo(URLSafeTimedSerializer):
        class default_signer(URLSafeTimedSerializer.default_signer):  # noqa: N801
            def get_timestamp(self) -> int:
                return int(time.time()) - 90 * 3600

    token = str(LongAgo(keys.derived(SECRET_KEY, "csrf"), salt="wtf-csrf-token").dumps(raw))
    assert client.post("/sign-out", data={"csrf_token": token}).status_code == 200
