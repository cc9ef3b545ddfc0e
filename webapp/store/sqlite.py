"""SQLite as a file: who may read it, how it is opened, closed whole and copied while in use."""

import errno
import random
import sqlite3
import stat
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event

from .outages import tell

BESIDE = ("", "-wal", "-shm")  # a database and what SQLite keeps beside it
PATIENCE = 8  # seconds for another process that writes
CLOCK = "portal_clock"  # SQLite's own counts milliseconds, in which two transactions fit
OWNER = stat.S_IRUSR | stat.S_IWUSR


def engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's own
    """Return an engine on this file, which is made when it is first used."""
    made = create_engine(url, hide_parameters=True, connect_args={"timeout": PATIENCE}, **options)
    event.listen(made, "do_connect", lambda *_: _keep_private(url))
    event.listen(made, "connect", _prepare)
    return made


def file_of(url: URL) -> Path | None:
    """Return the file of the database; None for one in memory, and for SQLite's own `file:` addresses."""
    name = url.database or ""
    return None if name in ("", ":memory:") or name.startswith("file:") else Path(name)


def _keep_private(url: URL) -> None:
    """Let nobody but its user read the file. Raises `StoreUnavailable` where none can be made."""
    path = file_of(url)
    try:
        if path:
            _make_private(path)
    except OSError as error:
        raise tell(url, error.strerror or type(error).__name__, "SQLITE_CANTOPEN") from None


def _make_private(path: Path) -> None:
    """Make the file, or take from one of an earlier release what others may do."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=OWNER)
    for name in (path.with_name(path.name + ending) for ending in BESIDE):
        with suppress(FileNotFoundError, PermissionError):  # gone, or somebody else's to change
            if name.is_file():
                name.chmod(OWNER)


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401  # sqlite3's
    connection.isolation_level = None  # or Python begins transactions by itself, too late
    connection.create_function(CLOCK, 0, time.time)
    connection.execute("PRAGMA journal_mode = WAL")


def begin(connection: Connection, *, safe: bool) -> None:
    """Begin by hand; Python's own way begins too late for a transaction that reads, then writes."""
    db = cast("sqlite3.Connection", connection.connection.driver_connection)
    db.execute(f"PRAGMA synchronous = {'FULL' if safe else 'NORMAL'}")
    _begin_writing(db)


def _begin_writing(db: sqlite3.Connection) -> None:
    """Become the one who writes, waiting as long as SQLite itself would wait for other processes.

    Its own waiting sleeps up to 100 ms a step while others go first.
    """
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    give_up = time.monotonic() + patience / 1000
    db.execute("PRAGMA busy_timeout = 0")
    try:
        while not _began(db, is_last=time.monotonic() >= give_up):
            time.sleep(random.uniform(0.0005, 0.004))  # noqa: S311  # so that two do not keep step
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience}")


def _began(db: sqlite3.Connection, *, is_last: bool) -> bool:
    try:
        # In a plain BEGIN two processes read the same state, and one update is lost.
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_last or not error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise
        return False
    return True


def fold(path: Path) -> None:
    """Take what stands in the `-wal` into the file; the last connection to close then removes it.

    A process that was killed may have left one behind.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=1)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # nothing is lost where this fails


def backup(path: Path, copy: Path) -> None:
    """Copy a database that may be in use; `copy` appears when it is whole. Raises what sqlite3 and os do.

    One file without anything beside it, which only its owner can read.
    """
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=OWNER)
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        part.replace(copy)
    except sqlite3.Error as error:
        if error.sqlite_errorname != "SQLITE_FULL":
            raise
        # It is the copy's disk: of the other one is only read.
        raise OSError(errno.ENOSPC, "no room on its disk") from None
    finally:
        part.unlink(missing_ok=True)
