"""Where the portal is mounted: below the path of `PUBLIC_URL`, whatever a proxy in front says."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Mount:
    """Serves the portal below the path of `PUBLIC_URL`; health answers at the root as well."""

    def __init__(self, app: "WSGIApplication", path: str) -> None:
        self.app = app
        self.path = path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not _is_host(environ.get("HTTP_HOST", "")):
            del environ["HTTP_HOST"]  # Werkzeug would build no address from it, not even for an error page
        path = environ.get("PATH_INFO", "")
        if path.startswith(f"{self.path}/") or path == self.path:
            environ["SCRIPT_NAME"] = self.path
            environ["PATH_INFO"] = path[len(self.path) :] or "/"
        elif path not in ("/healthz", "/readyz"):
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = self.path, "/-/outside"
        return self.app(environ, start_response)


def _is_host(text: str) -> bool:
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
