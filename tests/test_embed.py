"""The frame and the drafts it leaves: what they ask of nobody, and what they refuse to strangers."""

import re
import uuid
from pathlib import Path

import pytest
from conftest import SESSION_COOKIE, Fetch, MakeApp, Sandbox, SignIn, draft_cookie, settings_of
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from sqlalchemy import update
from werkzeug.test import TestResponse

from webapp.embed import SANDBOX, is_listed
from webapp.forms import LONGEST_PROMPT
from webapp.portal import portal_of
from webapp.sandbox import demo
from webapp.store.drafts import SHARE
from webapp.store.tables import Draft

INTRANET = "https://intranet.example"
EVIL = "https://evil.example"
OURS = "http://localhost:8000"
FRAMED = ("/embed", "/embed/diagnose")


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(frame_ancestors=(INTRANET,))


def text() -> str:
    return f"A renewal with a procurement lead, {uuid.uuid4().hex}"


def post(client: FlaskClient, prompt: str, origin: str | None = OURS, **fields: str) -> TestResponse:
    """Send the framed form, as the browser of somebody on this origin does."""
    data = {"prompt": prompt, "form_token": uuid.uuid4().hex, **fields}
    return client.post("/embed", data=data, headers={"Origin": origin} if origin else {})


def directives(response: TestResponse) -> dict[str, str]:
    policy = response.headers["Content-Security-Policy"]
    return {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}


def own_cookies(response: TestResponse) -> dict[str, str]:
    return {cookie.partition("=")[0]: cookie for cookie in response.headers.getlist("Set-Cookie")}


# The frame


@pytest.mark.parametrize("path", FRAMED)
def test_framed_pages_may_be_framed_by_the_listed(page: Fetch, client: FlaskClient, path: str) -> None:
    response = page(client, path).response
    assert directives(response)["frame-ancestors"] == f"'self' {INTRANET}"
    assert "X-Frame-Options" not in response.headers


@pytest.mark.parametrize("path", FRAMED)
def test_nobody_is_listed_by_default(page: Fetch, make_app: MakeApp, path: str) -> None:
    response = page(make_app().test_client(), path).response
    assert directives(response)["frame-ancestors"] == "'none'"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/signed-out", "/drafts/x", "/embed/seen", "/launches", "/nowhere"])
