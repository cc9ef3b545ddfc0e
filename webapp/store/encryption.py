"""Why PostgreSQL and this machine come to no TLS connection: the driver says only that it failed.

Asks the server as libpq does and judges its certificate by OpenSSL's codes; knows nothing of statements.
"""

import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

WANTED = frozenset({"require", "verify-ca", "verify-full"})
ASK = struct.pack("!ii", 8, 80877103)  # SSLRequest: the protocol, section "Message Formats"
ROOTS = "~/.postgresql/root.crt"  # libpq's own
# OpenSSL's verify results (x509_vfy.h); libpq 18 keeps them to itself.
NOT_YET, EXPIRED, OTHER_HOST = 9, 10, (62, 64)


def cure(wanted: Mapping[str, Any], patience: float) -> str:
    """Return what to change for TLS, or nothing where it is not to blame. `wanted` as the driver gets it."""
    mode, host = str(wanted.get("sslmode", "")), str(wanted.get("host", ""))
    if mode not in WANTED or not host or host.startswith("/") or "," in host:
        return ""
    file = wanted.get("sslrootcert") or ROOTS
    try:
        context = _context(mode, str(file))
    except (OSError, ssl.SSLError):
        return "in DATABASE_URL, sslrootcert must name a file with the CA's certificate (PEM)"
    try:
        with socket.create_connection((host, int(wanted.get("port") or 5432)), patience) as way:
            way.sendall(ASK)
            if way.recv(1) != b"S":
                return "switch TLS on at the server, or drop sslmode from DATABASE_URL if the way is safe"
            context.wrap_socket(way, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(error.verify_code, host, str(file))
    except OSError:
        return ""
    return ""


def _context(mode: str, file: str) -> ssl.SSLContext:
    """Return what judges a certificate as libpq does, which is less strict than Python 3.13."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    elif file == "system":
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(file)
    return context


def _of_certificate(code: int, host: str, file: str) -> str:
    if code == EXPIRED:
        return "the server's certificate has expired: renew it there"
    if code == NOT_YET:
        return "the server's certificate is not valid yet: set the clock that is wrong, here or there"
    if code in OTHER_HOST:
        return f"the server's certificate is not for {host}: DATABASE_URL must name a host that it is for"
    return f"the server's certificate is of no CA in {file}: sslrootcert in DATABASE_URL must name its CA's"
