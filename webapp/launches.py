"""The form, and what becomes of it: a scenario in Scenario Studio."""

import json
import logging
from hashlib import sha256
from uuid import UUID, uuid5

from flask import Blueprint, Flask, current_app, g, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from . import auth, errors
from .exec_api import ExecBusy, ExecClient, ExecError, ExecRefusedRequest
from .forms import PromptForm, prefill
from .oidc import User
from .starters import STARTERS

bp = Blueprint("launches", __name__)
log = logging.getLogger(__name__)

LAUNCHES = UUID("7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e")  # the name space of our launch ids; any UUID would do
Answer = BaseResponse | str | tuple[str, int] | tuple[str, int, dict[str, str]]


def init_app(app: Flask, client: ExecClient) -> None:
    app.extensions["exec"] = client
    app.extensions["csrf"].exempt(bp)  # a stranger's post has no session to check; `create` checks the others
    app.register_blueprint(bp)


@bp.get("/")
def new() -> BaseResponse | str:
    if g.user is None:
        return auth.arriving()
    starter = STARTERS.get(request.args.get("starter", ""))
    text = request.args.get("prompt") or (starter.text if starter else None)
    return _page(PromptForm(formdata=None, data=prefill(text, request.args.get("request_id"))))


@bp.post("/launches")
def create() -> Answer:
    if g.user is None:
        return _sign_in_first()
    form = PromptForm()
    if not form.validate() or not auth.from_our_own_page():
        return _page(form), 422
    prompt, token = form.prompt.data or "", form.form_token.data or ""
    try:
        request_id = f"portal-{launch_id(g.user, token, prompt)}"
        exec_session = _exec().create_scenario_studio_session(g.user.email, prompt, request_id)
    except ExecError as error:
        return _refused(form, error)
    log.info("created launch=%s is_new=%s", request_id, exec_session.is_new)
    return redirect(exec_session.url, 303)


def launch_id(user: User, token: str, prompt: str) -> UUID:
    """Return the id of one person's one intention: the same wherever and however often it arrives."""
    words = [user.issuer, user.sub, token, sha256(prompt.encode()).hexdigest()]
    return uuid5(LAUNCHES, json.dumps(words))


def _page(form: PromptForm, problem: errors.Page | None = None) -> str:
    g.form_leads_to_studio = True
    return render_template("new.html", form=form, problem=problem, starters=STARTERS)


def _refused(form: PromptForm, error: ExecError) -> Answer:
    refusal = errors.REFUSALS[type(error)]
    log.log(refusal.level, "not created: %s: %s", type(error).__name__, error)
    retry_after = error.retry_after if isinstance(error, ExecBusy) else 10
    headers = {"Retry-After": str(round(retry_after))} if refusal.status == 503 else {}
    detail = error.message if isinstance(error, ExecRefusedRequest) else ""
    page = refusal.page.filled(email=g.user.email, when=_in_words(retry_after), detail=detail)
    return _page(form, page), refusal.status, headers


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"in {round(seconds)} seconds"
    return f"in {round(seconds / 60)} minutes" if seconds < 5400 else f"in {round(seconds / 3600)} hours"


def _sign_in_first() -> str:
    """Keep a stranger's text on a page that leads to the sign-in; touch no session."""
    form = PromptForm(meta={"csrf": False})
    return _page(form, errors.SIGN_IN_FIRST)


def _exec() -> ExecClient:
    return current_app.extensions["exec"]  # type: ignore[no-any-return]
