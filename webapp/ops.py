"""What operators and load balancers ask, and what the portal does for itself."""

import logging
import threading
import time

from flask import Blueprint, Flask, Response

from .portal import current_portal, portal_of
from .store.database import StoreUnavailable

bp = Blueprint("ops", __name__)
log = logging.getLogger(__name__)

ERASE_EVERY = 3600


@bp.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; it asks nobody else."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> Response:
    """Say whether people can be served: 503 while the database is away."""
    try:
        current_portal.store.database.is_up()
    except StoreUnavailable:
        return Response("the database does not answer\n", 503, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")


def start_erasing(app: Flask) -> None:
    """Erase what is past its days once an hour, for as long as this process runs."""
    threading.Thread(target=_erase_for_ever, args=(app,), name="erase", daemon=True).start()


def _erase_for_ever(app: Flask) -> None:
    portal = portal_of(app)
    days = portal.settings.retention_days
    while True:
        try:
            erased = portal.store.erasing.older_than(days)
            portal.store.sign_ins.purge(portal.settings.session_hours)
            log.info("erased %s launches older than %s days", erased, days, extra={"event": "erased"})
        except StoreUnavailable as error:
            log.warning("erasing waits for the database: %s", error, extra={"event": "database.away"})
        time.sleep(ERASE_EVERY)
