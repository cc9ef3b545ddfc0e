"""A key of its own for each use, derived from `SECRET_KEY`: what is signed for one is nothing to another.

HMAC with SHA-256 throughout (RFC 2104, FIPS 180-4); itsdangerous would take SHA-1. What is sealed
is a JWE (RFC 7516) with AES-256-GCM.
"""

import hmac
from contextlib import suppress
from hashlib import sha256
from typing import Any, Literal

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import Signer, URLSafeTimedSerializer
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

SEALED = {"alg": "dir", "enc": "A256GCM"}  # no key in it: both sides are we

Use = Literal["session", "csrf", "wanted", "check", "log", "address", "id_token"]


def derived(secret: str, use: Use) -> bytes:
    """Return the key for one use; nobody learns `SECRET_KEY`, or another use's key, from it."""
    return hmac.digest(secret.encode(), f"scenario-portal {use}".encode(), "sha256")


def digest(secret: str) -> str:
    """Return what is kept of a secret of chance: who reads the database learns none."""
    return sha256(secret.encode()).hexdigest()


def signer(secrets: list[str], use: Use) -> URLSafeTimedSerializer:
    """Return what signs with the first secret and verifies with all, as `SECRET_KEY` rotates."""
    newest_last = [derived(secret, use) for secret in reversed(secrets)]
    return URLSafeTimedSerializer(newest_last, salt=use, signer_kwargs={"digest_method": sha256})


def seal(text: str, secrets: list[str], use: Use) -> str:
    """Encrypt with the first secret."""
    return jwe.encrypt_compact(SEALED, text, OctKey.import_key(derived(secrets[0], use)))


def unseal(sealed: str, secrets: list[str], use: Use) -> str | None:
    """Decrypt with whichever secret it was sealed with; None if that is none of these, or it is spoilt."""
    for secret in secrets:
        key = OctKey.import_key(derived(secret, use))
        with suppress(JoseError, ValueError, TypeError):
            return (jwe.decrypt_compact(sealed, key, list(SEALED.values())).plaintext or b"").decode()
    return None


class Sessions(SecureCookieSessionInterface):
    """Flask's session cookie, signed with SHA-256."""

    digest_method = staticmethod(sha256)


def init_app(app: Flask, secrets: list[str]) -> None:
    app.session_interface = Sessions()
    keys = [derived(secret, "session") for secret in secrets]
    config: dict[str, Any] = {"SECRET_KEY": keys[0], "SECRET_KEY_FALLBACKS": keys[1:]}
    app.config.update(config, WTF_CSRF_SECRET_KEY=derived(secrets[0], "csrf"))
    # Flask-WTF builds its own signer and lets nobody choose: this is where it takes its digest from.
    Signer.default_digest_method = staticmethod(sha256)
