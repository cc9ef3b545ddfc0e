"""What those in ADMIN_EMAILS see: how it stands, what came of it, who used it. Never a prompt."""

import csv
import io
from datetime import UTC, datetime
from statistics import quantiles

from flask import Blueprint, Response, abort, g, render_template

from . import check
from .exec_api import DAILY_LIMIT
from .portal import current_portal
from .store.figures import Day
from .store.tables import Launch

bp = Blueprint("admin", __name__)

HEIGHT = 120  # of the chart, in its own units
COLUMNS = ("id", "email", "state", "reason", "attempts", "asked", "ended")


@bp.before_request
def hide_from_others() -> None:
    """Tell nobody else that there is such a page."""
    if g.user is None or g.user.email.lower() not in current_portal.settings.admin_emails:
        abort(404)


@bp.get("/admin")
def show() -> str:
    current_portal.store.events.note("admin.looked")
    return _page([])


@bp.post("/admin/check")
def look() -> str:
    """Run the operator's checks, and show what they found."""
    portal = current_portal
    return _page([*check.run(portal.settings, portal.exec, portal.transport)])


@bp.get("/admin/launches.csv")
def table() -> Response:
    current_portal.store.events.note("admin.looked", detail="launches.csv")
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerows(_row(launch) for launch in current_portal.store.figures.launches())
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="launches.csv"'
    return answer


def _page(checks: list[check.Check]) -> str:
    figures = current_portal.store.figures
    days, times = figures.days(), figures.times_waited()
    return render_template(
        "admin.html",
        now=figures.now(),
        waiting=figures.waiting(),
        daily_limit=DAILY_LIMIT,
        days=days,
        bars=_bars(days),
        height=HEIGHT,
        outcomes=figures.outcomes(),
        times=_percentiles(times),
        people=figures.people(),
        events=current_portal.store.events.newest(50),
        checks=checks,
        at=_at,
        date=_date,
    )


def _bars(days: list[Day]) -> list[tuple[int, float, float]]:
    """Return x, the height of all and of the ready ones among them, for each day."""
    most = max([day.asked for day in days] + [1])
    return [(number, day.asked / most * HEIGHT, day.ready / most * HEIGHT) for number, day in enumerate(days)]


def _percentiles(times: list[float]) -> tuple[float, float] | None:
    """Return what half of the people waited at most, and nineteen of twenty, in seconds."""
    if not times:
        return None
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return cuts[9], cuts[18]


def _row(launch: Launch) -> tuple[object, ...]:
    email = launch.email or ""
    # A spreadsheet takes a cell that begins like that for a formula.
    safe = f"'{email}" if email[:1] in "=+-@\t\r" and email else email
    ended = _at(launch.finished).isoformat() if launch.finished else ""
    asked = _at(launch.created).isoformat()
    return launch.id, safe, launch.state, launch.reason or "", launch.attempt, asked, ended


def _at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).replace(microsecond=0)


def _date(number: int) -> datetime:
    return datetime.fromtimestamp(number * 24 * 3600, UTC)
