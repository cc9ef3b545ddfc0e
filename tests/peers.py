"""The other end of a connection, as small and as rude as a test wants it: raw sockets, TLS, a proxy."""

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

Speak = Callable[[socket.socket], None]


def http(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer."""
    head = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "".join(f"{line}\r\n" for line in (*head, "")).encode() + body


def head(*lines: str) -> bytes:
    """The head of an answer with these header lines and no others."""
    return "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", *lines, "")).encode()


class Peer:
    """Serves one canned answer, or whatever `speak` does with the connection, after every request."""

    def __init__(self, answer: bytes | Speak = b"", tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer or http()
        self.tls = tls
        self.connections = 0
        self.requests: list[bytes] = []
        self.stopped = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        self._run(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _run(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._run(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError, ValueError):
            connection = plain
            if self.tls:
                connection = self.tls.wrap_socket(plain, server_side=True)
                self._open.append(connection)
            with connection:
                while request := self._read(connection):
                    self.requests.append(request)
                    if isinstance(self.answer, bytes):
                        connection.sendall(self.answer)
                        if b"\nConnection: close" in self.answer:
                            return
                    else:
                        self.answer(connection)

    def _read(self, connection: socket.socket) -> bytes:
        """One request, with the body that its Content-Length announces."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return b""
            data += more
        lines, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            line.partition(b":")[2] for line in lines.lower().split(b"\r\n") if b"content-length:" in line
        ]
        while len(body) < int(lengths[0] if lengths else 0):
            body += connection.recv(65536)
        return lines + b"\r\n\r\n" + body

    def drip(self, connection: socket.socket, data: bytes, pause: float = 0.05) -> None:
        """Send one byte after the other, again and again, until the client leaves or the test ends."""
        while True:
            for position in range(len(data)):
                connection.sendall(data[position : position + 1])
                if self.stopped.wait(pause):
                    return


class Proxy(Peer):
    """An HTTP proxy that knows CONNECT (RFC 9110, section 9.3.6); `refusal` is what it says instead."""

    def __init__(self, refusal: bytes = b"") -> None:
        super().__init__(self.tunnel)
        self.refusal = refusal

    def tunnel(self, connection: socket.socket) -> None:
        if self.refusal:
            connection.sendall(self.refusal)
            connection.shutdown(socket.SHUT_RDWR)
            return
        host, _, port = self.requests[-1].split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._relay(connection, onward)

    def _relay(self, left: socket.socket, right: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(left, selectors.EVENT_READ, right)
            selector.register(right, selectors.EVENT_READ, left)
            while not self.stopped.is_set():
                for key, _ in selector.select(timeout=0.05):
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    key.data.sendall(data)


@contextmanager
def full_house() -> Iterator[int]:
    """A port where nobody takes up a connection: the queue is full, and a further one waits for ever."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port