def test_other_pages_may_be_framed_by_nobody(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert directives(response)["frame-ancestors"] == "'none'"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", [*FRAMED, "/embed/seen?k=x"])
def test_the_frame_neither_reads_nor_sets_a_cookie(client: FlaskClient, sign_in: SignIn, path: str) -> None:
    sign_in(client)
    response = client.get(path)
    assert not own_cookies(response)
    assert "Cookie" not in response.headers.get("Vary", "")
    assert "dana" not in response.get_data(as_text=True).lower()


def test_the_frame_takes_no_text_from_its_address(page: Fetch, client: FlaskClient) -> None:
    framed = page(client, "/embed?prompt=Planted&starter=discovery-call&request_id=planted")
    assert framed.prompt == ""
    assert framed.fields["form_token"] != "planted"


def test_the_frame_needs_no_script(page: Fetch, client: FlaskClient) -> None:
    form = page(client, "/embed").prompt_form
    assert form.attrs["target"] == "_blank"
    assert (form.attrs["method"], form.attrs["action"]) == ("post", "/embed")
    assert form.one("button").words == "Create scenario"


@pytest.mark.parametrize("path", FRAMED)
def test_framed_scripts_are_no_modules(page: Fetch, client: FlaskClient, path: str) -> None:
    scripts = page(client, path).find("script")
    assert scripts
    assert not [script for script in scripts if script.attrs.get("type") == "module"]


def test_the_frame_alone_in_a_tab_becomes_the_portal(client: FlaskClient) -> None:
    response = client.get("/embed", headers={"Sec-Fetch-Dest": "document"})
    assert (response.status_code, response.location) == (303, "/")


@pytest.mark.parametrize("coep", [True, False])
def test_only_framed_pages_carry_what_isolated_pages_want(make_app: MakeApp, coep: bool) -> None:
    client = make_app(frame_ancestors=(INTRANET,), embed_coep=coep).test_client()
    for path in FRAMED:
        headers = client.get(path).headers
        assert headers.get("Cross-Origin-Embedder-Policy") == ("require-corp" if coep else None)
        assert headers.get("Cross-Origin-Resource-Policy") == ("cross-origin" if coep else "same-origin")
    assert client.get("/").headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_no_page_cuts_openers(client: FlaskClient) -> None:
    for path in (*FRAMED, "/", "/signed-out"):
        assert "Cross-Origin-Opener-Policy" not in client.get(path).headers


def test_posts_keep_their_origin(client: FlaskClient) -> None:
    assert client.get("/embed").headers["Referrer-Policy"] == "same-origin"


def test_the_frame_learns_that_its_post_arrived(client: FlaskClient) -> None:
    seen = lambda token: client.get(f"/embed/seen?k={token}").json  # noqa: E731
    assert seen("frame-1") == {"seen": False}
    post(client, text(), form_token="frame-1")
    assert seen("frame-1") == {"seen": True}
    assert seen("frame-2") == {"seen": False}
    with portal_of(client.application).store.database.write() as db:
        db.execute(update(Draft).values(created=Draft.created - 600))
    assert seen("frame-1") == {"seen": False}, "of another day"
    assert seen("%00") == {"seen": False}
    assert seen("") == {"seen": False}


# The post out of it


def test_the_post_leads_to_a_draft_and_touches_no_session(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    before = client.get_cookie(SESSION_COOKIE)
    response = post(client, text())
    assert response.status_code == 303
    assert re.fullmatch(r"/drafts/[A-Za-z0-9_-]{22}", response.location)
    assert [name[:2] for name in own_cookies(response)] == ["d-"]
    assert client.get_cookie(SESSION_COOKIE) == before


@pytest.mark.parametrize("origin", [OURS, EVIL, "null", None])
def test_a_refused_post_without_cookies_sets_no_session(client: FlaskClient, origin: str | None) -> None:
    """WebKit sends no cookie with it: a new session would overwrite the one that is there."""
    for prompt in ("", "long" * LONGEST_PROMPT, "\x00"):
        response = post(client, prompt, origin)
        assert response.status_code == 422
        assert not own_cookies(response)


def test_the_draft_cookie_is_tied_to_our_host(make_app: MakeApp) -> None:
    client = make_app(public_url="https://portal.example").test_client()
    data = {"prompt": text(), "form_token": "t"}
    response = client.post("/embed", data=data, base_url="https://portal.example")
    ((name, cookie),) = own_cookies(response).items()
    assert name == draft_cookie(response.location, "https://portal.example")
    attributes = cookie.split("; ")[1:]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=1800"} <= set(attributes)
    assert not [one for one in attributes if one.startswith("Domain") or one == "Partitioned"]


def test_a_text_from_our_own_page_is_sent_on_by_itself(
    page: Fetch, client: FlaskClient, sign_in: SignIn
) -> None:
    sign_in(client)
    prompt = text()
    form = page(client, post(client, prompt).location).prompt_form
    assert "data-send-now" in form.attrs
    assert form.one("textarea").text == prompt


@pytest.mark.parametrize("origin", [EVIL, "null", None, OURS + ".evil.example", "https://localhost:8000"])
def test_a_text_from_anywhere_else_waits_for_a_press(
    page: Fetch, client: FlaskClient, sign_in: SignIn, sandbox: Sandbox, origin: str | None
) -> None:
    sign_in(client)
    prompt = text()
    shown = page(client, post(client, prompt, origin).location)
    assert "data-send-now" not in shown.prompt_form.attrs
    assert shown.prompt == prompt
    assert "Dana Whitfield" in shown.one(role="group").words
    assert not sandbox.requests(prompt_length=len(prompt), request_id=shown.fields["form_token"])


def test_a_foreign_post_to_launches_creates_nothing(
    page: Fetch, client: FlaskClient, sign_in: SignIn, sandbox: Sandbox
) -> None:
    """With the cookies that no browser sends along, and with a token that nobody could know."""
    sign_in(client)
    fields = page(client, "/").fields
    before = len(sandbox.report()["requests"])
    prompt = text()
    response = client.post("/launches", data={**fields, "prompt": prompt}, headers={"Origin": EVIL})
    assert page(client, response, 422).prompt == prompt
    del fields["csrf_token"]
    response = client.post("/launches", data={**fields, "prompt": prompt}, headers={"Origin": OURS})
    assert page(client, response, 422).prompt == prompt
    assert len(sandbox.report()["requests"]) == before


def test_review_can_be_asked_for_by_the_operator(page: Fetch, make_app: MakeApp, sign_in: SignIn) -> None:
    client = make_app(frame_ancestors=(INTRANET,), embed_review=True).test_client()
    sign_in(client)
    assert "data-send-now" not in page(client, post(client, text()).location).prompt_form.attrs


def test_a_post_can_ask_for_review_and_never_for_less(
    page: Fetch, client: FlaskClient, sign_in: SignIn
) -> None:
    sign_in(client)
    wanted = page(client, post(client, text(), review="1").location)
    assert "data-send-now" not in wanted.prompt_form.attrs
    unwanted = page(client, post(client, text(), EVIL, review="").location)
    assert "data-send-now" not in unwanted.prompt_form.attrs


# The draft


def test_a_stranger_is_shown_the_text_and_the_way_on(page: Fetch, client: FlaskClient) -> None:
    prompt = text()
    shown = page(client, post(client, prompt).location)
    assert shown.h1 == "Signing you in…"
    assert shown.one("pre").text == prompt
    assert shown.link("Sign in").startswith("http://localhost:8000/sign-in?to=")
    assert not own_cookies(shown.response)


def test_the_sign_in_leads_back_to_the_draft(client: FlaskClient, sign_in: SignIn) -> None:
    draft = post(client, text()).location
    assert sign_in(client, after=draft).location == draft


def test_another_browser_is_not_shown_a_draft(page: Fetch, app: Flask, sign_in: SignIn) -> None:
    prompt = text()
    draft = post(app.test_client(), prompt).location
    victim = app.test_client()
    sign_in(victim)
    assert prompt not in page(victim, draft, 404).html


@pytest.mark.parametrize("forged", ["", "x", "x.1", "." + "9" * 10])
def test_a_forged_draft_cookie_opens_nothing(page: Fetch, app: Flask, forged: str) -> None:
    prompt = text()
    draft = post(app.test_client(), prompt).location
    other = app.test_client()
    other.set_cookie(draft_cookie(draft), forged)
    assert prompt not in page(other, draft, 404).html


def test_a_draft_belongs_to_the_first_person_who_sees_it(
    page: Fetch, client: FlaskClient, sign_in: SignIn
) -> None:
    prompt = text()
    draft = post(client, prompt).location
    sign_in(client, "dana")
    page(client, draft)
    client.delete_cookie(SESSION_COOKIE)
    sign_in(client, "omar")
    assert prompt not in page(client, draft, 404).html


def test_one_frame_pressed_twice_is_one_launch(
    page: Fetch, client: FlaskClient, sign_in: SignIn, sandbox: Sandbox
) -> None:
    sign_in(client)
    prompt, token = text(), uuid.uuid4().hex
    first, second = (post(client, prompt, form_token=token).location for _ in range(2))
    studio = client.post("/launches", data=page(client, first).fields, headers={"Origin": OURS})
    assert studio.location.startswith(sandbox.url)
    for draft in (first, second):
        assert client.get(draft).location.startswith("/launches/")


def test_a_draft_sent_with_other_words_is_not_sent_again_by_itself(
    page: Fetch, client: FlaskClient, sign_in: SignIn
) -> None:
    sign_in(client)
    draft = post(client, text()).location
    fields = page(client, draft).fields | {"prompt": text()}
    assert client.post("/launches", data=fields, headers={"Origin": OURS}).status_code == 303
    assert "data-send-now" not in page(client, draft).prompt_form.attrs


def test_a_flood_is_refused_with_its_text(page: Fetch, client: FlaskClient) -> None:
    for _ in range(SHARE):
        assert post(client, text()).status_code == 303
    prompt = text()
    assert page(client, post(client, prompt), 429).prompt == prompt


def test_a_text_that_is_too_long_comes_back(page: Fetch, client: FlaskClient) -> None:
    prompt = "x" * (LONGEST_PROMPT + 1)
    assert page(client, post(client, prompt), 422).prompt == prompt


def test_nobody_can_say_where_the_sign_in_leads(client: FlaskClient, sign_in: SignIn) -> None:
    for name in ("next", "wanted", "url"):
        client.get(f"/sign-in?{name}={EVIL}")
    client.get(f"/sign-in?to={EVIL}")
    assert sign_in(client).location == "/"


# The diagnosis


@pytest.mark.parametrize("dest", ["iframe", "document"])
@pytest.mark.parametrize("query", ["", "?tab=1", "?page=https://wiki.example/x", "?page=%3Cb%3E"])
def test_every_page_of_the_diagnosis_is_well_made(
    page: Fetch, client: FlaskClient, dest: str, query: str
) -> None:
    response = client.get(f"/embed/diagnose{query}", headers={"Sec-Fetch-Dest": dest})
    assert page(client, response).h1


def test_the_frame_can_be_told_to_be_light(page: Fetch, client: FlaskClient) -> None:
    assert page(client, "/embed?theme=light").one("html").attrs["data-theme"] == "light"
    assert "data-theme" not in page(client, "/embed?theme=%22x").one("html").attrs


def test_the_diagnosis_leads_back_to_the_portal(page: Fetch, client: FlaskClient) -> None:
    assert page(client, "/embed/diagnose").link("Back to the portal") == "/"
    framed = page(client, client.get("/embed/diagnose", headers={"Sec-Fetch-Dest": "iframe"}))
    assert not framed.find("header")


def test_the_framed_diagnosis_names_the_whole_change(page: Fetch, client: FlaskClient) -> None:
    shown = page(client, client.get("/embed/diagnose", headers={"Sec-Fetch-Dest": "iframe"}))
    assert f'sandbox="{SANDBOX}"' in shown.words


def test_the_diagnosis_builds_the_frame(page: Fetch, client: FlaskClient) -> None:
    snippet = page(client, "/embed/diagnose").one(id="snippet").text
    assert f'src="{settings_of(client).public_url}/embed"' in snippet
    assert 'title="' in snippet


def test_the_diagnosis_knows_who_is_listed(page: Fetch, client: FlaskClient) -> None:
    shown = page(client, f"/embed/diagnose?page={INTRANET}/sites/sales?x=1")
    assert shown.one(id="answer").words == f"Yes, {INTRANET} is allowed"


def test_the_diagnosis_says_which_line_the_operator_needs(page: Fetch, client: FlaskClient) -> None:
    shown = page(client, "/embed/diagnose?page=wiki.example:8443/x")
    assert shown.one(id="answer").words == "No, https://wiki.example:8443 is not allowed yet"
    assert shown.one(id="line").text == f"FRAME_ANCESTORS={INTRANET},https://wiki.example:8443"


def test_the_line_is_one_that_the_portal_starts_with(
    page: Fetch, client: FlaskClient, make_app: MakeApp
) -> None:
    line = page(client, "/embed/diagnose?page=https://Wiki.Example/").one(id="line").text
    again = make_app(frame_ancestors=line.removeprefix("FRAME_ANCESTORS=")).test_client()
    assert page(again, "/embed/diagnose?page=https://wiki.example").one(id="answer").words.startswith("Yes")


@pytest.mark.parametrize(
    ("origin", "listed", "is_allowed"),
    [
        ("https://a.acme.com", "https://a.acme.com", True),
        ("https://a.acme.com", "https://*.acme.com", True),
        ("https://b.a.acme.com", "https://*.acme.com", True),
        ("https://acme.com", "https://*.acme.com", False),
        ("https://evilacme.com", "https://*.acme.com", False),
        ("https://a.acme.com:8443", "https://a.acme.com", False),
        ("https://a.acme.com:8443", "https://*.acme.com:8443", True),
        ("https://a.acme.com:8443", "https://*.acme.com", False),
        ("http://localhost", "https://localhost", False),
    ],
)
def test_is_listed(origin: str, listed: str, is_allowed: bool) -> None:
    assert is_listed(origin, (listed,)) == is_allowed


# The pretend intranet page


@pytest.mark.parametrize(
    ("query", "framed"),
    [("", "/embed"), ("?page=diagnose", "/embed/diagnose"), ("?page=https://evil.example", "/embed")],
)
def test_the_pretend_intranet_page_frames_the_portal(sandbox: Sandbox, query: str, framed: str) -> None:
    answer = sandbox.http.get(f"{sandbox.url}/intranet{query}", timeout=30)
    frame = Page(answer.text).one("iframe")
    assert frame.attrs["src"] == OURS + framed
    assert frame.attrs["title"]
    assert "sandbox" not in frame.attrs
    assert f"frame-src {OURS};" in answer.headers["Content-Security-Policy"]


def test_the_pretend_intranet_page_restricts_its_frame(sandbox: Sandbox) -> None:
    params = {"sandbox": 'allow-forms "><script>'}
    page = Page(sandbox.http.get(f"{sandbox.url}/intranet", params=params, timeout=30).text)
    assert page.one("iframe").attrs["sandbox"] == params["sandbox"]
    assert len(page.find("script")) == 1


def test_the_demonstration_lists_the_pretend_intranet_page() -> None:
    assert demo.portal_settings(8000, 8001, Path())["FRAME_ANCESTORS"] == "http://127.0.0.1:8001"
