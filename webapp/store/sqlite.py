"""SQLite as a file: who may read it, how it is opened, closed whole and copied while in use."""

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from .outages import tell

BESIDE = ("", "-wal", "-shm")  # a database and what SQLite keeps beside it
OWNER = stat.S_IRUSR | stat.S_IWUSR


def engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's own
    """Return an engine on this file. Raises `StoreUnavailable` where no file can be made."""
    path = file_of(url)
    if path:
        try:
            _keep_private(path)
        except OSError as error:
            raise tell(url, error.strerror or type(error).__name__, "SQLITE_CANTOPEN") from None
    made = create_engine(url, hide_parameters=True, connect_args={"timeout": 8}, **options)
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    return made


def file_of(url: URL) -> Path | None:
    """Return the file of the database; None for one in memory, and for SQLite's own `file:` addresses."""
    name = url.database or ""
    return None if name in ("", ":memory:") or name.startswith("file:") else Path(name)


def _keep_private(path: Path) -> None:
    """Let nobody but the portal's user read texts and addresses, in files of an earlier release as well."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, OWNER))
    for name in (path.with_name(path.name + ending) for ending in BESIDE):
        with suppress(FileNotFoundError, PermissionError):  # gone, or somebody else's to change
            name.chmod(OWNER)


def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401  # sqlite3's
    connection.isolation_level = None  # or Python begins transactions by itself, too late
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what was said to be safe survives a power cut


def _begin(connection: Connection) -> None:
    # Read, then write, in a plain BEGIN: two processes read the same state and one update is lost.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def backup(path: Path, copy: Path) -> None:
    """Copy a database that may be in use; `copy` appears when it is whole. Raises what sqlite3 and os do.

    One file without anything beside it, which only its owner can read.
    """
    part = copy.with_name(f"{copy.name}.part")
    os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, OWNER))
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
