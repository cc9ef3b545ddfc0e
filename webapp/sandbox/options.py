"""How one sandbox is set up. Its own addresses come from here, never from a request's Host."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What `python -m webapp.sandbox serve` was told; URLs end without a slash, 0 is no limit."""

    port: int
    portals: tuple[str, ...]
    issuer_url: str
    studio_url: str
    sso_url: str
    certificate: str | None = None
    key: str | None = None
    creations_per_minute: int = 10
    requests_per_minute: int = 60
    requests_per_day: int = 1000
