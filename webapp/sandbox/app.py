"""The sandbox as one Flask application: named steps, top to bottom."""

from flask import Flask, Response, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from . import components, exec_api, intranet, pages, provider, studio
from .options import Options
from .workspace import Workspace

PAGE_HEADERS = {
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    # No form-action: Chromium applies it to the redirect after a post, and the chooser's goes elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_app(options: Options) -> Flask:
    """Build one sandbox: its keys, its empty workspace and its pages."""
    app = Flask(__name__)
    app.jinja_env.undefined = StrictUndefined
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["options"] = options
    app.extensions["workspace"] = Workspace(options)
    app.extensions["doorkeeper"] = studio.Doorkeeper()
    app.extensions["providers"] = provider.create_providers(options)
    app.context_processor(lambda: {"portal": options.portals[0]})
    app.register_blueprint(pages.bp)
    app.register_blueprint(intranet.bp)
    app.register_blueprint(components.bp)
    app.register_blueprint(provider.bp)
    app.register_blueprint(exec_api.bp)
    app.register_blueprint(studio.bp)
    app.register_error_handler(HTTPException, show_problem)
    app.after_request(add_page_headers)
    return app


def show_problem(error: HTTPException) -> Response:
    """Answer in the API's envelope within the API, with a page elsewhere."""
    return exec_api.problem(error) if request.path.startswith("/rest/") else pages.problem(error)


def add_page_headers(response: Response) -> Response:
    """Refuse framing and scripts everywhere but in the API, as real providers and studios do."""
    if request.path.startswith("/rest/"):
        return response
    for name, value in PAGE_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
