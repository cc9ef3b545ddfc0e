"""Drafts: texts of strangers, tied to one browser, until somebody signed in claims them."""

from hmac import compare_digest

from sqlalchemy import delete, func, or_, select

from .database import Database, now_in
from .tables import Draft, Launch

DRAFT_LIFETIME = 1800  # seconds
DRAFTS_PER_MINUTE = 60  # from one address: a workshop behind one firewall fits, a flood does not
MOST_DRAFTS = 5000


class Drafts:
    """What is kept for strangers. Raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def keep(self, draft: Draft) -> bool:
        """Keep a text for half an hour; False when this address or all together keep too many."""
        with self.database.write() as db:
            draft.created = now = now_in(db)
            db.execute(delete(Draft).where(Draft.created < now - DRAFT_LIFETIME))
            of_address = select(func.count()).where(
                Draft.address_hash == draft.address_hash, Draft.created > now - 60
            )
            kept = select(func.count()).select_from(Draft)
            if db.scalars(of_address).one() >= DRAFTS_PER_MINUTE or db.scalars(kept).one() >= MOST_DRAFTS:
                return False
            db.add(draft)
            return True

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
            draft = db.get(Draft, key)
            if (
                draft is None
                or draft.created < now_in(db) - DRAFT_LIFETIME
                or not compare_digest(draft.secret_hash, secret_hash)
                or (person and draft.person and draft.person != person)
            ):
                return None
            draft.person = draft.person or person
            return draft
