"""The Exec API's answers, in the vendor's words and envelope (exec-openapi.yaml)."""

from urllib.parse import urlsplit

from flask import Response, current_app, json

from .options import Options
from .workspace import Session


def session_fields(session: Session, is_new: bool) -> dict[str, object]:
    """The body of a 200: `id`, `url` and `is_new`."""
    return {"id": session.id, "url": studio_url(session), "is_new": is_new}


def studio_url(session: Session) -> str:
    """Where the person opens the session."""
    return f"{_options().studio_url}/chat/{session.id}"


def studio_host() -> str:
    """The Studio's host, without a port."""
    return urlsplit(_options().studio_url).hostname or ""


def public_url(path: str) -> str:
    """An address on the API's own origin."""
    return _options().issuer_url + path


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer of the API."""
    return Response(json.dumps(body), status, headers, mimetype="application/json")


def refusal(
    status: int, kind: str, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error in the vendor's envelope; `code` is left out where the vendor leaves it out."""
    error = {"type": kind, "code": code, "message": message}
    return json_answer({"error": {k: v for k, v in error.items() if v is not None}}, status, headers)


def _options() -> Options:
    options: Options = current_app.extensions["options"]
    return options
