"""Text that nobody has claimed yet: sent without a sign-in, with an expired one, or by a very long link.

What the framed form sends is in test_embed.py.
"""

import itertools
import random
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
from conftest import (
    PUBLIC_URLS,
    SESSION_COOKIE,
    BeginSignIn,
    Fetch,
    MakeApp,
    PostgreSQL,
    Sandbox,
    SignIn,
    draft_cookie,
    expire,
    own_path,
)
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from sqlalchemy import func, insert, select, update
from werkzeug.test import TestResponse

from webapp.forms import clean
from webapp.portal import portal_of
from webapp.store import Store
from webapp.store.database import now_in
from webapp.store.drafts import DRAFT_LIFETIME, MOST_DRAFTS, SHARE, SHARE_OF_PERSON
from webapp.store.tables import Draft

OURS = {"Origin": PUBLIC_URLS[0]}
people = (f"p{number}" for number in itertools.count(6000))


@pytest.fixture
def person() -> str:
    """A member of the workspace whom no other test knows."""
    return next(people)


@pytest.fixture
def store(app: Flask) -> Store:
    store: Store = app.extensions["portal"].store
    return store


def new_text() -> str:
    return f"Meet client {uuid4()}\nand listen."


def send(client: FlaskClient, text: str, headers: dict[str, str] = OURS, **fields: str) -> TestResponse:
    """Send the form of a page that was opened when somebody was signed in."""
    data = {"prompt": text, "form_token": uuid4().hex, "csrf_token": "expired", **fields}
    return client.post("/launches", data=data, headers=headers)


def keep(client: FlaskClient, text: str, headers: dict[str, str] = OURS, **fields: str) -> str:
    """Send it where nobody is signed in; return the draft's path."""
    answer = send(client, text, headers, **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.location)


def only_draft(store: Store) -> Draft:
    with store.database.read() as db:
        return db.scalars(select(Draft)).one()


def draft_cookies(client: FlaskClient) -> set[str]:
    return {key for _, _, key in client._cookies if key.startswith("d-")}


