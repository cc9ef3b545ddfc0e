"""What every answer tells the browser: who may frame it, what may run in it, who may keep it.

Knows pages only by what they ask for on `g`; imports nothing of the portal.
"""

from flask import Flask, Response, g, request

YEAR = 365 * 24 * 3600
# A file is no page; but somebody may open an SVG by itself.
NOTHING = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
KEPT = frozenset({"static", "look.accent", "look.logo"})


def init_app(
    app: Flask,
    *,
    home: str,
    studio_origins: tuple[str, ...],
    ancestors: tuple[str, ...],
    coep: bool,
) -> None:
    """Send the headers with every answer.

    `home`: the portal's own origin. `studio_origins`: http origins on loopback, for `form-action`.
    `ancestors`: who may frame the pages that set `g.framed`; `coep`: whether those also carry what a page
    with COEP `require-corp` wants of a frame.
    """

    @app.after_request
    def send_headers(response: Response) -> Response:
        framed = ancestors if g.get("framed") else ()
        kept = _is_kept(response)
        response.headers["Content-Security-Policy"] = (
            NOTHING if kept else _policy(studio_origins, framed, home)
        )
        if not framed:
            response.headers["X-Frame-Options"] = "DENY"
        elif coep:
            response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        # `same-origin` kills the style and script of a sandboxed frame, which has no origin.
        shared = kept or (framed and coep)
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin" if shared else "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if home.startswith("https:"):
            response.headers["Strict-Transport-Security"] = f"max-age={YEAR}"
        if not kept:  # which says itself how long it is kept, is no page and leads nowhere
            response.headers["Cache-Control"] = "no-store"
            # Stricter than this, posts carry `Origin: null` and our own check refuses them.
            response.headers["Referrer-Policy"] = "same-origin"
            response.headers["Permissions-Policy"] = (
                "camera=(), microphone=(), geolocation=(), browsing-topics=()"
            )
        return response


def _policy(studio_origins: tuple[str, ...], ancestors: tuple[str, ...], home: str) -> str:
    # Chromium applies form-action to every redirect after a post: the portal's, the studio's own to its
    # sign-in, and so on to hosts nobody can list.
    onwards = " ".join(("https:", *studio_origins)) if g.get("form_leads_to_studio") else ""
    if g.get("form_leads_home"):  # whatever host this page was asked at
        onwards = home
    framers = " ".join(("'self'", *ancestors)) if ancestors else "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; frame-ancestors {framers}; form-action 'self' {onwards}".rstrip()
    )


def _is_kept(response: Response) -> bool:
    return request.endpoint in KEPT and response.status_code in (200, 304)
