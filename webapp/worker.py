"""gunicorn's threaded worker, with patience that ends: gthread itself waits for a started request for ever.

A head has ten seconds. Then each ten seconds of waiting must bring 10 KB, or the end of the body; there is no
limit on the whole, for a phone may send a file of 10 MB. Who does not read or does not close delays nobody.
"""

import errno
import logging
import selectors
import socket
import ssl
import time
from functools import partial
from http import HTTPStatus

from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker
from werkzeug.test import create_environ, run_wsgi_app

from .bodies import REFUSED

log = logging.getLogger(__name__)

HEAD_SECONDS = 10
BODY_SECONDS = 10
BODY_BYTES = 10 * 1024
SEND_SECONDS = 30  # for one write: a page, or 8 KB of a file
LARGEST_HEAD = 32 * 1024  # bytes

BROKEN = (
    b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nContent-Length: 62\r\n\r\n"
    b"Something broke on our side. Go back and try again in a minute."
)


class TooSlow(TimeoutError):
    """A client kept us waiting for too long. It is treated like one that has gone."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "too slow")


class Patient(SocketUnreader):  # type: ignore[misc]  # gunicorn is not typed
    """Reads a connection: by a deadline while a head is awaited, then as long as a body makes progress."""

    def __init__(self, sock: socket.socket, head_until: float) -> None:
        super().__init__(sock)
        self.await_head(head_until)

    def await_head(self, until: float) -> None:
        self.head_until: float | None = until
        self.head_bytes = 0

    def await_body(self) -> None:
        self.head_until = None
        self.seconds, self.wanted = float(BODY_SECONDS), BODY_BYTES

    def chunk(self, size_hint: int | None = None) -> bytes:
        begun = time.monotonic()
        left = self.seconds if self.head_until is None else self.head_until - begun
        data = self._receive(max(left, 0), size_hint)
        if self.head_until is None:
            self._count(len(data), time.monotonic() - begun)
        else:
            self.head_bytes += len(data)
            if self.head_bytes > LARGEST_HEAD + self.mxchunk:  # the last piece may hold some of the body
                raise LimitRequestHeaders("larger than all of a head may be")
        return data

    def _receive(self, seconds: float, size_hint: int | None) -> bytes:
        """Take what is there, however late we come to it; wait that long for more."""
        limit = self.sock.gettimeout()  # gunicorn's own, while it drains what nobody read
        self.sock.settimeout(seconds if limit is None else min(limit, seconds))
        try:
            data: bytes = super().chunk(size_hint)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            log.info(
                "a client kept us waiting and was let go: a proxy that buffers requests spares us this",
                extra={"event": "request.too_slow", "every": 60},
            )
            raise TooSlow from None
        finally:
            self.sock.settimeout(limit)
        return data

    def _count(self, size: int, waited: float) -> None:
        """Begin a new stretch when this one has brought what it must; only our waiting counts."""
        self.seconds, self.wanted = self.seconds - waited, self.wanted - size
        if self.wanted <= 0:
            self.seconds, self.wanted = float(BODY_SECONDS), BODY_BYTES


class Connection(TConn):  # type: ignore[misc]
    """One client: whoever closes it first has closed it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.timeout = time.monotonic() + HEAD_SECONDS  # without a single byte
        self.head_until = self.timeout

    def init(self) -> None:
        super().init()
        if not self.is_http2 and not isinstance(self.parser.unreader, Patient):
            self.parser.unreader = Patient(self.sock, self.head_until)

    def close(self, graceful: bool = False) -> None:
        if self.sock.fileno() >= 0:
            super().close(graceful)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Sheds who is slow while others are served."""

    def accept(self, listener: socket.socket) -> None:
        """Take a client in. It gets a thread once it has said something."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or it is gone again
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self.pending_conns.append(conn)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: Connection) -> object:
        """Serve one request, and close here: in gunicorn's main loop one who does not close delays all."""
        if conn.parser is not None and not conn.is_http2:
            conn.parser.unreader.await_head(time.monotonic() + HEAD_SECONDS)
        kept = super().handle(conn)
        if not kept:
            conn.close(graceful=True)
        return kept

    def handle_request(self, req: Request, conn: Connection) -> bool:
        conn.parser.unreader.await_body()
        conn.sock.settimeout(SEND_SECONDS)
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError:
            raise TooSlow from None

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Go on with this connection, unless the rest of a body that nobody wanted is malformed."""
        conn.sock.settimeout(None)
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        except ParseException:
            return False

    def handle_error(
        self, _req: object, client: socket.socket, _addr: tuple[str, int], exc: Exception
    ) -> None:
        """Answer what cannot be given to the application, in our words and with our headers."""
        answer = BROKEN
        if is_clients_fault(exc):
            status = status_of(exc)
            answer = self.page(status)
            log.warning(
                "a request could not be read and was answered %s: nothing to do unless people complain",
                int(status),
                extra={"event": "request.unreadable", "cause": type(exc).__name__, "every": 60},
            )
        else:
            log.error(
                "an answer could not be given: report this line and the one before it to the developers",
                extra={"event": "request.broke", "cause": type(exc).__name__},
                exc_info=exc,  # of which logs.py writes type and place, never the text
            )
        client.settimeout(SEND_SECONDS)
        try:
            client.sendall(answer)
        except OSError:
            log.debug("a client left before its answer")

    def page(self, status: HTTPStatus) -> bytes:
        """Return an answer as the application would give it."""
        environ = create_environ("/", environ_overrides={REFUSED: int(status)})
        body, line, headers = run_wsgi_app(self.wsgi, environ, buffered=True)
        lines = [f"HTTP/1.1 {line}", "Connection: close", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join((*lines, "", "")).encode("latin-1") + b"".join(body)


def is_clients_fault(error: Exception) -> bool:
    """Whether gunicorn refused what was sent; the same types also tell of headers of our own."""
    own = isinstance(error, (InvalidResponseHeader, InvalidResponseHeaderName))
    return isinstance(error, (ParseException, ssl.SSLError)) and not own


def status_of(error: Exception) -> HTTPStatus:
    """Return the status that says what was wrong with a request's head."""
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
