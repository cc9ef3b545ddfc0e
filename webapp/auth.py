"""Who is signed in, and the way there and back: `g.user`, sign-in, callback, sign-out.

What a person wanted before signing in travels in a signed cookie of ours; nobody else can name a target.
"""

import contextlib
import json
import logging
import secrets
from dataclasses import replace
from hashlib import sha256

from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from .config import Settings
from .keys import signer
from .logs import printable
from .oidc import PENDING, PromptRefused, Stale, User
from .portal import current_portal
from .store.events import origin
from .store.tables import SignIn

bp = Blueprint("auth", __name__)
log = logging.getLogger(__name__)

# Everything else wants somebody signed in. The house test knows this list.
OPEN_TO_STRANGERS = frozenset(
    {
        "auth.sign_in",
        "auth.callback",
        "auth.sign_out",
        "auth.signed_out",
        "embed.create",
        "embed.show",
        "embed.seen",
        "embed.diagnose",
        "drafts.show",
        "launches.new",
        "launches.create",
        "links.create",
        "links.open_shared",
        "texts.create",
        "look.accent",
        "look.logo",
        "ops.healthz",
        "ops.metrics",
        "ops.readyz",
        "static",
    }
)

# Framed pages and their like: they must not depend on a cookie, nor tell the browser that they do.
WITHOUT_SESSION = frozenset(
    {
        "static",
        "look.accent",
        "look.logo",
        "embed.create",
        "embed.show",
        "embed.seen",
        "embed.diagnose",
        "ops.healthz",
        "ops.metrics",
        "ops.readyz",
    }
)

SIGN_IN = "sign_in"  # the session's key for what finds the row
UNVERIFIED = " (unverified)"
USE_NOTED_EVERY = 600  # seconds
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

WANTED_LIFETIME = 3600
WANTED_PIECES = 2
WANTED_PIECE_SIZE = 3600  # a browser silently drops a cookie of more than 4,096 bytes
PROMPTS = frozenset({"select_account", "login"})


class WantedTooLong(Exception):
    """The address, prefilled text and all, does not fit into cookies."""


# Posts that carry a text: a stranger's becomes a draft, and a refusal gives the text back.
CARRIES_TEXT = frozenset({"launches.create", "texts.create", "links.create", "embed.create"})

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    app.before_request(load_user)  # first: every page that refuses something says who is signed in
    csrf.init_app(app)
    app.before_request(refuse_forged_posts)
    app.before_request(refuse_strangers)
    app.register_blueprint(bp)


def load_user() -> None:
    """Put the person signed in on `g.user`; `g.former` is whose sign-in has ended in this browser."""
    g.user = g.sign_in = g.former = None
    _act_as(None)
    secret = None if request.endpoint in WITHOUT_SESSION else session.get(SIGN_IN)
    found = current_portal.store.sign_ins.find(_hash(secret)) if isinstance(secret, str) else None
    if found is None:
        return
    row, g.now = found
    if not lets_in(row):
        g.former = row.person
        return
    g.user, g.sign_in = User(row.issuer, row.sub, row.email, row.name), row
    _act_as(g.user)
    # A page that waits asks by itself: that is no use, and must not keep a sign-in alive for ever.
    if g.now - row.used > USE_NOTED_EVERY and "go" not in request.args:
        current_portal.store.sign_ins.touch(row.id)


def _act_as(user: User | None) -> None:
    """Let what this request writes down name who acts, and from where as far as that can be trusted."""
    person, email = (user.key, user.email) if user else (None, None)
    origin.set(replace(origin.get(), person=person, email=email))


def lets_in(row: SignIn) -> bool:
    """Whether a sign-in still holds, by its times and by the settings of today."""
    settings, now = current_portal.settings, g.now
    lasts = now < row.created + settings.session_hours * 3600
    used = now < row.used + settings.session_idle_hours * 3600
    if row.ended is not None or not lasts or not used:
        return False
    if row.issuer.rstrip("/") != settings.oidc_issuer.rstrip("/") or row.claim not in _claims(settings):
        return False
    domains, groups = settings.allowed_email_domains, settings.allowed_groups
    allowed = not domains or row.email.rpartition("@")[2].lower() in domains
    return allowed and (not groups or not set(groups).isdisjoint(json.loads(row.groups)))


def _claims(settings: Settings) -> set[str]:
    """Return what may stand in a row for where its address came from, by the settings of today."""
    claim = settings.oidc_email_claim
    return {claim, f"{claim}{UNVERIFIED}"} if settings.oidc_trust_unverified_email else {claim}


def refuse_strangers() -> BaseResponse | None:
    """Send a stranger to the sign-in, except where the page itself knows what to do with one."""
    if g.user or request.endpoint is None or request.endpoint in OPEN_TO_STRANGERS:
        return None
    response = redirect(url_for("auth.sign_in"), 303)
    if request.method in ("GET", "HEAD"):
        remember_page(response)
    return response


def refuse_forged_posts() -> None:
    """Hold posts to the page's token and our origin, except those of a text: they give it back instead."""
    if request.method != "POST" or request.endpoint is None or request.endpoint in CARRIES_TEXT:
        return
    csrf.protect()
    if not from_our_own_page():
        raise CSRFError("posted from another site")


