"""A pretend intranet page that frames the portal, as an editor would paste it; the company's, not Exec's."""

import re

from flask import Blueprint, Response, current_app, render_template, request

from .options import Options

bp = Blueprint("intranet", __name__)

SANDBOXES = (
    "allow-forms allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox",
    "allow-forms allow-scripts allow-popups allow-popups-to-escape-sandbox",
    "allow-forms allow-scripts allow-same-origin allow-popups",
    "allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox",
    "allow-scripts allow-same-origin",
)


@bp.get("/intranet")
def page() -> Response:
    """Frame the portal; `?sandbox=` restricts the frame, `?page=diagnose` shows what it says about that."""
    options: Options = current_app.extensions["options"]
    portal = options.portals[0]
    path = "/embed/diagnose" if request.args.get("page") == "diagnose" else "/embed"
    html = render_template(
        "intranet.html",
        path=path,
        sandbox=request.args.get("sandbox"),
        sandboxes=SANDBOXES,
    )
    response = Response(html)
    origin = re.match(r"https?://[^/]+", portal)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'; "
        f"frame-src {origin[0] if origin else portal}; frame-ancestors 'none'"
    )
    return response
