"""The way out to Exec and to the identity provider: TLS, proxy, deadline and size, the same for both.

Knows HTTP only: no key, no OpenID, no Flask. Takes nothing from the environment by itself.
"""

import errno
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from http.client import HTTPResponse as Answer
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import certifi
from requests import PreparedRequest, Request, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ProxyError, ReadTimeout
from requests.utils import default_headers
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from .addresses import Exemption, goes_direct

LOOK_UPS = 4  # names looked up at once
HEADERS = dict(default_headers())


@dataclass(frozen=True)
class Limits:
    """How long one call may take, in seconds, and how large its answer may be, in bytes.

    `whole` holds for everything, from the name's look-up to the body's last byte; `connect`, within it, for
    what comes before the request: look-up, connection, proxy and TLS.
    """

    connect: float
    whole: float
    size: int


class AnswerTooLarge(RequestsConnectionError):
    """The peer sent more than `Limits.size`; the rest was not read."""


class ProxyRefused(OSError):
    """The proxy makes no tunnel; 407 is a user name or a password that it does not take."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust `ca_file`, else the system's roots, else (a bare container) those that certifi ships."""
    paths = ssl.get_default_verify_paths()
    if ca_file is None and not (paths.cafile or paths.capath):
        ca_file = Path(certifi.where())
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = _TLSSocket
    return context


