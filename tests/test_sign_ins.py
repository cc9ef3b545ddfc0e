"""One's own sign-ins: seeing them, and ending the others after a fresh proof of who one is."""

import re

import pytest
from conftest import BeginSignIn, Fetch, Sandbox, SignIn, change_sign_in, expire, own_path, sign_in_of
from flask import Flask
from flask.testing import FlaskClient

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def prove(
    client: FlaskClient,
    begin_sign_in: BeginSignIn,
    sandbox: Sandbox,
    person: str = "dana",
    prompt: str = "login",
) -> None:
    """Sign in once more, as whoever has to type the password."""
    client.get(own_path(client, sandbox.choose(begin_sign_in(client, f"?prompt={prompt}"), person)))


def end(client: FlaskClient, page: Fetch, key: str) -> int:
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page(client).html)
    assert token
    return client.post(f"/sign-ins/{key}/end", data={"csrf_token": token[1]}).status_code


def key_of(client: FlaskClient) -> str:
    row = sign_in_of(client)
    assert row
    return row.id


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/launches").status_code == 200


def test_a_person_sees_their_own_browsers(app: Flask, sign_in: SignIn, page: Fetch) -> None:
    here, there, another = (app.test_client() for _ in range(3))
    there.environ_base["HTTP_USER_AGENT"] = FIREFOX
    for client, person in ((here, "dana"), (there, "dana"), (another, "omar")):
        sign_in(client, person)

    shown = page(here, "/sign-ins")

    assert len(shown.find("li")) == 2
    assert "Firefox on Linux" in shown.words
    assert shown.words.count("This browser") == 1


def test_what_has_ended_is_not_listed(app: Flask, sign_in: SignIn, page: Fetch) -> None:
    here, ended, old = (app.test_client() for _ in range(3))
    for client in (here, ended, old):
        sign_in(client)
    expire(ended)
    change_sign_in(old, created=1, used=1)

    assert len(page(here, "/sign-ins").find("li")) == 1


def test_ending_another_wants_a_fresh_proof(
    app: Flask, sign_in: SignIn, page: Fetch, begin_sign_in: BeginSignIn, sandbox: Sandbox
) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(here)
    sign_in(there)
    assert page(here, "/sign-ins").link("sign in once more").endswith("&prompt=login")
    assert end(here, page, key_of(there)) == 303
    assert is_signed_in(there)

    prove(here, begin_sign_in, sandbox)
    assert not page(here, "/sign-ins").find("p", role="status")
    assert len(page(here, "/sign-ins").find("button", aria_describedby="browser-2")) == 1
    assert end(here, page, key_of(there)) == 303

    assert not is_signed_in(there)
    assert "That browser is signed out." in page(here, "/sign-ins").words


def test_a_provider_that_did_not_ask_has_proved_nothing(
    app: Flask,
    sign_in: SignIn,
    page: Fetch,
    begin_sign_in: BeginSignIn,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(there)
    prove(here, begin_sign_in, sandbox, "!not-asked")
    shown = page(here, "/sign-ins")
    assert "did not ask who you are" in shown.words
    assert shown.link("sign in once more")
    assert "prompt=login" in caplog.text

    end(here, page, key_of(there))

    assert is_signed_in(there)


def test_choosing_an_account_proves_nothing(
    app: Flask, sign_in: SignIn, page: Fetch, begin_sign_in: BeginSignIn, sandbox: Sandbox
) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(there)
    prove(here, begin_sign_in, sandbox, prompt="select_account")

    assert end(here, page, key_of(there)) == 303

    assert is_signed_in(there)


def test_a_proof_does_not_last(
    app: Flask, sign_in: SignIn, page: Fetch, begin_sign_in: BeginSignIn, sandbox: Sandbox
) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(there)
    prove(here, begin_sign_in, sandbox)
    row = sign_in_of(here)
    assert row
    change_sign_in(here, created=row.created - 601)

    end(here, page, key_of(there))

    assert is_signed_in(there)


def test_nobody_ends_another_persons(
    app: Flask, sign_in: SignIn, page: Fetch, begin_sign_in: BeginSignIn, sandbox: Sandbox
) -> None:
    here, there = app.test_client(), app.test_client()
    sign_in(there, "omar")
    prove(here, begin_sign_in, sandbox)

    assert end(here, page, key_of(there)) == 404
    assert is_signed_in(there)


def test_signing_in_again_ends_the_sign_in_of_before(
    client: FlaskClient, page: Fetch, begin_sign_in: BeginSignIn, sandbox: Sandbox, sign_in: SignIn
) -> None:
    sign_in(client)
    before = key_of(client)
    prove(client, begin_sign_in, sandbox)

    assert key_of(client) != before
    assert len(page(client, "/sign-ins").find("li")) == 1
