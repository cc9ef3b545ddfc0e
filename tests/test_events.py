"""The record of what people did: who, when, from where; and that it goes when it must."""

from uuid import UUID, uuid4

import pytest
from conftest import Fetch, MakeApp, SignIn, sign_in_of
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from webapp.portal import portal_of
from webapp.store import Store
from webapp.store.tables import Event

DAY = 24 * 3600


def names(app: Flask) -> list[str]:
    return [event.name for event in reversed(portal_of(app).store.events.newest(100))]


def create(client: FlaskClient, page: Fetch, text: str = "Talk to a client") -> str:
    fields = page(client).fields
    answer = client.post("/launches", data={**fields, "prompt": f"{text} {uuid4()}"})
    return str(answer.location)


def test_what_a_person_does_is_written_down_in_order(
    app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    create(client, page)
    listed = page(client, "/launches")
    [form] = [form for form in listed.find("form") if form.attrs.get("action", "").endswith("/erase")]
    token = form.find("input", name="csrf_token")[0].attrs["value"]
    client.post(form.attrs["action"], data={"csrf_token": token})
    client.post("/sign-out", data={"csrf_token": token})

    assert names(app) == ["sign_in", "launch.asked", "launch.created", "launch.erased", "sign_out"]


def test_an_event_says_who_and_from_where(
    app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    create(client, page)
    row = sign_in_of(client)
    assert row

    for event in portal_of(app).store.events.newest(10):
        assert (event.person, event.email, event.address) == (row.person, row.email, "127.0.0.1")


def test_the_address_is_what_the_proxy_says(make_app: MakeApp, sign_in: SignIn) -> None:
    app = make_app(trusted_proxies=1)
    client = app.test_client()
    client.environ_base["HTTP_X_FORWARDED_FOR"] = "198.51.100.7, 203.0.113.9"
    sign_in(client)

    assert portal_of(app).store.events.newest(1)[0].address == "203.0.113.9"


def test_refused_and_held_ones_say_why(app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    create(client, page, "[[400]]")
    create(client, page, "[[401]]")

    told = {(event.name, event.detail) for event in portal_of(app).store.events.newest(10)}
    assert {("launch.refused", "not_accepted"), ("launch.held", "no_access")} <= told


def test_looking_for_anothers_launch_is_written_down(
    app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    create(client, page, "[[500]]")
    launch = portal_of(app).store.events.newest(1)[0].launch_id
    other = app.test_client()
    sign_in(other, "omar")

    page(other, f"/launches/{launch}", 404)
    page(other, f"/launches/{UUID(int=7)}", 404)

    [refused] = [event for event in portal_of(app).store.events.newest(10) if event.name == "access.refused"]
    assert (refused.launch_id, refused.email) == (launch, "omar@acme.example")


def test_a_limit_reached_is_written_down_once(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    app = make_app(creations_per_person_per_hour=1)
    client = app.test_client()
    sign_in(client)
    create(client, page)
    waiting = create(client, page)
    client.get(f"{waiting}?go=1")

    assert names(app).count("limit.reached") == 1


def test_strangers_write_nothing_down(app: Flask, client: FlaskClient) -> None:
    client.get("/")
    client.get("/sign-in")
    client.post("/launches", data={"prompt": "Talk", "form_token": "t"})
    client.get("/sign-in/callback?error=access_denied")

    assert names(app) == []


def test_events_are_erased_with_the_person_and_after_their_days(store: Store) -> None:
    for name, days in (("old", 31), ("recent", 29)):
        store.events.note("sign_in", detail=name)
        with store.database.write() as db:
            db.execute(update(Event).where(Event.detail == name).values(at=Event.at - days * DAY))
    store.erasing.older_than(30)
    assert [event.detail for event in store.events.newest(10)] == ["recent"]

    with store.database.write() as db:
        db.execute(update(Event).values(person="dana", email="Dana@acme.example"))
    store.erasing.person("dana@acme.example")
    assert [event.name for event in store.events.newest(10)] == ["operator.erased"]


@pytest.mark.parametrize("text", ["A secret text"])
def test_no_event_holds_a_text(
    app: Flask, client: FlaskClient, sign_in: SignIn, page: Fetch, text: str
) -> None:
    sign_in(client)
    create(client, page, text)

    for event in portal_of(app).store.events.newest(10):
        assert text not in " ".join(str(value) for value in vars(event).values())
