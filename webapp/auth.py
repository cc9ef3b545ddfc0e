"""The way to the provider and back: sign-in, callback, sign-out.

What a person wanted before signing in travels in signed values of ours; nobody else can name a target.
"""

import contextlib
import json
import logging
import secrets
from dataclasses import replace
from urllib.parse import urlencode

from flask import (
    Blueprint,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from . import cookies
from .claims import User
from .issuer import BadAnswer, ProviderUnavailable, SignInFailed
from .keys import digest, seal, signer, unseal
from .oidc import LONGEST_ADDRESS, Pending, PromptRefused, Stale
from .portal import current_portal
from .store.events import origin
from .store.sign_ins import EndedAlready, Replayed
from .store.tables import Logout, SignIn, person_key

bp = Blueprint("auth", __name__)
log = logging.getLogger(__name__)

BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)

SIGN_IN = "sign_in"  # the session's key for what finds the row
UNVERIFIED = " (unverified)"  # behind the claim's name in a row
LONGEST_WANTED = 300  # bytes of path and query that are carried through a sign-in
UNDER_WAY_LIFETIME = 24 * 3600  # seconds: people leave a sign-in page open overnight
PROMPTS = frozenset({"select_account", "login"})


class WantedTooLong(Exception):
    """The address, prefilled text and all, is longer than what is carried through a sign-in."""


def arriving() -> str:
    """Return a stranger's first page: it goes on to the sign-in by itself, and is the link's preview."""
    return render_template("arriving.html", way_in=way_in(_address_here()))


@bp.get("/sign-in")
def sign_in() -> BaseResponse:
    prompt = request.args.get("prompt")
    if g.user and prompt not in PROMPTS:
        return redirect(current_portal.settings.base_path + _wanted(), 303)
    return _to_the_provider(prompt if prompt in PROMPTS else None, _wanted())


@bp.get("/sign-in/callback")
def callback() -> BaseResponse:
    pending, wanted = _under_way(request.args.get("state", ""))
    g.wanted = wanted
    try:
        user = current_portal.provider.finish(request.args, pending)
    except PromptRefused:
        return _to_the_provider("login", wanted)
    except Stale:
        if g.user:  # Back to this page: nothing to complain about
            return redirect(current_portal.settings.base_path + wanted, 303)
        raise
    try:
        _begin(user)
    except EndedAlready:
        raise BadAnswer("the provider ended this very session meanwhile") from None
    log.info("signed in", extra={"event": "sign_in"})
    if pending and pending.prompt == "login" and not user.proved:
        more = {"event": "sign_in.not_asked", "every": 60}
        log.warning("the provider let a person in without asking anew, as prompt=login wants it", extra=more)
        flash("Your company's sign-in service did not ask who you are, so this proves nothing.", "ended")
    response = redirect(current_portal.settings.base_path + wanted, 303)
    home = current_portal.settings.public_url
    cookies.drop(response, home, cookies.name(home, cookies.UNDER_WAY, request.args["state"]))
    return response


def way_in(wanted: str = "/", prompt: str | None = None) -> str:
    """Return the address at home that begins a sign-in, after which the person is where they wanted to be.

    What is wanted is signed: nobody else can name a target. Raises `WantedTooLong`.
    """
    if len(wanted.encode()) > LONGEST_WANTED:
        raise WantedTooLong
    home = current_portal.settings.public_url
    asked = {"to": str(_signer().dumps(wanted)) if wanted != "/" else "", "prompt": prompt or ""}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{home}/sign-in" + (f"?{query}" if query else "")


def way_in_from_page(prompt: str | None = None) -> str:
    """Return the way in that leads back to this page, as far as its address can be carried."""
    for address in (_address_here(), request.path):
        with contextlib.suppress(WantedTooLong):
            return way_in(address, prompt)
    return way_in("/", prompt)


def _address_here() -> str:
    query = request.query_string.decode("ascii", "ignore")
    return request.path + (f"?{query}" if query else "")


def _wanted() -> str:
    """Return the path that this request's signed value names, below our own."""
    try:
        return str(_signer().loads(request.args.get("to", ""), max_age=UNDER_WAY_LIFETIME))
    except BadData:
        return "/"


