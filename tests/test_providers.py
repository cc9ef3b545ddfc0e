"""Signing in at providers of other people's making, through their own pages; and signing out there."""

import re
from collections.abc import Callable, Iterator

import pytest
from conftest import (
    PUBLIC_URLS,
    BeginSignIn,
    Fetch,
    MakeApp,
    MakeSettings,
    Sandbox,
    StartPortal,
    own_path,
    sign_in_of,
    wait_until,
)
from flask.testing import FlaskClient
from providers import PASSWORD, PROGRAMS, SECRET, Browser, Foreign, run
from test_check import look
from werkzeug.test import TestResponse

HOME = PUBLIC_URLS[0]
TRUST = {"oidc_trust_unverified_email": True, "allowed_email_domains": "acme.example"}
GoIn = Callable[..., Browser]


@pytest.fixture(scope="module")
def portals(sandbox: Sandbox) -> list[str]:
    return [HOME, *(f"http://localhost:{port}" for port in sandbox.portal_ports)]


@pytest.fixture(scope="module")
def node(portals: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """Providers made with oidc-provider."""
    log = tmp_path_factory.mktemp("node") / "log"
    with run(PROGRAMS / "node", "oidc_provider.mjs", log=log, portals=portals) as running:
        yield running


@pytest.fixture(scope="module")
def django(portals: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A provider made with Django OAuth Toolkit."""
    directory = tmp_path_factory.mktemp("django")
    told = {"portals": portals, "directory": str(directory)}
    with run(PROGRAMS / "python", "django_provider.py", log=directory / "log", **told) as running:
        yield running


def at(issuer: str, client: str = "portal") -> dict[str, str]:
    """The settings of a portal that is this client there."""
    return {"oidc_issuer": issuer, "oidc_client_id": client, "oidc_client_secret": SECRET}


def prove(browser: Browser, person: str) -> None:
    """Type name and password on whichever provider's page this is."""
    name = "login" if browser.page.find("input", name="login") else "username"
    browser.send(**{name: person, "password": PASSWORD})


def consent(browser: Browser) -> None:
    allow = {"allow": "Authorize"} if browser.page.find("input", name="allow", type="submit") else {}
    browser.send(**allow)


@pytest.fixture
def go_in(begin_sign_in: BeginSignIn) -> GoIn:
    """`go_in(client, "dana")`: walk to the provider, through its pages, and to the portal's door."""

    def walk(
        client: FlaskClient, person: str = "dana", query: str = "", browser: Browser | None = None
    ) -> Browser:
        browser = browser or Browser(HOME)
        browser.open(begin_sign_in(client, query))
        prove(browser, person)
        consent(browser)
        assert browser.is_back
        return browser

    return walk


def come_back(client: FlaskClient, browser: Browser) -> TestResponse:
    return client.get(own_path(client, browser.address))


def who(client: FlaskClient) -> tuple[str, str]:
    row = sign_in_of(client)
    assert row is not None
    return row.email, row.name


def sign_out(client: FlaskClient, page: Fetch) -> str:
    """Sign out; return where the page goes on to."""
    token = page(client, "/launches").find("input", name="csrf_token")[0].attrs["value"]
    return page(client, client.post("/sign-out", data={"csrf_token": token})).link("Go on")


# oidc-provider


@pytest.mark.parametrize("setup", ["usual", "telling", "pushed", "posted"])
def test_a_person_signs_in(make_app: MakeApp, node: Foreign, go_in: GoIn, page: Fetch, setup: str) -> None:
    client = make_app(**at(node.issuers[setup])).test_client()
    answer = come_back(client, go_in(client))
    assert (answer.status_code, answer.location) == (303, "/"), answer.text
    assert who(client) == ("dana@acme.example", "The one called dana")
    assert page(client).prompt == ""


@pytest.mark.parametrize(
    "algorithm", ["RS256", "PS256", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
)
def test_whatever_signs_the_id_token_and_userinfo_is_verified(
    make_app: MakeApp, node: Foreign, go_in: GoIn, algorithm: str
) -> None:
    client = make_app(**at(node.issuers["usual"], algorithm)).test_client()
    assert come_back(client, go_in(client)).status_code == 303
    assert who(client)[0] == "dana@acme.example"


def test_groups_are_asked_for_and_read(make_app: MakeApp, node: Foreign, go_in: GoIn) -> None:
    app = make_app(**at(node.issuers["usual"]), allowed_groups="sales")
    client = app.test_client()
    assert come_back(client, go_in(client)).status_code == 303


def test_who_is_in_another_group_stays_out(make_app: MakeApp, node: Foreign, go_in: GoIn) -> None:
    client = make_app(**at(node.issuers["usual"]), allowed_groups="board").test_client()
    assert "This account may not use the portal" in come_back(client, go_in(client)).text


@pytest.mark.parametrize("setup", ["usual", "telling"])
def test_an_address_that_is_not_confirmed_is_refused(
    make_app: MakeApp, node: Foreign, go_in: GoIn, page: Fetch, setup: str
) -> None:
    client = make_app(**at(node.issuers[setup])).test_client()
    refusal = page(client, come_back(client, go_in(client, "una")), 403)
    assert refusal.h1 == "Your e-mail address is not verified"


def test_who_cancels_is_told_so(
    make_app: MakeApp, node: Foreign, begin_sign_in: BeginSignIn, page: Fetch
) -> None:
    client, browser = make_app(**at(node.issuers["usual"])).test_client(), Browser(HOME)
    browser.open(begin_sign_in(client))
    browser.click("[ Cancel ]")
    assert page(client, come_back(client, browser), 403).h1 == "Sign-in was refused"


def test_a_provider_that_knows_the_person_asks_nothing(
    make_app: MakeApp, node: Foreign, go_in: GoIn, begin_sign_in: BeginSignIn
) -> None:
    app = make_app(**at(node.issuers["usual"]))
    first, second = app.test_client(), app.test_client()
    browser = go_in(first)
    browser.open(begin_sign_in(second))
    assert come_back(second, browser).status_code == 303


def test_an_answer_must_name_the_provider_that_says_it_will(
    make_app: MakeApp, node: Foreign, go_in: GoIn
) -> None:
    client = make_app(**at(node.issuers["usual"])).test_client()
    browser = go_in(client)
    browser.address, count = re.subn(r"&iss=[^&]+", "", browser.address)
    assert count == 1
    assert come_back(client, browser).status_code == 502


def test_a_new_proof_asks_for_the_password_again(make_app: MakeApp, node: Foreign, go_in: GoIn) -> None:
    client = make_app(**at(node.issuers["usual"])).test_client()
    browser = go_in(client)
    come_back(client, browser)
    browser.open(client.get("/sign-in?prompt=login").location)
    prove(browser, "dana")
    assert come_back(client, browser).status_code == 303
    row = sign_in_of(client)
    assert row
    assert row.proved


def test_another_account_can_be_used_where_no_account_can_be_chosen(
    make_app: MakeApp, node: Foreign, go_in: GoIn
) -> None:
    """oidc-provider knows no `select_account`; it is asked for a new sign-in instead."""
    client = make_app(**at(node.issuers["usual"])).test_client()
    browser = go_in(client)
    come_back(client, browser)
    browser.open(client.get("/sign-in?prompt=select_account").location)
    assert "error=invalid_request" in browser.address
    browser.open(come_back(client, browser).location)
    prove(browser, "omar")
    browser.send()  # the end of the other's session, which a script would send
    consent(browser)
    assert come_back(client, browser).status_code == 303
    assert who(client)[0] == "omar@acme.example"


@pytest.mark.parametrize("setup", ["usual", "pushed", "posted"])
def test_a_wrong_secret_is_told_to_the_operator(
    make_app: MakeApp,
    node: Foreign,
    begin_sign_in: BeginSignIn,
    caplog: pytest.LogCaptureFixture,
    setup: str,
) -> None:
    wrong = at(node.issuers[setup]) | {"oidc_client_secret": "wrong"}
    client, browser = make_app(**wrong).test_client(), Browser(HOME)
    if setup == "pushed":
        assert client.get("/sign-in").status_code == 502
    else:
        browser.open(begin_sign_in(client))
        prove(browser, "dana")
        consent(browser)
        assert come_back(client, browser).status_code == 502
    assert "401 invalid_client" in caplog.text
    assert "see OIDC_CLIENT_ID and OIDC_CLIENT_SECRET" in caplog.text


def test_new_keys_under_old_names_are_fetched(make_app: MakeApp, node: Foreign, go_in: GoIn) -> None:
    app = make_app(**at(node.issuers["telling"]))
    before, after = app.test_client(), app.test_client()
    come_back(before, go_in(before))
    node.change_keys("telling")
    assert come_back(after, go_in(after)).status_code == 303


@pytest.mark.parametrize("setup", ["usual", "telling", "pushed", "posted"])
def test_check_finds_nothing_wrong(make_settings: MakeSettings, node: Foreign, setup: str) -> None:
    found = look(make_settings(**at(node.issuers[setup])))
    wrong = {name: check.found for name, check in found.items() if check.ok is False}
    assert wrong == {}
    for name in (
        "discovery",
        "issuer",
        "keys",
        "claims",
        "client_methods",
        "client_secret",
        "redirect_address",
    ):
        assert found[name].ok is True, found[name]


def test_check_tells_an_address_that_is_not_registered(make_settings: MakeSettings, node: Foreign) -> None:
    for issuer in node.issuers.values():
        found = look(make_settings(**at(issuer), public_url="http://localhost:9"))
        assert found["redirect_address"].ok is False, issuer


def test_a_sign_in_ends_when_the_provider_says_so_behind_the_persons_back(
    portal: StartPortal, node: Foreign, sandbox: Sandbox
) -> None:
    url = f"http://localhost:{sandbox.portal_ports[0]}"
    settings = {name.upper(): value for name, value in at(node.issuers["usual"], f"told-{url}").items()}
    running = portal(**settings)
    person = Browser()

    person.open(f"{running.url}/sign-in")
    prove(person, "dana")
    consent(person)
    assert person.page.prompt == ""
    assert "The one called dana" in person.page.words

    person.open(f"{node.issuers['usual']}/session/end")
    person.send(logout="yes")
    wait_until(lambda: "sign_in.ended_by_provider" in running.output, "the provider's word")

    person.open(f"{running.url}/launches")
    assert person.page.find("input", name="password")
    assert "the provider ended 1 sign-ins" in running.output


# Django OAuth Toolkit


def test_a_person_signs_in_at_django(make_app: MakeApp, django: Foreign, go_in: GoIn, page: Fetch) -> None:
    client = make_app(**at(django.issuers["django"])).test_client()
    answer = come_back(client, go_in(client))
    assert (answer.status_code, answer.location) == (303, "/"), answer.text
    assert who(client) == ("dana@acme.example", "Dana")
    assert page(client).prompt == ""


def test_an_address_that_nobody_vouches_for_is_refused(
    make_app: MakeApp, django: Foreign, go_in: GoIn, page: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(**at(django.issuers["django"])).test_client()
    refusal = page(client, come_back(client, go_in(client, "una")), 403)
    assert refusal.h1 == "The portal cannot tell whether your e-mail address is yours"
    assert "set OIDC_TRUST_UNVERIFIED_EMAIL" in caplog.text


def test_an_address_that_nobody_vouches_for_is_enough_with_trust(
    make_app: MakeApp, django: Foreign, go_in: GoIn
) -> None:
    client = make_app(**at(django.issuers["django"]), **TRUST).test_client()
    assert come_back(client, go_in(client, "una")).status_code == 303
    assert who(client) == ("una@acme.example", "Una")


def test_who_cancels_at_django_is_told_so(
    make_app: MakeApp, django: Foreign, begin_sign_in: BeginSignIn, page: Fetch
) -> None:
    client, browser = make_app(**at(django.issuers["django"])).test_client(), Browser(HOME)
    browser.open(begin_sign_in(client))
    prove(browser, "dana")
    browser.send()  # without the button that allows it
    assert page(client, come_back(client, browser), 403).h1 == "Sign-in was refused"


def test_another_account_can_be_used_at_django(make_app: MakeApp, django: Foreign, go_in: GoIn) -> None:
    client = make_app(**at(django.issuers["django"]), **TRUST).test_client()
    browser = go_in(client)
    come_back(client, browser)
    browser.open(client.get("/sign-in?prompt=select_account").location)
    prove(browser, "una")
    consent(browser)
    assert come_back(client, browser).status_code == 303
    assert who(client)[0] == "una@acme.example"


def test_check_finds_nothing_wrong_with_django(make_settings: MakeSettings, django: Foreign) -> None:
    found = look(make_settings(**at(django.issuers["django"])))
    for name in ("discovery", "issuer", "keys", "client_methods", "client_secret"):
        assert found[name].ok is True, found[name]
    assert found["redirect_address"].ok is not False


# Both


@pytest.mark.parametrize(
    ("program", "setup", "agreed"),
    [("node", "usual", {"logout": "yes"}), ("django", "django", {"allow": "Logout"})],
)
def test_signing_out_ends_the_providers_session(
    request: pytest.FixtureRequest,
    make_app: MakeApp,
    go_in: GoIn,
    page: Fetch,
    begin_sign_in: BeginSignIn,
    program: str,
    setup: str,
    agreed: dict[str, str],
) -> None:
    provider: Foreign = request.getfixturevalue(program)
    client = make_app(**at(provider.issuers[setup])).test_client()
    browser = go_in(client)
    come_back(client, browser)
    browser.open(sign_out(client, page))
    browser.send(**agreed)  # both ask in either case
    assert page(client, come_back(client, browser)).h1 == "You are signed out"
    browser.open(begin_sign_in(client))
    assert browser.page.find("input", name="password")