def arriving() -> Response:
    """Return a stranger's first page: it goes on to the sign-in by itself, and is the link's preview."""
    response = make_response(render_template("arriving.html"))
    remember_wanted(response)
    return response


@bp.get("/sign-in")
def sign_in() -> BaseResponse:
    prompt = request.args.get("prompt")
    if g.user and prompt not in PROMPTS:
        return _go_where_wanted()
    return _to_the_provider(prompt if prompt in PROMPTS else None)


@bp.get("/sign-in/callback")
def callback() -> BaseResponse:
    try:
        user = current_portal.provider.finish(request.args)
    except PromptRefused:
        return _to_the_provider("login")
    except Stale:
        if g.user:  # Back to this page, or a second tab: nothing to complain about
            return _go_where_wanted()
        raise
    _begin(user)
    log.info("signed in", extra={"event": "sign_in"})
    return _go_where_wanted()


def _begin(user: User) -> None:
    """Write the sign-in down, and give the browser the secret that finds it."""
    secret, settings = secrets.token_urlsafe(32), current_portal.settings
    row = SignIn(
        id=_hash(secret),
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
    _act_as(user)
    current_portal.store.sign_ins.begin(row, instead_of=g.sign_in.id if g.sign_in else None)
    others = {key: value for key, value in session.items() if key.startswith(PENDING)}
    session.clear()
    session.update(others)
    session[SIGN_IN] = secret
    session.permanent = True


def _browser(user_agent: str) -> str:
    """Return what a person may recognise a browser by; nobody but they reads it."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


@bp.post("/sign-out")
def sign_out() -> str:
    """End both sessions. A 200 page goes on to the provider: a redirect would fall to `form-action`."""
    if g.sign_in:
        log.info("signed out", extra={"event": "sign_out"})
        current_portal.store.sign_ins.sign_out(g.sign_in.id, g.user.key)
    session.clear()
    g.user = g.sign_in = None
    signed_out_address = current_portal.settings.public_url + "/signed-out"
    address = current_portal.provider.end_session_address(signed_out_address)
    return render_template("signing_out.html", address=address or url_for("auth.signed_out"))


@bp.get("/signed-out")
def signed_out() -> str:
    return render_template("signed_out.html")


def from_our_own_page() -> bool:
    """Whether the browser says that a page of ours sent this; a browser that says nothing is believed.

    So is one that says `null`, as under a proxy's `Referrer-Policy: no-referrer`: the page's token is checked
    in any case. `Sec-Fetch-Site` is no help: WebKit calls our own framed page a stranger's.
    """
    origin, ours = request.headers.get("Origin", "null"), current_portal.settings.origin
    if origin in ("null", ours):
        return True
    log.warning(
        "refused a post from %s: PUBLIC_URL is at %s; if people open the portal there, change PUBLIC_URL",
        printable(origin)[:100],
        ours,
        extra={"event": "post.foreign", "every": 60},
    )
    return False


def remember_wanted(response: BaseResponse) -> None:
    """Keep this request's path and query for after the sign-in. Raises `WantedTooLong`."""
    query = request.query_string.decode("ascii", "ignore")
    _keep_wanted(response, request.path + (f"?{query}" if query else ""))


def remember_page(response: BaseResponse) -> None:
    """Keep what fits of this request's address, where it holds nothing that anybody typed."""
    try:
        remember_wanted(response)
    except WantedTooLong:
        with contextlib.suppress(WantedTooLong):
            _keep_wanted(response, request.path)


def _keep_wanted(response: BaseResponse, address: str) -> None:
    wanted = _wanted_signer().dumps(address)
    if len(wanted) > WANTED_PIECES * WANTED_PIECE_SIZE:
        raise WantedTooLong
    for number in range(WANTED_PIECES):
        piece = wanted[number * WANTED_PIECE_SIZE : (number + 1) * WANTED_PIECE_SIZE]
        _set_wanted_cookie(response, number, piece)


def _wanted_signer() -> URLSafeTimedSerializer:
    return signer(current_portal.settings.secret_keys, "wanted")


def _to_the_provider(prompt: str | None) -> BaseResponse:
    return redirect(
        current_portal.provider.begin(current_portal.settings.public_url + "/sign-in/callback", prompt), 303
    )


def _go_where_wanted() -> BaseResponse:
    pieces = "".join(request.cookies.get(f"wanted-{number}", "") for number in range(WANTED_PIECES))
    try:
        wanted = _wanted_signer().loads(pieces, max_age=WANTED_LIFETIME)
    except BadData:
        wanted = "/"
    response = redirect(current_portal.settings.base_path + wanted, 303)
    for number in range(WANTED_PIECES):
        _set_wanted_cookie(response, number, "")
    return response


def _set_wanted_cookie(response: BaseResponse, number: int, piece: str) -> None:
    response.set_cookie(
        f"wanted-{number}",
        piece,
        max_age=WANTED_LIFETIME if piece else 0,
        path=url_for("auth.sign_in"),
        secure=current_portal.settings.is_https,
        httponly=True,
        samesite="Lax",
    )
