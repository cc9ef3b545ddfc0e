"""The Exec API's operation, written from exec-openapi.yaml and never from a client of it.

Beside it `GET /workspace`, which the vendor's other pages describe.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from . import faults, people
from .answers import json_answer, refusal, session_fields, studio_host
from .raw import RawAnswer, is_gone
from .workspace import ApiCall, Workspace, current_workspace

bp = Blueprint("exec_api", __name__, url_prefix="/rest/v1")

API_KEY = "exec_live_" + "sandbox0" * 5
INACTIVE_KEY = "exec_live_" + "inactive" * 5
DESCRIPTION = Path(__file__).with_name("exec-openapi.yaml")
LONGEST_PROMPT = 10_000
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
FIELDS = {"user_email": True, "prompt": True, "request_id": False}
"""The fields of a request, all of them strings, and whether each is required."""


class Refused(Exception):
    """The API answers with an error; `response` says which."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@bp.get("/openapi.yaml")
def description() -> Response:
    """The vendor's own description, as it was handed out."""
    return send_file(DESCRIPTION, mimetype="application/yaml")


@bp.get("/workspace", strict_slashes=False)
def workspace_info() -> Response:
    """Whose key it is."""
    return _logged(_describe)


@bp.post("/scenario-studio", strict_slashes=False)
def create_scenario_studio_session() -> Response:
    """Create a Scenario Studio session, or return the one that has this request id."""
    return _logged(_answer)


def _logged(answer: Callable[[Workspace, ApiCall], Response]) -> Response:
    workspace = current_workspace()
    call = workspace.log(ApiCall.arriving(request.method, request.path))
    try:
        response = answer(workspace, call)
    except Refused as refused:
        response = refused.response
    silent = isinstance(response, RawAnswer)
    call.status = None if silent else response.status_code
    call.delivered = not silent and not is_gone(request.environ["gunicorn.socket"])
    return response


def _describe(workspace: Workspace, _call: ApiCall) -> Response:
    _check_key()
    _check_limit(workspace.take(*workspace.requests))
    slug = studio_host().partition(".")[0]
    created_at = "2026-01-12T09:30:00Z"
    return json_answer({"id": "w1x2y3z4a5b6", "name": "Acme", "url_slug": slug, "created_at": created_at})


def _answer(workspace: Workspace, call: ApiCall) -> Response:
    _check_key()
    _check_limit(workspace.take(*workspace.requests))
    fields = _read_fields(call)
    user_email, prompt, request_id = fields["user_email"], fields["prompt"], fields.get("request_id")
    if not people.is_member(user_email):
        raise Refused(_invalid("User not found in this workspace", "user_not_found"))
    _check_limit(workspace.take(workspace.creations))
    attempt = workspace.count_attempt(request_id or f"{user_email} {call.prompt_sha256}")
    call.fault = faults.chosen(prompt, attempt)
    fault = faults.FAULTS[call.fault] if call.fault else None
    if isinstance(fault, faults.Failure):
        return fault.answer()
    session, is_new = workspace.open_session(user_email, prompt, request_id)
    call.session_id, call.is_new = session.id, is_new
    if fault:
        return fault.answer(session, is_new)
    return json_answer(session_fields(session, is_new))


def _check_key() -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not key:
        raise Refused(_unauthorized("Missing or malformed Authorization header"))
    if key.strip() != API_KEY:  # the inactive key included: the vendor makes no difference
        raise Refused(_unauthorized("Invalid or inactive API key"))


def _check_limit(wait: int) -> None:
    if wait:
        raise Refused(faults.rate_limited(str(wait)))


def _read_fields(call: ApiCall) -> dict[str, str]:
    if request.mimetype not in {"", "application/json"}:
        raise Refused(refusal(415, "invalid_request", "Content-Type must be application/json"))
    body: Any = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise Refused(_invalid("The body must be a JSON object"))
    fields = {name: body[name] for name in FIELDS if name in body}
    call.note(fields)
    for name, required in FIELDS.items():
        if required and name not in fields:
            raise Refused(_invalid(f"{name} is required"))
        if name in fields and not isinstance(fields[name], str):
            raise Refused(_invalid(f"{name} must be a string"))
    if not EMAIL.fullmatch(fields["user_email"]):
        raise Refused(_invalid("user_email must be a valid email address"))
    if len(fields["prompt"]) > LONGEST_PROMPT:
        raise Refused(_invalid(f"prompt must be at most {LONGEST_PROMPT} characters", "prompt_too_long"))
    return fields


def _invalid(message: str, code: str | None = None) -> Response:
    return refusal(400, "invalid_request", message, code)


def _unauthorized(message: str) -> Response:
    return refusal(401, "authentication_error", message, "invalid_api_key")


def problem(error: HTTPException) -> Response:
    """An address or a method that the API does not have, in the vendor's envelope."""
    if isinstance(error, MethodNotAllowed):
        allowed = {"Allow": ", ".join(sorted(error.valid_methods or ()))}
        return refusal(405, "invalid_request", "Method not allowed", headers=allowed)
    if error.code == 404:
        return refusal(404, "not_found", "No such resource")
    return refusal(error.code or 500, "invalid_request", error.name)
