"""Launches: writing an intention down before any call, finding one's own, and forgetting one."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from .database import Database, now_in
from .events import note
from .people import people_with
from .tables import Launch, Pace, Reason, launch_id

SAME_AGAIN = 600  # seconds within which the same text from the same person is asked about
PAGE = 20
ERASED_TOKENS = 20


@dataclass(frozen=True)
class Recorded:
    """What became of an intention: the launch, or `earlier`, one that the person should be asked about."""

    launch: Launch | None
    earlier: Launch | None = None


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
    ) -> Recorded:
        """Write down the intention before any call. The same one again finds its row."""
        key = launch_id(person, form_token, prompt)
        with self.database.write() as db:
            db.get_one(Pace, 1, with_for_update=True)  # or a later one is seen, and served, before
            now = now_in(db)
            launch = db.get(Launch, key, with_for_update=True)
            earlier = None if launch or another else self._earlier(db, person, prompt, now)
            if earlier:
                return Recorded(None, earlier)
            if launch is None:
                launch = Launch(id=key, person=person, form_token=form_token, link=link)
                db.add(launch)
            launch.erase_after_call = False  # sent again while it is being created: wanted after all
            is_made = launch.state in ("creating", "ready") and not launch.erased
            if not is_made and _queue(launch, email, prompt, now):
                note(db, "launch.asked", key)
            return Recorded(launch)

    def _earlier(self, db: Session, person: str, prompt: str, now: float) -> Launch | None:
        query = select(Launch).where(
            Launch.person == person,
            Launch.created > now - SAME_AGAIN,
            Launch.prompt_hash == sha256(prompt.encode()).hexdigest(),
            Launch.state != "refused",
            Launch.erase_after_call.is_(False),
        )
        return db.scalar(query.order_by(Launch.created.desc()).limit(1))

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
        query = (
            select(Launch.form_token)
            .where(Launch.person == person, or_(Launch.erased.is_not(None), Launch.erase_after_call))
            .order_by(Launch.created.desc())
        )
        with self.database.read() as db:
            return list(db.scalars(query.limit(ERASED_TOKENS)))

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


def forget(launch: Launch, now: float, reason: Reason) -> None:
    """Drop what tells of a person's work; counts, outcomes and times remain."""
    if launch.state != "ready":
        launch.state, launch.reason = "refused", reason
        launch.finished = launch.finished or now
    launch.prompt = launch.prompt_hash = launch.email = launch.url = launch.detail = None
    launch.held = launch.erase_after_call = False
    launch.lease_until = None
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
        launch.attempt = launch.attempt or 0
        launch.erased = launch.finished = launch.url = None
    return fresh
