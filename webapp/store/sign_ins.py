"""Sign-ins: a row each, found by the hash of the secret in the cookie, so that it can be ended from here."""

from typing import cast

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from .database import Database, clock, now_in
from .events import Name, note
from .launches import lock_pace
from .tables import IdToken, Logout, SignIn

FORMER = 7 * 24 * 3600  # seconds that a sign-in is remembered after its end: its drafts belong to its person
HOUR = 3600
REMEMBERED = 600  # seconds that a sign-out of the provider's is known: longer than its token is good

ROW = cast("Table", SignIn.__table__)
_FIND = select(ROW, clock().label("now")).where(ROW.c.id == bindparam("key"))


class EndedAlready(Exception):
    """The provider ended this very session meanwhile."""


class Replayed(Exception):
    """This sign-out of the provider's was told before."""


class SignIns:
    """Who is signed in. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, row: SignIn, id_token: str | None = None, instead_of: str | None = None) -> None:
        """Write a sign-in down; the one that this browser had before has ended. Raises `EndedAlready`.

        `id_token`: as it was sealed; it stands apart, so that no other request reads it.
        """
        with self.database.write() as db:
            lock_pace(db.connection())  # one after the other: neither sees what is not committed
            now = now_in(db)
            if _was_ended(db, row, now):
                raise EndedAlready
            row.created = row.used = now
            db.execute(update(SignIn).where(SignIn.id == instead_of).values(ended=now))
            _drop_tokens(db, SignIn.id == instead_of)
            db.add(row)
            if id_token:
                db.add(IdToken(sign_in=row.id, sealed=id_token))
            note(db, "sign_in", detail=row.browser)

    def find(self, key: str) -> tuple[SignIn, float] | None:
        """Return the sign-in, ended or not, and the time; one read by primary key."""
        with self.database.read_rows() as db:
            row = db.execute(_FIND, {"key": key}).mappings().one_or_none()
        if row is None:
            return None
        values = dict(row)
        now = values.pop("now")
        return SignIn(**values), now

    def touch(self, key: str) -> None:
        """Note that it was used just now."""
        with self.database.write() as db:
            db.execute(update(SignIn).where(SignIn.id == key).values(used=clock()))

    def of_person(self, person: str) -> list[SignIn]:
        """Return one's own that nobody ended, the one used last first."""
        query = select(SignIn).where(SignIn.person == person, SignIn.ended.is_(None))
        with self.database.read() as db:
            return list(db.scalars(query.order_by(SignIn.used.desc()).limit(100)))

    def sign_out(self, key: str, person: str) -> str | None:
        """End it; return its ID token, as it was sealed, if there is one."""
        with self.database.write() as db:
            sealed = db.scalar(select(IdToken.sealed).where(IdToken.sign_in == key))
            _end(db, "sign_out", SignIn.id == key, SignIn.person == person)
            return sealed

    def end(self, key: str, person: str) -> int:
        """End another of one's own; return how many were not ended before: 0 or 1."""
        with self.database.write() as db:
            return _end(db, "sign_in.ended", SignIn.id == key, SignIn.person == person)

    def end_of(self, email: str) -> int:
        """End every sign-in of whoever has this address, as the operator says."""
        with self.database.write() as db:
            return _end(db, "operator.signed_out", func.lower(SignIn.email) == func.lower(email))

    def end_all(self) -> int:
        with self.database.write() as db:
            return _end(db, "operator.signed_out")

    def end_by_provider(self, logout: Logout) -> int:
        """End what the provider ended, once; return how many. Raises `Replayed`."""
        with self.database.write() as db:
            lock_pace(db.connection())  # one after the other: neither sees what is not committed
            now = now_in(db)
            db.execute(delete(Logout).where(Logout.until < now))
            if db.get(Logout, logout.id):
                raise Replayed
            logout.until = now + REMEMBERED
            db.add(logout)
            its = [SignIn.person == logout.person] if logout.person else []
            its += [SignIn.sid == logout.sid] if logout.sid else []
            return _ended(db, *its)

    def purge(self, hours: int, idle_hours: int) -> None:
        """Drop those that ended seven days ago, the ID tokens of all that have ended, and old sign-outs.

        `hours` is how long one lasts at most, `idle_hours` without being used.
        """
        with self.database.write() as db:
            gone = or_(SignIn.ended < clock() - FORMER, SignIn.created < clock() - FORMER - hours * HOUR)
            db.execute(delete(SignIn).where(gone))
            lasts = SignIn.created > clock() - hours * HOUR, SignIn.used > clock() - idle_hours * HOUR
            valid = select(SignIn.id).where(SignIn.ended.is_(None), *lasts)
            db.execute(delete(IdToken).where(IdToken.sign_in.not_in(valid)))
            db.execute(delete(Logout).where(Logout.until < clock()))


def _end(db: Session, name: Name, *which: ColumnElement[bool]) -> int:
    count = _ended(db, *which)
    note(db, name, detail=f"{count} sign-ins")
    return count


def _ended(db: Session, *which: ColumnElement[bool]) -> int:
    """End these, and drop their ID tokens; return how many were not ended before."""
    ended = update(SignIn).where(SignIn.ended.is_(None), *which).values(ended=clock())
    count = len(db.scalars(ended.returning(SignIn.id)).all())
    _drop_tokens(db, *which)
    return count


def _drop_tokens(db: Session, *which: ColumnElement[bool]) -> None:
    db.execute(delete(IdToken).where(IdToken.sign_in.in_(select(SignIn.id).where(*which))))


def _was_ended(db: Session, row: SignIn, now: float) -> bool:
    """Whether the provider ended this session, or all of this person's that began before."""
    theirs = or_(Logout.person == row.person, Logout.person.is_(None))
    this = Logout.sid == (row.sid or "")
    earlier = Logout.sid.is_(None) & (Logout.at > (row.auth_time or 0))
    query = select(Logout.id).where(Logout.until > now, theirs, or_(this, earlier)).limit(1)
    return db.scalar(query) is not None