def set_cookies(answer: TestResponse) -> list[str]:
    return [cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie")]


# --- A post without a session


def test_a_post_without_a_session_keeps_the_text_and_goes_there(client: FlaskClient, store: Store) -> None:
    text = new_text()

    answer = send(client, text, form_token="my-token")

    draft = only_draft(store)
    assert (answer.status_code, answer.location) == (303, f"/drafts/{draft.id}")
    assert (draft.prompt, draft.form_token, draft.person) == (text, "my-token", None)


def test_a_post_without_a_session_makes_none(client: FlaskClient) -> None:
    assert [name[:2] for name in set_cookies(send(client, new_text()))] == ["d-"]


def test_a_post_without_a_session_leaves_a_sign_in_under_way_alone(
    client: FlaskClient, sandbox: Sandbox, begin_sign_in: BeginSignIn
) -> None:
    begun = begin_sign_in(client)

    send(client, new_text())

    assert client.get(own_path(client, sandbox.choose(begun, "dana"))).location == "/"


@pytest.mark.parametrize("text", ["", "x" * 10_001, "\x00\u200b"], ids=["empty", "too long", "invisible"])
def test_a_text_that_cannot_be_sent_comes_back_without_a_session(
    client: FlaskClient, page: Fetch, store: Store, text: str
) -> None:
    refused = page(client, send(client, text), 422)

    assert refused.prompt == clean(text)
    assert set_cookies(refused.response) == []
    assert "csrf_token" not in refused.fields
    with store.database.read() as db:
        assert not db.scalars(select(Draft)).all()


def test_the_secret_itself_is_not_in_the_database(client: FlaskClient, store: Store) -> None:
    keep(client, new_text())

    [name] = draft_cookies(client)
    cookie = client.get_cookie(name)
    assert cookie
    assert only_draft(store).secret_hash not in cookie.value
    assert cookie.value.partition(".")[0] not in str(vars(only_draft(store)))


# --- After the sign-in


def test_the_form_is_filled_after_the_sign_in(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    text = new_text()
    path = keep(client, text, form_token="my-token")

    assert sign_in(client, after=path).location == path

    form = page(client, path)
    assert form.prompt == text
    assert form.fields["form_token"] == "my-token"


def test_the_filled_form_opens_the_studio_and_then_leads_to_its_launch(
    client: FlaskClient, sign_in: SignIn, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    path = keep(client, new_text())
    sign_in(client, person)

    answer = client.post("/launches", data=page(client, path).fields, headers=OURS)

    assert answer.location.startswith(f"{sandbox.url}/chat/")
    back = client.get(path)
    assert back.status_code == 303
    assert answer.location in page(client, back.location).html
    assert len(sandbox.requests(user_email=f"{person}@acme.example")) == 1


def is_sent_on(form: Page) -> bool:
    return "data-send-now" in form.prompt_form.attrs


def test_what_was_typed_on_our_own_page_is_sent_on(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    path = keep(client, new_text())
    sign_in(client)

    assert is_sent_on(page(client, path))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://LOCALHOST:8000"},
        {"Origin": ""},
        {"Referer": "http://localhost:8000/"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_what_was_typed_elsewhere_is_never_sent_on(
    client: FlaskClient, sign_in: SignIn, page: Fetch, headers: dict[str, str]
) -> None:
    text = new_text()
    path = keep(client, text, headers)
    sign_in(client)

    form = page(client, path)

    assert form.prompt == text
    assert not is_sent_on(form)


@pytest.mark.parametrize("public_url", ["https://portal.example", "https://portal.example/scenarios"])
def test_our_own_page_is_known_by_its_origin_whatever_its_path(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, public_url: str
) -> None:
    client = make_app(public_url=public_url).test_client()
    base = public_url.removeprefix("https://portal.example")
    data = {"prompt": new_text(), "form_token": "t"}
    answer = client.post(f"{base}/launches", data=data, headers={"Origin": "https://portal.example"})
    sign_in(client)

    assert is_sent_on(page(client, answer.location))


# --- An expired sign-in


@pytest.fixture
def expired(client: FlaskClient, sign_in: SignIn, person: str) -> FlaskClient:
    """The browser of somebody whose sign-in is over."""
    sign_in(client, person)
    expire(client)
    return client


def test_an_expired_sign_in_loses_no_text(
    expired: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    text = new_text()
    path = keep(expired, text)
    sign_in(expired, person)

    form = page(expired, path)

    assert form.prompt == text
    assert is_sent_on(form)


def test_an_expired_sign_ins_text_is_not_shown_before_the_next_one(expired: FlaskClient, page: Fetch) -> None:
    text = new_text()

    waiting = page(expired, keep(expired, text))

    assert waiting.h1 == "Signing you in…"
    assert text.splitlines()[0] not in waiting.html


def test_an_expired_sign_ins_text_is_nobody_elses(
    expired: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    text = new_text()
    path = keep(expired, text)
    sign_in(expired, next(people))

    assert text.splitlines()[0] not in page(expired, path, 404).html

    expire(expired)
    sign_in(expired, person)
    assert page(expired, path).prompt == text


def test_an_expired_session_is_not_touched(expired: FlaskClient) -> None:
    before = expired.get_cookie(SESSION_COOKIE)

    answer = send(expired, new_text())

    assert [name[:2] for name in set_cookies(answer)] == ["d-"]
    assert expired.get_cookie(SESSION_COOKIE) == before


def test_a_session_that_is_not_signed_by_us_is_nobodys(
    make_app: MakeApp, client: FlaskClient, sign_in: SignIn, store: Store
) -> None:
    forger = make_app(secret_key="forged-0123456789abcdef").test_client()
    sign_in(forger)
    expire(forger)
    cookie = forger.get_cookie(SESSION_COOKIE)
    assert cookie
    client.set_cookie(SESSION_COOKIE, cookie.value)

    keep(client, new_text())

    assert only_draft(store).person is None


def test_a_text_that_was_sent_in_other_words_is_not_sent_by_itself(
    client: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    path = keep(client, new_text())
    sign_in(client, person)
    form = page(client, path)
    assert is_sent_on(form)

    client.post("/launches", data={**form.fields, "prompt": new_text()})

    assert not is_sent_on(page(client, path))


# --- Several at once: two tabs that sign in share the one address that is kept for afterwards


def offered(page: Page) -> list[str]:
    links = [link.attrs["href"] for link in page.main.find("a")]
    return [address for address in links if address.startswith("/drafts/")]


def erase_the_only_one(client: FlaskClient, page: Fetch) -> None:
    listed = page(client, "/launches")
    [erase] = [form for form in listed.find("form") if form.attrs.get("action", "").endswith("/erase")]
    [token] = erase.find("input", name="csrf_token")
    client.post(erase.attrs["action"], data={"csrf_token": token.attrs["value"]})


@pytest.mark.parametrize("magic", ["", "[[429]]"], ids=["made", "waiting"])
def test_what_was_erased_does_not_come_back_from_its_draft(
    expired: FlaskClient, sign_in: SignIn, page: Fetch, person: str, magic: str
) -> None:
    path = keep(expired, f"{magic} {new_text()}")
    sign_in(expired, person)
    expired.post("/launches", data=page(expired, path).fields)
    erase_the_only_one(expired, page)

    gone = page(expired, path, 404)

    assert gone.h1 == "This scenario was erased"
    assert page(expired, "/launches").find("ol") == []


def test_what_was_erased_does_not_come_back_from_a_draft_that_nobody_opened(
    client: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    text = new_text()
    path = keep(client, text)
    sign_in(client, person)
    client.post("/launches", data={**page(client).fields, "prompt": text})
    erase_the_only_one(client, page)

    assert offered(page(client, "/")) == []
    assert page(client, path, 404).h1 == "This scenario was erased"


def test_the_form_leads_to_texts_that_were_not_gone_on_with(
    client: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    older, newer = keep(client, new_text()), keep(client, new_text())
    sign_in(client, person)

    assert offered(page(client, "/")) == [newer, older]


def test_the_form_leads_to_no_text_that_was_sent(
    client: FlaskClient, sign_in: SignIn, page: Fetch, person: str
) -> None:
    path = keep(client, new_text())
    sign_in(client, person)
    form = page(client, path)
    assert offered(page(client, "/")) == [path]

    assert client.post("/launches", data=form.fields).status_code == 303

    assert offered(page(client, "/")) == []


def test_the_form_leads_to_nobody_elses_text(
    expired: FlaskClient, app: Flask, sign_in: SignIn, page: Fetch
) -> None:
    keep(expired, new_text())  # of the one whose sign-in expired
    somebody = next(people)
    sign_in(expired, somebody)
    other_browser = app.test_client()
    own = keep(other_browser, new_text())
    keep(app.test_client(), new_text())
    sign_in(other_browser, somebody)

    assert offered(page(expired, "/")) == []
    assert offered(page(other_browser, "/")) == [own]


def test_the_form_leads_to_no_text_past_its_time(
    client: FlaskClient, sign_in: SignIn, page: Fetch, person: str, store: Store
) -> None:
    keep(client, new_text())
    sign_in(client, person)
    grow_older(store, DRAFT_LIFETIME)

    assert offered(page(client, "/")) == []


# --- Whose it is, and for how long


@pytest.mark.parametrize("key", ["x", "%00", "%F0%9F%8E%AF", "a" * 5000, "..", "%ff"])
def test_a_draft_that_never_was_is_not_there(
    postgresql: PostgreSQL, make_app: MakeApp, page: Fetch, key: str
) -> None:
    with postgresql.database() as url:
        app = make_app(database_url=url)
        client = app.test_client()

        page(client, f"/drafts/{key}", 404)

        app.extensions["portal"].store.database.engine.dispose()


def test_a_draft_without_its_cookie_is_not_there(
    client: FlaskClient, app: Flask, sign_in: SignIn, page: Fetch
) -> None:
    text = new_text()
    path = keep(client, text)
    other = app.test_client()
    sign_in(other)

    missing = page(other, path, 404)

    assert missing.h1 == "This text is not here any more"
    assert text.splitlines()[0] not in missing.html


def test_another_drafts_cookie_opens_nothing(client: FlaskClient, page: Fetch) -> None:
    first, second = keep(client, new_text()), keep(client, new_text())
    name = draft_cookie(second)
    cookie = client.get_cookie(name)
    assert cookie
    client.set_cookie(draft_cookie(first), cookie.value)

    page(client, first, 404)
    page(client, second)


def test_a_draft_is_kept_for_half_an_hour(client: FlaskClient, page: Fetch, store: Store) -> None:
    path = keep(client, new_text())
    grow_older(store, DRAFT_LIFETIME - 5)
    page(client, path)

    grow_older(store, 10)

    page(client, path, 404)


def grow_older(store: Store, seconds: float) -> None:
    with store.database.write() as db:
        db.execute(update(Draft).values(created=Draft.created - seconds))


def test_old_drafts_are_dropped_when_a_new_one_comes(client: FlaskClient, store: Store) -> None:
    keep(client, new_text())
    grow_older(store, DRAFT_LIFETIME + 5)

    path = keep(client, new_text())

    assert only_draft(store).id == path.removeprefix("/drafts/")


def test_a_browser_keeps_the_cookies_of_its_five_newest_drafts(client: FlaskClient, page: Fetch) -> None:
    paths = [keep(client, new_text()) for _ in range(8)]

    assert draft_cookies(client) == {draft_cookie(path) for path in paths[3:]}
    for path in paths[3:]:
        page(client, path)


def test_the_cookies_of_another_portal_on_this_host_are_left_alone(client: FlaskClient) -> None:
    for number in range(5):
        client.set_cookie(draft_cookie(f"/drafts/{number}", f"{PUBLIC_URLS[0]}/other"), f"secret.{number}")

    answer = send(client, new_text())

    assert set_cookies(answer) == [draft_cookie(answer.location)]
    assert len(draft_cookies(client)) == 6


@pytest.mark.parametrize("public_url", PUBLIC_URLS)
def test_the_cookie_is_as_narrow_as_can_be(make_app: MakeApp, public_url: str) -> None:
    client = make_app(public_url=public_url).test_client()
    data = {"prompt": new_text(), "form_token": "t"}

    answer = client.post(f"{urlsplit(public_url).path}/launches", data=data)

    [cookie] = answer.headers.getlist("Set-Cookie")
    name, *attributes = cookie.split("; ")
    assert name.partition("=")[0] == draft_cookie(answer.location, public_url)
    assert name.startswith("__Host-") is public_url.startswith("https:")
    attributes = [one for one in attributes if not one.startswith("Expires")]
    wanted = {"HttpOnly", "Path=/", "SameSite=Lax", f"Max-Age={DRAFT_LIFETIME}"}
    assert set(attributes) == wanted | ({"Secure"} if public_url.startswith("https:") else set())


# --- Storage for strangers has limits


def fill(store: Store, count: int, address_hash: str, **values: object) -> None:
    with store.database.write() as db:
        fixed = {"secret_hash": "", "form_token": "t", "prompt": "x", "send": False, "created": now_in(db)}
        rows = [
            {"id": f"{address_hash[:8]}-{number}", "address_hash": address_hash, **fixed, **values}
            for number in range(count)
        ]
        db.execute(insert(Draft), rows)


def test_one_address_keeps_its_share(client: FlaskClient, page: Fetch, store: Store) -> None:
    keep(client, new_text())
    fill(store, SHARE - 1, only_draft(store).address_hash)
    text = new_text()

    refused = page(client, send(client, text, form_token="my-token"), 429)

    assert "Too many texts are waiting" in refused.main.words
    assert (refused.prompt, refused.fields["form_token"]) == (text, "my-token")
    grow_older(store, DRAFT_LIFETIME + 1)
    keep(client, text)


def test_other_addresses_are_not_refused_for_it(client: FlaskClient, store: Store) -> None:
    fill(store, SHARE, "another address")

    keep(client, new_text())


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8::1", "2001:db8::2:3:4:5", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("198.51.100.7", "198.51.100.8", False),
    ],
)
def test_a_customer_of_ipv6_is_one_address(make_app: MakeApp, one: str, other: str, shared: bool) -> None:
    app = make_app(trusted_proxies=1)
    client, store = app.test_client(), portal_of(app).store
    for address in (one, other):
        client.environ_base["HTTP_X_FORWARDED_FOR"] = address
        keep(client, new_text())
    with store.database.read() as db:
        assert (len(set(db.scalars(select(Draft.address_hash)))) == 1) is shared


def test_many_addresses_shut_nobody_out(client: FlaskClient, store: Store) -> None:
    """The oldest text goes whose page was never opened in the browser that wrote it."""
    fill(store, 1, "oldest")
    grow_older(store, 60)
    for number in range(MOST_DRAFTS // SHARE):
        fill(store, SHARE if number else SHARE - 1, f"{number} address", opened=1.0 if number else None)
    grow_older(store, 60)

    keep(client, new_text())

    with store.database.read() as db:
        assert db.get(Draft, "oldest-0") is None
        assert db.scalar(select(func.count()).where(Draft.opened.is_(None))) == SHARE
        assert db.scalar(select(func.count()).select_from(Draft)) == MOST_DRAFTS


def test_texts_whose_pages_were_opened_stay(client: FlaskClient, page: Fetch, store: Store) -> None:
    for number in range(MOST_DRAFTS // SHARE):
        fill(store, SHARE, f"{number} address", opened=1.0)
    text = new_text()

    assert page(client, send(client, text), 429).prompt == text


def test_opening_its_page_is_noted(client: FlaskClient, store: Store) -> None:
    path = keep(client, new_text())
    assert only_draft(store).opened is None
    client.get(path)
    assert only_draft(store).opened


def test_a_former_sign_in_has_a_share_of_its_own(expired: FlaskClient, page: Fetch, store: Store) -> None:
    for number in range(MOST_DRAFTS // SHARE):
        fill(store, SHARE, f"{number} address", opened=1.0)
    for _ in range(SHARE_OF_PERSON):
        keep(expired, new_text())
    text = new_text()

    assert page(expired, send(expired, text), 429).prompt == text


def test_former_sign_ins_take_nothing_of_their_addresss_share(client: FlaskClient, store: Store) -> None:
    keep(client, new_text())
    fill(store, SHARE, only_draft(store).address_hash, person="somebody")

    keep(client, new_text())


@pytest.mark.parametrize(("minutes", "goes_on"), [(9, True), (11, False)])
def test_a_strangers_text_goes_on_by_itself_for_ten_minutes(
    client: FlaskClient, sign_in: SignIn, page: Fetch, store: Store, minutes: int, goes_on: bool
) -> None:
    path = keep(client, new_text())
    grow_older(store, minutes * 60)
    sign_in(client)

    for _ in range(2):
        assert ("data-send-now" in page(client, path).prompt_form.attrs) is goes_on


def test_a_former_sign_ins_text_goes_on_by_itself_later_too(
    expired: FlaskClient, sign_in: SignIn, page: Fetch, store: Store, person: str
) -> None:
    path = keep(expired, new_text())
    grow_older(store, 20 * 60)
    sign_in(expired, person)

    assert "data-send-now" in page(expired, path).prompt_form.attrs


def test_the_address_itself_is_not_in_the_database(client: FlaskClient, store: Store) -> None:
    keep(client, new_text())

    assert "127.0.0.1" not in str(vars(only_draft(store)))


# --- A link that is too long to carry through the sign-in


@pytest.fixture
def long_link() -> tuple[str, str]:
    """A text that does not compress, and a link that holds it."""
    text = "".join(random.choices([chr(code) for code in range(0x4E00, 0x9F00)], k=5000))  # noqa: S311
    return text, f"/?prompt={quote(text)}"


def test_a_link_too_long_to_carry_waits_for_its_reader_as_a_draft(
    client: FlaskClient, sign_in: SignIn, page: Fetch, long_link: tuple[str, str]
) -> None:
    text, link = long_link
    waiting = page(client, link)
    assert waiting.h1 == "Sign in to go on"
    assert waiting.prompt == text
    assert waiting.prompt_form.attrs["action"] == "http://localhost:8000/launches"

    answer = client.post("/launches", data=waiting.fields, headers=OURS)
    sign_in(client)

    form = page(client, answer.location)
    assert form.prompt == text
    assert form.fields["form_token"] == waiting.fields["form_token"]
    assert not is_sent_on(form), "a prefilled link is never sent by itself"


def test_a_link_too_long_to_carry_keeps_its_request_id(
    client: FlaskClient, page: Fetch, long_link: tuple[str, str]
) -> None:
    assert page(client, f"{long_link[1]}&request_id=shared-7").fields["form_token"] == "shared-7"


def test_a_link_too_long_to_carry_drops_what_is_no_request_id(client: FlaskClient) -> None:
    """However long that is: it would not fit beside anything either."""
    answer = client.get(f"/?request_id={'x' * 400}&prompt={'y' * 400}")
    assert answer.status_code == 200
    assert f'data-arriving="{PUBLIC_URLS[0]}/sign-in"' in answer.text