class Resolver:
    """Looks names up in a few standing threads: `getaddrinfo` knows no time limit, and waits for minutes."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.staffing = threading.Lock()
        self.threads: list[threading.Thread] = []

    def look_up(self, host: str, port: int, seconds: float) -> list[Any]:
        """Return what `getaddrinfo` does. Raises `OSError`."""
        self._staff()
        found: Future[list[Any]] = Future()
        self.asked.put(lambda: _look_up(host, port, found))
        try:
            return found.result(seconds)
        except TimeoutError:
            found.cancel()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None

    def _staff(self) -> None:
        """See to it that the threads are there; none of them outlives a fork."""
        with self.staffing:
            self.threads = [thread for thread in self.threads if thread.is_alive()]
            try:
                while len(self.threads) < LOOK_UPS:
                    thread = threading.Thread(target=_work, args=(self.asked,), name="look-up", daemon=True)
                    thread.start()
                    self.threads.append(thread)
            except RuntimeError as error:  # no further thread can start; fewer will do
                if not self.threads:
                    raise OSError(errno.EAGAIN, str(error)) from error

    def __del__(self) -> None:
        for _ in self.threads:
            self.asked.put(None)


def _work(asked: SimpleQueue[Callable[[], None] | None]) -> None:
    while task := asked.get():
        task()


def _look_up(host: str, port: int, found: Future[list[Any]]) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        found.set_exception(error)


@dataclass(frozen=True)
class Call:
    """The call that this thread makes: when it has to be over, and who looks names up for it."""

    ends: float
    resolver: Resolver

    def remaining(self) -> float:
        """Return how many seconds are left. Raises `TimeoutError`."""
        seconds = self.ends - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the call did not end in time")
        return seconds


CALL: ContextVar[Call] = ContextVar("call")


@contextmanager
def _under_way(call: Call) -> Iterator[None]:
    token = CALL.set(call)
    try:
        yield
    finally:
        CALL.reset(token)


class _InTime:
    """A socket whose every operation ends with the call: a peer that drips byte by byte gains nothing."""

    def recv(self, *args: Any) -> bytes:  # noqa: ANN401  # as the parents of these five
        self._hurry()
        return super().recv(*args)  # type: ignore[misc, no-any-return]  # the mixin's other parent

    def recv_into(self, *args: Any) -> int:  # noqa: ANN401
        self._hurry()
        return super().recv_into(*args)  # type: ignore[misc, no-any-return]

    def send(self, *args: Any) -> int:  # noqa: ANN401
        self._hurry()
        return super().send(*args)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any) -> None:  # noqa: ANN401
        self._hurry()
        super().sendall(*args)  # type: ignore[misc]

    def do_handshake(self, *args: Any) -> None:  # noqa: ANN401
        self._hurry()
        super().do_handshake(*args)  # type: ignore[misc]

    def _hurry(self) -> None:
        self.settimeout(CALL.get().remaining())  # type: ignore[attr-defined]


class _PlainSocket(_InTime, socket.socket):
    pass


class _TLSSocket(_InTime, ssl.SSLSocket):
    pass


class _Connecting:
    _dns_host: str
    _tunnel_headers: dict[str, str]
    _tunnel_host: str
    _tunnel_port: int
    host: str
    port: int
    sock: socket.socket
    socket_options: list[tuple[int, int, int]]
    timeout: float

    def connect(self) -> None:
        call = CALL.get()
        soon = min(call.ends, time.monotonic() + self.timeout)
        try:
            with _under_way(replace(call, ends=soon)):
                super().connect()  # type: ignore[misc]
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "not connected in time") from error

    def _new_conn(self) -> socket.socket:
        """Return a connection to the first address that takes one; each gets its share of the time left."""
        call = CALL.get()
        try:
            addresses = call.resolver.look_up(self._dns_host, self.port, call.remaining())
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
        for tried, address in enumerate(addresses):
            try:
                return self._connected(address, call.remaining() / (len(addresses) - tried))
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise failure
        raise NewConnectionError(self, failure.strerror or "") from failure  # type: ignore[arg-type]

    def _connected(self, address: Any, seconds: float) -> socket.socket:  # noqa: ANN401  # getaddrinfo's
        family, kind, protocol, _, target = address
        sock = _PlainSocket(family, kind, protocol)
        try:
            for option in self.socket_options:
                sock.setsockopt(*option)
            sock.settimeout(seconds)
            sock.connect(target)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tunnel(self) -> None:
        """Ask the proxy for a tunnel (RFC 9110, section 9.3.6). The library's own tells refusals in words."""
        host = f"[{self._tunnel_host}]" if ":" in self._tunnel_host else self._tunnel_host
        target = f"{host}:{self._tunnel_port}"
        lines = {"Host": target, **self._tunnel_headers}.items()
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self.sock.sendall(f"CONNECT {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        answer = Answer(self.sock, method="CONNECT")
        try:
            answer.begin()
        finally:
            answer.close()
        if answer.status != 200:
            raise ProxyRefused(answer.status)


class _PlainConnection(_Connecting, HTTPConnection):  # type: ignore[misc]
    pass


class _TLSConnection(_Connecting, HTTPSConnection):  # type: ignore[misc]
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection  # type: ignore[assignment]  # urllib3 asks for a protocol


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection  # type: ignore[assignment]


class Transport(HTTPAdapter):
    """A requests adapter that outlives its sessions and keeps every promise of `Limits`.

    requests loads the CA bundle again for every new connection (28 ms of CPU each, psf/requests #6667);
    here all connections share one prepared context, and the pool is as large as the threads that call.
    """

    def __init__(
        self, tls: ssl.SSLContext, limits: Limits, pool: int, proxy: str | None, no_proxy: tuple[str, ...]
    ) -> None:
        self.tls = tls
        self.limits = limits
        self.proxy = proxy
        self.exemptions = tuple(Exemption.parse(entry) for entry in no_proxy)
        self.resolver = Resolver()
        super().__init__(pool_connections=4, pool_maxsize=pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # handed on as they are
        super().init_poolmanager(*args, **kwargs, ssl_context=self.tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401  # requests' own types
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self.tls, proxy_ssl_context=self.tls)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401, ARG002
        conn.cert_reqs = "CERT_REQUIRED"  # by the shared context; there is nothing to load

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        **body: Any,  # noqa: ANN401  # as requests takes it
    ) -> Response:
        """Ask once: nothing is followed, no cookie kept. Raises `requests.RequestException`.

        Without requests' own `Session`, which merges at each call what none of ours has.
        """
        return self.send(Request(method, url, {**HEADERS, **(headers or {})}, **body).prepare())

    def send(self, request: PreparedRequest, *_: object, **__: object) -> Response:
        """Send and read the whole answer within the limits. Raises `requests.RequestException`."""
        direct = self.proxy is None or goes_direct(request.url or "", self.exemptions)
        with _under_way(Call(time.monotonic() + self.limits.whole, self.resolver)):
            response = super().send(
                request,
                stream=True,
                timeout=(self.limits.connect, self.limits.whole),
                proxies=None if direct else {"https": str(self.proxy)},
            )
            response.raw = io.BytesIO(self._body(response.raw, request))
        return response

    def _body(self, raw: HTTPResponse, request: PreparedRequest) -> bytes:
        body = bytearray()
        try:
            for chunk in raw.stream(2**14, decode_content=True):
                body += chunk
                if len(body) > self.limits.size:
                    raise AnswerTooLarge(f"more than {self.limits.size} bytes", request=request)
        except ReadTimeoutError as error:
            raise ReadTimeout(error, request=request) from error
        except HTTPError as error:
            raise RequestsConnectionError(error, request=request) from error
        finally:
            raw.close()  # after a complete answer the connection is back in the pool already
        return bytes(body)


def cause(error: RequestException) -> str:
    """Say in one line what went wrong and which setting cures it, for the log and the operator.

    Of the libraries' own texts nothing is taken but TLS's reasons: they can hold the proxy's password.
    """
    whom = _whom(error)
    for one in _origins(error):
        match one:
            case ProxyRefused(status=407):
                return "the proxy wants another user name or password (407): see HTTPS_PROXY"
            case ProxyRefused(status=status):
                return f"the proxy makes no connection to {whom} ({status}): see HTTPS_PROXY"
            case socket.gaierror():
                return f"{whom} has no address (DNS: {one.strerror}): is its name right?"
            case ssl.SSLCertVerificationError():
                return (
                    f"{whom} has a certificate that is not trusted ({one.verify_message}): see SSL_CERT_FILE"
                )
            case ssl.SSLError():
                return f"{whom} does not speak TLS as it should ({one.reason})"
            case AnswerTooLarge():
                return f"{whom} sent too large an answer"
            case TimeoutError():
                return f"{whom} timed out"
            case OSError(errno=int(number)):
                return (
                    f"{whom}: the connection failed ({errno.errorcode.get(number, number)}: {one.strerror})"
                )
    return f"{whom} broke off or answered no HTTP ({type(error).__name__})"


def _whom(error: RequestException) -> str:
    if isinstance(error, ProxyError):
        return "the proxy in HTTPS_PROXY"
    url = error.request.url if error.request else None
    return urlsplit(url or "").hostname or "the address"


def _origins(error: BaseException) -> list[BaseException]:
    """Return the error and all that it came from; requests and urllib3 wrap each other's in several ways."""
    found = [error]
    for one in found:
        parents = (one.__cause__, one.__context__, *one.args)
        found += [p for p in parents if isinstance(p, BaseException) and p not in found]
    return found


class Unreachable(Exception):
    """No answer came; the text says why and which setting cures it."""


@dataclass(frozen=True)
class Fetched:
    """What a plain request got: names of heads in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the object in the body; an empty one where there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def fetch(
    transport: Transport,
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """Ask once, following no redirect. Raises `Unreachable`."""
    try:
        answer = transport.ask(method, url, headers, data=form)
    except RequestException as error:
        raise Unreachable(cause(error)) from None
    return Fetched(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)
