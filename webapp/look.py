"""The company's own colour and logo, as files of the portal's: no page holds a style of its own."""

from dataclasses import asdict
from hashlib import sha256

from flask import Blueprint, Flask, Response, abort, url_for

from . import appearance
from .appearance import Shades
from .config import Settings
from .portal import current_portal
from .static_files import KEPT_FOR_GOOD

bp = Blueprint("look", __name__)

NAMES = {
    "accent": "--accent",
    "on_accent": "--on-accent",
    "strong": "--accent-strong",
    "ground": "--accent-ground",
}


def init_app(app: Flask, settings: Settings) -> None:
    """Tell the templates the portal's name, and where its colour and logo are, if it has its own."""
    logo_file = settings.logo_file
    versions = {
        "look.accent": _version(settings.accent_color.encode()),
        "look.logo": _version(logo_file.read_bytes() if logo_file else b""),
    }

    def address(endpoint: str) -> str | None:
        version = versions[endpoint]
        return url_for(endpoint, v=version) if version else None

    app.jinja_env.globals.update(portal_name=settings.portal_name, look=address)
    app.register_blueprint(bp)


@bp.get("/look/accent.css")
def accent() -> Response:
    colour = current_portal.settings.accent_color or abort(404)
    light, dark = (_properties(shades) for shades in appearance.light_and_dark(colour))
    in_the_dark = (
        f'@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}'
    )
    return _kept(Response(f":root {{ {light} }}\n{in_the_dark}\n", mimetype="text/css"))


@bp.get("/look/logo")
def logo() -> Response:
    found = appearance.read_logo(current_portal.settings.logo_file or abort(404))
    return _kept(Response(found.data, mimetype=found.media_type))


def _kept(response: Response) -> Response:
    """Let the file be kept for good: its address changes with the setting."""
    response.headers["Cache-Control"] = KEPT_FOR_GOOD
    return response


def _properties(shades: Shades) -> str:
    return " ".join(f"{NAMES[name]}: {value};" for name, value in asdict(shades).items())


def _version(content: bytes) -> str:
    return sha256(content).hexdigest()[:12] if content else ""
