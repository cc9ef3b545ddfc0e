"""The database itself: clock, transactions, migration, the end.

Knows SQLite and PostgreSQL; knows nothing of what is remembered.
"""

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Float,
    NullPool,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from . import postgresql, sqlite
from .outages import StoreUnavailable as StoreUnavailable  # noqa: PLC0414  # views find it here
from .outages import outage, place, tell
from .tables import Base, Probe

# Two processes on each of three machines stay below PostgreSQL's 100 connections.
POOL: dict[str, Any] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 10}
MIGRATION_LOCK = 0x5CE4A210  # any number of our own, for PostgreSQL's advisory locks
MIGRATIONS = Path(__file__).parents[1] / "migrations"
PATIENCE = 15  # seconds for a database that is away or starting

log = logging.getLogger(__name__)


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
        self._writing = self.engine.execution_options(writes=True)
        self._writing_unsafely = self.engine.execution_options(writes=True, safe=False)
        self._turn: AbstractContextManager[object] = (
            sqlite.Turn(self.engine.url) if is_file else nullcontext()
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _translated(self.engine.url), Session(self.engine, expire_on_commit=False) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a writing transaction; it ends with the block."""
        with (
            _translated(self.engine.url),
            self._turn,
            Session(self._writing, expire_on_commit=False) as db,
            db.begin(),
        ):
            yield db

    @contextmanager
    def read_rows(self) -> Iterator[Connection]:
        """Read without the unit of work, which costs more than the statements that each request sends."""
        with _translated(self.engine.url), self.engine.connect() as db:
            yield db

    @contextmanager
    def write_rows(self, *, safe: bool = True) -> Iterator[Connection]:
        """Write without the unit of work; not `safe`: a power cut may take it back, but nothing before it."""
        engine = self._writing if safe else self._writing_unsafely
        with _translated(self.engine.url), self._turn, engine.begin() as db:
            yield db

    def probe(self) -> None:
        """Write and commit what nobody waits for: reading works on a full or read-only disk as well."""
        # Another process may have written the first row just now.
        with suppress(IntegrityError), self.write() as db:
            seen = db.execute(update(Probe).values(at=clock()))
            if not seen.rowcount:  # type: ignore[attr-defined]  # what an UPDATE returns has it
                db.execute(insert(Probe).values(id=1, at=clock()))

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
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        told = outage(error, url)
        if told is None:
            raise
        raise told from None


def engine(url: str, *, limited: bool = True, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's own
    """Return an engine that connects when it is first used; `limited`: no statement takes long."""
    address = _address(url)
    if address.get_backend_name() == "sqlite":
        return sqlite.engine(address, **(options or POOL))
    pooled = {**POOL, "pool_pre_ping": True, "pool_recycle": 1800}
    return postgresql.engine(address, limited=limited, **(options or pooled))


def _address(url: str) -> URL:
    address = make_url(url.replace("postgres://", "postgresql://", 1))
    return address if address.get_backend_name() == "sqlite" else address.set(drivername="postgresql+psycopg")


def migrate(url: str, patience: float = PATIENCE) -> None:
    """Bring the tables up to date, once, however many processes start together, and write to them.

    Waits only for what waiting may cure. Raises `StoreUnavailable`.
    """
    give_up, told = time.monotonic() + patience, False
    while True:
        try:
            return _bring_up_to_date(url)
        except StoreUnavailable as error:
            if time.monotonic() >= give_up or not _may_pass(error, url):
                raise
            if not told:
                log.warning("waiting for the database: %s", error, extra={"event": "database.away"})
            told = True
        time.sleep(1)


def _may_pass(error: StoreUnavailable, url: str) -> bool:
    if error.may_pass is None:
        return postgresql.may_come(_address(url))
    return error.may_pass


def _bring_up_to_date(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    database = Database(url, poolclass=NullPool)
    with database.read() as db:  # under the pages' limits: a frozen server is told here
        found = MigrationContext.configure(db.connection()).get_current_revision()
    if found is not None and found not in known:
        _serve_newer(database, found)
    elif found != scripts.get_current_head():
        _upgrade(url, config)
    database.probe()


def _upgrade(url: str, config: Config) -> None:
    """Migrate in one transaction, which may take as long as it needs."""
    own = engine(url, limited=False, poolclass=NullPool)
    with _translated(own.url), own.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            # Whoever waits for a table's lock holds up all pages that come after.
            connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _serve_newer(database: Database, found: str) -> None:
    """See that it was a newer release, which only adds. Raises `StoreUnavailable` where it was not."""
    with database.read() as db:
        missing = _missing(db.connection())
    where = place(database.engine.url)
    if missing:
        raise StoreUnavailable(
            f"{where}: its alembic_version {found} is not of this release, and {missing[0]} is missing:"
            " another application's database? Give the portal one of its own"
        )
    log.warning(
        "%s: a newer release has migrated it (to %s); this one serves it as it is",
        where,
        found,
        extra={"event": "database.newer"},
    )


def _missing(connection: Connection) -> list[str]:
    """Return the tables and columns that this release needs and does not find."""
    there = inspect(connection)
    found = {name: {column["name"] for column in there.get_columns(name)} for name in there.get_table_names()}
    needed = Base.metadata.sorted_tables
    return [table.name for table in needed if table.name not in found] + [
        f"{table.name}.{column.name}"
        for table in needed
        for column in table.columns
        if column.name not in found.get(table.name, {column.name})
    ]
