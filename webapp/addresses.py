"""Addresses: what an origin, a host and a port are, read in one way by everybody. Knows no setting."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

import idna

HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
USUAL_PORTS = {"http": 80, "https": 443}


def split(address: str) -> SplitResult:
    """Split an address whose port is a number. Raises `ValueError`, whose text holds nothing of it."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    return parts


def host_name(host: str) -> str:
    """Return a host as browsers send it: small letters, umlauts in IDNA form. Raises `ValueError`."""
    if host.isascii():
        return host.lower()
    return idna.encode(host, uts46=True).decode()


def origin_of(address: str) -> str | None:
    """Return an address's origin as a browser writes it (RFC 6454, section 6.2).

    None where it is neither https nor http on loopback: no page there can frame ours, or be ours.
    """
    try:
        parts = split(address if "://" in address else f"https://{address}")
        host = host_name(parts.hostname or "")
    except ValueError:
        return None
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    if not secure or not (re.fullmatch(HOST, host) or ":" in host):
        return None
    port = "" if parts.port in (None, USUAL_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


@dataclass(frozen=True)
class Exemption:
    """One entry of `NO_PROXY`: a host with all below it, or a network, and a port if it has one."""

    host: str
    port: int | None
    network: IPv4Network | IPv6Network | None

    @classmethod
    def parse(cls, entry: str) -> "Exemption":
        """Read `*`, `acme.com`, `.acme.com`, `acme.com:8443`, `10.1.2.3`, `10.0.0.0/8` or `[::1]:443`."""
        if entry == "*":
            return cls("*", None, None)
        try:
            return cls("", None, ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            parts = split(f"//{entry}")
        if "/" in entry or "@" in entry or parts.hostname is None:
            raise ValueError("is no host")
        if parts.netloc.startswith("[") or re.fullmatch(r"[\d.]+", parts.hostname):
            return cls("", parts.port, ip_network(parts.hostname))
        host = host_name(parts.hostname.removeprefix("*").strip("."))
        if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", host):
            raise ValueError("is no host")
        return cls(host, parts.port, None)

    def covers(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is None:
            return self.host in ("*", host) or host.endswith(f".{self.host}")
        try:
            return ip_address(host) in self.network
        except ValueError:
            return False


def goes_direct(address: str, exemptions: tuple[Exemption, ...]) -> bool:
    """Whether this address is reached without the proxy. Names are not looked up for their networks."""
    parts = split(address)
    host = host_name(parts.hostname or "").rstrip(".")
    port = parts.port or USUAL_PORTS.get(parts.scheme, 0)
    return any(exemption.covers(host, port) for exemption in exemptions)
