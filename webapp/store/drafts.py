"""Drafts: texts of strangers, tied to one browser, until somebody signed in claims them."""

from hmac import compare_digest

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from .database import Database, now_in
from .tables import Draft, Launch

DRAFT_LIFETIME = 1800  # seconds
MOST_DRAFTS = 5000
SHARE = 500  # of one address: a company behind one firewall fits, and no few addresses take all the room
SHARE_OF_PERSON = 20  # of somebody whose sign-in has ended; theirs besides all others
SOON = 600  # seconds: a sign-in that follows a stranger's post later is not sure to be the same person's


class Drafts:
    """What is kept for strangers. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, draft: Draft) -> bool:
        """Keep a text for half an hour; False when this address or this person keeps too many.

        When all together keep too many, the oldest goes whose page was never opened in its browser.
        """
        with self.database.write() as db:
            draft.created = now = now_in(db)
            db.execute(delete(Draft).where(Draft.created < now - DRAFT_LIFETIME))
            has_room = _has_share_of_person(db, draft) if draft.person else _has_share(db, draft)
            if has_room:
                db.add(draft)
            return has_room

    def unsent(self, secret_hashes: list[str], person: str) -> list[Draft]:
        """Return the drafts of this browser that this person may have and has not sent, newest first."""
        sent = select(Launch.id).where(Launch.person == person, Launch.form_token == Draft.form_token)
        with self.database.read() as db:
            query = select(Draft).where(
                Draft.secret_hash.in_(secret_hashes),
                Draft.created > now_in(db) - DRAFT_LIFETIME,
                or_(Draft.person.is_(None), Draft.person == person),
                Draft.erased.is_(None),
                ~sent.exists(),
            )
            return list(db.scalars(query.order_by(Draft.created.desc())))

    def has_arrived(self, form_token: str) -> bool:
        """Whether a text of this form arrived in the last ten minutes."""
        with self.database.read() as db:
            recent = Draft.created > now_in(db) - 600
            query = select(Draft.id).where(Draft.form_token == form_token, recent).limit(1)
            return db.scalar(query) is not None

    def claim(self, key: str, secret_hash: str, person: str | None) -> Draft | None:
        """Return the draft of this browser; the first person signed in to see it is its only one.

        One that was erased is returned without its text.
        """
        with self.database.write() as db:
            draft, now = db.get(Draft, key), now_in(db)
            if (
                draft is None
                or draft.created < now - DRAFT_LIFETIME
                or not compare_digest(draft.secret_hash, secret_hash)
                or (person and draft.person and draft.person != person)
            ):
                return None
            if draft.person is None and person and draft.created < now - SOON:
                draft.send = False
            draft.person, draft.opened = draft.person or person, draft.opened or now
            return draft


def _has_share_of_person(db: Session, draft: Draft) -> bool:
    theirs = select(func.count()).where(Draft.person == draft.person)
    return db.scalars(theirs).one() < SHARE_OF_PERSON


def _has_share(db: Session, draft: Draft) -> bool:
    """Whether a stranger's text may stay; makes room for it if that is all it needs."""
    strangers = Draft.person.is_(None)
    of_address = select(func.count()).where(strangers, Draft.address_hash == draft.address_hash)
    if db.scalars(of_address).one() >= SHARE:
        return False
    if db.scalars(select(func.count()).where(strangers)).one() < MOST_DRAFTS:
        return True
    unopened = select(Draft.id).where(strangers, Draft.opened.is_(None)).order_by(Draft.created).limit(1)
    dropped = delete(Draft).where(Draft.id.in_(unopened.scalar_subquery())).returning(Draft.id)
    return bool(db.scalars(dropped).all())
