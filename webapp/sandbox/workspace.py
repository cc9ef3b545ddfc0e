"""The pretend Exec workspace, in memory: its sessions, its limits, and a log of what the API was asked."""

import hashlib
import math
import secrets
import string
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from .options import Options

LOG_LENGTH = 10_000
ALPHABET = string.ascii_lowercase + string.digits


@dataclass
class Session:
    """One Scenario Studio session."""

    id: str
    request_id: str | None
    user_email: str
    prompt: str
    created: float
    opens: int = 0


@dataclass
class ApiCall:
    """One call of the API, as the requests page shows it; it never holds the key or the prompt."""

    time: float
    method: str
    path: str
    user_email: str | None = None
    request_id: str | None = None
    prompt_sha256: str | None = None
    prompt_length: int | None = None
    fault: str | None = None
    status: int | None = None
    session_id: str | None = None
    is_new: bool | None = None
    delivered: bool = False

    @classmethod
    def arriving(cls, method: str, path: str) -> "ApiCall":
        """A call that begins now."""
        return cls(time.time(), method, path)

    def note(self, fields: dict[str, object]) -> None:
        """Remember the fields that came, of the prompt only its digest and length."""
        self.user_email = _shown(fields.get("user_email"))
        self.request_id = _shown(fields.get("request_id"))
        prompt = fields.get("prompt")
        if isinstance(prompt, str):
            self.prompt_sha256 = hashlib.sha256(prompt.encode(errors="surrogatepass")).hexdigest()
            self.prompt_length = len(prompt)


@dataclass
class Limit:
    """At most `allowed` events in any `window` seconds; 0 allows all of them."""

    name: str
    allowed: int
    window: float
    times: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> int:
        """Whole seconds until one more is allowed; 0 when it is allowed now."""
        while self.times and self.times[0] <= now - self.window:
            self.times.popleft()
        if not self.allowed or len(self.times) < self.allowed:
            return 0
        return max(1, math.ceil(self.times[-self.allowed] + self.window - now))


class Workspace:
    """Everything that the API and the Studio share. Every method may be called from any thread."""

    def __init__(self, options: Options) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._by_request_id: dict[str, Session] = {}
        self._attempts: Counter[str] = Counter()
        self._calls: deque[ApiCall] = deque(maxlen=LOG_LENGTH)
        self._stolen: list[dict[str, object]] = []
        self.creations = Limit("creations_per_minute", options.creations_per_minute, 60)
        self.requests = (
            Limit("requests_per_minute", options.requests_per_minute, 60),
            Limit("requests_per_day", options.requests_per_day, 86_400),
        )

    def log(self, call: ApiCall) -> ApiCall:
        """Add a call to the log as it arrives; its outcome is written into it later."""
        with self._lock:
            self._calls.append(call)
        return call

    def take(self, *limits: Limit) -> int:
        """Count one event against each limit, or none of them and return the seconds to wait."""
        with self._lock:
            now = time.monotonic()
            wait = max(limit.wait(now) for limit in limits)
            if not wait:
                for limit in limits:
                    limit.times.append(now)
            return wait

    def count_attempt(self, intention: str) -> int:
        """Say for the how-manieth time this intention arrives, this time included."""
        with self._lock:
            self._attempts[intention] += 1
            return self._attempts[intention]

    def open_session(self, user_email: str, prompt: str, request_id: str | None) -> tuple[Session, bool]:
        """Return the session with this request id, whoever asks, or a new one; and whether it is new."""
        with self._lock:
            if request_id is not None and request_id in self._by_request_id:
                return self._by_request_id[request_id], False
            session_id = "".join(secrets.choice(ALPHABET) for _ in range(12))
            session = Session(session_id, request_id, user_email, prompt, time.time())
            self._sessions[session_id] = session
            if request_id is not None:
                self._by_request_id[request_id] = session
            return session, True

    def find_session(self, session_id: str) -> Session | None:
        """The session with this id, if there is one."""
        with self._lock:
            return self._sessions.get(session_id)

    def count_opening(self, session: Session) -> None:
        """Count one real view of a session's page."""
        with self._lock:
            session.opens += 1

    def note_stolen(self, method: str, authorization: bool) -> None:
        """Remember that somebody followed the API's redirect, and whether the key came along."""
        with self._lock:
            self._stolen.append({"time": time.time(), "method": method, "authorization": authorization})

    def report(self) -> dict[str, list[dict[str, object]]]:
        """Everything that happened, ready for JSON; newest last, without keys and without prompts."""
        with self._lock:
            sessions = [dict(vars(session)) for session in self._sessions.values()]
            for session in sessions:
                session["prompt_length"] = len(str(session.pop("prompt")))
                session["request_id"] = _shown(session["request_id"])
            now = time.monotonic()
            return {
                "requests": [dict(vars(call)) for call in self._calls],
                "sessions": sessions,
                "limits": [
                    {
                        "name": limit.name,
                        "allowed": limit.allowed,
                        "seconds_to_wait": limit.wait(now),
                        "used": len(limit.times),
                        "window_seconds": limit.window,
                    }
                    for limit in (self.creations, *self.requests)
                ],
                "stolen": list(self._stolen),
            }


def current_workspace() -> Workspace:
    """The workspace of the application that answers this request."""
    return cast("Workspace", current_app.extensions["workspace"])


def printable(text: str) -> str:
    """A text as a page can show it: JSON may carry lone surrogates, which UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def _shown(value: object) -> str | None:
    return printable(value) if isinstance(value, str) else None
