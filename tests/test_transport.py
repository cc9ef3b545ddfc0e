"""The way out: what is sent and trusted, how long it may take, how much may come back."""

import contextlib
import gc
import gzip
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme
from conftest import free_port, wait_until
from peers import Peer, Proxy, full_house, head, http

from webapp.transport import AnswerTooLarge, Limits, Transport, cause, tls_context

LIMITS = Limits(connect=5, whole=5, size=65536)
SHORT = Limits(connect=0.25, whole=0.4, size=65536)
SYSTEM = tls_context(None)  # takes 20 ms to read
DEADLINE = SHORT.whole + 1
ENVIRONMENT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


def server_side(ca: trustme.CA, name: str = "localhost", not_after: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


def way_out(
    ca_file: Path | None = None,
    proxy: str | None = None,
    no_proxy: tuple[str, ...] = (),
    pool: int = 10,
    limits: Limits = LIMITS,
) -> Transport:
    return Transport(tls_context(ca_file) if ca_file else SYSTEM, limits, pool, proxy, no_proxy)


# Connections


def test_a_connection_is_kept_and_used_again() -> None:
    way = way_out()
    with Peer() as peer:
        for _ in range(5):
            way.ask("GET", peer.url)
        assert (peer.connections, len(peer.requests)) == (1, 5)


def test_a_connection_is_used_again_after_a_long_answer() -> None:
    way = way_out()
    with Peer(http(b"x" * LIMITS.size)) as peer:
        assert len(way.ask("GET", peer.url).content) == LIMITS.size
        way.ask("GET", peer.url)
        assert peer.connections == 1


def test_as_many_connections_are_kept_as_are_used_at_once() -> None:
    together = threading.Barrier(20)

    def answer(connection: socket.socket) -> None:
        together.wait(5)
        connection.sendall(http())

    way = way_out(pool=20)
    with Peer(answer) as peer, ThreadPoolExecutor(20) as threads:
        for _ in range(3):
            assert all(r.ok for r in threads.map(way.ask, ["GET"] * 20, [peer.url] * 20))
        assert peer.connections == 20


def test_a_connection_that_the_peer_has_closed_is_replaced() -> None:
    def answer_and_leave(connection: socket.socket) -> None:
        connection.sendall(http())
        connection.shutdown(socket.SHUT_RDWR)

    way = way_out()
    with Peer(answer_and_leave) as peer:
        way.ask("GET", peer.url)
        time.sleep(0.1)
        assert way.ask("GET", peer.url).ok
        assert peer.connections == 2


def test_a_call_is_never_repeated_by_itself() -> None:
    way = way_out()
    with Peer(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as peer:
        with pytest.raises(requests.ConnectionError):
            way.ask("POST", peer.url, json={})
        assert len(peer.requests) == 1


def test_a_call_starts_no_thread() -> None:
    way = way_out()
    with Peer(http(b"{}", "200 OK", "Connection: close")) as peer:
        way.ask("GET", peer.url)
        standing = threads_of_look_ups()
        for _ in range(20):
            way.ask("GET", peer.url)
        assert len(standing) >= 1
        assert threads_of_look_ups() <= standing


def test_the_standing_threads_end_with_their_transport() -> None:
    before = threads_of_look_ups()
    way = way_out()
    with Peer() as peer:
        way.ask("GET", peer.url)
    assert threads_of_look_ups() - before
    del way
    gc.collect()
    wait_until(lambda: threads_of_look_ups() <= before, "the end of every thread")


def threads_of_look_ups() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "look-up"}


# Trust


def test_a_peer_of_the_ca_file_is_trusted(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca)) as peer:
        assert way_out(ca_file).ask("GET", peer.url).ok


def test_the_ca_file_is_read_once_for_all_connections(ca: trustme.CA, ca_file: Path) -> None:
    way = way_out(ca_file)
    ca_file.unlink()
    with Peer(http(b"{}", "200 OK", "Connection: close"), server_side(ca)) as peer:
        for _ in range(3):
            way.ask("GET", peer.url)
        assert peer.connections == 3


