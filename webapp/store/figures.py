"""What the operator and the monitoring want to know: counts, outcomes and times. Never a text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from .database import Database, clock, now_in
from .tables import Call, Draft, Launch, Pace, SignIn, State

DAY = 24 * 3600
DAYS = 30
MOST = 50


@dataclass(frozen=True)
class Day:
    """One day, counted from 1970 in UTC: how many were asked for, and what became of them."""

    number: int
    asked: int
    ready: int
    refused: int


@dataclass(frozen=True)
class Now:
    """How it stands; before `floor` nobody calls, before `held_until` nothing held does (0: none)."""

    at: float
    waiting: int
    held: int
    calls_today: int
    floor: float
    held_until: float
    held_reason: str | None
    held_since: float | None


class Figures:
    """Counts of what is remembered. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def now(self) -> Now:
        on_hold = (Launch.state == "waiting") & Launch.held
        with self.database.read() as db:
            now, pace = now_in(db), db.get_one(Pace, 1)
            waits = select(func.count()).where(Launch.state.in_(("waiting", "creating")))
            held = select(func.count(), func.min(Launch.created), func.min(Launch.reason)).where(on_hold)
            count, since, reason = db.execute(held).one()
            calls = select(func.count()).where(Call.began > now - now % DAY)
            return Now(
                now,
                db.scalars(waits).one() - count,
                count,
                db.scalars(calls).one(),
                pace.floor if pace.floor > now else 0,
                pace.held_until if pace.held_until > now else 0,
                reason,
                since,
            )

    def waiting(self) -> Sequence[Launch]:
        """Return those that wait, the first first."""
        query = select(Launch).where(Launch.state.in_(("waiting", "creating")), Launch.erased.is_(None))
        with self.database.read() as db:
            return db.scalars(query.order_by(Launch.queued).limit(MOST)).all()

    def days(self) -> list[Day]:
        """Return the last thirty days, the oldest first, those without a launch as well."""
        with self.database.read() as db:
            today = int(now_in(db) // DAY)
            first = today - DAYS + 1
            query = select(Launch.created, Launch.state).where(Launch.created >= first * DAY)
            # Counted here: neither database cuts a number down in words that the other knows.
            found = Counter((int(created // DAY), state) for created, state in db.execute(query))
        return [_day(number, found) for number in range(first, today + 1)]

    def outcomes(self) -> Sequence[tuple[str, str | None, int]]:
        """Return state, reason and count of the last thirty days, the most frequent first."""
        count = func.count()
        query = select(Launch.state, Launch.reason, count).where(Launch.created > clock() - DAYS * DAY)
        with self.database.read() as db:
            rows = db.execute(query.group_by(Launch.state, Launch.reason).order_by(count.desc())).all()
        return [(state, reason, number) for state, reason, number in rows]

    def by_outcome(self) -> dict[str, int]:
        """Return how many launches there ever were: ready, and refused by reason; erased ones count on."""
        over = Launch.state.in_(("ready", "refused"))
        query = (
            select(Launch.state, Launch.reason, func.count())
            .where(over)
            .group_by(Launch.state, Launch.reason)
        )
        found: Counter[str] = Counter()
        with self.database.read() as db:
            for state, reason, count in db.execute(query):
                found["ready" if state == "ready" else reason or "refused"] += count
        return found

    def times_waited(self) -> list[float]:
        """Return the seconds from asked to ready of the newest thousand, shortest first."""
        query = select(Launch.finished - Launch.created).where(
            Launch.state == "ready", Launch.created > clock() - DAYS * DAY, Launch.finished.is_not(None)
        )
        with self.database.read() as db:
            newest = db.scalars(query.order_by(Launch.created.desc()).limit(1000))
            return sorted(seconds for seconds in newest if seconds is not None)

    def people(self) -> Sequence[tuple[str, int, float]]:
        """Return who made how many in thirty days, and when last; erased addresses are left out."""
        count, last = func.count(), func.max(Launch.created)
        query = select(Launch.email, count, last).where(
            Launch.created > clock() - DAYS * DAY, Launch.email.is_not(None)
        )
        with self.database.read() as db:
            rows = db.execute(query.group_by(Launch.email).order_by(count.desc()).limit(MOST)).all()
        return [(email or "", number, at) for email, number, at in rows]

    def launches(self) -> Sequence[Launch]:
        """Return the launches of thirty days, newest first, for a table of them."""
        query = select(Launch).where(Launch.created > clock() - DAYS * DAY)
        with self.database.read() as db:
            return db.scalars(query.order_by(Launch.created.desc()).limit(100_000)).all()

    def totals(self) -> dict[str, int]:
        """Return how many drafts and living sign-ins there are."""
        drafts = select(func.count()).select_from(Draft)
        sign_ins = select(func.count()).where(SignIn.ended.is_(None))
        with self.database.read() as db:
            return {"drafts": db.scalars(drafts).one(), "sign_ins": db.scalars(sign_ins).one()}


def _day(number: int, found: Counter[tuple[int, State]]) -> Day:
    states: tuple[State, ...] = ("waiting", "creating", "ready", "refused")
    asked = sum(found[number, state] for state in states)
    return Day(number, asked, found[number, "ready"], found[number, "refused"])
