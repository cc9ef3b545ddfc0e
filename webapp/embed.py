"""The portal inside an iframe: the frame is only a launcher, and its post opens a new tab.

Nothing here reads or writes a session or sets a cookie: inside a frame on another site there may be none.
"""

from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from . import drafts
from .addresses import origin_of
from .forms import LONGEST_PROMPT, TOKEN, PromptForm, prefill, slug_of
from .portal import current_portal

bp = Blueprint("embed", __name__)

HEIGHT = 640  # pixels that hold the frame's content, its notices included, from 320 px of width on

# What a frame needs where a platform insists on a sandbox; the diagnosis names what is missing.
SANDBOX = "allow-forms allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox"


@bp.get("/embed")
def show() -> BaseResponse | str:
    """Return the framed form, or of a shared text the button that opens it.

    It takes no text from its address: its framer could put words in there.
    """
    shared = slug_of(request.args.get("s"))
    if request.headers.get("Sec-Fetch-Dest") == "document":
        here = url_for("links.open_shared", slug=shared) if shared else url_for("launches.new")
        return redirect(here, 303)
    g.framed = True
    if shared:
        return render_template("embed_link.html", address=f"{current_portal.settings.public_url}/s/{shared}")
    form = PromptForm(formdata=None, data=prefill(None, None), meta={"csrf": False})
    return render_template("embed.html", form=form, longest=LONGEST_PROMPT)


@bp.post("/embed")
def create() -> drafts.Answer:
    """Keep the framed text, which opens in a new tab. It can ask for one more press, never for less."""
    return drafts.keep(review=current_portal.settings.embed_review)


@bp.get("/embed/seen")
def seen() -> Response:
    """Say whether the post of the frame with this token arrived, so that it can offer another way if not."""
    token = request.args.get("k", "")
    return jsonify(seen=bool(TOKEN.fullmatch(token)) and current_portal.store.drafts.has_arrived(token))


@bp.get("/embed/diagnose")
def diagnose() -> str:
    """Say what the surrounding page allows; opened by itself, build the frame to paste."""
    g.framed = True
    settings = current_portal.settings
    asked = request.args.get("page", "").strip()
    origin = origin_of(asked)
    return render_template(
        "diagnose.html",
        # Opened in a new tab by the framed page, as the second step of its test.
        is_new_tab="tab" in request.args,
        is_framed=request.headers.get("Sec-Fetch-Dest") in ("iframe", "frame", "embed", "object"),
        ancestors=settings.frame_ancestors,
        coep=settings.embed_coep,
        host=urlsplit(settings.public_url).hostname,
        height=HEIGHT,
        sandbox=SANDBOX,
        asked=asked,
        origin=origin,
        is_listed=origin is not None and is_listed(origin, (settings.origin, *settings.frame_ancestors)),
    )


def is_listed(origin: str, listed: tuple[str, ...]) -> bool:
    """Whether `frame-ancestors` with these sources lets a page of this origin frame ours."""
    scheme, _, rest = origin.partition("://")
    parent = rest.partition(".")[2]
    parents = []
    while parent:
        parents.append(f"{scheme}://*.{parent}")
        parent = parent.partition(".")[2]
    return not {origin, *parents}.isdisjoint(listed)
