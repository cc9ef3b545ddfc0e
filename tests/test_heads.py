"""No answer's head is larger than nginx reads by itself, nor all our cookies than servers take."""

import re
from urllib.parse import urlsplit

import pytest
from conftest import MakeApp, SignIn, way_in
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from test_house import rules
from werkzeug.test import TestResponse

from webapp.portal import portal_of
from webapp.store.tables import Launch

MOST = 3500  # bytes
LONG = "x" * 280


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """With a host, a path and a policy as long as they come."""
    ancestors = ",".join(f"https://intranet-{number}.department.acme.example" for number in range(12))
    return make_app(public_url="https://portal.example/scenarios", frame_ancestors=ancestors)


def head_of(answer: TestResponse) -> int:
    lines = [f"HTTP/1.1 {answer.status}", *(f"{name}: {value}" for name, value in answer.headers), ""]
    return sum(len(line.encode()) + 2 for line in lines)


def fill_cookies(client: FlaskClient, sign_in: SignIn) -> None:
    """As many sign-ins under way and drafts as a browser of ours can hold, and a sign-in."""
    sign_in(client)
    for number in range(6):
        stranger = client.application.test_client()
        way = urlsplit(way_in(stranger.get(f"/scenarios/?prompt={LONG}{number}"))).query
        client.get(f"/scenarios/sign-in?{way}&prompt=login")
        client.post("/scenarios/embed", data={"prompt": f"{number}", "form_token": "t"})


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "stranger"])
@pytest.mark.parametrize("query", ["", f"?prompt={LONG}", f"?prompt={'y' * 3000}&request_id={'z' * 64}"])
def test_every_head_fits(app: Flask, sign_in: SignIn, signed_in: bool, query: str) -> None:
    client = app.test_client()
    if signed_in:
        fill_cookies(client, sign_in)
    for name, (rule, path) in rules(app).items():
        for method in {"GET", "POST"} & (rule.methods or set()):
            if name in ("auth.sign_out", "admin.look"):
                continue
            answer = client.open(f"/scenarios{path}{query}", method=method)
            assert head_of(answer) <= MOST, f"{method} {name}: {head_of(answer)}"


def test_the_callbacks_head_fits(app: Flask, sign_in: SignIn) -> None:
    answer = sign_in(app.test_client(), after=f"/scenarios/?prompt={LONG}")
    assert answer.location.endswith(LONG)
    assert head_of(answer) <= MOST


def test_all_our_cookies_together_fit(app: Flask, sign_in: SignIn) -> None:
    client = app.test_client()
    fill_cookies(client, sign_in)
    cookies = [f"{name}={one.value}; " for (_, _, name), one in client._cookies.items()]
    assert len(cookies) >= 11
    assert sum(map(len, cookies)) < 4096


def test_a_studio_address_too_long_for_a_head_is_a_link(make_app: MakeApp, sign_in: SignIn) -> None:
    app = make_app()
    client = app.test_client()
    sign_in(client)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/").text)
    assert token
    client.post("/launches", data={"prompt": "Talk [[500]]", "form_token": "t", "csrf_token": token[1]})
    url = "https://acme.app.exec.com/chat/" + "x" * 3000
    with portal_of(app).store.database.write() as db:
        key = db.execute(update(Launch).values(state="ready", url=url).returning(Launch.id)).scalar_one()

    answer = client.get(f"/launches/{key}?go=1")

    assert answer.status_code == 200
    assert url in answer.text
    assert head_of(answer) <= MOST
