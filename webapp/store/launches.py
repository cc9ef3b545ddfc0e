"""Launches: writing an intention down before any call, finding one's own, and forgetting one.

What every creation goes through are statements built once; the rest goes through the unit of work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast
from uuid import UUID

from sqlalchemy import Connection, Select, Table, bindparam, insert, literal, or_, select, true, update

from .database import Database, clock
from .events import note
from .people import people_with
from .tables import Launch, Pace, Reason, launch_id

SAME_AGAIN = 600  # seconds within which the same text from the same person is asked about
PAGE = 20
ERASED_TOKENS = 20

ROW, PACE = cast("Table", Launch.__table__), cast("Table", Pace.__table__)
COLUMNS = ROW.columns.keys()

_PACE = select(PACE).where(PACE.c.id == 1)
_LOCK_PACE = _PACE.with_for_update()
_CHANGE_PACE = update(PACE).where(PACE.c.id == 1)
_LOCK = select(ROW, clock().label("now")).where(ROW.c.id == bindparam("key")).with_for_update()
_ADD = insert(ROW)
_CHANGE = update(ROW).where(ROW.c.id == bindparam("key"))
_SAME_TEXT = (
    select(ROW)
    .where(
        ROW.c.person == bindparam("person"),
        ROW.c.created > select(clock()).scalar_subquery() - SAME_AGAIN,  # once: not for each row
        ROW.c.prompt_hash == bindparam("hash"),
        ROW.c.state != "refused",
        ROW.c.erase_after_call.is_(False),
    )
    .order_by(ROW.c.created.desc())
    .limit(1)
    .subquery()
)
# A row in any case, for the time.
_EARLIER = select(clock().label("now"), _SAME_TEXT).select_from(
    select(literal(1)).subquery().outerjoin(_SAME_TEXT, true())
)
_ERASED_TOKENS = (
    select(ROW.c.form_token)
    .where(
        ROW.c.person == bindparam("person"), or_(ROW.c.erased.is_not(None), ROW.c.erase_after_call.is_(True))
    )
    .order_by(ROW.c.created.desc())
    .limit(ERASED_TOKENS)
)


@dataclass(frozen=True)
class Lease:
    """The right of one attempt to call Exec for this launch."""

    launch: Launch
    attempt: int
    probe: bool = False  # it begins although Exec asked everybody to wait longer
    lifts: bool = False  # others are held: that Exec takes this one lets them go


@dataclass(frozen=True)
class Recorded:
    """What became of an intention: the launch, or `earlier`, one that the person should be asked about.

    `lease` where its turn came at once.
    """

    launch: Launch | None
    earlier: Launch | None = None
    lease: Lease | None = None


Begin = Callable[[Connection, Pace, Launch, str, float], Lease | None]


class Launches:
    """What is recorded, and one's own launches. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def record(
        self,
        person: str,
        email: str,
        form_token: str,
        prompt: str,
        *,
        another: bool,
        link: UUID | None = None,
        begin: Begin | None = None,
    ) -> Recorded:
        """Write down the intention before any call. The same one again finds its row.

        `begin` takes the lease in the same transaction if it is the launch's turn (`Pacer.lease`).
        """
        key = launch_id(person, form_token, prompt)
        with self.database.write_rows() as db:
            pace = lock_pace(db)  # or a later one is seen, and served, before
            found = lock(db, key)
            if found:
                launch, now = found
            else:
                earlier, now = _earlier(db, person, prompt)
                if earlier and not another:
                    return Recorded(None, earlier)
                launch = _new(key, person, form_token, link)
            launch.erase_after_call = False  # sent again while it is being created: wanted after all
            is_made = launch.state in ("creating", "ready") and not launch.erased
            if not is_made and _queue(launch, email, prompt, now):
                note(db, "launch.asked", key)
            lease = begin(db, pace, launch, email, now) if begin else None
            save(db, launch, is_new=found is None)
            return Recorded(launch, lease=lease)

    def used(self, person: str, form_token: str) -> Launch | None:
        """Return this person's newest launch from a link with that `request_id`."""
        query = select(Launch).where(
            Launch.person == person,
            Launch.form_token == form_token,
            Launch.erased.is_(None),
            Launch.erase_after_call.is_(False),
            Launch.state != "refused",
        )
        with self.database.read() as db:
            return db.scalar(query.order_by(Launch.created.desc()).limit(1))

    def find(self, key: UUID, person: str) -> Launch | None:
        """Return one's own launch; another person's and an erased one are none."""
        with self.database.read() as db:
            launch = db.get(Launch, key)
        if launch is None or launch.person != person or launch.erased or launch.erase_after_call:
            return None
        return launch

    def any(self, key: UUID) -> Launch | None:
        """Return anybody's launch, erased or not, for the operator."""
        with self.database.read() as db:
            return db.get(Launch, key)

    def people(self, email: str) -> Sequence[str]:
        """Return who ever had this address."""
        with self.database.read() as db:
            return people_with(db, email)

    def of_people(self, people: Sequence[str], most: int) -> Sequence[Launch]:
        """Return the newest launches of these people, erased or not, for the operator."""
        query = select(Launch).where(Launch.person.in_(people)).order_by(Launch.created.desc()).limit(most)
        with self.database.read() as db:
            return db.scalars(query).all()

    def owner(self, key: UUID) -> str | None:
        """Return whose launch this is, or was before it was erased."""
        with self.database.read() as db:
            return db.scalar(select(Launch.person).where(Launch.id == key))

    def erased_tokens(self, person: str) -> list[str]:
        """Return the form tokens of the newest launches that this person erased: copies of them shall go."""
        with self.database.read_rows() as db:
            return list(db.scalars(_ERASED_TOKENS, {"person": person}))

    def newest(self, person: str, before: tuple[float, UUID] | None, words: str = "") -> list[Launch]:
        """Return a page of one's own launches, newest first, and one more if there are older ones."""
        query = _listed(person, words)
        if before:
            created, key = before
            query = query.where(
                or_(Launch.created < created, (Launch.created == created) & (Launch.id < key)),
                Launch.created <= created,
            )
        with self.database.read() as db:
            return list(db.scalars(query.order_by(Launch.created.desc(), Launch.id.desc()).limit(PAGE + 1)))

    def newer(self, person: str, after: tuple[float, UUID], words: str = "") -> list[Launch]:
        """Return the page of launches before that one, newest first; empty if the first page holds them."""
        created, key = after
        query = _listed(person, words).where(
            or_(Launch.created > created, (Launch.created == created) & (Launch.id > key)),
            Launch.created >= created,
        )
        with self.database.read() as db:
            found = list(db.scalars(query.order_by(Launch.created, Launch.id).limit(PAGE + 1)))
        return found[:PAGE][::-1] if len(found) > PAGE else []


