"""What a person reads when something is wrong: its own words, its own status, and a way on."""

import re
from typing import get_args

import pytest
from conftest import Fetch, MakeApp, SignIn
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from webapp import errors
from webapp.portal import portal_of
from webapp.store.tables import Launch, Reason

ID = "7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/launches/1", "/static/", "/static/nowhere.js", "/static/../wsgi.py", "/admin.php"]
)
def test_no_such_page(client: FlaskClient, page: Fetch, path: str) -> None:
    missing = page(client, path, 404)
    assert missing.h1 == "There is no such page"
    assert missing.link("To the form") == "/"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_page_that_is_used_wrongly(client: FlaskClient, page: Fetch, method: str) -> None:
    wrong = page(client, client.open("/sign-out", method=method), 405)
    assert wrong.h1 == "There is no such page"
    assert "POST" in wrong.response.headers["Allow"]


def test_a_page_knows_who_reads_it(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    assert "Dana Whitfield" in page(client, "/nowhere", 404).words


@pytest.mark.parametrize("path", ["/sign-out", f"/launches/{ID}/erase"])
def test_a_page_that_had_expired(client: FlaskClient, sign_in: SignIn, page: Fetch, path: str) -> None:
    sign_in(client)
    expired = page(client, client.post(path), 400)
    assert expired.h1 == "This page had expired"
    assert expired.link("To the form") == "/"


def test_a_post_that_is_too_large(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    posted = {**page(client).fields, "prompt": "x" * 3_000_000}
    assert page(client, client.post("/launches", data=posted), 413).h1 == "That is too much text"


def test_a_strangers_post_that_is_too_large(client: FlaskClient, page: Fetch) -> None:
    posted = {"form_token": "t", "prompt": "x" * 3_000_000}
    assert page(client, client.post("/launches", data=posted), 413).h1 == "That is too much text"


def test_a_pasted_transcript_comes_back_with_its_length_told(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    transcript = "Ж" * 63_000
    posted = {**page(client).fields, "prompt": transcript}
    refused = page(client, client.post("/launches", data=posted), 422)
    assert refused.fields["prompt"] == transcript
    assert "53,000 characters too long" in refused.words


@pytest.mark.parametrize("path", ["/launches", "/embed"])
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "stranger"])
def test_whatever_breaks_in_a_post_gives_the_text_back(
    app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch, path: str, signed_in: bool
) -> None:
    fields = {}
    if signed_in:
        sign_in(client)
        fields = page(client).fields
    posted = {**fields, "prompt": "Talk to a client", "form_token": "my-token"}
    with portal_of(app).store.database.engine.begin() as broken:
        broken.execute(text("ALTER TABLE launches RENAME TO gone"))
        broken.execute(text("ALTER TABLE drafts RENAME TO gone_as_well"))

    given = page(client, client.post(path, data=posted), 500)

    assert (given.fields["prompt"], given.fields["form_token"]) == ("Talk to a client", "my-token")
    assert "Your text is still here" in given.words


def test_a_wrong_post_without_a_text_gets_a_plain_page(client: FlaskClient, page: Fetch) -> None:
    assert page(client, client.post("/nowhere", data={"prompt": "Talk"}), 404).h1 == "There is no such page"


@pytest.mark.parametrize(
    ("contact", "shown", "address"),
    [
        ("help@acme.example", "help@acme.example", "mailto:help@acme.example?subject=Scenario%20Portal"),
        ("https://help.acme.example/portal", "support", "https://help.acme.example/portal"),
        ("the enablement team", "the enablement team", None),
        ("", "your administrator", None),
        ("<b>Bob</b> & co", "<b>Bob</b> & co", None),
        ("javascript:alert(1)", "javascript:alert(1)", None),
    ],
)
def test_who_can_help_is_named(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, contact: str, shown: str, address: str | None
) -> None:
    client = make_app(support_contact=contact).test_client()
    refused = page(client, sign_in(client, "noel"), 403)
    assert f"ask {shown}." in refused.main.words
    links = {a.attrs["href"] for a in refused.main.find("a")} - {
        "http://localhost:8000/sign-in?prompt=select_account"
    }
    assert links == ({address} if address else set())


def test_nothing_of_the_inside_is_ever_shown(client: FlaskClient, page: Fetch) -> None:
    for path in ("/nowhere", "/sign-in/callback?error=x", "/sign-in/callback?code=a&state=b"):
        answer = client.get(path)
        shown = page(client, answer, answer.status_code).main.words
        assert not re.search(r"Traceback|werkzeug|flask|python|\.py", shown, re.IGNORECASE)


def test_every_reason_has_words() -> None:
    assert set(errors.REASONS) == set(get_args(Reason))


def test_a_reason_of_a_newer_release_has_words_too() -> None:
    launch = Launch(reason="of_tomorrow", email="dana@acme.example", detail=None)
    assert errors.explain(launch) is not None


@pytest.mark.parametrize("host", ["a" * 3000, "a..b", ".", "\xe4" * 70, f"{'x' * 64}.example"])
def test_a_host_that_is_none_breaks_nothing(client: FlaskClient, host: str) -> None:
    for path, status in (("/", 200), ("/nowhere", 404), ("/sign-out", 405)):
        assert client.get(path, headers={"Host": host}).status_code == status
