"""The client of Exec's API: one function per operation that the portal uses.

Knows requests and Exec's words; knows nothing of Flask, forms or rows. The vendor's description:
https://docs.exec.com/api-reference/scenario-studio/create-scenario-studio-session
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests import Response

from .transport import Limits, Transport, cause

# Gunicorn's graceful timeout (30 s) is longer than the whole call.
LIMITS = Limits(connect=4, whole=20, size=64 * 1024)
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 24 * 3600
DAILY_LIMIT = 1000  # calls a day and workspace, as the vendor documents it
LOOPBACK = frozenset({"localhost", "127.0.0.1"})


class ExecError(Exception):
    """Exec did not create a session. The text is for the log: it names no person, prompt or key."""


class NotAMember(ExecError):
    """400 `user_not_found`: the e-mail belongs to nobody in the Exec workspace (not invited, or a typo)."""


class ExecRefusedRequest(ExecError):
    """Any other 400, a 413 or a 422: Exec will not take this prompt. `message` is Exec's own, untrusted."""

    def __init__(self, text: str, message: str) -> None:
        super().__init__(text)
        self.message = message


class ExecRefusedKey(ExecError):
    """401 or 403: the key is wrong, deactivated or deleted, or the workspace is inactive."""


class ExecBusy(ExecError):
    """429: a limit of the workspace is reached. `retry_after` is in seconds; None: nobody can believe it."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class ExecUnavailable(ExecError):
    """5xx, a timeout or a broken connection: whether a session was created is unknown."""


class ExecUntrusted(ExecError):
    """An answer that the description does not allow: no JSON, no URL, or a URL to somewhere else."""


@dataclass(frozen=True)
class ExecSession:
    """What the API answered: an opaque id, where to send the person, and whether it was made just now."""

    id: str
    url: str
    is_new: bool


@dataclass(frozen=True)
class ExecWorkspace:
    """Whose key it is; `url_slug` is the first label of the studio's host."""

    name: str
    url_slug: str


class ExecClient:
    """Holds the key and the kept connections; safe to share between threads."""

    def __init__(
        self, base_url: str, api_key: str, studio_hosts: tuple[str, ...], transport: Transport
    ) -> None:
        self.base_url = base_url
        self.studio_hosts = studio_hosts
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {api_key}"}

    def create_scenario_studio_session(self, user_email: str, prompt: str, request_id: str) -> ExecSession:
        """POST /scenario-studio. The same `request_id` returns the same session. Raises `ExecError`."""
        body = {"user_email": user_email, "prompt": prompt, "request_id": request_id}
        return self._exec_session(self._call("POST", "/scenario-studio", body))

    def workspace(self) -> ExecWorkspace:
        """GET /workspace: whether the key works, without creating anything. Raises `ExecError`.

        https://docs.exec.com/api-reference/workspace/get-workspace-info
        """
        response = self._call("GET", "/workspace", None)
        answer = _whole(_json_object(response), response)
        if not isinstance(answer.get("name"), str):
            raise ExecUntrusted(f"{_status(response)} without a workspace: is EXEC_API_URL right?")
        return ExecWorkspace(_sentence(answer["name"]), _sentence(answer.get("url_slug")))

    def _call(self, method: str, path: str, body: object) -> Response:
        try:
            response = self._transport.ask(method, f"{self.base_url}{path}", self._headers, json=body)
        except requests.RequestException as error:
            raise ExecUnavailable(cause(error)) from None
        if response.status_code != 200:
            raise _refusal(response)
        return response

    def _exec_session(self, response: Response) -> ExecSession:
        answer = _whole(_json_object(response), response)
        url = answer.get("url")
        if not isinstance(url, str):
            raise ExecUntrusted(f"{_status(response)} without a url: is EXEC_API_URL right?")
        if not is_studio_url(url, self.studio_hosts):
            raise ExecUntrusted(
                f"200 with a url outside EXEC_STUDIO_HOSTS: host {_host(url)!r}. "
                "If it is Exec's, add it there and restart"
            )
        return ExecSession(str(answer.get("id", "")), url, answer.get("is_new") is not False)