def _to_the_provider(prompt: str | None, wanted: str) -> BaseResponse:
    """Begin a sign-in, which one cookie of its own keeps: tabs that begin at once do not meet."""
    pending, home = Pending.new(prompt), current_portal.settings.public_url
    response = redirect(current_portal.provider.begin(pending), 303)
    kept = str(_signer().dumps([pending.secret, prompt, wanted]))
    cookies.keep_one_of(response, home, cookies.UNDER_WAY, pending.state, kept, UNDER_WAY_LIFETIME)
    return response


def _under_way(state: str) -> tuple[Pending | None, str]:
    """Return the sign-in that began with this state in this browser, and what was wanted."""
    kept = cookies.one_of(current_portal.settings.public_url, cookies.UNDER_WAY, state or "-")
    try:
        (secret, prompt, wanted), began = _signer().loads(
            kept, max_age=UNDER_WAY_LIFETIME, return_timestamp=True
        )
    except (BadData, ValueError, TypeError):
        return None, "/"
    return Pending(secret, prompt, began.timestamp()), wanted


def _signer() -> URLSafeTimedSerializer:
    return signer(current_portal.settings.secret_keys, "wanted")


def _begin(user: User) -> None:
    """Write the sign-in down, and give the browser the secret that finds it."""
    secret, settings = secrets.token_urlsafe(32), current_portal.settings
    row = SignIn(
        id=digest(secret),
        person=user.key,
        issuer=user.issuer,
        sub=user.sub,
        email=user.email,
        claim=settings.oidc_email_claim + ("" if user.verified else UNVERIFIED),
        name=user.name,
        groups=json.dumps(user.groups),
        sid=user.sid,
        auth_time=user.auth_time,
        proved=user.proved,
        browser=_browser(request.user_agent.string),
    )
    act_as(user)
    before = g.sign_in.id if g.sign_in else None
    current_portal.store.sign_ins.begin(row, _sealed(user.id_token), before)
    session.clear()
    session[SIGN_IN] = secret
    session.permanent = True


def _sealed(id_token: str | None) -> str | None:
    """Return what is kept of it for the sign-out: nothing where it is longer than what is ever sent."""
    if id_token is None or len(id_token) > LONGEST_ADDRESS:
        return None
    return seal(id_token, current_portal.settings.secret_keys, "id_token")


def act_as(user: User | None) -> None:
    """Let what this request writes down name who acts, and from where as far as that can be trusted."""
    person, email = (user.key, user.email) if user else (None, None)
    origin.set(replace(origin.get(), person=person, email=email))


def _browser(user_agent: str) -> str:
    """Return what a person may recognise a browser by; nobody but they reads it."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


@bp.post("/sign-out")
def sign_out() -> str:
    """End both sessions. A 200 page goes on to the provider: a redirect would fall to `form-action`."""
    id_token, settings = None, current_portal.settings
    if g.sign_in:
        log.info("signed out", extra={"event": "sign_out"})
        sealed = current_portal.store.sign_ins.sign_out(g.sign_in.id, g.user.key)
        id_token = unseal(sealed or "", settings.secret_keys, "id_token")
    session.clear()
    g.user = g.sign_in = None
    address = current_portal.provider.end_session_address(f"{settings.public_url}/signed-out", id_token)
    return render_template("signing_out.html", address=address or url_for("auth.signed_out"))


@bp.post("/backchannel-logout")
def backchannel_logout() -> tuple[BaseResponse, int]:
    """End the sign-ins that the provider ended (OpenID Connect Back-Channel Logout 1.0, section 2.8)."""
    try:
        told = current_portal.provider.logout(request.form.get("logout_token"))
        issuer = current_portal.provider.issuer.metadata.issuer
        person = person_key(issuer, told.sub) if told.sub else None
        row = Logout(id=digest(told.jti), person=person, sid=told.sid, at=told.at)
        count = current_portal.store.sign_ins.end_by_provider(row)
    except (SignInFailed, Replayed) as error:
        why = str(error) or "it was told before"
        more = {"event": "logout.refused", "every": 60, "about": getattr(error, "about", why)}
        log.warning("a sign-out of the provider's was refused: %s", why, extra=more)
        return jsonify(error="invalid_request"), 503 if isinstance(error, ProviderUnavailable) else 400
    log.info("the provider ended %s sign-ins", count, extra={"event": "sign_in.ended_by_provider"})
    return jsonify(), 200


@bp.get("/signed-out")
def signed_out() -> str:
    return render_template("signed_out.html")
