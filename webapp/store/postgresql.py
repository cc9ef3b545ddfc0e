"""Connections to PostgreSQL, itself or through PgBouncer, that never wait for ever.

Knows how to connect and for how long to wait; knows nothing of tables.
"""

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.errors import ConnectionTimeout
from psycopg.pq import PGconn, Ping, TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from . import encryption
from .outages import NoAnswer

CONNECT = 4  # seconds for each address of the host
DEADLINE = 7  # seconds for a statement; longer than the server's own limits, which tell more
SILENCE = 2  # seconds in which nobody else asks a server that has just not answered
LIMITS = {"statement_timeout": "5000", "lock_timeout": "4000"}  # milliseconds
KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}
NOT_ASKED = ("context", "options", "password")  # the first is the driver's own

Result = TypeVar("Result")


class Silent(ConnectionTimeout, NoAnswer):
    """A server that does not answer, or whose name servers do not."""


class NoWayIn(psycopg.OperationalError):
    """There is no connection; `cure` is what to change, where encryption is to blame, or nothing."""

    def __init__(self, said: str, cure: str) -> None:
        super().__init__(said)
        self.cure = cure


class _Bounded(psycopg.Connection[Any]):
    """A connection that gives up on a silent server: one that is stopped still acknowledges, for ever."""

    door: "_Door"

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        try:
            return super().wait(gen, interval, DEADLINE if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()  # or the rollback waits again
            self.door.shut()
            raise Silent(f"no answer within {DEADLINE} s") from None


class _Door:
    """The way in to one server: what it refuses, and whether it has just been silent."""

    def __init__(self) -> None:
        self.refuses_options = False
        self._shut_until = 0.0

    def shut(self) -> None:
        self._shut_until = time.monotonic() + SILENCE

    def connect(self, _dialect: object, _record: object, _args: object, wanted: dict[str, Any]) -> _Bounded:
        """Connect with the pages' limits as start-up options, before those of the address, which win.

        PgBouncer refuses that parameter and names it; then the limits are set in each writing transaction.
        """
        if time.monotonic() < self._shut_until:
            raise Silent("no answer a moment ago")
        if not _name_servers_answer(str(wanted.get("host", "")), wanted.get("port")):
            self.shut()
            raise Silent(f"its name was not resolved within {CONNECT} s")
        if not self.refuses_options:
            ours = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
            try:
                return self._open(wanted | {"options": f"{ours} {wanted.get('options', '')}".strip()})
            except psycopg.OperationalError as error:
                if isinstance(error, ConnectionTimeout) or "options" not in str(error):
                    raise
        opened = self._open(wanted)
        self.refuses_options = True
        return opened

    def _open(self, wanted: dict[str, Any]) -> _Bounded:
        try:
            opened = _Bounded.connect(**wanted)
        except ConnectionTimeout:
            self.shut()
            raise Silent(f"no answer within {CONNECT} s") from None
        except psycopg.OperationalError as error:
            raise NoWayIn(str(error), encryption.cure(wanted, CONNECT)) from None
        except psycopg.ProgrammingError as error:  # an option of the address that nobody knows
            raise psycopg.OperationalError(str(error)) from None
        opened.door = self
        return opened


def begin(connection: Connection, *, safe: bool) -> None:
    """Begin by hand, in one round trip with what shall hold."""
    door = getattr(connection.connection.driver_connection, "door", None)
    wanted = LIMITS if door and door.refuses_options else {}
    if not safe:
        wanted = {**wanted, "synchronous_commit": "off"}
    settings = "".join(f"; SET LOCAL {name} = '{value}'" for name, value in wanted.items())
    connection.exec_driver_sql(f"BEGIN{settings}")


def _see_whether_it_lives(connection: psycopg.Connection[Any], *_: object) -> None:
    """Take no connection that the server has ended: its word waits there, and costs no round trip to see."""
    if not connection.closed:
        word = select.poll()
        word.register(connection.fileno(), select.POLLIN)
        if not word.poll(0):
            return
    raise DisconnectionError


def _name_servers_answer(hosts: str, port: object) -> bool:
    """Whether looking up ends in time; the system's own look-up has no limit that can be set."""

    def look_up() -> None:
        for host in hosts.split(","):
            with suppress(OSError, UnicodeError):  # the driver tells that, in words
                socket.getaddrinfo(host, str(port or 5432))

    if not hosts or hosts.startswith("/"):
        return True
    asking = threading.Thread(target=look_up, name="database-name", daemon=True)
    asking.start()
    asking.join(CONNECT)
    return not asking.is_alive()


def engine(url: URL, *, limited: bool = True, **options: Any) -> Engine:  # noqa: ANN401  # SQLAlchemy's
    """Return an engine; `limited` for pages, where nobody waits long, not for migrations."""
    # PgBouncer in transaction pooling hands the next transaction a server that knows no prepared statement.
    arguments: dict[str, Any] = {"prepare_threshold": None, "connect_timeout": CONNECT, **KEEPALIVES}
    arguments["client_encoding"] = "utf8"  # a database in SQL_ASCII would give bytes, and break SQLAlchemy
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    arguments["autocommit"] = True  # or the driver begins by itself, before each statement
    made = create_engine(url, hide_parameters=True, connect_args=arguments, **options)
    event.listen(made, "checkout", _see_whether_it_lives)
    if limited:
        event.listen(made, "do_connect", _Door().connect)
    return made


def may_come(url: URL) -> bool:
    """Whether a server that refused a connection is away or starting, so that waiting may help.

    Asks as pg_isready does, which goes by codes; the second time without TLS, so that only absence counts.
    """
    if not _is_known(url):
        return False
    _, wanted = create_engine(url).dialect.create_connect_args(url)
    asked = {name: value for name, value in wanted.items() if name not in NOT_ASKED}
    asked |= {"require_auth": "none", "connect_timeout": CONNECT}
    plain = {"sslmode": "disable", "gssencmode": "disable"}
    try:
        found = [PGconn.ping(make_conninfo(**asked | more).encode()) for more in ({}, plain)]
    except psycopg.ProgrammingError:  # an option that nobody knows
        return False
    return all(answer in (Ping.REJECT, Ping.NO_RESPONSE) for answer in found)


def _is_known(url: URL) -> bool:
    """Whether a name of the host is known, or the name servers could not say just now."""
    for host in (url.host or "").split(","):
        try:
            socket.getaddrinfo(host or None, url.port or 5432)
        except socket.gaierror as error:
            if error.errno != socket.EAI_AGAIN:
                continue
        except UnicodeError:
            continue
        return True
    return False
