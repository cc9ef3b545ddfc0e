"""The rows that the portal remembers; `migrations/` builds their tables.

All times are the database's clock, in seconds since 1970: several machines share one order.
"""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID, uuid5

from sqlalchemy import Float, Index, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LAUNCHES = UUID("7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e")  # the name space of launch ids; any UUID would do

# Literals and not enumerations: what a newer release wrote must not stop this one from reading the row.
State = Literal["waiting", "creating", "ready", "refused"]
Reason = Literal[
    "not_a_member",
    "not_accepted",
    "expired",
    "cancelled",
    "no_access",
    "untrusted",
    "own_limit",
    "busy",
    "unavailable",
]

WAITING, KEPT = text("state = 'waiting'"), text("erased IS NULL")


class Base(DeclarativeBase):
    """The tables; `migrations/` builds them."""


class Launch(Base):
    """One person's intention to open a studio session.

    `waiting` -> `creating` (a lease: one process calls Exec) -> `ready` or `refused`. `attempt` counts the
    calls; an outcome is written only by the attempt that holds the lease.
    """

    __tablename__ = "launches"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(String(64))
    email: Mapped[str | None] = mapped_column(Text)
    form_token: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str | None] = mapped_column(Text)
    prompt_hash: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[State] = mapped_column(String(8))
    reason: Mapped[Reason | None] = mapped_column(String(24))
    detail: Mapped[str | None] = mapped_column(Text)
    held: Mapped[bool] = mapped_column(default=False)
    url: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=0)
    created: Mapped[float] = mapped_column(Float(53))
    queued: Mapped[float] = mapped_column(Float(53))  # first come, first served
    not_before: Mapped[float] = mapped_column(Float(53))
    seen: Mapped[float] = mapped_column(Float(53))  # when its page last asked
    due: Mapped[float] = mapped_column(Float(53))  # the time it was last promised
    lease_until: Mapped[float | None] = mapped_column(Float(53))
    finished: Mapped[float | None] = mapped_column(Float(53))
    erase_after_call: Mapped[bool] = mapped_column(default=False)
    link: Mapped[UUID | None]  # the shared text that it began with
    erased: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (
        Index("launches_of_person", "person", "created", "id"),
        Index("launches_of_link", "link"),
        Index("launches_queue", "queued", postgresql_where=WAITING, sqlite_where=WAITING),
        Index("launches_to_erase", "created", postgresql_where=KEPT, sqlite_where=KEPT),
    )

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)

    @property
    def finished_at(self) -> datetime:
        return datetime.fromtimestamp(self.finished or self.created, UTC)

    @property
    def request_id(self) -> str:
        """What the API de-duplicates by. It holds the person: nobody else's session can come back."""
        return f"portal-{self.id}"


class Call(Base):
    """A call to Exec that began; those of the last minute are what the workspace's limit counts."""

    __tablename__ = "calls"

    id: Mapped[int] = mapped_column(primary_key=True)
    launch_id: Mapped[UUID]
    person: Mapped[str] = mapped_column(String(64))
    began: Mapped[float] = mapped_column(Float(53), index=True)

    __table_args__ = (Index("calls_of_person", "person", "began"),)


class Pace(Base):
    """One row that every process locks before it begins a call."""

    __tablename__ = "pace"

    id: Mapped[int] = mapped_column(primary_key=True)
    floor: Mapped[float] = mapped_column(Float(53), default=0)  # nobody calls before: Exec said so
    held_until: Mapped[float] = mapped_column(Float(53), default=0)  # the next attempt of a held launch
    access: Mapped[str] = mapped_column(String(64), default="")  # hash of key and hosts it was held with


