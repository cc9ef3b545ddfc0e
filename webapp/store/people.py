"""Who had an e-mail address: the keys that stand for a person in all tables, by whatever provider."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .tables import Event, Launch, Link, SignIn


def people_with(db: Session, email: str) -> Sequence[str]:
    """Return everybody who ever had this address, in a launch, a sign-in, a link or an event."""
    address = func.lower(email)  # SQLite's lower() knows ASCII only
    launched = select(Launch.person).where(func.lower(Launch.email) == address)
    signed_in = select(SignIn.person).where(func.lower(SignIn.email) == address)
    acted = select(Event.person).where(func.lower(Event.email) == address, Event.person.is_not(None))
    shared = select(Link.person).where(func.lower(Link.email) == address)
    return db.scalars(launched.union(signed_in, acted, shared)).all()