def is_studio_url(url: str, allowed: tuple[str, ...]) -> bool:
    """Whether a person may be sent there: https (http on loopback only) to an allowed host and port.

    An entry is `host`, `*.host` (one or more labels in front, never the bare host) or either with a port.
    Browsers read `\\`, blanks and control characters in ways that URL parsers do not: none may be in it.
    """
    if re.search(r"[\x00-\x20\x7f-\x9f\\\s]", url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    # The whole of it before letters are folded: `\u212a` in small letters is a plain `k`.
    if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?", parts.netloc):
        return False
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        return False
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = usual if port is None else port
    return any(_matches(host, port, entry, usual) for entry in allowed)


def http_origins(allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the entries on loopback as http origins: a content policy has to name those."""
    return tuple(f"http://{entry}" for entry in allowed if entry.partition(":")[0] in LOOPBACK)


def _matches(host: str, port: int, entry: str, usual_port: int) -> bool:
    pattern, _, entry_port = entry.partition(":")
    if port != int(entry_port or usual_port):
        return False
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _refusal(response: Response) -> ExecError:
    status = response.status_code
    error = _json_object(response).get("error")
    error = error if isinstance(error, dict) else {}
    text = f"{status} {_word(error.get('type'))} {_word(error.get('code'))}"
    if status == 400 and error.get("code") == "user_not_found":
        return NotAMember(text)
    if status in (400, 413, 422):
        return ExecRefusedRequest(text, _sentence(error.get("message")))
    if status in (401, 403):
        return ExecRefusedKey(_key_refused(status, error))
    if status == 429:
        return _busy(text, response, error)
    if status >= 500 or status in (408, 409, 425):
        return ExecUnavailable(text)
    return ExecUntrusted(f"{text} ({_status(response)}): is EXEC_API_URL right?")


def _key_refused(status: int, error: Mapping[str, Any]) -> str:
    code = _word(error.get("code") or error.get("type"))
    refused = f"EXEC_API_KEY is refused ({status} {code})"
    if code == "workspace_inactive":
        return f"{refused}: the workspace is not active; its owner has to settle that with Exec"
    return f"{refused}: make a new key in Exec under Settings > API, set it and restart"


def _busy(text: str, response: Response, error: Mapping[str, Any]) -> ExecBusy:
    """Find the wait: the header, else `error.retry_after`, else `retry_after`; seconds or a date.

    The description is silent on where it stands and in which form (RFC 9110, section 10.2.3, has two). More
    than a day is milliseconds, a time since 1970 or a mistake, and stops nobody.
    """
    hints = (response.headers.get("Retry-After"), error.get("retry_after"))
    told = [_seconds(hint) for hint in (*hints, _json_object(response).get("retry_after"))]
    waits = [seconds for seconds in told if seconds is not None]
    believed = [seconds for seconds in waits if seconds <= LONGEST_RETRY_AFTER]
    if waits and not believed:
        return ExecBusy(f"{text}, to wait {waits[0]:.0f} s: over a day, not believed", None)
    return ExecBusy(text, max(believed[0], 1) if believed else DEFAULT_RETRY_AFTER)


def _seconds(hint: object) -> float | None:
    if isinstance(hint, bool):
        return None
    try:
        seconds = float(hint)  # type: ignore[arg-type]  # anything else is an error below
    except (TypeError, ValueError, OverflowError):
        return _seconds_until(hint)
    return seconds if math.isfinite(seconds) else None


def _seconds_until(date: object) -> float | None:
    try:
        when = parsedate_to_datetime(str(date))
    except (ValueError, OverflowError):
        try:
            when = datetime.fromisoformat(str(date))
        except ValueError:
            return None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def _whole(answer: dict[str, Any], response: Response) -> dict[str, Any]:
    """Refuse half of a surrogate pair: a text to Python, which no database, page or header takes."""
    try:
        json.dumps(answer, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ExecUntrusted(f"{_status(response)} with half a character in it") from None
    return answer


def _json_object(response: Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except (ValueError, RecursionError):  # not JSON, not UTF-8, too long a number, too deep
        return {}
    return answer if isinstance(answer, dict) else {}


def _status(response: Response) -> str:
    content_type = response.headers.get("Content-Type", "no content type")
    shape = f"{_word(content_type.partition(';')[0])}, {len(response.content)} bytes"
    return f"{response.status_code} ({shape})"


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "")[:100]
    except ValueError:
        return ""


def _sentence(value: object) -> str:
    """Return a vendor's sentence fit for a page and a database: no control character, no half of a pair."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text[:500])


def _word(value: object) -> str:
    """Return a vendor's word fit for a log line: short, printable, nothing that forges another line."""
    return re.sub(r"[^A-Za-z0-9_./+-]", "?", value)[:60] if isinstance(value, str) else "-"
