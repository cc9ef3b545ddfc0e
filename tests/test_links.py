"""Shared texts: made, followed, counted and withdrawn; what a stranger may learn, and who else."""

import re
import secrets
from urllib.parse import quote, unquote
from uuid import UUID

import pytest
from conftest import ROOT, Fetch, MakeApp, SignIn, expire
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from webapp import links
from webapp.portal import portal_of
from webapp.store.links import MOST_LINKS, SLUG_LETTERS, UNUSED, WRONG_A_MINUTE
from webapp.store.tables import Event, Launch, Link

TEXT = "Dana meets [customer].\n\nGoal: renew [product] for [customer]."
HOME = "http://localhost:8000"


@pytest.fixture
def maker(app: Flask, sign_in: SignIn) -> FlaskClient:
    client = app.test_client()
    sign_in(client, "dana")
    return client


@pytest.fixture
def guest(app: Flask, sign_in: SignIn) -> FlaskClient:
    client = app.test_client()
    sign_in(client, "omar")
    return client


def share(client: FlaskClient, page: Fetch, text: str = TEXT, **more: str) -> str:
    """Share a text; return the path of its page."""
    fields = page(client).fields | {"prompt": text, "title": "Renewal call", **more}
    answer = client.post("/links", data=fields)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return str(answer.location)


def address_of(client: FlaskClient, page: Fetch, path: str) -> str:
    """Where the text of this page is shared."""
    return page(client, path).one(id="address").words.removeprefix(HOME)


def create(client: FlaskClient, form: Page, **changes: str) -> int:
    return client.post("/launches", data=form.fields | changes).status_code


def change_link(app: Flask, **values: object) -> None:
    with portal_of(app).store.database.write() as db:
        db.execute(update(Link).values(values))


# Making one


def test_sharing_asks_for_a_title_first(maker: FlaskClient, page: Fetch) -> None:
    fields = page(maker).fields | {"prompt": TEXT}
    asked = page(maker, maker.post("/links", data=fields))
    assert asked.h1 == "Share this text"
    assert asked.prompt == TEXT
    assert asked.one(id="title").attrs["value"] == "Dana meets [customer]."
    assert "2 blanks for others to fill in: [customer], [product]." in asked.main.words
    assert "checked" not in asked.one(id="ask").attrs
    made = maker.post("/links", data=asked.fields | {"title": "Renewal", "ask": "1"})
    assert page(maker, made.location).h1 == "Renewal"


@pytest.mark.parametrize(("title", "said"), [(" \u200b ", "Give it a title first."), ("a" * 101, "too long")])
def test_a_title_that_is_none_is_asked_for_again(
    maker: FlaskClient, page: Fetch, title: str, said: str
) -> None:
    fields = page(maker).fields | {"prompt": TEXT, "title": title, "ask": "1"}
    shown = page(maker, maker.post("/links", data=fields), 422)
    assert said in shown.main.words
    assert shown.prompt == TEXT
    assert "checked" in shown.one(id="ask").attrs


def test_the_page_that_asks_leads_back_to_the_form(maker: FlaskClient, page: Fetch) -> None:
    asked = page(maker, maker.post("/links", data=page(maker).fields | {"prompt": TEXT}))
    assert asked.one("button", formaction="/texts").words == "Back to the form"
    assert page(maker, maker.post("/texts", data=asked.fields | {"title": "x"})).prompt == TEXT


def test_the_same_form_sent_twice_makes_one(maker: FlaskClient, page: Fetch) -> None:
    fields = page(maker).fields | {"prompt": TEXT, "title": "Renewal"}
    first, second = (maker.post("/links", data=fields).location for _ in range(2))
    assert first == second
    withdraw(maker, page, first)
    assert maker.post("/links", data=fields).location != first


def test_a_text_that_cannot_be_sent_is_not_shared(maker: FlaskClient, page: Fetch) -> None:
    for text in ("", "a" * 10_001):
        answer = maker.post("/links", data=page(maker).fields | {"prompt": text, "title": "x"})
        assert page(maker, answer, 422).prompt == text
    assert "Nothing is shared yet" in page(maker, "/links").main.words


