"""Erasing: one launch with its drafts, one person, or what is past its days."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from .database import Database, now_in
from .drafts import DRAFT_LIFETIME
from .events import note
from .launches import forget
from .links import UNUSED
from .people import people_with
from .tables import Call, Draft, Event, IdToken, Launch, Link, SignIn

DAY = 24 * 3600


@dataclass(frozen=True)
class Erased:
    """What one launch held: its text, and the token of the form that it was sent from."""

    prompt: str | None
    form_token: str


@dataclass(frozen=True)
class ErasedPerson:
    """How many rows of one person were erased; `under_way` are launches that follow when their call ends."""

    launches: int
    under_way: int
    drafts: int
    links: int


class Erasing:
    """What leaves the portal's memory. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def launch(self, key: UUID, person: str, browser: Sequence[str] = ()) -> Erased | None:
        """Erase one's own launch, after its call if one is under way, and the drafts that led to it.

        `browser`: hashes of the draft cookies that this browser holds. Other people's drafts of the same
        text stay. None when there is no such launch.
        """
        with self.database.write() as db:
            launch = db.get(Launch, key, with_for_update=True)
            if launch is None or launch.person != person or launch.erased:
                return None
            now, erased = now_in(db), Erased(launch.prompt, launch.form_token)
            _erase_drafts(db, launch, browser, now)
            note(db, "launch.erased", key)
            if launch.state == "creating" and (launch.lease_until or 0) > now:
                launch.erase_after_call = True
            else:
                forget(launch, now, "cancelled")
            return erased

    def person(self, email: str) -> ErasedPerson:
        """Erase everything of whoever had this address; what is being created follows with its call's end.

        All is marked first, and so is out of sight and cannot begin a call; then it is erased.
        """
        with self.database.write() as db:
            people = people_with(db, email)
            theirs = Launch.person.in_(people)
            mark = update(Launch).where(theirs, Launch.erased.is_(None)).values(erase_after_call=True)
            marked = db.scalars(mark.returning(Launch.id)).all()
            gone = db.scalars(delete(SignIn).where(SignIn.person.in_(people)).returning(SignIn.id)).all()
            db.execute(delete(IdToken).where(IdToken.sign_in.in_(gone)))
            db.execute(delete(Event).where(Event.person.in_(people)))
            note(db, "operator.erased", detail=f"{len(marked)} launches")
            drafts = db.scalars(delete(Draft).where(Draft.person.in_(people)).returning(Draft.id)).all()
            links = db.scalars(delete(Link).where(Link.person.in_(people)).returning(Link.id)).all()
            db.execute(update(Call).where(Call.person.in_(people)).values(person=""))
        erased = self._erase_all(theirs & Launch.erase_after_call, skip_locked=False)
        return ErasedPerson(erased, len(marked) - erased, len(drafts), len(links))

    def older_than(self, days: int) -> int:
        """Erase what is that old, and drop rows without further use; return how many were erased."""
        with self.database.write() as db:
            now = now_in(db)
            db.execute(delete(Call).where(Call.began < now - DAY))
            db.execute(delete(Draft).where(Draft.created < now - DRAFT_LIFETIME))
            db.execute(delete(Link).where(Link.used < now - UNUSED))
            db.execute(delete(Event).where(Event.at < now - days * DAY))
        given_up = self._erase_all(Launch.erase_after_call)  # their process died during the call
        return given_up + self._erase_all(Launch.created < now - days * DAY)

    def _erase_all(self, which: Any, *, skip_locked: bool = True) -> int:  # noqa: ANN401  # a condition
        """Erase in small transactions, so that nobody waits long for the lock."""
        erased = 0
        while True:
            with self.database.write() as db:
                now = now_in(db)
                at_rest = or_(Launch.state != "creating", Launch.lease_until < now)
                query = select(Launch).where(which, Launch.erased.is_(None), at_rest).limit(500)
                batch = db.scalars(query.with_for_update(skip_locked=skip_locked)).all()
                for launch in batch:
                    forget(launch, now, "expired")
            if not batch:
                return erased
            erased += len(batch)


def _erase_drafts(db: Session, launch: Launch, browser: Sequence[str], now: float) -> None:
    """Take the text out of the drafts of this intention; their addresses can say that they were erased."""
    same = or_(Draft.form_token == launch.form_token, Draft.prompt == launch.prompt)
    theirs = or_(Draft.person == launch.person, Draft.secret_hash.in_(browser))
    db.execute(update(Draft).where(same, theirs).values(prompt="", erased=now))