def test_a_peer_of_another_ca_is_refused(ca_file: Path) -> None:
    with Peer(tls=server_side(trustme.CA())) as peer:
        with pytest.raises(requests.exceptions.SSLError):
            way_out(ca_file).ask("GET", peer.url)
        assert peer.requests == []


def test_a_ca_that_nobody_named_is_refused(ca: trustme.CA) -> None:
    with Peer(tls=server_side(ca)) as peer:
        with pytest.raises(requests.exceptions.SSLError):
            way_out().ask("GET", peer.url)
        assert peer.requests == []


def test_a_certificate_for_another_host_is_refused(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca, "api.exec.example")) as peer:
        with pytest.raises(requests.exceptions.SSLError):
            way_out(ca_file).ask("GET", peer.url)
        assert peer.requests == []


def test_an_expired_certificate_is_refused(ca: trustme.CA, ca_file: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with Peer(tls=server_side(ca, not_after=yesterday)) as peer:
        with pytest.raises(requests.exceptions.SSLError):
            way_out(ca_file).ask("GET", peer.url)
        assert peer.requests == []


def test_a_caller_cannot_switch_the_check_off(ca: trustme.CA) -> None:
    with Peer(tls=server_side(ca)) as peer, pytest.raises(requests.exceptions.SSLError):
        way_out().send(requests.Request("GET", peer.url).prepare(), verify=False)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_other_peoples_ca_settings_are_ignored(
    ca: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(ca_file))
    with Peer(tls=server_side(ca)) as peer, pytest.raises(requests.exceptions.SSLError):
        way_out().ask("GET", peer.url)


# The environment


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with Peer() as peer:
        assert way_out().ask("GET", peer.url).ok


def test_a_netrc_file_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine localhost login joe password planted\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with Peer() as peer:
        way_out().ask("GET", peer.url)
        assert b"authorization" not in peer.requests[0].lower()


# The proxy


def test_https_goes_through_the_proxy_unread(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        way_out(ca_file, proxy.url).ask("GET", peer.url, headers={"Authorization": "Bearer planted"})
        assert proxy.requests[0].startswith(f"CONNECT localhost:{peer.port} HTTP/1.".encode())
        assert b"planted" not in proxy.requests[0]
        assert b"Authorization: Bearer planted" in peer.requests[0]


def test_a_proxy_may_speak_tls_itself(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        proxy.tls = server_side(ca)
        secure = proxy.url.replace("http://", "https://")
        assert way_out(ca_file, secure).ask("GET", peer.url).ok
        assert len(proxy.requests) == 1


def test_a_proxy_that_nobody_vouches_for_is_not_asked(ca: trustme.CA) -> None:
    with Proxy() as proxy:
        proxy.tls = server_side(ca)
        said = cause_of(way_out(proxy=proxy.url.replace("http://", "https://")), "https://api.exec.example")
        assert said.startswith("the proxy in HTTPS_PROXY has a certificate that is not trusted (")
        assert proxy.requests == []


def test_the_proxys_password_goes_to_the_proxy_only(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        with_password = proxy.url.replace("http://", "http://joe:password@")
        way_out(ca_file, with_password).ask("GET", peer.url)
        assert b"Proxy-Authorization: Basic am9lOnBhc3N3b3Jk" in proxy.requests[0]
        assert b"proxy-authorization" not in peer.requests[0].lower()


def test_a_tunnel_is_kept_and_used_again(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        way = way_out(ca_file, proxy.url)
        way.ask("GET", peer.url)
        way.ask("GET", peer.url)
        assert (len(proxy.requests), len(peer.requests)) == (1, 2)


def test_the_peer_behind_a_proxy_must_be_trusted(ca_file: Path) -> None:
    with Peer(tls=server_side(trustme.CA())) as peer, Proxy() as proxy:
        with pytest.raises(requests.exceptions.SSLError):
            way_out(ca_file, proxy.url).ask("GET", peer.url)
        assert peer.requests == []


def test_the_deadline_holds_behind_a_proxy(ca: trustme.CA, ca_file: Path) -> None:
    with Peer(lambda c: peer.drip(c, b"HTTP/1.1 200 OK\r\nX: "), server_side(ca)) as peer, Proxy() as proxy:
        begun = time.monotonic()
        with pytest.raises(requests.RequestException):
            way_out(ca_file, proxy.url, limits=SHORT).ask("GET", peer.url)
        assert time.monotonic() - begun < DEADLINE


@pytest.mark.parametrize("refusal", [http(b"", "407 Proxy Authentication Required"), b"nonsense\r\n\r\n"])
def test_a_proxy_that_refuses_is_an_error(ca: trustme.CA, ca_file: Path, refusal: bytes) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy(refusal) as proxy:
        with pytest.raises(requests.ConnectionError):
            way_out(ca_file, proxy.url).ask("GET", peer.url)
        assert peer.connections == 0


@pytest.mark.parametrize("no_proxy", [("localhost",), ("acme.example", "localhost"), ("*",)])
def test_hosts_of_no_proxy_are_reached_directly(
    ca: trustme.CA, ca_file: Path, no_proxy: tuple[str, ...]
) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        assert way_out(ca_file, proxy.url, no_proxy).ask("GET", peer.url).ok
        assert proxy.connections == 0


@pytest.mark.parametrize("no_proxy", [(), ("acme.example",), ("host",), ("localhost.acme.example",)])
def test_other_hosts_are_reached_through_the_proxy(
    ca: trustme.CA, ca_file: Path, no_proxy: tuple[str, ...]
) -> None:
    with Peer(tls=server_side(ca)) as peer, Proxy() as proxy:
        assert way_out(ca_file, proxy.url, no_proxy).ask("GET", peer.url).ok
        assert proxy.connections == 1


# Time


def stall(connection: socket.socket) -> None:
    connection.recv(1)  # until the other side leaves


def outlasts(peer: Peer, way: Transport) -> None:
    begun = time.monotonic()
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        way.ask("GET", peer.url)
    assert time.monotonic() - begun < DEADLINE


def test_a_full_house_ends_in_time() -> None:
    with full_house() as port:
        begun = time.monotonic()
        with pytest.raises(requests.ConnectTimeout):
            way_out(limits=SHORT).ask("GET", f"http://127.0.0.1:{port}")
        assert time.monotonic() - begun < DEADLINE


def test_a_stalled_tls_handshake_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(requests.RequestException):
            way_out(limits=SHORT).ask("GET", f"https://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < DEADLINE


def test_a_stalled_answer_ends_in_time() -> None:
    with Peer(stall) as peer:
        outlasts(peer, way_out(limits=SHORT))


def test_a_head_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        peer.drip(connection, b"X: y\r\n")

    with Peer(speak) as peer:
        outlasts(peer, way_out(limits=SHORT))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX-Padding: " + b"." * 1000,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\r\n",
    ],
    ids=["one line", "interim answers", "blank lines"],
)
def test_a_dripping_head_ends_in_time(data: bytes) -> None:
    with Peer(lambda c: peer.drip(c, data)) as peer:
        outlasts(peer, way_out(limits=SHORT))


@pytest.mark.parametrize(
    ("start", "data"),
    [
        (head("Content-Length: 60000"), b"x"),
        (head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
        (head("Transfer-Encoding: chunked") + b"1;", b"x"),
        (head("Connection: close"), b"x"),
        (head("Connection: close", "Content-Encoding: gzip"), gzip.compress(b"x" * 999)),
    ],
    ids=["length", "chunks", "a chunk's extension", "until the end", "gzip"],
)
def test_a_dripping_body_ends_in_time(start: bytes, data: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(start)
        peer.drip(connection, data)

    with Peer(speak) as peer:
        outlasts(peer, way_out(limits=SHORT))


def test_a_dripping_tls_body_ends_in_time(ca: trustme.CA, ca_file: Path) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 60000"))
        peer.drip(connection, b"x")

    with Peer(speak, server_side(ca)) as peer:
        outlasts(peer, way_out(ca_file, limits=SHORT))


def test_a_slow_answer_within_the_limits_is_whole() -> None:
    def speak(connection: socket.socket) -> None:
        answer = http(b'{"id": "x9y8"}')
        for part in (answer[:10], answer[10:-5], answer[-5:]):
            time.sleep(0.05)
            connection.sendall(part)

    with Peer(speak) as peer:
        assert way_out(limits=SHORT).ask("GET", peer.url).json() == {"id": "x9y8"}


def test_after_a_cut_off_the_next_call_is_served() -> None:
    answers: list[Callable[[socket.socket], None]] = [
        lambda c: c.sendall(http()),
        stall,
        lambda c: c.sendall(http()),
    ]

    def speak(connection: socket.socket) -> None:
        answers.pop(0)(connection)

    way = way_out(limits=SHORT)
    with Peer(speak) as peer:
        way.ask("GET", peer.url)
        with pytest.raises(requests.RequestException):
            way.ask("GET", peer.url)
        assert way.ask("GET", peer.url).ok


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 Connection established\r\nX: ", b"HTTP/1.1 100 C\r\n\r\n"])
def test_a_dripping_proxy_ends_in_time(said: bytes) -> None:
    with Peer(lambda c: peer.drip(c, said)) as peer:
        begun = time.monotonic()
        with pytest.raises(requests.RequestException):
            way_out(proxy=peer.url, limits=SHORT).ask("GET", "https://api.exec.example")
        assert time.monotonic() - begun < DEADLINE


def test_a_stalled_look_up_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(10))
    begun = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        way_out(limits=SHORT).ask("GET", "https://api.exec.example")
    assert time.monotonic() - begun < DEADLINE
    found.set()


def test_many_dead_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_house() as port:
        resolves_to(monkeypatch, *[port] * 7)
        begun = time.monotonic()
        with pytest.raises(requests.ConnectTimeout):
            way_out(limits=SHORT).ask("GET", "http://api.exec.example")
        assert time.monotonic() - begun < DEADLINE


def test_an_address_behind_a_dead_one_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_house() as dead, Peer() as peer:
        resolves_to(monkeypatch, dead, peer.port)
        assert way_out(limits=SHORT).ask("GET", "http://api.exec.example").ok


def test_a_kept_connection_has_the_whole_time_again() -> None:
    def speak(connection: socket.socket) -> None:
        time.sleep(SHORT.whole * 0.6)
        connection.sendall(http())

    way = way_out(limits=SHORT)
    with Peer(speak) as peer:
        assert all(way.ask("GET", peer.url).ok for _ in range(3))
        assert peer.connections == 1


def test_a_thread_that_cannot_start_is_an_error_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Peer() as peer:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        said = cause_of(way_out(), peer.url)
        monkeypatch.undo()
    assert said == "localhost: the connection failed (EAGAIN: can't start new thread)"


def test_names_are_looked_up_after_a_fork() -> None:
    way = way_out(limits=SHORT)
    with Peer() as peer:
        way.ask("GET", peer.url)
        if (child := os.fork()) == 0:
            try:
                os._exit(0 if way.ask("GET", f"http://127.0.0.1:{peer.port}").ok else 1)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


def resolves_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


# The cause, for the log


def cause_of(way: Transport, url: str) -> str:
    with pytest.raises(requests.RequestException) as caught:
        way.ask("GET", url)
    return cause(caught.value)


def test_a_name_that_is_not_known_is_dns() -> None:
    assert cause_of(way_out(), "https://nowhere.invalid").startswith("nowhere.invalid has no address (DNS: ")


def test_a_look_up_without_an_answer_is_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(10))
    assert "(DNS: no answer in time)" in cause_of(way_out(limits=SHORT), "https://api.exec.example")
    found.set()


def test_a_refused_connection_says_so() -> None:
    said = cause_of(way_out(), f"http://127.0.0.1:{free_port()}")
    assert said == "127.0.0.1: the connection failed (ECONNREFUSED: Connection refused)"


def test_a_peer_that_is_silent_timed_out() -> None:
    with Peer(stall) as peer:
        assert cause_of(way_out(limits=SHORT), peer.url) == "localhost timed out"


def test_a_body_that_never_ends_timed_out() -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 60000"))
        stall(connection)

    with Peer(speak) as peer:
        assert cause_of(way_out(limits=SHORT), peer.url) == "localhost timed out"


def test_a_connection_that_nobody_takes_up_timed_out() -> None:
    with full_house() as port:
        said = cause_of(way_out(limits=SHORT), f"http://127.0.0.1:{port}")
    assert said == "127.0.0.1 timed out"


def test_a_certificate_that_is_not_trusted_names_the_setting(ca: trustme.CA) -> None:
    with Peer(tls=server_side(ca)) as peer:
        said = cause_of(way_out(), peer.url)
    assert said.startswith("localhost has a certificate that is not trusted (")
    assert said.endswith("): see SSL_CERT_FILE")


def answer_plainly(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65536)


def test_plain_http_behind_https_is_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: answer_plainly(plain.accept()[0]))
        said = cause_of(way_out(), f"https://127.0.0.1:{plain.getsockname()[1]}")
    assert said.startswith("127.0.0.1 does not speak TLS as it should")


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (
            http(b"", "407 Proxy Authentication Required"),
            "the proxy wants another user name or password (407): see HTTPS_PROXY",
        ),
        (http(b"", "403 No"), "the proxy makes no connection to api.exec.example (403): see HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_refuses_says_how(refusal: bytes, says: str) -> None:
    with Proxy(refusal) as proxy:
        assert cause_of(way_out(proxy=proxy.url), "https://api.exec.example") == says


def test_a_dead_proxy_is_told_from_a_dead_peer() -> None:
    dead = f"http://joe:planted@127.0.0.1:{free_port()}"
    said = cause_of(way_out(proxy=dead), "https://api.exec.example")
    assert said == "the proxy in HTTPS_PROXY: the connection failed (ECONNREFUSED: Connection refused)"


def test_a_proxys_name_that_is_not_known_is_the_proxys() -> None:
    said = cause_of(way_out(proxy="http://joe:planted@nowhere.invalid:3128"), "https://api.exec.example")
    assert said.startswith("the proxy in HTTPS_PROXY has no address (DNS: ")
    assert "planted" not in said


def test_an_answer_that_breaks_off_says_so() -> None:
    with Peer(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as peer:
        assert cause_of(way_out(), peer.url) == "localhost broke off or answered no HTTP (ConnectionError)"


def test_too_large_an_answer_says_so() -> None:
    with Peer(http(b"x" * (LIMITS.size + 1))) as peer:
        assert cause_of(way_out(), peer.url) == "localhost sent too large an answer"


# Size and shape


def test_an_answer_of_the_largest_size_is_read() -> None:
    with Peer(http(b"x" * LIMITS.size)) as peer:
        assert len(way_out().ask("GET", peer.url).content) == LIMITS.size


@pytest.mark.parametrize(
    "answer",
    [
        http(b"x" * (LIMITS.size + 1)),
        head("Connection: close") + b"x" * 10 * LIMITS.size,
        head("Transfer-Encoding: chunked")
        + b"8000\r\n"
        + b"x" * 0x8000
        + b"\r\n8001\r\n"
        + b"x" * 0x8001
        + b"\r\n",
        http(gzip.compress(b"x" * (LIMITS.size + 1)), "200 OK", "Content-Encoding: gzip"),
        http(gzip.compress(b"x" * 200_000_000, 1), "200 OK", "Content-Encoding: gzip"),
        http(gzip.compress(gzip.compress(b"x" * 200_000_000, 1)), "200 OK", "Content-Encoding: gzip, gzip"),
    ],
    ids=["one byte more", "no length", "chunks", "gzip", "gzip bomb", "gzip bomb in gzip"],
)
def test_a_larger_answer_is_refused(answer: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with Peer(speak) as peer, pytest.raises(AnswerTooLarge):
        way_out().ask("GET", peer.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        head("Content-Length: 100") + b"half",
        head("Transfer-Encoding: chunked") + b"5\r\nhel",
        head("Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
        head("Content-Encoding: gzip", "Content-Length: 8") + b"not gzip",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=[
        "nothing",
        "another protocol",
        "no status",
        "half a body",
        "half a chunk",
        "no chunk",
        "no gzip",
        "too many headers",
        "too long a header",
    ],
)
def test_a_broken_answer_is_an_error_of_requests(answer: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with Peer(speak) as peer, pytest.raises(requests.RequestException):
        way_out().ask("GET", peer.url)


def test_nobody_there_is_an_error_of_requests() -> None:
    with pytest.raises(requests.ConnectionError):
        way_out().ask("GET", f"http://127.0.0.1:{free_port()}")
