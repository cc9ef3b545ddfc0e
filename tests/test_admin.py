"""What admins see, and that nobody else does."""

import csv
import io
from uuid import uuid4

import pytest
from conftest import Fetch, MakeApp, SignIn, change_sign_in
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from webapp.portal import portal_of
from webapp.store.tables import Launch

DAY = 24 * 3600


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(admin_emails="Dana@acme.example")


@pytest.fixture
def admin(client: FlaskClient, sign_in: SignIn) -> FlaskClient:
    sign_in(client)
    return client


def create(client: FlaskClient, page: Fetch, text: str) -> None:
    client.post("/launches", data={**page(client).fields, "prompt": f"{text} {uuid4()}"})


@pytest.mark.parametrize("path", ["/admin", "/admin/launches.csv"])
def test_others_do_not_learn_that_there_is_such_a_page(
    client: FlaskClient, sign_in: SignIn, page: Fetch, path: str
) -> None:
    sign_in(client, "omar")
    assert page(client, path, 404).h1 == "There is no such page"
    assert "Admin" not in page(client).words


def test_nobody_is_admin_by_default(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    client = make_app().test_client()
    sign_in(client)
    page(client, "/admin", 404)


def test_an_admin_sees_counts_and_people_and_no_text(admin: FlaskClient, page: Fetch) -> None:
    create(admin, page, "A secret talk")
    create(admin, page, "[[500]] Another secret")

    shown = page(admin, "/admin")

    assert "dana@acme.example" in shown.words.lower()
    assert "unavailable" in shown.words
    assert "launch.created" in shown.words
    assert "secret" not in shown.html
    assert len(shown.find("rect")) == 60


@pytest.mark.parametrize(
    ("magic", "words"),
    [("[[401]]", "Exec refuses EXEC_API_KEY"), ("[[strange-host]]", "EXEC_STUDIO_HOSTS does not name")],
)
def test_what_only_the_operator_can_mend_is_a_banner(
    admin: FlaskClient, page: Fetch, magic: str, words: str
) -> None:
    create(admin, page, magic)
    shown = page(admin, "/admin")
    assert "One scenario is on hold" in shown.words
    assert words in shown.words


def test_a_long_floor_is_a_banner(app: Flask, admin: FlaskClient, page: Fetch) -> None:
    create(admin, page, "[[429-day]]")
    assert "Exec asked to wait until" in page(admin, "/admin").words
    portal_of(app).pacer.resume()
    assert "Exec asked to wait until" not in page(admin, "/admin").words


def test_days_are_counted_where_they_belong(app: Flask, admin: FlaskClient, page: Fetch) -> None:
    store = portal_of(app).store
    for age in (0, 0, 3, 29, 31):
        create(admin, page, "Talk")
        newest = store.figures.launches()[0].id
        with store.database.write() as db:
            aged = update(Launch).where(Launch.id == newest)
            db.execute(aged.values(created=Launch.created - age * DAY, state="ready" if age else "refused"))

    days = store.figures.days()

    assert [day.asked for day in days] == [1, *[0] * 25, 1, 0, 0, 2]
    assert (days[-1].refused, days[-4].ready) == (2, 1)


def test_looking_is_written_down(app: Flask, admin: FlaskClient, page: Fetch) -> None:
    page(admin, "/admin")
    admin.get("/admin/launches.csv")
    names = [event.name for event in portal_of(app).store.events.newest(2)]
    assert names == ["admin.looked", "admin.looked"]


def test_the_table_holds_no_text_and_no_formula(admin: FlaskClient, page: Fetch) -> None:
    change_sign_in(admin, email="=cmd()@acme.example")
    create(admin, page, "A secret talk")
    change_sign_in(admin, email="dana@acme.example")

    answer = admin.get("/admin/launches.csv")

    assert answer.mimetype == "text/csv"
    head, row = csv.reader(io.StringIO(answer.text))
    assert head == ["id", "email", "state", "reason", "attempts", "asked", "ended"]
    assert row[1] == "'=cmd()@acme.example"
    assert "secret" not in answer.text


def test_an_admin_sees_what_check_finds(admin: FlaskClient, page: Fetch) -> None:
    [form] = [one for one in page(admin, "/admin").find("form") if one.attrs.get("action") == "/admin/check"]
    [token] = form.find("input", name="csrf_token")

    shown = page(admin, admin.post("/admin/check", data={"csrf_token": token.attrs["value"]}))

    assert "Good: client_secret" in shown.words
    assert "Could not tell: public_url" in shown.words
