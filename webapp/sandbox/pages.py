"""The sandbox's own pages: what this is, what can be tried, and what the API was asked."""

from datetime import UTC, datetime

from flask import Blueprint, Response, current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from .answers import json_answer
from .exec_api import API_KEY, INACTIVE_KEY
from .faults import FAULTS
from .options import Options
from .people import BROKEN_SIGN_INS, PEOPLE
from .provider import CLIENT_ID, CLIENT_SECRET, ISSUERS
from .workspace import current_workspace

bp = Blueprint("pages", __name__)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@bp.app_template_filter("clock")
def clock(seconds: float) -> str:
    """A time of the day, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


@bp.get("/")
def index() -> str:
    """Say what this is and what can be tried."""
    options: Options = current_app.extensions["options"]
    return render_template(
        "index.html",
        options=options,
        people=PEOPLE,
        broken_sign_ins=BROKEN_SIGN_INS,
        faults=FAULTS,
        issuers=ISSUERS,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        api_key=API_KEY,
        inactive_key=INACTIVE_KEY,
    )


@bp.get("/sandbox/requests")
def requests() -> Response:
    """What the API was asked: a page for people, JSON for tools."""
    report = current_workspace().report()
    wants_json = request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    if wants_json or request.args.get("format") == "json":
        return jsonify(report)
    return Response(render_template("requests.html", report=report))


@bp.route("/sandbox/stolen", methods=METHODS)
def stolen() -> Response:
    """Where `[[redirect]]` points: note whether the key came along, and tempt with a good-looking answer."""
    current_workspace().note_stolen(request.method, "Authorization" in request.headers)
    return json_answer({"id": "stolen", "url": "https://evil.example/chat/stolen", "is_new": True})


def problem(error: HTTPException) -> Response:
    """A page for an address that is not here, or another mistake of the visitor's."""
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return Response(render_template("problem.html", error=error), error.code, headers)
