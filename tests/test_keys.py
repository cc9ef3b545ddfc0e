"""A key for each use, and SHA-256 wherever something is signed."""

from hashlib import sha256
from typing import get_args

import pytest
from conftest import SECRET_KEY, SESSION_COOKIE, Fetch, MakeApp, SignIn
from flask.testing import FlaskClient
from itsdangerous import BadSignature, Signer

from webapp.keys import Use, derived, seal, signer, unseal

OLD, NEW = "the-old-key-0123456789", "the-new-key-0123456789"


def test_every_use_has_a_key_of_its_own() -> None:
    keys = {derived(SECRET_KEY, use) for use in get_args(Use)}
    assert len(keys) == len(get_args(Use))
    assert all(len(key) == 32 for key in keys)


def test_what_is_signed_for_one_use_is_nothing_to_another() -> None:
    signed = signer([SECRET_KEY], "wanted").dumps("/")
    with pytest.raises(BadSignature):
        signer([SECRET_KEY], "check").loads(signed)


def test_signers_rotate() -> None:
    old = signer([OLD], "check").dumps("x")
    assert signer([NEW, OLD], "check").loads(old) == "x"
    with pytest.raises(BadSignature):
        signer([NEW], "check").loads(old)


def test_what_is_sealed_rotates() -> None:
    old = seal("a.b.ü", [OLD], "id_token")
    assert unseal(old, [NEW, OLD], "id_token") == "a.b.ü"
    assert unseal(old, [NEW], "id_token") is None
    assert unseal(seal("new", [NEW, OLD], "id_token"), [NEW], "id_token") == "new"


def test_what_is_sealed_is_read_by_nobody_else_and_changed_by_nobody() -> None:
    sealed = seal("a.b.c", [SECRET_KEY], "id_token")
    assert "a.b.c" not in sealed
    assert sealed != seal("a.b.c", [SECRET_KEY], "id_token")
    changed = sealed[:-30] + ("A" if sealed[-30] != "A" else "B") + sealed[-29:]
    for spoilt in (changed, sealed[:-8], sealed[:-1], "", "planted", "ü", "\0", "a.b.c.d.e", "...."):
        assert unseal(spoilt, [SECRET_KEY], "id_token") is None
    assert unseal(sealed, [SECRET_KEY], "check") is None


def test_cookies_and_tokens_are_signed_with_sha256(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    token = page(client).fields["csrf_token"]
    cookie = client.get_cookie(SESSION_COOKIE)
    assert cookie
    for signed in (token, cookie.value):
        assert len(signed.rpartition(".")[2]) == 43  # 32 bytes
    assert Signer.default_digest_method is sha256


def test_rotation_keeps_people_signed_in_from_one_key_to_the_next(
    make_app: MakeApp, sign_in: SignIn, page: Fetch
) -> None:
    cookie = ""
    for keys in (OLD, f"{NEW},{OLD}", NEW):
        client = make_app(secret_key=keys).test_client()
        if cookie:
            client.set_cookie(SESSION_COOKIE, cookie)
        else:
            sign_in(client)
        shown = page(client)
        assert shown.prompt_form
        answer = client.post("/launches", data={**shown.fields, "prompt": f"Talk {keys}"})
        assert answer.status_code == 303
        with client.session_transaction() as session:  # as any answer that writes the session does
            session.modified = True
        cookie = client.get_cookie(SESSION_COOKIE).value
