"""What the portal writes: one JSON object a line, or plain text for a terminal; gunicorn's lines as well.

Never a prompt, a query, a token, a cookie, a key or an e-mail: a person is a keyed hash, and of an exception
only its type and where it came from, for its text may hold what a client sent.
"""

import hmac
import logging
import math
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from traceback import extract_tb
from typing import Any, Literal

from flask import Flask, Response, g, request
from gunicorn.glogging import Logger
from pythonjsonlogger.json import JsonFormatter

from .bodies import REFUSED
from .store.events import OPERATOR, Origin, origin

Format = Literal["json", "text"]
ONCE = math.inf
APART, OTHERS = 20, "others"  # causes of one event that have a line each; what all further ones share

# What a line may tell besides; everything else that somebody hangs on a record stays out.
MORE = (
    "launch",
    "attempt",
    "method",
    "path",
    "status",
    "bytes",
    "ms",
    "address",
    "cause",
    "waited",
    "repeated",
)
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, 3.2


def fields(record: logging.LogRecord, key: bytes) -> dict[str, Any]:
    """Return what one line tells."""
    who = origin.get()
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": getattr(record, "event", "server" if record.name.startswith("gunicorn") else record.name),
        "message": _message(record),
        "request_id": who.request_id or None,
        "person": hmac.digest(key, who.person.encode(), "sha256").hex()[:16] if who.person else None,
    }
    told |= {name: getattr(record, name, None) for name in MORE}
    told["error"] = _error(record)
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value is not None
    }


def _message(record: logging.LogRecord) -> str:
    """Return the sentence; of gunicorn's complaints only what it says itself, not what it quotes."""
    if record.name == "gunicorn.error" and (record.exc_info or "request" in str(record.msg).lower()):
        return re.split(r"[:%]", str(record.msg))[0].strip()
    return record.getMessage()


def printable(text: str) -> str:
    """Return a text that forges no line and breaks no terminal."""
    text = text[:2000]
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _error(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[0] is None:
        return None
    kind, _, trace = record.exc_info
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(trace)]
    return " < ".join([kind.__name__, *reversed(frames)])


class JSONLines(JsonFormatter):
    """One object a line."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, _: Mapping[str, Any]) -> None:
        log_data.update(fields(record, self.key))


class TextLines(logging.Formatter):
    """A line for the eyes of somebody at a terminal."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key

    def format(self, record: logging.LogRecord) -> str:
        told = fields(record, self.key)
        head = [told.pop("time")[11:23], told.pop("level").upper(), told.pop("event"), told.pop("message")]
        return "  ".join([*head, *(f"{name}={value}" for name, value in told.items())])


class Sparing(logging.Filter):
    """Lets what strangers can cause pass once in `every` seconds; the next line says how often it was.

    `about` tells causes of one event apart, each of which is a line of its own. Strangers may have a say in
    it: so many, and all further ones share a line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, dict[str, tuple[float, int]]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        every = getattr(record, "every", None)
        if every is None:
            return True
        event, cause = getattr(record, "event", record.msg), getattr(record, "cause", "")
        seen, now = self.seen.setdefault(f"{event} {cause}", {}), time.monotonic()
        about = _line(seen, getattr(record, "about", ""), now - every)
        last, missed = seen.get(about, (-math.inf, 0))
        if now - last < every:
            seen[about] = (last, missed + 1)
            return False
        seen[about] = (now, 0)
        record.repeated = missed or None
        return True


def _line(seen: dict[str, tuple[float, int]], about: str, old: float) -> str:
    """Return whose turn this cause shares: its own, unless so many others have one."""
    if about in seen or len(seen) < APART:
        return about
    for one in [one for one, (last, _) in seen.items() if last <= old]:
        del seen[one]
    return about if len(seen) < APART else OTHERS


class PortalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes everything that is logged in this process to its standard error."""

    def __init__(self, form: Format, key: bytes) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(TextLines(key) if form == "text" else JSONLines(key))
        self.addFilter(Sparing())


def configure(form: Format, key: bytes = b"") -> None:
    """Let every logger write like that from now on; `key` is what people are hashed with."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, PortalHandler)]:
        root.removeHandler(handler)
    root.addHandler(PortalHandler(form, key))
    logging.getLogger("webapp").setLevel(logging.INFO)


def count(counter: logging.Handler) -> None:
    """Let `counter` see every record from now on, in place of the one before."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one) is type(counter)]:
        root.removeHandler(handler)
    root.addHandler(counter)


class GunicornLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines and its access lines, in the form of all others."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401  # gunicorn's
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:  # noqa: ANN401, ARG002
        path = re.sub("^[a-z]+://[^/?]*", "", str(environ.get("RAW_URI", ""))).partition("?")[0][:200]
        status = int(str(resp.status).split(None, 1)[0])
        more = {"method": environ["REQUEST_METHOD"][:20], "path": path, "status": status}
        more |= {"bytes": resp.sent, "ms": round(request_time.total_seconds() * 1000)}
        more["address"] = environ.get("REMOTE_ADDR")
        self.access_log.info("%s %s %s", more["method"], path, status, extra={"event": "request", **more})
        origin.set(OPERATOR)  # the thread goes on to somebody else


def init_app(app: Flask, trusted_proxies: int, host: str) -> None:
    """Give every request an id, which its lines, its answer and its error page name."""
    log = logging.getLogger(__name__)

    @app.before_request
    def begin() -> None:
        g.request_id = _request_id()
        origin.set(Origin(address=(request.remote_addr or "")[:64], request_id=g.request_id))
        if REFUSED in request.environ:
            return  # its head was not read: who it was for, and by which way, is not known
        _warn_of_proxies(log, trusted_proxies)
        if request.host != host and request.endpoint not in ("ops.healthz", "ops.readyz"):
            log.warning(
                "a request came for host %s, and PUBLIC_URL's is %s: "
                "let the proxy pass Host on, and if people use that address, redirect it",
                printable(request.host)[:100],
                host,
                extra={"event": "host.foreign", "every": ONCE, "about": request.host[:100]},
            )

    @app.after_request
    def name_request(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "-")
        return response


def _request_id() -> str:
    given = TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return given[1] if given and set(given[1]) != {"0"} else token_hex(16)


def _warn_of_proxies(log: logging.Logger, trusted: int) -> None:
    said = request.headers.get("X-Forwarded-For")
    entries = len(said.split(",")) if said else 0
    told = {"event": "proxies.wrong", "every": ONCE}
    if entries and not trusted:
        log.warning(
            "requests carry X-Forwarded-For and TRUSTED_PROXIES is 0: if a proxy of yours sends it, set "
            "TRUSTED_PROXIES, or all people share the proxy's address",
            extra=told,
        )
    elif entries < trusted and request.endpoint not in ("ops.healthz", "ops.readyz"):
        log.warning(
            "a request carries %s X-Forwarded-For entries and TRUSTED_PROXIES is %s: with too many, "
            "addresses can be forged",
            entries,
            trusted,
            extra=told,
        )
