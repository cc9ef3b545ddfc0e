"""The way out to Exec and to the identity provider: TLS, proxy, deadline and size, the same for both.

Knows HTTP only: no key, no OpenID, no Flask. Takes nothing from the environment by itself.
"""

import io
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from .addresses import Exemption, goes_direct


@dataclass(frozen=True)
class Limits:
    """How long one call may take, in seconds, and how large its answer may be, in bytes."""

    connect: float
    headers: float
    body: float
    size: int


class AnswerTooLarge(RequestsConnectionError):
    """The peer sent more than `Limits.size`; the rest was not read."""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust `ca_file`, else the system's roots, else (a bare container) those that certifi ships."""
    paths = ssl.get_default_verify_paths()
    if ca_file is None and not (paths.cafile or paths.capath):
        ca_file = Path(certifi.where())
    return ssl.create_default_context(cafile=ca_file)


class Deadline(threading.Timer):
    """Ends a read for good; `passed` says that it did.

    A socket's own timeout counts from byte to byte: a peer that drips would hold the thread for hours.
    """

    def __init__(self, seconds: float, shut_down: Callable[[], None]) -> None:
        super().__init__(seconds, self.pass_by)
        self.daemon = True
        self.passed = False
        self.shut_down = shut_down
        self.start()

    def pass_by(self) -> None:
        self.passed = True  # first: the reader wakes up while the socket is being shut down
        with suppress(OSError, RuntimeError, ValueError):  # the answer was complete in this very moment
            self.shut_down()


class _HeadersInTime:
    sock: socket.socket
    timeout: float

    def getresponse(self) -> HTTPResponse:
        deadline = Deadline(self.timeout, lambda: self.sock.shutdown(socket.SHUT_RDWR))
        try:
            response = super().getresponse()  # type: ignore[misc]  # the mixin's other parent
        finally:
            deadline.cancel()
        if deadline.passed:  # headers that break off look like headers that end
            response.close()
            raise TimeoutError("the answer's head did not end in time")
        return response  # type: ignore[no-any-return]


class _PlainConnection(_HeadersInTime, HTTPConnection):  # type: ignore[misc]
    pass


class _TLSConnection(_HeadersInTime, HTTPSConnection):  # type: ignore[misc]
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
        super().__init__(pool_connections=4, pool_maxsize=pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # handed on as they are
        super().init_poolmanager(*args, **kwargs, ssl_context=self.tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401  # requests' own types
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self.tls)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401, ARG002
        conn.cert_reqs = "CERT_REQUIRED"  # by the shared context; there is nothing to load

    def send(self, request: PreparedRequest, *_: object, **__: object) -> Response:
        """Send and read the whole answer within the limits. Raises `requests.RequestException`."""
        direct = self.proxy is None or goes_direct(request.url or "", self.exemptions)
        response = super().send(
            request,
            stream=True,
            timeout=(self.limits.connect, self.limits.headers),
            proxies=None if direct else {"https": str(self.proxy)},
        )
        response.raw = io.BytesIO(self._body(response.raw, request))
        return response

    def _body(self, raw: HTTPResponse, request: PreparedRequest) -> bytes:
        deadline = Deadline(self.limits.body, raw.shutdown)
        body = bytearray()
        try:
            for chunk in raw.stream(2**14, decode_content=True):
                body += chunk
                if len(body) > self.limits.size:
                    raise AnswerTooLarge(f"more than {self.limits.size} bytes", request=request)
            if deadline.passed:  # without a length, an answer that breaks off looks like one that ends
                raise ReadTimeout("the answer did not end in time", request=request)
        except HTTPError as error:
            raise RequestsConnectionError(error, request=request) from error
        finally:
            deadline.cancel()
            raw.close()  # after a complete answer the connection is back in the pool already
        return bytes(body)

    def close(self) -> None:
        """Keep the connections: sessions come and go, this adapter stays."""


def equip(session: Session, transport: Transport) -> None:
    """Let every call of `session` go through `transport`, and nothing come from the environment."""
    session.trust_env = False
    session.mount("https://", transport)
    session.mount("http://", transport)
