"""One's own sign-ins: in which browsers one is signed in, and ending the others."""

import logging

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from . import auth, guard
from .portal import current_portal
from .store.tables import SignIn

bp = Blueprint("sign_ins", __name__)
log = logging.getLogger(__name__)

PROOF_LASTS = 600  # seconds; whoever finds an open browser shall not end the others with it


@bp.get("/sign-ins")
def index() -> str:
    rows = current_portal.store.sign_ins.of_person(g.user.key)
    shown = [row for row in rows if guard.lets_in(row)]
    return render_template(
        "sign_ins.html", sign_ins=shown, may_end=_has_proved(), prove=auth.way_in_from_page("login")
    )


@bp.post("/sign-ins/<key>/end")
def end(key: str) -> BaseResponse:
    if not _has_proved():
        return redirect(url_for("sign_ins.index"), 303)
    if not current_portal.store.sign_ins.end(key, g.user.key):
        abort(404)
    log.info("a person ended another sign-in of theirs", extra={"event": "sign_in.ended"})
    flash("That browser is signed out.", "ended")
    return redirect(url_for("sign_ins.index"), 303)


def _has_proved() -> bool:
    """Whether the person had to sign in at the provider for this browser, a moment ago."""
    row: SignIn = g.sign_in
    now: float = g.now
    return row.proved and now - row.created < PROOF_LASTS
