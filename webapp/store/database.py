"""The database itself: engine, clock, transactions, migration, and what counts as an outage.

Knows SQLite and PostgreSQL; knows nothing of what is remembered.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_ERROR, SQLITE_NOTADB
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    Connection,
    Engine,
    Float,
    NullPool,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from .tables import Probe

# Two processes on each of three machines stay below PostgreSQL's 100 connections.
POOL: dict[str, Any] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 10}
MIGRATION_LOCK = 0x5CE4A210  # any number of our own, for PostgreSQL's advisory locks


class StoreUnavailable(Exception):
    """The database is away, locked or full: nothing was recorded, and trying again later is right."""


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


class Database:
    """Transactions on one database. Raises `StoreUnavailable`."""

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

    def probe(self) -> None:
        """Write and commit what nobody waits for: reading works on a full or read-only disk as well."""
        with self.write() as db:
            seen = db.execute(update(Probe).values(at=clock()))
            if not seen.rowcount:  # type: ignore[attr-defined]  # what an UPDATE returns has it
                db.execute(insert(Probe).values(id=1, at=clock()))

    def backup(self, path: Path) -> None:
        """Copy the whole SQLite database while it is in use (SQLite's online backup). Raises `OSError`."""
        path.touch(mode=0o600, exist_ok=False)
        with _translated(), self.engine.connect() as connection, sqlite3.connect(path) as copy:
            source = connection.connection.driver_connection
            source.backup(copy)  # type: ignore[union-attr]  # sqlite3's, which is all that comes here
        copy.close()

    def free_bytes(self) -> int | None:
        """Return how much room there is beside a database in a file."""
        path = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not path:
            return None
        return shutil.disk_usage(Path(path).parent).free


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
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
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
