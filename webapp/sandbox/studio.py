"""Scenario Studio: a page with the agent already at work, behind a sign-in on a third origin."""

import secrets
import threading

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from .options import Options
from .workspace import current_workspace, printable

bp = Blueprint("studio", __name__)

COOKIE = "sandbox_studio"


class Doorkeeper:
    """Who has been through the Studio's sign-in: one-time tickets, and the cookies given for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: set[str] = set()
        self._cookies: set[str] = set()

    def issue_ticket(self) -> str:
        """A ticket that opens the Studio once."""
        ticket = secrets.token_urlsafe(16)
        with self._lock:
            self._tickets.add(ticket)
        return ticket

    def admit(self, ticket: str) -> str | None:
        """Take a ticket for a cookie; None if the ticket is no good (any more)."""
        cookie = secrets.token_urlsafe(16)
        with self._lock:
            if ticket not in self._tickets:
                return None
            self._tickets.remove(ticket)
            self._cookies.add(cookie)
        return cookie

    def knows(self, cookie: str | None) -> bool:
        """Whether this cookie was given for a ticket."""
        with self._lock:
            return cookie in self._cookies


@bp.get("/chat/<session_id>")
def chat(session_id: str) -> BaseResponse:
    """Show the session to whoever has signed in to the Studio; send others to sign in first."""
    options, doorkeeper = _options(), _doorkeeper()
    workspace = current_workspace()
    session = workspace.find_session(session_id)
    if session is None:
        abort(404, "Scenario Studio has no such session. The sandbox forgets them all when it stops.")
    ticket = request.args.get("ticket")
    cookie = doorkeeper.admit(ticket) if ticket else None
    if cookie:
        response = redirect(f"{options.studio_url}/chat/{session_id}")
        secure = options.studio_url.startswith("https:")
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax", secure=secure)
        return response
    if not doorkeeper.knows(request.cookies.get(COOKIE)):
        return redirect(f"{options.sso_url}/studio-sso?session={session_id}")
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        workspace.count_opening(session)
    return Response(render_template("chat.html", session=session, prompt=printable(session.prompt)))


@bp.get("/studio-sso")
def sign_in() -> BaseResponse:
    """The Studio's own single sign-on, on its own origin: nobody is asked, everybody is sent back."""
    session_id = request.args.get("session", "")
    if current_workspace().find_session(session_id) is None:
        abort(404, "Scenario Studio has no such session.")
    ticket = _doorkeeper().issue_ticket()
    return redirect(f"{_options().studio_url}/chat/{session_id}?ticket={ticket}")


def _options() -> Options:
    options: Options = current_app.extensions["options"]
    return options


def _doorkeeper() -> Doorkeeper:
    doorkeeper: Doorkeeper = current_app.extensions["doorkeeper"]
    return doorkeeper
