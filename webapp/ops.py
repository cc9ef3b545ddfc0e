"""What operators and load balancers ask."""

from flask import Blueprint, Response

bp = Blueprint("ops", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; it asks nobody else."""
    return Response("ok\n", mimetype="text/plain")
