"""What the portal remembers: launches, drafts and the pace, in SQLite or PostgreSQL.

Knows rows and times; knows nothing of Flask, of forms or of Exec's answers. All times are the database's
clock, in seconds since 1970: several machines share one order.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_ERROR, SQLITE_NOTADB
from typing import Any
from uuid import UUID, uuid5

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    Connection,
    Engine,
    Float,
    Index,
    NullPool,
    String,
    Text,
    create_engine,
    delete,
    event,
    func,
    make_url,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.sql.functions import FunctionElement

LAUNCHES = UUID("7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e")  # the name space of launch ids; any UUID would do
SAME_AGAIN = 600  # seconds within which the same text from the same person is asked about
PAGE = 20
# Two processes on each of three machines stay below PostgreSQL's 100 connections.
POOL: dict[str, Any] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 10}
DRAFT_LIFETIME = 1800
DRAFTS_PER_MINUTE = 60  # from one address: a workshop behind one firewall fits, a flood does not
MOST_DRAFTS = 5000
DAY = 24 * 3600
MIGRATION_LOCK = 0x5CE4A210  # any number of our own, for PostgreSQL's advisory locks


WAITING, KEPT = text("state = 'waiting'"), text("erased IS NULL")


class StoreUnavailable(Exception):
    """The database is away, locked or full: nothing was recorded, and trying again later is right."""


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
    state: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str | None] = mapped_column(String(24))
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
    erased: Mapped[float | None] = mapped_column(Float(53))

    __table_args__ = (
        Index("launches_of_person", "person", "created", "id"),
        Index("launches_queue", "queued", postgresql_where=WAITING, sqlite_where=WAITING),
        Index("launches_to_erase", "created", postgresql_where=KEPT, sqlite_where=KEPT),
    )

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)

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

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.created, UTC)


class clock(FunctionElement[float]):  # noqa: N801  # reads like SQL's own functions
    """The database's clock, which does not stand still within a transaction."""

    type = Float(53)
    inherit_cache = True


@compiles(clock, "postgresql")
def _postgresql_clock(*_: object, **__: object) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


