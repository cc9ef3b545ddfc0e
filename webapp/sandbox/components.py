"""All components of the portal's pages at a glance, in its own style sheet, and links to every state."""

import re

from flask import Blueprint, Response, current_app, render_template

from .options import Options

bp = Blueprint("components", __name__)

# What to write so that the portal shows a state; the words in brackets are the sandbox's.
STATES = {
    "waiting, with a countdown": "[[429]]",
    "waiting too long for a countdown": "[[429-day]]",
    "Exec does not answer": "[[500]]",
    "held: the key is refused": "[[401]]",
    "held: an address that is not trusted": "[[strange-host]]",
    "refused, with Exec's own words": "[[400]]",
    "busy: the button works": "[[slow]]",
}


@bp.get("/sandbox/components")
def page() -> Response:
    """Show them; the style sheet is the portal's, so a change there is seen here."""
    options: Options = current_app.extensions["options"]
    portal = options.portals[0]
    origin = re.match(r"https?://[^/]+", portal)
    response = Response(render_template("components.html", portal=portal, states=STATES))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src {origin[0] if origin else portal}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return response
