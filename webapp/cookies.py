"""Every cookie of the portal: its name, its flags, and how it is set, read and dropped.

A cookie ignores ports, and without `__Host-` any sibling host can set it, for any path. So over https each
is `__Host-` with `Path=/`, and its name ends in a short hash of `PUBLIC_URL`: a host may serve several.
"""

import time
from hashlib import sha256
from typing import TypedDict

from flask import request
from werkzeug.wrappers import Response

SESSION = "portal"  # Flask's own: the CSRF token, and who is signed in
UNDER_WAY = "s"  # one for each sign-in that began and has not come back
DRAFT = "d"  # one for each draft: the secret of the browser that wrote it
RECORDED = "recorded"  # the form whose text was recorded; our script reads it and drops its copy


MOST = 5  # of one purpose


class Flags(TypedDict):
    path: str
    secure: bool
    httponly: bool
    samesite: str


def name(public_url: str, purpose: str, key: str = "") -> str:
    """Return the name of a cookie; `key` tells those apart of which there are several."""
    begin, end = _around(public_url, purpose)
    return f"{begin}-{key[:8]}-{end}" if key else f"{begin}-{end}"


def keep(
    response: Response, public_url: str, called: str, value: str, seconds: int, *, readable: bool = False
) -> None:
    """Let the browser keep a value; `readable`: by our scripts as well."""
    response.set_cookie(called, value, max_age=seconds, **_flags(public_url, readable))


def drop(response: Response, public_url: str, called: str) -> None:
    response.delete_cookie(called, **_flags(public_url, readable=False))


def keep_one_of(
    response: Response, public_url: str, purpose: str, key: str, value: str, seconds: int
) -> None:
    """Let the browser keep one more value of a purpose, and drop all but the newest: heads have a limit."""
    keep(response, public_url, name(public_url, purpose, key), f"{value}.{time.time_ns()}", seconds)
    others = _several(public_url, purpose)
    oldest_first = sorted(others, key=lambda called: others[called].rpartition(".")[2])
    for called in oldest_first[: 1 - MOST]:
        drop(response, public_url, called)


def one_of(public_url: str, purpose: str, key: str) -> str:
    """Return this request's value of a purpose and key, empty where there is none."""
    return request.cookies.get(name(public_url, purpose, key), "").rpartition(".")[0]


def all_of(public_url: str, purpose: str) -> list[str]:
    """Return this request's values of one purpose."""
    return [value.rpartition(".")[0] for value in _several(public_url, purpose).values()]


def _several(public_url: str, purpose: str) -> dict[str, str]:
    begin, end = _around(public_url, purpose)
    return {
        called: value
        for called, value in request.cookies.items()
        if called.startswith(f"{begin}-") and called.endswith(f"-{end}")
    }


def _around(public_url: str, purpose: str) -> tuple[str, str]:
    prefix = "__Host-" if _is_https(public_url) else ""
    return prefix + purpose, sha256(public_url.encode()).hexdigest()[:6]


def _flags(public_url: str, readable: bool) -> Flags:
    return {"path": "/", "secure": _is_https(public_url), "httponly": not readable, "samesite": "Lax"}


def _is_https(public_url: str) -> bool:
    return public_url.startswith("https://")
