"""What can go wrong at the Exec API, chosen by a magic word in the prompt: `[[500]]`, or `[[500 x2]]`.

A plain word fails every attempt; with a count, only the first so many attempts with the same request id.
What stops everybody ends by itself, or one person would have ended a demo for all.
"""

import math
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from flask import Response

from . import answers
from .raw import RawAnswer, head, send_nothing, send_slowly
from .waiting import pause
from .workspace import Session

MAGIC_WORD = re.compile(r"\[\[([a-z0-9-]+)(?: x([0-9]{1,4}))?\]\]")
HUGE = 10 * 1024 * 1024
A_LONG_WAIT = 11 * 60  # seconds: just over what the portal counts down
ONCE = {"429-day"}  # without a count


@dataclass(frozen=True)
class Fault:
    """One way to fail: what it shows, and the answer it makes of the session that was opened."""

    shows: str
    answer: Callable[[Session, bool], Response]


@dataclass(frozen=True)
class Failure:
    """One way to fail before a session is opened."""

    shows: str
    answer: Callable[[], Response]


def chosen(prompt: str, attempt: int) -> str | None:
    """The first magic word in the prompt that covers this attempt (1 is the first)."""
    for word, count in MAGIC_WORD.findall(prompt):
        times = int(count) if count else 1 if word in ONCE else math.inf
        if word in FAULTS and attempt <= times:
            return str(word)
    return None


def slow(session: Session, is_new: bool) -> Response:
    pause(3)
    return answers.json_answer(answers.session_fields(session, is_new))


def drip(session: Session, is_new: bool) -> Response:
    body = answers.json_answer(answers.session_fields(session, is_new)).get_data()
    # Long enough that the head alone outlasts the two minutes.
    message = head(len(body), f"X-Padding: {'.' * 120}") + body
    return RawAnswer(lambda connection: send_slowly(connection, message, seconds=120))


def drip_body(session: Session, is_new: bool) -> Response:
    body = answers.json_answer(answers.session_fields(session, is_new)).get_data()

    def speak(connection: socket.socket) -> None:
        connection.sendall(head(len(body)))
        send_slowly(connection, body, seconds=len(body))

    return RawAnswer(speak)


