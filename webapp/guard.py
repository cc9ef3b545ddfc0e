"""Who asks, and what they may: `g.user`, strangers to the sign-in, posts held to our own pages."""

import json
import logging

from flask import Flask, g, redirect, request, session
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.wrappers import Response as BaseResponse

from .auth import SIGN_IN, UNVERIFIED, act_as, way_in, way_in_from_page
from .claims import User
from .config import Settings
from .keys import digest
from .logs import printable
from .portal import current_portal
from .store.tables import SignIn

log = logging.getLogger(__name__)

# Everything else wants somebody signed in. The house test knows this list.
OPEN_TO_STRANGERS = frozenset(
    {
        "auth.sign_in",
        "auth.backchannel_logout",
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
        "auth.backchannel_logout",
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

USE_NOTED_EVERY = 600  # seconds

# Posts that carry a text: a stranger's becomes a draft, and a refusal gives the text back.
CARRIES_TEXT = frozenset({"launches.create", "texts.create", "links.create", "embed.create"})

# The provider's own post proves itself by what it carries.
WITHOUT_TOKEN = CARRIES_TEXT | {"auth.backchannel_logout"}
csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    app.before_request(load_user)  # first: every page that refuses something says who is signed in
    csrf.init_app(app)
    app.before_request(refuse_forged_posts)
    app.before_request(refuse_strangers)


def load_user() -> None:
    """Put the person signed in on `g.user`; `g.former` is whose sign-in has ended in this browser."""
    g.user = g.sign_in = g.former = None
    act_as(None)
    secret = None if request.endpoint in WITHOUT_SESSION else session.get(SIGN_IN)
    found = current_portal.store.sign_ins.find(digest(secret)) if isinstance(secret, str) else None
    if found is None:
        return
    row, g.now = found
    if not lets_in(row):
        g.former = row.person
        return
    g.user, g.sign_in = User(row.issuer, row.sub, row.email, row.name), row
    act_as(g.user)
    # A page that waits asks by itself: that is no use, and must not keep a sign-in alive for ever.
    if g.now - row.used > USE_NOTED_EVERY and "go" not in request.args:
        current_portal.store.sign_ins.touch(row.id)


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
    return redirect(way_in_from_page() if request.method in ("GET", "HEAD") else way_in(), 303)


def refuse_forged_posts() -> None:
    """Hold posts to the page's token and our origin, except those of a text: they give it back instead."""
    if request.method != "POST" or request.endpoint is None or request.endpoint in WITHOUT_TOKEN:
        return
    csrf.protect()
    if not from_our_own_page():
        raise CSRFError("posted from another site")


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
        extra={"event": "post.foreign", "every": 60, "about": origin[:100]},
    )
    return False
