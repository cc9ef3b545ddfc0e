"""Bringing the tables up to date, once, whoever starts first.

Alembic is imported only where there is something to do: it is a sixth of a start, and stays in memory.
"""

import logging
import time
from pathlib import Path

from sqlalchemy import Connection, NullPool, String, column, func, inspect, select, table, text

from .database import Database, address_of, begin, engine, translated
from .outages import StoreUnavailable, place
from .tables import Base

LOCK = 0x5CE4A210  # any number of our own, for PostgreSQL's advisory locks
MIGRATIONS = Path(__file__).parents[1] / "migrations"
PATIENCE = 15  # seconds for a database that is away or starting

log = logging.getLogger(__name__)


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
        from . import postgresql  # noqa: PLC0415  # not at the top, as in `engine`

        return postgresql.may_come(address_of(url))
    return error.may_pass


def _bring_up_to_date(url: str) -> None:
    known = sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py"))
    database = Database(url, poolclass=NullPool)
    with database.read_rows() as db:  # under the pages' limits: a frozen server is told here
        _see_that_it_holds_all_letters(db)
        found = _found(db)
    if found is not None and found not in known:
        _serve_newer(database, found)
    elif found != known[-1]:
        _upgrade(url)
    database.probe()


def _see_that_it_holds_all_letters(db: Connection) -> None:
    """Raises `StoreUnavailable` where texts would be refused, or measured in bytes."""
    url = db.engine.url
    encoding = "UTF8" if url.get_backend_name() == "sqlite" else db.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        cure = "make it anew with ENCODING 'UTF8' TEMPLATE template0"
        raise StoreUnavailable(f"{place(url)}: its encoding is {encoding}: {cure}", may_pass=False)


def _found(db: Connection) -> str | None:
    """Return the newest migration that the tables have been through."""
    if not inspect(db).has_table("alembic_version"):
        return None
    return db.scalar(select(column("version_num", String)).select_from(table("alembic_version")))


def _upgrade(url: str) -> None:
    """Migrate in one transaction, which may take as long as it needs."""
    # Not at the top: most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    own = engine(url, limited=False, poolclass=NullPool)
    with translated(own.url), own.begin() as connection:
        begin(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
            # Whoever waits for a table's lock holds up all pages that come after.
            connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _serve_newer(database: Database, found: str) -> None:
    """See that it was a newer release, which only adds. Raises `StoreUnavailable` where it was not."""
    with database.read_rows() as db:
        missing = _missing(db)
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