class Draft(Base):
    """Text that nobody signed in has claimed yet, tied to one browser by the secret in its cookie."""

    __tablename__ = "drafts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    form_token: Mapped[str] = mapped_column(String(64))
    prompt: Mapped[str] = mapped_column(Text)
    send: Mapped[bool]  # typed on our own page: goes on by itself
    person: Mapped[str | None] = mapped_column(String(64))
    address_hash: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Float(53), index=True)
    opened: Mapped[float | None] = mapped_column(Float(53))  # when its page was first seen in its browser
    erased: Mapped[float | None] = mapped_column(Float(53))  # its text is gone; its address says so
    link: Mapped[str | None] = mapped_column(String(10))  # slug of the shared text that it began with

    __table_args__ = (Index("drafts_of_address", "address_hash"),)

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)


class Probe(Base):
    """One row that is written to see whether the database can be."""

    __tablename__ = "probe"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float] = mapped_column(Float(53))


class SignIn(Base):
    """One browser in which one person signed in. What it may do is judged anew at each request."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # hash of the secret in the cookie
    person: Mapped[str] = mapped_column(String(64))
    issuer: Mapped[str] = mapped_column(Text)
    sub: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    claim: Mapped[str] = mapped_column(Text)  # what OIDC_EMAIL_CLAIM was then
    name: Mapped[str] = mapped_column(Text)
    groups: Mapped[str] = mapped_column(Text)  # a JSON list of those that ALLOWED_GROUPS named
    sid: Mapped[str | None] = mapped_column(Text)  # the provider's name for its own session
    auth_time: Mapped[float | None] = mapped_column(Float(53))
    proved: Mapped[bool]  # the person had to sign in at the provider for this one (`prompt=login`)
    browser: Mapped[str] = mapped_column(String(80))
    created: Mapped[float] = mapped_column(Float(53), index=True)
    used: Mapped[float] = mapped_column(Float(53))  # at most ten minutes ago by then
    ended: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (Index("sign_ins_of_person", "person"),)

    @property
    def used_at(self) -> datetime:
        return datetime.fromtimestamp(self.used, UTC)

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)


class IdToken(Base):
    """The ID token that a sign-in began with, encrypted: read at sign-out alone, and gone with its end."""

    __tablename__ = "id_tokens"

    sign_in: Mapped[str] = mapped_column(String(64), primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)


class Logout(Base):
    """A sign-out that the provider told us of: of one session of a person's, or of all."""

    __tablename__ = "logouts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # hash of the token's jti
    person: Mapped[str | None] = mapped_column(String(64))
    sid: Mapped[str | None] = mapped_column(Text)
    at: Mapped[float] = mapped_column(Float(53))  # when the provider ended it
    until: Mapped[float] = mapped_column(Float(53))  # how long it is remembered


class Event(Base):
    """Something that a person who is signed in, or an operator, did. Never a text."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float] = mapped_column(Float(53), index=True)
    name: Mapped[str] = mapped_column(String(40))
    person: Mapped[str | None] = mapped_column(String(64))
    email: Mapped[str | None] = mapped_column(Text)
    launch_id: Mapped[UUID | None]
    address: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(String(200))

    __table_args__ = (
        Index("events_of_person", "person", "id"),
        Index("events_of_launch", "launch_id"),
    )

    @property
    def at_time(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


class Link(Base):
    """A text that somebody shares under a short address. Withdrawn, it holds neither text nor title."""

    __tablename__ = "links"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(10), unique=True)
    person: Mapped[str] = mapped_column(String(64))
    email: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    ask: Mapped[bool]  # before a second launch of the same person
    created: Mapped[float] = mapped_column(Float(53))
    used: Mapped[float] = mapped_column(Float(53))  # at most a day ago by then
    withdrawn: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (Index("links_of_person", "person", "created"),)

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)


def person_key(issuer: str, sub: str) -> str:
    """Return what stands for a person in every row: stable, and no name or address."""
    return sha256(json.dumps([issuer, sub]).encode()).hexdigest()


def launch_id(person: str, form_token: str, prompt: str) -> UUID:
    """Return the id of one person's one intention: the same wherever and however often it arrives."""
    return uuid5(LAUNCHES, json.dumps([person, form_token, sha256(prompt.encode()).hexdigest()]))
