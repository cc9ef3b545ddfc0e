"""The portal inside an iframe: the frame is only a launcher, and its post opens a new tab.

Nothing here reads or writes a session or sets a cookie: inside a frame on another site there may be none.
"""

from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from .config import Settings
from .forms import TOKEN, PromptForm, prefill
from .store import Store

bp = Blueprint("embed", __name__)

HEIGHT = 520  # pixels that hold the frame's content from 320 px of width on


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)


@bp.get("/embed")
def show() -> BaseResponse | str:
    """Return the framed form. It takes no text from its address: its framer could put words in there."""
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return redirect(url_for("launches.new"), 303)
    g.framed = True
    form = PromptForm(formdata=None, data=prefill(None, None), meta={"csrf": False})
    return render_template("embed.html", form=form)


@bp.get("/embed/seen")
def seen() -> Response:
    """Say whether the post of the frame with this token arrived, so that it can offer another way if not."""
    token = request.args.get("k", "")
    return jsonify(seen=bool(TOKEN.fullmatch(token)) and _store().has_draft(token))


@bp.get("/embed/diagnose")
def diagnose() -> str:
    """Say what the surrounding page allows; opened by itself, build the frame to paste."""
    g.framed = True
    settings = _settings()
    return render_template(
        "diagnose.html",
        ancestors=settings.frame_ancestors,
        coep=settings.embed_coep,
        is_private=settings.is_loopback,
        host=urlsplit(settings.public_url).hostname,
        height=HEIGHT,
        # The second step of its own test: opened in a new tab by the framed page.
        is_new_tab="tab" in request.args,
    )


def _settings() -> Settings:
    return current_app.extensions["settings"]  # type: ignore[no-any-return]


def _store() -> Store:
    return current_app.extensions["store"]  # type: ignore[no-any-return]
