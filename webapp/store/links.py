"""Links: texts that somebody shares under a short address, and how many came by it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import choice
from uuid import UUID, uuid4, uuid5

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from .database import Database, clock, now_in
from .events import note
from .launches import lock_pace
from .tables import Event, Launch, Link

LINKS = UUID("0b9d3b1e-6a57-4a0f-9b0a-6e0f5e1f2a44")  # the name space of link ids; any UUID would do
SLUG_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # read off a wall: no i, l, o, 0, 1
SLUG_LENGTH = 10
MOST_LINKS = 200  # of one person
WRONG_A_MINUTE = 20  # slugs that one person may guess
DAY = 24 * 3600
UNUSED = 365 * DAY  # seconds after which a link is erased
WORKSHOP = 12 * 3600  # seconds that the board looks back


class TooManyLinks(Exception):
    """This person shares as many texts as one may."""


class TooManyGuesses(Exception):
    """This person tried many addresses that are none."""


@dataclass(frozen=True)
class Board:
    """How many of those who came by a link are where; `last` is when the last who waits will be in."""

    ready: int
    waiting: int
    refused: int
    last: float | None
    ever: int

    @property
    def all(self) -> int:
        return self.ready + self.waiting + self.refused


class Links:
    """What people share. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def make(self, link: Link, form_token: str) -> Link:
        """Keep a text under a new address; the same form sent again finds it. Raises `TooManyLinks`."""
        what = json.dumps([link.person, form_token, link.title, sha256(link.prompt.encode()).hexdigest()])
        link.id = uuid5(LINKS, what)
        with self.database.write() as db:
            lock_pace(db.connection())  # one after the other, pressed however often
            found = db.get(Link, link.id)
            if found and found.withdrawn is None:
                return found
            living = select(func.count()).where(Link.person == link.person, Link.withdrawn.is_(None))
            if db.scalars(living).one() >= MOST_LINKS:
                raise TooManyLinks
            link.id = uuid4() if found else link.id
            link.slug = "".join(choice(SLUG_LETTERS) for _ in range(SLUG_LENGTH))
            link.created = link.used = now_in(db)
            db.add(link)
            note(db, "link.made")
            return link

    def of_person(self, person: str) -> Sequence[Link]:
        """Return one's own, newest first."""
        query = select(Link).where(Link.person == person, Link.withdrawn.is_(None))
        with self.database.read() as db:
            return db.scalars(query.order_by(Link.created.desc())).all()

    def find(self, key: UUID, person: str) -> Link | None:
        """Return one's own, withdrawn or not; another person's is none."""
        with self.database.read() as db:
            link = db.get(Link, key)
        return link if link and link.person == person else None

    def open(self, slug: str, person: str) -> Link | None:
        """Return what is shared there, withdrawn or not, and note its use. Raises `TooManyGuesses`."""
        with self.database.read() as db:
            now = now_in(db)
            wrong = select(func.count()).where(
                Event.person == person, Event.name == "link.wrong", Event.at > now - 60
            )
            if db.scalars(wrong).one() >= WRONG_A_MINUTE:
                raise TooManyGuesses
            link = _at(db, slug)
        if link is None:
            with self.database.write() as db:
                note(db, "link.wrong")
        elif link.used < now - DAY:
            with self.database.write() as db:
                db.get_one(Link, link.id).used = now
        return link

    def key_of(self, slug: str) -> UUID | None:
        """Return which link a launch came by."""
        with self.database.read() as db:
            link = _at(db, slug)
        return link.id if link and link.withdrawn is None else None

    def withdraw(self, key: UUID, person: str) -> bool:
        """Take one's own text away from everybody; its address remembers that there was one."""
        with self.database.write() as db:
            link = db.get(Link, key)
            if link is None or link.person != person:
                return False
            if link.withdrawn is None:
                link.withdrawn = db.scalars(select(clock())).one()
                link.title = link.prompt = ""
                note(db, "link.withdrawn")
            return True

    def board(self, key: UUID) -> Board:
        """Return who came by a link in the last hours, as numbers; what was cancelled does not count."""
        with self.database.read() as db:
            now = now_in(db)
            lately = case((Launch.created > now - WORKSHOP, 1), else_=0)
            known = case((Launch.held, None), else_=Launch.due)
            query = select(Launch.state, func.count(), func.sum(lately), func.max(known)).where(
                Launch.link == key, or_(Launch.reason.is_(None), Launch.reason != "cancelled")
            )
            rows = {row[0]: row[1:] for row in db.execute(query.group_by(Launch.state))}
        counts = {state: int(lately) for state, (_, lately, _) in rows.items()}
        last = rows.get("waiting", (0, 0, None))[2]
        return Board(
            ready=counts.get("ready", 0),
            waiting=counts.get("waiting", 0) + counts.get("creating", 0),
            refused=counts.get("refused", 0),
            last=last if last and last > now else None,
            ever=sum(ever for ever, _, _ in rows.values()),
        )


def _at(db: Session, slug: str) -> Link | None:
    return db.scalar(select(Link).where(Link.slug == slug))
