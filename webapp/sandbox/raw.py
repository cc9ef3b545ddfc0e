"""Answers that no web framework sends: written to the connection's socket byte by byte, or not at all."""

import errno
import selectors
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Response

from .waiting import pause

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Speak = Callable[[socket.socket], None]


class RawAnswer(Response):
    """An answer that `speak` writes to the socket itself; the connection ends with it."""

    def __init__(self, speak: Speak) -> None:
        super().__init__()
        self._speak = speak

    def __call__(self, environ: "WSGIEnvironment", _start_response: "StartResponse") -> Iterable[bytes]:
        """Speak, hang up, and leave by the error on which gunicorn drops a connection without a word."""
        connection: socket.socket = environ["gunicorn.socket"]
        try:
            self._speak(connection)
        finally:
            hang_up(connection)
        raise ConnectionResetError(errno.ECONNRESET, "the sandbox hung up")


def hang_up(connection: socket.socket) -> None:
    """End the connection in both directions; gunicorn closes it afterwards."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


def is_gone(connection: socket.socket) -> bool:
    """Whether the client has left: while it waits it sends nothing, so only its end is readable."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


def head(length: int, *more: str) -> bytes:
    """The head of a 200 answer in JSON with this Content-Length."""
    lines = ("HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {length}", *more)
    return "".join(f"{line}\r\n" for line in (*lines, "Connection: close", "")).encode()


def send_slowly(connection: socket.socket, data: bytes, seconds: int) -> None:
    """Send one byte a second, for so many seconds at most, as long as somebody listens."""
    for position in range(min(len(data), seconds)):
        connection.sendall(data[position : position + 1])
        if pause(1) or is_gone(connection):
            return


def send_nothing(connection: socket.socket, seconds: int) -> None:
    """Keep the connection open without a word, as long as somebody listens."""
    for _ in range(seconds * 5):
        if pause(0.2) or is_gone(connection):
            return