def half(session: Session, is_new: bool) -> Response:
    body = answers.json_answer(answers.session_fields(session, is_new)).get_data()
    return RawAnswer(lambda connection: connection.sendall(head(len(body)) + body[: len(body) // 2]))


def cut(_session: Session, _is_new: bool) -> Response:
    return RawAnswer(lambda _connection: None)


def lost(_session: Session, _is_new: bool) -> Response:
    return internal_error()


def no_url(session: Session, is_new: bool) -> Response:
    return answers.json_answer({"id": session.id, "is_new": is_new})


def huge(session: Session, is_new: bool) -> Response:
    return answers.json_answer({**answers.session_fields(session, is_new), "padding": "." * HUGE})


def with_url(url: Callable[[Session], str]) -> Callable[[Session, bool], Response]:
    """An otherwise good answer that carries this URL."""
    return lambda session, is_new: answers.json_answer(
        {"id": session.id, "url": url(session), "is_new": is_new}
    )


def http_url(session: Session) -> str:
    """The Studio's own address without TLS; where that is the right one (on loopback), the vendor's."""
    url = answers.studio_url(session)
    if url.startswith("https:"):
        return url.replace("https:", "http:", 1)
    return f"http://acme.app.exec.com/chat/{session.id}"


def stall() -> Response:
    return RawAnswer(lambda connection: send_nothing(connection, seconds=60))


def internal_error() -> Response:
    return answers.refusal(500, "internal_error", "Something went wrong on our side")


def page(status: int, title: str) -> Callable[[], Response]:
    """An HTML page such as a proxy in front of the API would send."""
    body = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return lambda: Response(body, status, mimetype="text/html")


def refuse(status: int, kind: str, message: str, code: str | None = None) -> Callable[[], Response]:
    """An error in the vendor's envelope."""
    return lambda: answers.refusal(status, kind, message, code)


def rate_limited(retry_after: str | None = None) -> Response:
    """The 429 of a used-up limit, with the time to wait in the header, if given."""
    headers = {"Retry-After": retry_after} if retry_after else None
    return answers.refusal(429, "rate_limited", "Rate limit exceeded", headers=headers)


def rate_limited_until_a_date() -> Response:
    return rate_limited(formatdate(time.time() + 5, usegmt=True))


def rate_limited_in_error() -> Response:
    error = {"type": "rate_limited", "message": "Rate limit exceeded", "retry_after": 5}
    return answers.json_answer({"error": error}, 429)


def rate_limited_in_body() -> Response:
    error = {"type": "rate_limited", "message": "Rate limit exceeded"}
    return answers.json_answer({"error": error, "retry_after": 5}, 429)


def redirect() -> Response:
    return Response(status=307, headers={"Location": answers.public_url("/sandbox/stolen")})


FAULTS: dict[str, Fault | Failure] = {
    "slow": Fault("Answers well, after 3 seconds.", slow),
    "429": Failure("Rate limited; the Retry-After header says 5 seconds.", lambda: rate_limited("5")),
    "429-date": Failure("Rate limited; Retry-After is an HTTP date.", rate_limited_until_a_date),
    "429-error": Failure("Rate limited; the wait is in error.retry_after.", rate_limited_in_error),
    "429-body": Failure("Rate limited; the wait is in retry_after.", rate_limited_in_body),
    "429-day": Failure(
        "A wait too long for a countdown, as of a used-up daily limit. Everybody waits; after eleven minutes "
        "it is over, and this one goes through.",
        lambda: rate_limited(str(A_LONG_WAIT)),
    ),
    "429-ms": Failure(
        "Rate limited; Retry-After in milliseconds: 86400000.", lambda: rate_limited("86400000")
    ),
    "429-bare": Failure("Rate limited, without a word about how long.", rate_limited),
    "500": Failure("Internal error; nothing was created.", internal_error),
    "502": Failure("A proxy's HTML page: bad gateway.", page(502, "502 Bad Gateway")),
    "503": Failure("Unavailable.", refuse(503, "unavailable", "Temporarily unavailable")),
    "stall": Failure("Takes the call and says nothing for 60 seconds.", stall),
    "drip": Fault("Sends the answer's head at one byte a second, for two minutes.", drip),
    "drip-body": Fault("Sends the head at once, then the body at one byte a second.", drip_body),
    "half": Fault("Creates the session, sends half of the answer, hangs up.", half),
    "cut": Fault("Creates the session, hangs up without an answer.", cut),
    "lost": Fault("Creates the session, then answers 500: the caller cannot know.", lost),
    "not-json": Failure("200 with an HTML page.", page(200, "Welcome")),
    "no-url": Fault("200 in JSON, without a url.", no_url),
    "list": Failure("200 with a JSON list.", lambda: answers.json_answer([])),
    "strange-host": Fault(
        "The url is on another host.", with_url(lambda s: f"https://evil.example/chat/{s.id}")
    ),
    "http-url": Fault("The url is http, not https.", with_url(http_url)),
    "userinfo-url": Fault(
        "The url hides another host behind user-info.",
        with_url(lambda s: f"https://{answers.studio_host()}@evil.example/chat/{s.id}"),
    ),
    "backslash-url": Fault(
        "The url hides another host behind a backslash.",
        with_url(lambda s: f"https://evil.example\\@{answers.studio_host()}/chat/{s.id}"),
    ),
    "newline-url": Fault(
        "The url ends in a line break and a header.",
        with_url(lambda s: f"{answers.studio_url(s)}\r\nSet-Cookie: stolen=1"),
    ),
    "surrogate-url": Fault(
        "The url holds half of a surrogate pair.", with_url(lambda s: f"{answers.studio_url(s)}?\ud800")
    ),
    "huge": Fault("A good answer in 10 MB.", huge),
    "redirect": Failure("307 to another address; a key that follows it is stolen.", redirect),
    "401": Failure(
        "The key is refused.",
        refuse(401, "authentication_error", "Invalid or inactive API key", "invalid_api_key"),
    ),
    "403": Failure(
        "The workspace is disabled.",
        refuse(403, "authorization_error", "Workspace is inactive", "workspace_inactive"),
    ),
    "400": Failure(
        "Refused for a reason that nobody foresaw; the message holds markup.",
        refuse(400, "invalid_request", "This prompt is <b>markup</b> & not allowed", "content_policy"),
    ),
    "413": Failure("Too large.", refuse(413, "invalid_request", "Request entity too large")),
    "422": Failure("Cannot be processed.", refuse(422, "invalid_request", "The prompt cannot be processed")),
    "204": Failure("Success, but no content.", lambda: Response(status=204)),
}