@compiles(clock, "sqlite")
def _sqlite_clock(*_: object, **__: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@dataclass(frozen=True)
class Recorded:
    """What became of an intention: the launch, or `earlier`, one that the person should be asked about."""

    launch: Launch | None
    earlier: Launch | None = None


def person_key(issuer: str, sub: str) -> str:
    """Return what stands for a person in every row: stable, and no name or address."""
    return sha256(json.dumps([issuer, sub]).encode()).hexdigest()


def launch_id(person: str, form_token: str, prompt: str) -> UUID:
    """Return the id of one person's one intention: the same wherever and however often it arrives."""
    return uuid5(LAUNCHES, json.dumps([person, form_token, sha256(prompt.encode()).hexdigest()]))


class Store:
    """The database, and the few things the portal asks of it. Raises `StoreUnavailable`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine(url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _translated(), Session(self.engine, expire_on_commit=False) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a writing transaction; it ends with the block."""
        writing = self.engine.execution_options(writes=True)
        with _translated(), Session(writing, expire_on_commit=False) as db, db.begin():
            yield db

    def is_up(self) -> bool:
        with self.read() as db:
            return db.scalar(select(Pace.id)) is not None

    def record(self, person: str, email: str, form_token: str, prompt: str, *, another: bool) -> Recorded:
        """Write down the intention before any call. The same one again finds its row."""
        key = launch_id(person, form_token, prompt)
        with self.write() as db:
            db.get_one(Pace, 1, with_for_update=True)  # or a later one is seen, and served, before
            now = now_in(db)
            launch = db.get(Launch, key, with_for_update=True)
            earlier = None if launch or another else self._earlier(db, person, prompt, now)
            if earlier:
                return Recorded(None, earlier)
            if launch is None:
                launch = Launch(id=key, person=person, form_token=form_token)
                db.add(launch)
            launch.erase_after_call = False  # sent again while it is being created: wanted after all
            if launch.state not in ("creating", "ready") or launch.erased:
                _queue(launch, email, prompt, now)
            return Recorded(launch)

    def _earlier(self, db: Session, person: str, prompt: str, now: float) -> Launch | None:
        query = select(Launch).where(
            Launch.person == person,
            Launch.created > now - SAME_AGAIN,
            Launch.prompt_hash == sha256(prompt.encode()).hexdigest(),
            Launch.state != "refused",
            Launch.erase_after_call.is_(False),
        )
        return db.scalar(query.order_by(Launch.created.desc()).limit(1))

    def used(self, person: str, form_token: str) -> Launch | None:
        """Return this person's newest launch from a link with that `request_id`."""
        query = select(Launch).where(
            Launch.person == person,
            Launch.form_token == form_token,
            Launch.erased.is_(None),
            Launch.erase_after_call.is_(False),
            Launch.state != "refused",
        )
        with self.read() as db:
            return db.scalar(query.order_by(Launch.created.desc()).limit(1))

    def find(self, key: UUID, person: str) -> Launch | None:
        """Return one's own launch; another person's and an erased one are none."""
        with self.read() as db:
            launch = db.get(Launch, key)
        if launch is None or launch.person != person or launch.erased or launch.erase_after_call:
            return None
        return launch

    def newest(self, person: str, before: tuple[float, UUID] | None) -> list[Launch]:
        """Return a page of one's own launches, newest first, and one more if there are older ones."""
        query = select(Launch).where(
            Launch.person == person, Launch.erased.is_(None), Launch.erase_after_call.is_(False)
        )
        if before:
            created, key = before
            query = query.where(
                or_(Launch.created < created, (Launch.created == created) & (Launch.id < key)),
                Launch.created <= created,
            )
        with self.read() as db:
            return list(db.scalars(query.order_by(Launch.created.desc(), Launch.id.desc()).limit(PAGE + 1)))

    def keep_draft(self, draft: Draft) -> bool:
        """Keep a text for half an hour; False when this address or all together keep too many."""
        with self.write() as db:
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

    def unsent_drafts(self, secret_hashes: list[str], person: str) -> list[Draft]:
        """Return the drafts of this browser that this person may have and has not sent, newest first."""
        sent = select(Launch.id).where(Launch.person == person, Launch.form_token == Draft.form_token)
        with self.read() as db:
            query = select(Draft).where(
                Draft.secret_hash.in_(secret_hashes),
                Draft.created > now_in(db) - DRAFT_LIFETIME,
                or_(Draft.person.is_(None), Draft.person == person),
                ~sent.exists(),
            )
            return list(db.scalars(query.order_by(Draft.created.desc())))

    def has_draft(self, form_token: str) -> bool:
        """Whether a text of this form arrived in the last ten minutes."""
        with self.read() as db:
            recent = Draft.created > now_in(db) - 600
            query = select(Draft.id).where(Draft.form_token == form_token, recent).limit(1)
            return db.scalar(query) is not None

    def draft(self, key: str, secret_hash: str, person: str | None) -> Draft | None:
        """Return the draft of this browser; the first person signed in to see it is its only one."""
        with self.write() as db:
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

    def erase(self, key: UUID, person: str) -> str | None:
        """Erase one's own launch, after its call if one is under way; return the text it held."""
        with self.write() as db:
            launch = db.get(Launch, key, with_for_update=True)
            if launch is None or launch.person != person or launch.erased:
                return None
            now, prompt = now_in(db), launch.prompt
            if launch.state == "creating" and (launch.lease_until or 0) > now:
                launch.erase_after_call = True
            else:
                forget(launch, now, "cancelled")
            return prompt

    def erase_person(self, email: str) -> int:
        """Erase everything of one person; what is being created follows when its call has ended."""
        theirs = func.lower(Launch.email) == func.lower(email)  # SQLite's lower() knows ASCII only
        with self.write() as db:
            under_way = update(Launch).where(theirs, Launch.state == "creating", Launch.lease_until > clock())
            flagged = db.scalars(under_way.values(erase_after_call=True).returning(Launch.id)).all()
        return len(flagged) + self._erase_all(theirs)

    def erase_older_than(self, days: int) -> int:
        """Erase what is that old, and drop rows without further use; return how many were erased."""
        with self.write() as db:
            now = now_in(db)
            db.execute(delete(Call).where(Call.began < now - DAY))
            db.execute(delete(Draft).where(Draft.created < now - DRAFT_LIFETIME))
        given_up = self._erase_all(Launch.erase_after_call)  # their process died during the call
        return given_up + self._erase_all(Launch.created < now - days * DAY)

    def _erase_all(self, which: Any) -> int:  # noqa: ANN401  # a condition
        """Erase in small transactions, so that nobody waits long for the lock."""
        erased = 0
        while True:
            with self.write() as db:
                now = now_in(db)
                at_rest = or_(Launch.state != "creating", Launch.lease_until < now)
                query = select(Launch).where(which, Launch.erased.is_(None), at_rest).limit(500)
                batch = db.scalars(query.with_for_update(skip_locked=True)).all()
                for launch in batch:
                    forget(launch, now, "expired")
            if not batch:
                return erased
            erased += len(batch)


def forget(launch: Launch, now: float, reason: str) -> None:
    """Drop what tells of a person's work; counts, outcomes and times remain."""
    if launch.state != "ready":
        launch.state, launch.reason = "refused", reason
        launch.finished = launch.finished or now
    launch.prompt = launch.prompt_hash = launch.email = launch.url = launch.detail = None
    launch.held = launch.erase_after_call = False
    launch.lease_until = None
    launch.erased = now


def _queue(launch: Launch, email: str, prompt: str, now: float) -> None:
    fresh = launch.state != "waiting" or launch.erased is not None
    launch.email, launch.prompt = email, prompt
    launch.prompt_hash = sha256(prompt.encode()).hexdigest()
    launch.seen = now
    if fresh:
        launch.state, launch.reason, launch.detail, launch.held = "waiting", None, None, False
        # Its days count anew: or what waits again could be erased as old within the hour.
        launch.created = launch.queued = launch.not_before = launch.due = now
        launch.attempt = launch.attempt or 0
        launch.erased = launch.finished = launch.url = None


def now_in(db: Session) -> float:
    """Return the database's time; take it after the lock, so that times follow the order of transactions."""
    return db.scalars(select(clock())).one()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not _is_outage(error):
            raise
        # SQLite calls everything an operational error; its own name says whether it is locked or full.
        raise StoreUnavailable(getattr(cause, "sqlite_errorname", type(cause).__name__)) from None


def _is_outage(error: DBAPIError | PoolTimeout) -> bool:
    """Whether the database is to blame: away, locked, full, damaged or read-only."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    if code in (SQLITE_CORRUPT, SQLITE_NOTADB):
        return True
    # To SQLite a mistake in a statement is an operational error too; PostgreSQL's internal one is what a
    # former primary answers that now only reads.
    outage = isinstance(error, (OperationalError, InterfaceError, InternalError, PoolTimeout))
    return outage and code != SQLITE_ERROR


def engine(url: str, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's own
    """Return an engine that connects when it is first used."""
    address = make_url(url.replace("postgres://", "postgresql://", 1))
    if address.get_backend_name() == "sqlite":
        return _sqlite(address, **options)
    address = address.set(drivername="postgresql+psycopg")
    pooled = {**POOL, "pool_pre_ping": True, "pool_recycle": 1800}
    waits = {"connect_timeout": 4, "options": "-c statement_timeout=10000 -c lock_timeout=8000"}
    return create_engine(address, hide_parameters=True, connect_args=waits, **(options or pooled))


def _sqlite(address: Any, **options: Any) -> Engine:  # noqa: ANN401
    if address.database:
        try:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(type(error).__name__) from None
    waits = {"timeout": 8}
    made = create_engine(address, hide_parameters=True, connect_args=waits, **(options or POOL))

    @event.listens_for(made, "connect")
    def prepare(connection: Any, _: object) -> None:  # noqa: ANN401  # sqlite3's
        connection.isolation_level = None  # or Python begins transactions by itself, too late
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what was said to be safe survives a power cut

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # Read, then write, in a plain BEGIN: two processes read the same state and one update is lost.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


def migrate(url: str, patience: float = 15) -> None:
    """Bring the tables up to date, once, however many processes start together. Raises `StoreUnavailable`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    own = engine(url, poolclass=NullPool)
    give_up = time.monotonic() + patience
    while True:
        try:
            with _translated(), own.execution_options(writes=True).begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                return
        except StoreUnavailable:
            if time.monotonic() > give_up:
                raise
            time.sleep(1)
