"""The database itself: clock, transactions, the end.

Knows SQLite and PostgreSQL; knows nothing of what is remembered.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Float,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from . import sqlite
from .outages import StoreUnavailable as StoreUnavailable  # noqa: PLC0414  # views find it here
from .outages import crowded, outage, tell
from .tables import Probe
from .turn import Turn

# Two processes on each of three machines stay below PostgreSQL's 100 connections.
KEPT, MOST = 5, 15
POOL: dict[str, Any] = {"pool_size": KEPT, "max_overflow": MOST - KEPT, "pool_timeout": 10}
# Seconds in which nobody gets through. SQLite then waits for other processes as well: 15 in all.
PATIENCE = {"sqlite": 6, "postgresql": 10}


class clock(FunctionElement[float]):  # noqa: N801  # reads like SQL's own functions
    """The database's clock, which does not stand still within a transaction."""

    type = Float(53)
    inherit_cache = True


@compiles(clock, "postgresql")
def _postgresql_clock(*_: object, **__: object) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


@compiles(clock, "sqlite")
def _sqlite_clock(*_: object, **__: object) -> str:
    return f"{sqlite.CLOCK}()"


class Database:
    """Transactions on one database. Raises `StoreUnavailable`."""

    def __init__(self, url: str, **options: Any) -> None:  # noqa: ANN401  # SQLAlchemy's own
        self.url = url
        self.engine = engine(url, **options)
        is_file = self.engine.dialect.name == "sqlite"
        # SQLite takes one who writes and all who read; PostgreSQL has a connection for so many.
        patience = PATIENCE[self.engine.dialect.name]
        self._writes = Turn(1 if is_file else MOST, patience, partial(crowded, self.engine.url))
        self._reads: AbstractContextManager[object] = nullcontext() if is_file else self._writes

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self.read_rows() as db, Session(db, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a writing transaction; it ends with the block."""
        with self.write_rows() as db, Session(db, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read_rows(self) -> Iterator[Connection]:
        """Read without the unit of work, which costs more than the statements that each request sends."""
        with translated(self.engine.url), self._reads, self.engine.connect() as db:
            yield db

    @contextmanager
    def write_rows(self, *, safe: bool = True) -> Iterator[Connection]:
        """Write without the unit of work; not `safe`: a power cut may take it back, but nothing before it."""
        with translated(self.engine.url), self._writes, self.engine.begin() as db:
            begin(db, safe=safe)
            yield db

    def probe(self) -> None:
        """Write and commit what nobody waits for: reading works on a full or read-only disk as well."""
        # Another process may have written the first row just now.
        with suppress(IntegrityError), self.write() as db:
            seen = db.execute(update(Probe).values(at=clock()))
            if not seen.rowcount:  # type: ignore[attr-defined]  # what an UPDATE returns has it
                db.execute(insert(Probe).values(id=1, at=clock()))

    def hold_all(self) -> int:
        """Hold all connections that a process may hold, each used, none in a transaction; return how many."""
        with translated(self.engine.url), ExitStack() as held:
            for _ in range(MOST):
                held.enter_context(self.engine.connect()).exec_driver_sql("SELECT 1")
        return MOST

    def free_bytes(self) -> int | None:
        """Return how much room there is beside a database in a file."""
        path = self.file
        return shutil.disk_usage(path.parent).free if path else None

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        return sqlite.file_of(self.engine.url) if self.engine.dialect.name == "sqlite" else None

    def backup(self, copy: Path) -> None:
        """Copy a SQLite database while it is in use. Raises `StoreUnavailable`, and `OSError` for `copy`."""
        path, url = self.file, self.engine.url
        if path is None:
            raise tell(url, "only a SQLite file is copied here; for PostgreSQL use pg_dump")
        if not path.exists():
            raise tell(url, "there is no such file", "SQLITE_CANTOPEN")
        if copy.exists():
            raise FileExistsError(copy)
        try:
            sqlite.backup(path, copy)
        except sqlite3.Error as error:
            raise tell(url, str(error), error.sqlite_errorname) from None

    def close(self) -> None:
        """Close what is open; the last process to do so leaves one file of SQLite that holds everything."""
        self.engine.dispose()
        if self.file and self.file.exists():
            sqlite.fold(self.file)


_NOW = select(clock())


def now_in(db: Session | Connection) -> float:
    """Return the database's time; take it after the lock, so that times follow the order of transactions."""
    return db.scalars(_NOW).one()


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Raise `StoreUnavailable` for what the database is to blame for."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        told = outage(error, url)
        if told is None:
            raise
        raise told from None


def engine(url: str, *, limited: bool = True, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's own
    """Return an engine that connects when it is first used; `limited`: no statement takes long."""
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        return sqlite.engine(address, **(options or POOL))
    # Not at the top: its driver is a fifteenth of a start, and SQLite goes without.
    from . import postgresql  # noqa: PLC0415

    return postgresql.engine(address, limited=limited, **(options or {**POOL, "pool_recycle": 1800}))


def begin(db: Connection, *, safe: bool = True) -> None:
    """Begin a writing transaction by hand, as each of the two wants it; what only reads needs no beginning.

    Not as a listener to SQLAlchemy's `begin`: with one of those, each statement asks for listeners.
    """
    if db.dialect.name == "sqlite":
        sqlite.begin(db, safe=safe)
        return
    from . import postgresql  # noqa: PLC0415  # not at the top, as in `engine`

    postgresql.begin(db, safe=safe)


def address_of(url: str) -> URL:
    """Return the address as SQLAlchemy takes it, with our driver."""
    address = make_url(url.replace("postgres://", "postgresql://", 1))
    return address if address.get_backend_name() == "sqlite" else address.set(drivername="postgresql+psycopg")
