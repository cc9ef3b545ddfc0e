"""What operators and load balancers ask, and what the portal does for itself."""

import logging
import threading
import time
from hmac import compare_digest

from flask import Blueprint, Flask, Response, abort, jsonify, request
from itsdangerous import BadData, URLSafeTimedSerializer

from .config import Settings
from .keys import signer
from .metrics import CONTENT_TYPE
from .portal import current_portal, portal_of
from .store.database import StoreUnavailable

bp = Blueprint("ops", __name__)
log = logging.getLogger(__name__)

ERASE_EVERY = 3600
PADDING = 2900  # bytes: with all other lines the head is as large as ours may be, 3.5 KB


@bp.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; it asks nobody else. `?check=` tells `check` what the way here does."""
    if "check" in request.args:
        return _what_arrives(request.args["check"])
    return Response("ok\n", mimetype="text/plain")


def _what_arrives(token: str) -> Response:
    """Say how many proxies passed the request on, with the largest head that the portal ever sends."""
    try:
        check_signer(current_portal.settings).loads(token, max_age=60)
    except BadData:
        return Response("ok\n", mimetype="text/plain")
    forwarded = [entry for entry in request.headers.get("X-Forwarded-For", "").split(",") if entry.strip()]
    answer = jsonify(
        portal=current_portal.settings.public_url, forwarded=len(forwarded), https=request.is_secure
    )
    answer.headers["X-Padding"] = "x" * PADDING
    return answer


def check_signer(settings: Settings) -> URLSafeTimedSerializer:
    """Return what signs the address that `check` asks, so that nobody else learns of the proxies."""
    return signer(settings.secret_keys, "check")


@bp.get("/readyz")
def readyz() -> Response:
    """Say whether people can be served: 503 while the database cannot be written, and why, within 5 s."""
    wrong = current_portal.health.ask()
    if wrong:
        log.error("not ready: %s", wrong, extra={"event": "not_ready", "every": 60, "about": wrong})
        return Response(f"{wrong.partition(':')[0]}\n", 503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")


@bp.get("/metrics")
def metrics() -> Response:
    """Return the figures for Prometheus to whoever knows METRICS_TOKEN; without one there is no such page."""
    token = current_portal.settings.metrics_token
    if token is None:
        abort(404)
    wanted = f"Bearer {token.get_secret_value()}".encode()
    if not compare_digest(request.headers.get("Authorization", "").encode(), wanted):
        return Response("a bearer token is needed\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
    return Response(current_portal.metrics.scrape(), content_type=CONTENT_TYPE)


def start_erasing(app: Flask) -> None:
    """Erase what is past its days once an hour, for as long as this process runs."""
    threading.Thread(target=_erase_for_ever, args=(app,), name="erase", daemon=True).start()


def _erase_for_ever(app: Flask) -> None:
    portal = portal_of(app)
    settings, days = portal.settings, portal.settings.retention_days
    while True:
        try:
            erased = portal.store.erasing.older_than(days)
            portal.store.sign_ins.purge(settings.session_hours, settings.session_idle_hours)
            log.info("erased %s launches older than %s days", erased, days, extra={"event": "erased"})
        except StoreUnavailable as error:
            log.warning("erasing waits for the database: %s", error, extra={"event": "database.away"})
        time.sleep(ERASE_EVERY)
