"""When a launch may call Exec, who is next, and what its answer changes.

What is limited is the calls that *begin*: taking the lease counts those of the last minute in the same
transaction, under one lock for all processes and machines. First come, first served, among those whose page
is still there to drive them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast
from uuid import UUID

from sqlalchemy import Connection, Integer, Table, bindparam, func, insert, select, text, tuple_, update

from .database import Database, clock, now_in
from .events import note
from .launches import ROW, Lease, forget, lock, lock_pace, read_pace, save, save_pace
from .tables import WAITING, Call, Launch, Pace, Reason

WINDOW = 62  # seconds: Exec's minute, and a margin for calls that arrive later than they began
HOUR = 3600
LEASE = 45  # longer than a call (20 s) and than gunicorn's graceful timeout (30 s)
ABSENT = 30  # a page not seen for so long loses its place to those behind it
VOID = 8  # so long after the promised time a place is free for the next
HELD = 300  # one attempt in so many seconds for all held launches together
LONGEST_BACKOFF = 60
DISBELIEF = 60  # seconds instead of a wait that nobody can believe, doubled with each attempt
PROBE = 3600  # under a long floor one call an hour finds out whether Exec takes new ones

CALLS = cast("Table", Call.__table__)

# A launch that asks, by what orders the queue.
_ATTEMPT, _QUEUED, _ID = (bindparam(name, type_=ROW.c[name].type) for name in ("attempt", "queued", "id"))
_COUNT = select(func.count()).select_from(ROW).where(WAITING, ROW.c.seen > bindparam("since"))
_BEFORE = _COUNT.where(
    ROW.c.held.is_(False),
    ROW.c.not_before <= bindparam("now"),
    ROW.c.due > bindparam("void"),
    tuple_(ROW.c.queued, ROW.c.id) < tuple_(_QUEUED, _ID),
)
_HELD_BEFORE = _COUNT.where(
    ROW.c.held.is_(True), tuple_(ROW.c.attempt, ROW.c.queued, ROW.c.id) < tuple_(_ATTEMPT, _QUEUED, _ID)
)
_RELEASE = (
    update(ROW)
    .where(WAITING, ROW.c.held.is_(True))
    .values(held=False, reason=None, not_before=bindparam("now"))
)
# What `created` notes where nothing happened meanwhile.
_CREATED = (
    update(ROW)
    .where(
        ROW.c.id == bindparam("key"),
        ROW.c.attempt == bindparam("by"),
        ROW.c.state == "creating",
        ROW.c.erased.is_(None),
        ROW.c.erase_after_call.is_(False),
    )
    .values(
        state="ready",
        url=bindparam("at"),
        finished=clock(),
        reason=None,
        detail=None,
        lease_until=None,
        held=False,
    )
    .returning(ROW.c.finished)
)
_BEGIN_CALL = insert(CALLS).inline()
_BEGAN = select(CALLS.c.began).where(CALLS.c.began > bindparam("since")).order_by(CALLS.c.began)
_LAST_CALL = select(func.max(CALLS.c.began))
_OWN_CALLS = (
    select(func.max(CALLS.c.began).label("last"))
    .where(
        CALLS.c.person == bindparam("person"),
        CALLS.c.began > bindparam("since"),
        CALLS.c.launch_id != bindparam("id"),
    )
    .group_by(CALLS.c.launch_id)
    .order_by(text("last DESC"))
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True)
class Outlook:
    """What a waiting launch can expect: how many are before it, and in how many seconds its turn is."""

    place: int
    seconds: float


class Pacer:
    """The shared limiter. `per_minute` is the workspace's, `per_hour` each person's; 0 is no limit."""

    def __init__(self, database: Database, per_minute: int, per_hour: int, access: str) -> None:
        self.database = database
        self.per_minute = per_minute
        self.per_hour = per_hour
        self.access = sha256(access.encode()).hexdigest()

    def begin(self, key: UUID, email: str) -> Lease | None:
        """Take the lease if it is this launch's turn, else promise it a time. Its page was just seen.

        `email` is what Exec is told now: a person's address may have changed since the launch was recorded.
        """
        with self.database.write_rows() as db:
            pace = lock_pace(db)
            launch, now = self._find(db, key)
            launch.seen = now
            lease = self.lease(db, pace, launch, email, now)
            save(db, launch)
            return lease

    def lease(self, db: Connection, pace: Pace, launch: Launch, email: str, now: float) -> Lease | None:
        """Do so in a transaction that has locked the pace, and the launch, which it saves."""
        before = pace.floor, pace.held_until, pace.access
        lease = self._lease(db, pace, launch, email, now)
        if before != (pace.floor, pace.held_until, pace.access):
            save_pace(db, pace)
        return lease

    def _lease(self, db: Connection, pace: Pace, launch: Launch, email: str, now: float) -> Lease | None:
        if pace.access not in ("", self.access):
            pace.access = self.access
            self._lift(db, pace, now)
            if launch.held:
                launch.held, launch.reason, launch.not_before = False, None, now
        if not _is_waiting(launch, now):
            return None
        self._hold_to_own_hour(db, launch, now)
        outlook = self._outlook(db, pace, launch, now)
        launch.due = now + outlook.seconds
        if outlook.seconds > 0:
            return None
        lifts = pace.held_until > 0
        if launch.held:
            pace.held_until = now + HELD
            launch.held = False
        launch.state, launch.attempt, launch.email = "creating", launch.attempt + 1, email
        launch.lease_until = now + LEASE
        db.execute(_BEGIN_CALL, {"launch_id": launch.id, "person": launch.person, "began": now})
        return Lease(launch, launch.attempt, probe=pace.floor > now, lifts=lifts)

    def outlook(self, launch: Launch) -> Outlook:
        """Return what a waiting launch can expect, without renewing anything."""
        with self.database.read_rows() as db:
            now = now_in(db)
            if launch.state == "creating" and not _is_waiting(launch, now):
                return Outlook(0, 0)
            return self._outlook(db, read_pace(db), launch, now)

    def created(self, lease: Lease, url: str) -> Launch:
        """Note the session. It wins whatever happened meanwhile: the session exists."""
        with self.database.write_rows(safe=False) as db:
            if lease.probe or lease.lifts:
                self._lift_by_success(db, lease)  # the pace before any launch, as everywhere
            launch = lease.launch
            finished = db.scalar(_CREATED, {"key": launch.id, "by": lease.attempt, "at": url})
            if finished is None:
                return self._created_late(db, launch.id, url)
            _make_ready(launch, url, finished)
            note(db, "launch.created", launch.id)
            return launch

    def _created_late(self, db: Connection, key: UUID, url: str) -> Launch:
        """Note the session of a launch that was erased, or that another attempt has, by now."""
        launch, now = self._find(db, key)
        if launch.state == "ready" or launch.erased:
            return launch
        _make_ready(launch, url, now)
        _erase_if_asked(launch, now)
        save(db, launch)
        note(db, "launch.created", key)
        return launch

    def refused(self, lease: Lease, reason: Reason, detail: str) -> Launch:
        """Note that Exec will not make it; posting it again tries again."""
        with self.database.write_rows() as db:
            launch, now = self._find(db, lease.launch.id)
            if _still_holds(launch, lease):
                launch.state, launch.reason, launch.detail = "refused", reason, detail
                launch.finished, launch.lease_until = now, None
                note(db, "launch.refused", launch.id, reason)
                _erase_if_asked(launch, now)
                save(db, launch)
            return launch

    def held(self, lease: Lease, reason: Reason) -> Launch:
        """Note a reason that only the operator can mend."""
        with self.database.write_rows() as db:
            pace = lock_pace(db)
            launch, now = self._find(db, lease.launch.id)
            pace.access = self.access
            if pace.held_until <= now:
                pace.held_until = now + HELD
            save_pace(db, pace)
            if _still_holds(launch, lease):
                _back_to_waiting(launch, reason, now)
                launch.held = True
                note(db, "launch.held", launch.id, reason)
                _erase_if_asked(launch, now)
                save(db, launch)
            return launch

    def busy(self, lease: Lease, retry_after: float | None) -> Launch:
        """Note that Exec asks everybody to wait; the order stays. None: nobody can believe how long."""
        wait = retry_after or min(DISBELIEF * 2 ** (lease.attempt - 1), PROBE)
        with self.database.write_rows() as db:
            pace = lock_pace(db)
            launch, now = self._find(db, lease.launch.id)
            pace.floor, pace.access = max(pace.floor, now + wait), self.access
            save_pace(db, pace)
            if _still_holds(launch, lease):
                _back_to_waiting(launch, "busy", now)
                _erase_if_asked(launch, now)
                save(db, launch)
            return launch

    def unavailable(self, lease: Lease) -> Launch:
        """Note that the outcome is unknown; the same id makes trying again safe. To the back of the queue."""
        with self.database.write_rows() as db:
            launch, now = self._find(db, lease.launch.id)
            if _still_holds(launch, lease):
                _back_to_waiting(launch, "unavailable", now)
                wait = min(3 * 2 ** (lease.attempt - 1), LONGEST_BACKOFF)
                launch.not_before = now + wait * random.uniform(0.75, 1.25)  # noqa: S311  # jitter
                launch.queued = now
                _erase_if_asked(launch, now)
                save(db, launch)
            return launch

    def resume(self) -> None:
        """Lift what `Retry-After` or a refused key has stopped, as the operator says."""
        with self.database.write_rows() as db:
            pace = lock_pace(db)
            self._lift(db, pace, now_in(db))
            save_pace(db, pace)
            note(db, "operator.resumed")

    def _find(self, db: Connection, key: UUID) -> tuple[Launch, float]:
        found = lock(db, key)
        if found is None:
            raise LookupError(f"there is no launch {key}")
        return found

    def _lift(self, db: Connection, pace: Pace, now: float) -> None:
        pace.floor = pace.held_until = 0
        db.execute(_RELEASE, {"now": now})

    def _lift_by_success(self, db: Connection, lease: Lease) -> None:
        pace = lock_pace(db)
        pace.floor = 0 if lease.probe else pace.floor
        if lease.lifts:
            pace.held_until = 0
            db.execute(_RELEASE, {"now": now_in(db)})
        save_pace(db, pace)

    def _outlook(self, db: Connection, pace: Pace, launch: Launch, now: float) -> Outlook:
        earliest = max(launch.not_before, self._floor(db, pace, now), now)
        place = ahead = self._before(db, launch, now) if self.per_minute else 0
        if launch.held:
            place = self._held_before(db, launch, now)
            earliest = max(earliest, pace.held_until) + place * HELD
        if self.per_minute:
            began = db.scalars(_BEGAN, {"since": now - WINDOW}).all()
            earliest = max(earliest, _turn(began, self.per_minute, ahead, now))
        return Outlook(place, earliest - now)

    def _floor(self, db: Connection, pace: Pace, now: float) -> float:
        if pace.floor <= now:
            return 0
        last = db.scalars(_LAST_CALL).one() or 0
        return min(pace.floor, last + PROBE)

    def _held_before(self, db: Connection, launch: Launch, now: float) -> int:
        """Count the held ones that go first: those with the fewest attempts."""
        asks = {"since": now - ABSENT, "attempt": launch.attempt, "queued": launch.queued, "id": launch.id}
        return db.scalars(_HELD_BEFORE, asks).one()

    def _hold_to_own_hour(self, db: Connection, launch: Launch, now: float) -> None:
        """Let a person over their own limit wait without taking a place."""
        allowed = self._own_hour(db, launch, now)
        if allowed > now:
            if launch.reason != "own_limit":
                note(db, "limit.reached", launch.id)
            launch.not_before, launch.reason = max(launch.not_before, allowed), "own_limit"
        elif launch.reason == "own_limit":
            launch.not_before, launch.reason = now, None

    def _own_hour(self, db: Connection, launch: Launch, now: float) -> float:
        """Return when this person may create again by their own limit."""
        if not self.per_hour:
            return 0
        asks = {"person": launch.person, "since": now - HOUR, "id": launch.id, "most": self.per_hour}
        times = db.scalars(_OWN_CALLS, asks).all()
        return times[-1] + HOUR if len(times) == self.per_hour else 0

    def _before(self, db: Connection, launch: Launch, now: float) -> int:
        """Count those that go first: earlier, due, present, and not long past their promised time."""
        asks = {"now": now, "since": now - ABSENT, "void": now - VOID}
        return db.scalars(_BEFORE, {**asks, "queued": launch.queued, "id": launch.id}).one()


def _turn(began: Sequence[float], limit: int, place: int, now: float) -> float:
    """Return when the call of number `place` in the queue may begin, after those that began already."""
    taken = [time + WINDOW for time in began[-limit:]]
    opens = [now] * (limit - len(taken)) + taken
    return opens[place % limit] + (place // limit) * WINDOW


def _is_waiting(launch: Launch, now: float) -> bool:
    """Whether an attempt may begin; a lease that ran out belongs to a process that died."""
    ran_out = launch.state == "creating" and (launch.lease_until or 0) < now
    return (launch.state == "waiting" or ran_out) and not launch.erased and not launch.erase_after_call


def _still_holds(launch: Launch, lease: Lease) -> bool:
    return launch.state == "creating" and launch.attempt == lease.attempt


def _make_ready(launch: Launch, url: str, now: float) -> None:
    launch.state, launch.url, launch.finished = "ready", url, now
    launch.reason = launch.detail = launch.lease_until = None
    launch.held = False


def _back_to_waiting(launch: Launch, reason: Reason, now: float) -> None:
    launch.state, launch.reason, launch.lease_until = "waiting", reason, None
    launch.seen = launch.due = now


def _erase_if_asked(launch: Launch, now: float) -> None:
    if launch.erase_after_call:
        forget(launch, now, "cancelled")