def test_a_form_of_another_site_or_day_shares_nothing(maker: FlaskClient, page: Fetch) -> None:
    fields = page(maker).fields | {"prompt": TEXT, "title": "x"}
    elsewhere = {"Origin": "https://evil.example"}
    assert page(maker, maker.post("/links", data=fields, headers=elsewhere), 422).prompt == TEXT
    shown = page(maker, maker.post("/links", data=fields | {"csrf_token": "old"}), 422)
    assert shown.prompt == TEXT
    assert maker.post("/links", data=shown.fields | {"title": "x"}).status_code == 303


def test_a_strangers_text_becomes_a_draft_and_is_not_shared(
    maker: FlaskClient, page: Fetch, sign_in: SignIn
) -> None:
    fields = page(maker).fields | {"prompt": TEXT, "title": "x"}
    expire(maker)
    kept = maker.post("/links", data=fields)
    assert kept.status_code == 303
    sign_in(maker)
    shown = page(maker, kept.location)
    assert shown.prompt == TEXT
    assert "Press Share this text again" in shown.main.words
    assert "data-send-now" not in shown.html
    assert "Nothing is shared yet" in page(maker, "/links").main.words


def test_one_may_share_so_many(app: Flask, maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    with portal_of(app).store.database.write() as db:
        link = db.scalars(select(Link)).one()
        for number in range(MOST_LINKS - 1):
            slug = f"{number:010d}"
            more = {"slug": slug, "title": "t", "prompt": "p", "ask": False, "created": 1, "used": 1}
            db.add(Link(id=UUID(int=number), person=link.person, email=link.email, **more))
        others = {**more, "slug": "another's", "email": link.email}
        db.add(Link(id=UUID(int=MOST_LINKS), person="somebody else", **others))
    fields = page(maker).fields | {"prompt": TEXT, "title": "one more"}
    shown = page(maker, maker.post("/links", data=fields), 422)
    assert shown.prompt == TEXT
    assert "You cannot share more texts" in shown.main.words
    withdraw(maker, page, path)
    assert maker.post("/links", data=shown.fields | {"title": "one more"}).status_code == 303


@pytest.mark.parametrize(
    ("text", "blanks"),
    [
        ("[customer] and [customer], [product]", ["customer", "product"]),
        ("- [ ] open\n- [x] done\n[a page](https://acme.example)", []),
        ("[]\n[two\nlines] [[inner]]", ["inner"]),
        ("[顧客] " + "[" * 20_000, ["顧客"]),
    ],
)
def test_blanks_are_counted_once_each(text: str, blanks: list[str]) -> None:
    assert links.blanks(text) == blanks


# Its maker's page


def test_the_makers_page_has_every_way_to_pass_it_on(maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    shown = page(maker, path)
    address = shown.one(id="address").words
    slug = address.removeprefix(f"{HOME}/s/")
    assert len(slug) == 10
    assert set(slug) <= set(SLUG_LETTERS)
    assert not set(SLUG_LETTERS) & set("ilo01")
    assert f'src="{HOME}/embed?s={slug}"' in shown.one(id="snippet").text
    long = shown.one(id="long").text
    assert long.startswith(f"{HOME}/#p=")
    assert unquote(long.removeprefix(f"{HOME}/#p=")) == TEXT
    assert "2 blanks to fill in" in shown.main.words
    assert "Create a scenario · Scenario Portal" in shown.one("blockquote").words


def test_the_code_is_a_picture_of_the_address(maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    answer = maker.get(f"{path}/qr.svg")
    assert answer.mimetype == "image/svg+xml"
    drawn = answer.get_data(as_text=True)
    assert drawn.startswith("<svg ")
    assert not re.search("style|script", drawn)


def test_the_page_to_project_has_code_address_title_and_board(maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    shown = page(maker, f"{path}/wall")
    assert shown.h1 == "Renewal call"
    assert shown.one("img").attrs["src"] == f"{path}/qr.svg"
    address = f"{HOME}{address_of(maker, page, path)}".partition("://")[2]
    assert shown.one("p", class_="address").words == address
    assert (
        f"{address[:-10]}<wbr>{address[-10:]}" in shown.html
    )  # never broken where it is read letter by letter
    assert shown.one(data_board="")


def test_another_persons_page_is_none(maker: FlaskClient, guest: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    token = page(guest).fields["csrf_token"]
    for there in (path, f"{path}/wall", f"{path}/qr.svg"):
        assert guest.get(there).status_code == 404
    assert guest.post(f"{path}/withdraw", data={"csrf_token": token}).status_code == 404
    assert maker.get(address_of(maker, page, path)).status_code == 200
    assert "Nothing is shared yet" in page(guest, "/links").main.words


def test_ones_own_stand_in_a_list(maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    assert page(maker, "/links").link("Renewal call") == path


# Following one


def test_a_shared_text_stands_in_the_form_and_waits(
    maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    shared = address_of(maker, page, share(maker, page))
    shown = page(guest, shared)
    assert shown.prompt == TEXT
    assert "It has 2 blanks for you to fill in: [customer], [product]." in shown.main.words
    assert "data-send-now" not in shown.html
    assert "data-only-here" not in shown.html
    assert not shown.find(data_starters="")  # it is what one starts from
    assert page(guest, shared.upper().replace("/S/", "/s/")).prompt == TEXT
    assert page(guest, shared).fields["form_token"] != shown.fields["form_token"]
    assert create(guest, shown) == 303


def test_a_link_that_asks_leads_to_the_first_scenario(
    maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    shared = address_of(maker, page, share(maker, page, ask="1"))
    first = page(guest, shared)
    assert first.fields["form_token"] == f"s-{shared.removeprefix('/s/')}"
    assert create(guest, first) == 303
    again = page(guest, shared)
    assert "You made this at" in again.main.words
    assert again.fields["form_token"] != first.fields["form_token"]
    assert create(guest, again) == 303
    assert "You made this at" not in page(maker, shared).main.words


def without_way(answer: TestResponse) -> str:
    """The page but for what leads back to its own address."""
    return re.sub(r"\?to=[\w.-]+", "", answer.text)


def test_a_stranger_sees_the_same_page_whatever_the_address(
    app: Flask, maker: FlaskClient, page: Fetch
) -> None:
    path = share(maker, page)
    shared = address_of(maker, page, path)
    home = without_way(app.test_client().get("/"))
    for address in (shared, "/s/wrongwrong", "/s/x", f"/s/{secrets.token_urlsafe(5800)}"):
        answer = app.test_client().get(address)
        assert (answer.status_code, without_way(answer)) == (200, home), address
    withdraw(maker, page, path)
    assert without_way(app.test_client().get(shared)) == home


def test_a_stranger_comes_back_to_the_shared_text(
    app: Flask, maker: FlaskClient, page: Fetch, sign_in: SignIn
) -> None:
    shared = address_of(maker, page, share(maker, page))
    stranger = app.test_client()
    answer = sign_in(stranger, "omar", after=shared)
    assert page(stranger, answer.location).prompt == TEXT


def test_twenty_wrong_addresses_a_minute_are_enough(
    app: Flask, maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    shared = address_of(maker, page, share(maker, page))
    for _ in range(WRONG_A_MINUTE):
        assert page(guest, "/s/wrongwrang", 404).h1 == "There is no shared text at this address"
    for address in ("/s/wrongwrang", shared):
        answer = guest.get(address)
        assert page(guest, answer, 429).h1 == "Too many wrong addresses"
        assert answer.headers["Retry-After"] == "60"
    assert maker.get(shared).status_code == 200
    with portal_of(app).store.database.write() as db:
        db.execute(update(Event).values(at=1))
    assert guest.get(shared).status_code == 200


@pytest.mark.parametrize("address", ["/s/x", "/s/0123456789", "/s/%00%0a", "/s/" + "ä" * 10])
def test_an_address_of_odd_shape_is_none(guest: FlaskClient, page: Fetch, address: str) -> None:
    assert page(guest, address, 404).h1 == "There is no shared text at this address"


# Withdrawing


def withdraw(client: FlaskClient, page: Fetch, path: str) -> None:
    answer = client.post(f"{path}/withdraw", data={"csrf_token": page(client).fields["csrf_token"]})
    assert (answer.status_code, answer.location) == (303, path)


def test_a_withdrawn_text_is_gone_and_said_so(
    app: Flask, maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    path = share(maker, page)
    shared = address_of(maker, page, path)
    withdraw(maker, page, path)
    withdraw(maker, page, path)
    for client in (maker, guest):
        assert page(client, shared, 410).h1 == "This text was withdrawn"
    assert page(maker, path).h1 == "This text is withdrawn"
    assert maker.get(f"{path}/wall").status_code == 404
    assert "Nothing is shared yet" in page(maker, "/links").main.words
    with portal_of(app).store.database.read() as db:
        link = db.scalars(select(Link)).one()
    assert (link.title, link.prompt) == ("", "")


def test_a_link_unused_for_a_year_is_erased(app: Flask, maker: FlaskClient, page: Fetch) -> None:
    shared = address_of(maker, page, share(maker, page))
    change_link(app, used=0)
    assert maker.get(shared).status_code == 200  # used just now
    erasing = portal_of(app).store.erasing
    erasing.older_than(1)
    assert maker.get(shared).status_code == 200
    with portal_of(app).store.database.write() as db:
        db.execute(update(Link).values(used=Link.used - UNUSED))
    erasing.older_than(1)
    assert maker.get(shared).status_code == 404


def test_erasing_its_maker_takes_it_along(
    app: Flask, maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    shared = address_of(maker, page, share(maker, page))
    assert create(guest, page(guest, shared)) == 303
    assert portal_of(app).store.erasing.person("Dana@acme.example").links == 1
    assert guest.get(shared).status_code == 404
    assert page(guest, "/launches").find("li")


# The board


def board_of(client: FlaskClient, page: Fetch, path: str) -> str:
    return page(client, path).one(data_board="").words


def test_the_board_counts_and_names_nobody(maker: FlaskClient, guest: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    shared = address_of(maker, page, path)
    assert board_of(maker, page, path).startswith("Nobody has pressed the button yet")
    assert create(guest, page(guest, shared), prompt="Mine") == 303
    assert board_of(maker, page, path) == "1 of 1 in the studio Nobody waits."
    bar = page(maker, path).one("progress").attrs
    assert (bar["max"], bar["value"]) == ("1", "1")
    assert "omar" not in page(maker, path).html.lower()


def test_the_board_tells_who_waits_until_when(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    app = make_app(exec_creations_per_minute=1)
    maker, guest = app.test_client(), app.test_client()
    sign_in(maker, "dana")
    sign_in(guest, "omar")
    path = share(maker, page)
    shared = address_of(maker, page, path)
    for text in ("One", "Two", "Three"):
        assert create(guest, page(guest, shared), prompt=text) == 303
    said = board_of(maker, page, path)
    assert re.fullmatch(r"1 of 3 in the studio 2 wait\. The last will be in at \d\d:\d\d UTC\.", said)
    waiting = re.findall(r'href="(/launches/[0-9a-f-]{36})"', page(guest, "/launches").html)[0]
    assert (
        guest.post(f"{waiting}/erase", data={"csrf_token": page(guest).fields["csrf_token"]}).status_code
        == 200
    )
    assert board_of(maker, page, path).startswith("1 of 2 in the studio 1 waits.")


def test_the_board_counts_refusals(app: Flask, maker: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    path = share(maker, page)
    shared = address_of(maker, page, path)
    outsider = app.test_client()
    sign_in(outsider, "nina")
    assert create(outsider, page(outsider, shared)) == 422
    assert "1 was refused" in board_of(maker, page, path)


def test_the_board_looks_back_twelve_hours(
    app: Flask, maker: FlaskClient, guest: FlaskClient, page: Fetch
) -> None:
    path = share(maker, page)
    shared = address_of(maker, page, path)
    assert create(guest, page(guest, shared)) == 303
    with portal_of(app).store.database.write() as db:
        db.execute(update(Launch).values(created=Launch.created - 13 * 3600))
    assert create(guest, page(guest, shared), prompt="Another") == 303
    assert board_of(maker, page, path) == "1 of 1 in the studio Nobody waits. 2 since it is shared."


def test_the_board_renews_itself_without_a_script(maker: FlaskClient, page: Fetch) -> None:
    path = share(maker, page)
    for there in (path, f"{path}/wall"):
        assert page(maker, there).one("noscript").one("meta").attrs["http-equiv"] == "refresh"


def test_a_launch_remembers_its_link_through_a_sign_in_and_a_refusal(
    maker: FlaskClient, guest: FlaskClient, page: Fetch, sign_in: SignIn
) -> None:
    path = share(maker, page)
    shown = page(guest, address_of(maker, page, path))
    refused = page(guest, guest.post("/launches", data=shown.fields | {"prompt": ""}), 422)
    brought = page(guest, guest.post("/texts", data=refused.fields | {"prompt": "Mine"}))
    expire(guest)
    kept = guest.post("/launches", data=brought.fields)
    sign_in(guest, "omar")
    assert create(guest, page(guest, kept.location)) == 303
    assert board_of(maker, page, path).startswith("1 of 1 in the studio")


# In a frame


def test_the_frame_of_a_shared_text_is_one_button(app: Flask, maker: FlaskClient, page: Fetch) -> None:
    shared = address_of(maker, page, share(maker, page))
    slug = shared.removeprefix("/s/")
    framed = page(app.test_client(), f"/embed?s={slug}")
    form = framed.one("form")
    assert form.attrs["action"] == f"{HOME}{shared}"
    assert form.attrs["target"] == "_blank"
    assert [button.words for button in framed.find("button")] == ["Create scenario"]
    assert not framed.find("textarea")
    assert "Renewal" not in framed.html
    assert "Set-Cookie" not in framed.response.headers
    assert "X-Frame-Options" in framed.response.headers  # nobody may frame it unless a setting says so


def test_the_frame_tells_nothing_of_which_exist(app: Flask, page: Fetch) -> None:
    assert page(app.test_client(), "/embed?s=abcdefghjk").one("button").words == "Create scenario"
    assert page(app.test_client(), "/embed?s=nonsense").find("textarea")


def test_the_frame_opened_by_itself_leads_to_the_text(app: Flask) -> None:
    answer = app.test_client().get("/embed?s=abcdefghjk", headers={"Sec-Fetch-Dest": "document"})
    assert (answer.status_code, answer.location) == (303, "/s/abcdefghjk")


# The guide

GUIDE = (ROOT / "docs" / "links.md").read_text(encoding="utf-8")


def test_the_guides_address_is_its_text_encoded_as_it_says(maker: FlaskClient, page: Fetch) -> None:
    text, address = (block.strip() for block in re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)[:2])
    assert address.partition("?prompt=")[2].partition("&")[0] == quote(text, safe="")
    shown = page(maker, address.removeprefix("https://scenarios.example.com"))
    assert shown.prompt == text
    assert shown.fields["form_token"] == "meeting-123-scenario"
    assert create(maker, shown) == 303
    assert "You made this at" in page(maker, address.removeprefix("https://scenarios.example.com")).main.words


def test_the_guide_says_what_cannot_be_known_to_work() -> None:
    recipes = GUIDE.partition("## Recipes")[2].partition("## The bookmark")[0]
    for maker in ("Salesforce", "HubSpot", "A calendar entry", "A chat"):
        assert f"**{maker}** (not tried)" in recipes
