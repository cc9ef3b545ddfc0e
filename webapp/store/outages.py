"""What an error of the database means to an operator: where, what it said, and what to change.

Goes by codes (SQLSTATE, SQLite's own), never by words, which servers translate.
"""

import re
import sqlite3
from urllib.parse import unquote

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

LONGEST = 300  # characters of a server's sentence

CURES = {
    "25006": "it only reads: DATABASE_URL must name the primary, with default_transaction_read_only off",
    "3F000": "let the role use and create in its schema: GRANT USAGE, CREATE ON SCHEMA public TO …",
    "42501": "the role lacks a privilege; its own tables need GRANT USAGE, CREATE ON SCHEMA public TO …",
    "53100": "its disk is full: make room on the database's machine",
    "53300": "it has no connection left: raise max_connections, or let fewer processes serve",
    "SQLITE_BUSY": "another process holds the file for long: a backup by hand, a disk that does not answer?",
    "SQLITE_CANTOPEN": "the portal's user must be able to write the file and its directory",
    "SQLITE_CORRUPT": "the file is damaged: restore a backup",
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_IOERR": "the disk fails or is full",
    "SQLITE_NOTADB": "the file is no SQLite database: set another one, or restore a backup",
    "SQLITE_PERM": "the portal's user must be able to write the file and its directory",
    "SQLITE_READONLY": "it cannot be written: let the portal's user write the file and its directory",
}
# What another process or a restart ends by itself: locks, deadlocks, too many, shutting down, starting.
PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED", "40", "53300", "55P03", "57P")
# Mistakes of the set-up that drivers file among mistakes in statements.
SET_UP = ("3F000", "42501")
MISTAKE = "SQLITE_ERROR"


class NoAnswer(Exception):
    """A server was waited for long enough already. The text says how long."""


class StoreUnavailable(Exception):
    """The database is away, locked, full or refuses: nothing was recorded. The text is for operators.

    (A server that falls silent at the commit may have recorded it: a launch's id makes that harmless.)
    `code` is the SQLSTATE or SQLite's own name; `may_pass` whether it is over in a moment, None where no
    server came to speak of it.
    """

    def __init__(self, message: str, code: str | None = None, may_pass: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.may_pass = code.startswith(PASSING) if code else may_pass


def outage(error: DBAPIError | PoolTimeout | sqlite3.Error, url: URL) -> StoreUnavailable | None:
    """Return what to tell when the database is to blame; None when a statement of ours is."""
    if isinstance(error, PoolTimeout):
        return crowded(url)
    cause = error.orig if isinstance(error, DBAPIError) else error
    code: str | None = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    if not _is_to_blame(error, code or ""):
        return None
    if isinstance(cause, NoAnswer):
        return StoreUnavailable(f"{place(url)}: {cause}", may_pass=False)
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)  # PostgreSQL's own sentence
    return tell(url, primary or str(cause), code, getattr(cause, "cure", ""))


def crowded(url: URL) -> StoreUnavailable:
    """Return what to tell whoever has waited too long for others of the same process."""
    if url.get_backend_name() == "sqlite":
        return tell(url, "other threads of this process write", "SQLITE_BUSY")
    return StoreUnavailable(f"{place(url)}: all connections of this process are in use", may_pass=True)


def tell(url: URL, sentence: str, code: str | None = None, cure: str = "") -> StoreUnavailable:
    """Return the one sentence for operators: where, the server's words, its code, the cure."""
    said = cleaned(sentence, url) + (f" ({code})" if code else "")
    known = [cure] if cure else [words for name, words in CURES.items() if (code or "").startswith(name)]
    return StoreUnavailable("; ".join([f"{place(url)}: {said}", *known]), code)


def place(url: URL) -> str:
    """Say which database it is; never its user's password."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite {url.database}"
    host = url.host or url.query.get("host") or "this machine"
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL at {host}{port}, database {url.database}"


def cleaned(sentence: str, url: URL) -> str:
    """Return a server's words on one line, without the password or a part that an odd one fell into."""
    sentence = re.sub(r"\n\t.*", "", sentence)  # libpq's guesses
    said = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", sentence).strip()
    for piece in _pieces(url):
        said = re.sub(rf"(?<!\w){re.escape(piece)}(?!\w)", "***", said)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"


def _pieces(url: URL) -> list[str]:
    """Return every secret of an address, as it is, unquoted, and cut as addresses are, longest first."""
    secrets = [
        str(url.password or ""),
        *(str(url.query.get(name, "")) for name in ("password", "sslpassword")),
    ]
    whole = {*secrets, *map(unquote, secrets)}
    pieces = whole.union(*(re.split(r"[@:/?#&%\s]", secret) for secret in whole))
    return sorted(filter(None, pieces), key=len, reverse=True)


def _is_to_blame(error: DBAPIError | sqlite3.Error, code: str) -> bool:
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", *SET_UP)):
        return True
    # To SQLite a mistake in a statement is an operational error too; PostgreSQL's internal one is what a
    # former primary answers that now only reads.
    blamed = (OperationalError, InterfaceError, InternalError, sqlite3.OperationalError)
    return isinstance(error, blamed) and code != MISTAKE
