"""Sign-ins: a row each, found by the hash of the secret in the cookie, so that it can be ended from here."""

from sqlalchemy import delete, func, or_, select, update

from .database import Database, clock, now_in
from .events import Name, note
from .tables import SignIn

FORMER = 7 * 24 * 3600  # seconds that a sign-in is remembered after its end: its drafts belong to its person
HOUR = 3600


class SignIns:
    """Who is signed in. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, row: SignIn, instead_of: str | None = None) -> None:
        """Write a sign-in down; the one that this browser had before has ended."""
        with self.database.write() as db:
            now = now_in(db)
            row.created = row.used = now
            db.execute(update(SignIn).where(SignIn.id == instead_of).values(ended=now))
            db.add(row)
            note(db, "sign_in", detail=row.browser)

    def find(self, key: str) -> tuple[SignIn, float] | None:
        """Return the sign-in, ended or not, and the time; one read by primary key."""
        with self.database.read() as db:
            found = db.execute(select(SignIn, clock()).where(SignIn.id == key)).one_or_none()
        return (found[0], found[1]) if found else None

    def touch(self, key: str) -> None:
        """Note that it was used just now."""
        with self.database.write() as db:
            db.execute(update(SignIn).where(SignIn.id == key).values(used=clock()))

    def of_person(self, person: str) -> list[SignIn]:
        """Return one's own that nobody ended, the one used last first."""
        query = select(SignIn).where(SignIn.person == person, SignIn.ended.is_(None))
        with self.database.read() as db:
            return list(db.scalars(query.order_by(SignIn.used.desc()).limit(100)))

    def sign_out(self, key: str, person: str) -> None:
        self._end("sign_out", SignIn.id == key, SignIn.person == person)

    def end(self, key: str, person: str) -> int:
        """End another of one's own; return how many were not ended before: 0 or 1."""
        return self._end("sign_in.ended", SignIn.id == key, SignIn.person == person)

    def end_of(self, email: str) -> int:
        """End every sign-in of whoever has this address, as the operator says."""
        return self._end("operator.signed_out", func.lower(SignIn.email) == func.lower(email))

    def end_all(self) -> int:
        return self._end("operator.signed_out")

    def purge(self, hours: int) -> None:
        """Drop those that ended seven days ago; `hours` is how long one lasts at most."""
        with self.database.write() as db:
            gone = or_(SignIn.ended < clock() - FORMER, SignIn.created < clock() - FORMER - hours * HOUR)
            db.execute(delete(SignIn).where(gone))

    def _end(self, name: Name, *which: object) -> int:
        ended = update(SignIn).where(SignIn.ended.is_(None), *which).values(ended=clock())  # type: ignore[arg-type]
        with self.database.write() as db:
            count = len(db.scalars(ended.returning(SignIn.id)).all())
            note(db, name, detail=f"{count} sign-ins")
            return count
