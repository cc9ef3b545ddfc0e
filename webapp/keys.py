"""A key of its own for each use, derived from `SECRET_KEY`: what is signed for one is nothing to another.

HMAC with SHA-256 throughout (RFC 2104, FIPS 180-4); itsdangerous would take SHA-1.
"""

import hmac
from hashlib import sha256
from typing import Any, Literal

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import Signer, URLSafeTimedSerializer

Use = Literal["session", "csrf", "wanted", "check", "log", "address"]


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
