"""Erasing: one launch, one person, or what is past its days."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update

from .database import Database, clock, now_in
from .drafts import DRAFT_LIFETIME
from .launches import forget
from .tables import Call, Draft, Launch

DAY = 24 * 3600


class Erasing:
    """What leaves the portal's memory. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def launch(self, key: UUID, person: str) -> str | None:
        """Erase one's own launch, after its call if one is under way; return the text it held."""
        with self.database.write() as db:
            launch = db.get(Launch, key, with_for_update=True)
            if launch is None or launch.person != person or launch.erased:
                return None
            now, prompt = now_in(db), launch.prompt
            if launch.state == "creating" and (launch.lease_until or 0) > now:
                launch.erase_after_call = True
            else:
                forget(launch, now, "cancelled")
            return prompt

    def person(self, email: str) -> int:
        """Erase everything of one person; what is being created follows when its call has ended."""
        theirs = func.lower(Launch.email) == func.lower(email)  # SQLite's lower() knows ASCII only
        with self.database.write() as db:
            under_way = update(Launch).where(theirs, Launch.state == "creating", Launch.lease_until > clock())
            flagged = db.scalars(under_way.values(erase_after_call=True).returning(Launch.id)).all()
        return len(flagged) + self._erase_all(theirs)

    def older_than(self, days: int) -> int:
        """Erase what is that old, and drop rows without further use; return how many were erased."""
        with self.database.write() as db:
            now = now_in(db)
            db.execute(delete(Call).where(Call.began < now - DAY))
            db.execute(delete(Draft).where(Draft.created < now - DRAFT_LIFETIME))
        given_up = self._erase_all(Launch.erase_after_call)  # their process died during the call
        return given_up + self._erase_all(Launch.created < now - days * DAY)

    def _erase_all(self, which: Any) -> int:  # noqa: ANN401  # a condition
        """Erase in small transactions, so that nobody waits long for the lock."""
        erased = 0
        while True:
            with self.database.write() as db:
                now = now_in(db)
                at_rest = or_(Launch.state != "creating", Launch.lease_until < now)
                query = select(Launch).where(which, Launch.erased.is_(None), at_rest).limit(500)
                batch = db.scalars(query.with_for_update(skip_locked=True)).all()
                for launch in batch:
                    forget(launch, now, "expired")
            if not batch:
                return erased
            erased += len(batch)
