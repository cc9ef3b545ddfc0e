"""ID tokens that a careful client must refuse, each spoilt in exactly one way."""

import time
from base64 import urlsafe_b64encode
from typing import Any

from flask import json
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

HOUR = 3600


def spoil(id_token: str, broken: str | None, key: RSAKey) -> str:
    """Return the token as it is, or spoilt as the broken sign-in of this name wants it."""
    if broken == "alg-none":
        header = _encode({"alg": "none", "typ": "JWT"})
        return f"{header}.{id_token.split('.')[1]}."
    if broken == "bad-signature":
        stranger = RSAKey.generate_key(2048)
        return sign(_claims(id_token, key), stranger, str(key.kid))
    now = int(time.time())
    changes: dict[str, dict[str, Any]] = {
        "wrong-audience": {"aud": "another-client"},
        "wrong-issuer": {"iss": "https://login.elsewhere.example"},
        "expired": {"iat": now - 2 * HOUR, "auth_time": now - 2 * HOUR, "exp": now - HOUR},
        "early": {"iat": now + 600, "auth_time": now + 600, "exp": now + 600 + HOUR},
        "no-sub": {"sub": ""},
        "not-asked": {"auth_time": now - HOUR},
        "half-name": {"name": "Dana \ud800Whitfield"},
        "wrong-nonce": {"nonce": "nobody-asked-for-this"},
        "no-nonce": {"nonce": None},
    }
    if broken not in changes:
        return id_token
    claims = {**_claims(id_token, key), **changes[broken]}
    return sign({k: v for k, v in claims.items() if v is not None}, key, str(key.kid))


def sign(claims: dict[str, Any], key: RSAKey, kid: str) -> str:
    """A JWT of these claims."""
    header = {"alg": "RS256", "kid": kid, "typ": "JWT"}
    return jws.serialize_compact(header, json.dumps(claims), key)  # jwt.encode() writes no lone surrogates


def _claims(id_token: str, key: RSAKey) -> dict[str, Any]:
    return jwt.decode(id_token, key, algorithms=["RS256"]).claims


def _encode(header: dict[str, str]) -> str:
    return urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