def _listed(person: str, words: str) -> Select[Launch]:
    query = select(Launch).where(
        Launch.person == person, Launch.erased.is_(None), Launch.erase_after_call.is_(False)
    )
    return query.where(Launch.prompt.icontains(words, autoescape=True)) if words else query


def lock_pace(db: Connection) -> Pace:
    """Lock the one row that all creations pass, before any launch's."""
    return Pace(**db.execute(_LOCK_PACE).mappings().one())


def read_pace(db: Connection) -> Pace:
    return Pace(**db.execute(_PACE).mappings().one())


def save_pace(db: Connection, pace: Pace) -> None:
    found = {"floor": pace.floor, "held_until": pace.held_until, "access": pace.access}
    db.execute(_CHANGE_PACE, found)


def lock(db: Connection, key: UUID) -> tuple[Launch, float] | None:
    """Lock a launch, if there is one, and take the time."""
    row = db.execute(_LOCK, {"key": key}).mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    now = values.pop("now")
    return Launch(**values), now


def save(db: Connection, launch: Launch, *, is_new: bool = False) -> None:
    """Write a launch that this transaction has locked, or a new one."""
    values = {name: getattr(launch, name) for name in COLUMNS}
    if is_new:
        db.execute(_ADD, values)
    else:
        db.execute(_CHANGE, {"key": values.pop("id"), **values})


def _new(key: UUID, person: str, form_token: str, link: UUID | None) -> Launch:
    return Launch(
        id=key,
        person=person,
        form_token=form_token,
        link=link,
        attempt=0,
        held=False,
        erase_after_call=False,
    )


def _earlier(db: Connection, person: str, prompt: str) -> tuple[Launch | None, float]:
    """Return this person's launch of the same text of just now, if there is one, and the time."""
    same = {"person": person, "hash": sha256(prompt.encode()).hexdigest()}
    row = dict(db.execute(_EARLIER, same).mappings().one())
    now = row.pop("now")
    return Launch(**row) if row["id"] else None, now


def forget(launch: Launch, now: float, reason: Reason) -> None:
    """Drop what tells of a person's work; counts, outcomes and times remain."""
    if launch.state != "ready":
        launch.state, launch.reason = "refused", reason
        launch.finished = launch.finished or now
    launch.prompt = launch.prompt_hash = launch.email = launch.url = launch.detail = None
    launch.held = launch.erase_after_call = False
    launch.erased = now


def _queue(launch: Launch, email: str, prompt: str, now: float) -> bool:
    """Let it wait for its turn; return whether it did not before."""
    fresh = launch.state != "waiting" or launch.erased is not None
    launch.email, launch.prompt = email, prompt
    launch.prompt_hash = sha256(prompt.encode()).hexdigest()
    launch.seen = now
    if fresh:
        launch.state, launch.reason, launch.detail, launch.held = "waiting", None, None, False
        # Its days count anew: or what waits again could be erased as old within the hour.
        launch.created = launch.queued = launch.not_before = launch.due = now
        launch.erased = launch.finished = launch.url = None
    return fresh
