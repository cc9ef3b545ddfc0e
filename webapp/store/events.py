"""The record: what people who are signed in and operators did, when and from where. Never a text.

An event is written in the transaction of what it tells of, so that neither stands without the other.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, cast
from uuid import UUID

from sqlalchemy import Connection, Table, insert, or_, select
from sqlalchemy.orm import Session

from .database import Database, clock
from .tables import Event, Launch

Name = Literal[
    "sign_in",
    "sign_out",
    "sign_in.ended",
    "launch.asked",
    "launch.created",
    "launch.refused",
    "launch.held",
    "launch.erased",
    "limit.reached",
    "link.made",
    "link.withdrawn",
    "link.wrong",
    "access.refused",
    "admin.looked",
    "operator.resumed",
    "operator.erased",
    "operator.signed_out",
]


@dataclass(frozen=True)
class Origin:
    """Who acts, and from where: set for each request, read where an event is written."""

    person: str | None = None
    email: str | None = None
    address: str = ""
    request_id: str = ""  # of the answer's head and of every log line


OPERATOR = Origin(address="command line")
origin: ContextVar[Origin] = ContextVar("origin", default=OPERATOR)

_WRITE = insert(cast("Table", Event.__table__)).values(at=clock()).inline()


def note(db: Session | Connection, name: Name, launch: UUID | None = None, detail: str = "") -> None:
    """Write down what happens in this transaction; `detail` is a word of ours or a count."""
    who = origin.get()
    event = {"name": name, "launch_id": launch, "detail": detail[:200], **vars(who)}
    db.execute(_WRITE, event)


class Events:
    """What was recorded, and recording what has no transaction of its own. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def note(self, name: Name, launch: UUID | None = None, detail: str = "") -> None:
        with self.database.write() as db:
            note(db, name, launch, detail)

    def newest(self, most: int) -> Sequence[Event]:
        with self.database.read() as db:
            return db.scalars(select(Event).order_by(Event.id.desc()).limit(most)).all()

    def of_people(self, people: Sequence[str], most: int) -> Sequence[Event]:
        """Return what these people did, and what happened to their launches, newest first."""
        theirs = select(Launch.id).where(Launch.person.in_(people))
        query = select(Event).where(or_(Event.person.in_(people), Event.launch_id.in_(theirs)))
        with self.database.read() as db:
            return db.scalars(query.order_by(Event.id.desc()).limit(most)).all()

    def of_launch(self, key: UUID) -> Sequence[Event]:
        """Return what happened to one launch, in order."""
        with self.database.read() as db:
            return db.scalars(select(Event).where(Event.launch_id == key).order_by(Event.id)).all()
