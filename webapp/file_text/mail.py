"""Mails (`.eml`): their heads, parts, and the mails in them."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage, MIMEPart

from . import Refused
from .calendar import day, events_of, listed, without_repetition
from .encoding import MARKS, decode, in_charset
from .html import from_html
from .thread import conversation

Part = EmailMessage | MIMEPart


def read_mail(data: bytes) -> str:
    if data.startswith(tuple(MARKS)):
        data = decode(data).encode()
    if data.startswith(b"From "):  # a mailbox marks such lines of a text
        data = re.sub(rb"(?m)^>(>*From )", rb"\1", data)
    mail = parsed(data.lstrip())
    if not any(mail.keys()):
        raise Refused("mislabelled")
    return mail_text(mail)


def parsed(data: bytes) -> EmailMessage:
    def head_as_written(name: str, value: str) -> BaseHeader:
        """Return one line of a head. Where it holds letters as they are, all of the mail tells their encoding."""
        raw = value.encode("utf-8", "surrogateescape")
        text = value if value.isascii() and "\x1b" not in value else decode(raw, whole=data)
        try:
            return REGISTRY(name, text)
        except (AttributeError, IndexError, LookupError, TypeError, ValueError, RecursionError):
            return REGISTRY("Unreadable", "")  # one broken head spoils no mail

    return message_from_bytes(data, policy=policy.default.clone(header_factory=head_as_written))


REGISTRY = HeaderRegistry()


def mail_text(mail: Part, depth: int = 0) -> str:
    lines = {"Subject": header(mail, "Subject"), "From": listed(who(mail, "From"))}
    lines |= {"To": listed(who(mail, "To")), "Cc": listed(who(mail, "Cc")), "Date": sent(mail)}
    head = "\n".join(f"{label}: {value}" for label, value in lines.items() if value)
    written = body_of(mail)
    body = conversation(written, next(who(mail, "From"), ""))
    inner = [mail_text(one, depth + 1) for one in forwarded(mail)] if depth < 3 else []
    locked = "-----BEGIN PGP MESSAGE-----" in written or (
        not body and any(True for _ in parts(mail, ENCRYPTED))
    )
    if locked and not inner:
        raise Refused("encrypted")
    return "\n\n".join(filter(None, (head, body, *invitations(mail, whole=not body), *inner)))


def invitations(mail: Part, *, whole: bool) -> Iterator[str]:
    """Return what a mail invites to; beside a text, which holds the agenda, only when and where."""
    for part in parts(mail, ["text/calendar"]):
        with suppress(ValueError, Refused):
            events = events_of(payload(part))
            yield from without_repetition(events) if whole else (one.partition("\n\n")[0] for one in events)


def header(mail: Part, name: str) -> str:
    return " ".join(str(mail.get(name, "")).split())


def who(mail: Part, name: str) -> Iterator[str]:
    field = mail.get(name)
    addresses: tuple[Address, ...] = getattr(field, "addresses", ())
    for one in addresses:
        yield one.display_name or one.addr_spec


def sent(mail: Part) -> str:
    at = getattr(mail.get("Date"), "datetime", None)
    return f"{day(at)}, {at:%H:%M}" if at else ""


def parts(mail: Part, kinds: Iterable[str]) -> Iterator[Part]:
    """Return the leaves of these kinds that stand in this mail itself and are no attachment."""
    for part in mail.iter_parts() if mail.get_content_maintype() == "multipart" else [mail]:
        if part.get_content_maintype() == "multipart" and part.get_content_type() not in kinds:
            yield from parts(part, kinds)
        elif part.get_content_type() in kinds and not part.is_attachment():
            yield part


def body_of(mail: Part) -> str:
    """Return what was written: of alternatives the plain text, or the page where that is empty; of other parts all."""
    if mail.get_content_maintype() == "multipart":
        # What says something once more is an alternative that is not called one.
        bodies: list[str] = []
        for part in sorted(mail.iter_parts(), key=lambda part: part.get_content_type() == "text/html"):
            text = body_of(part)
            page = part.get_content_type() == "text/html"
            if re.search(r"\w", text) and not (page and any(bare(text) in bare(body) for body in bodies)):
                bodies.append(text)
        return "\n\n".join(bodies[:1] if mail.get_content_subtype() == "alternative" else bodies)
    if mail.is_attachment():
        return ""
    kind = mail.get_content_type()
    return (
        unarmoured(flowed(mail))
        if kind == "text/plain"
        else from_html(content(mail))
        if kind == "text/html"
        else ""
    )


def bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def unarmoured(text: str) -> str:
    """Return a text without the lines that PGP signs it with (RFC 4880, section 7)."""
    return ARMOUR.sub(lambda signed: re.sub("(?m)^- ", "", signed[1]), text)


ARMOUR = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash: .*\n)*\n?((?:(?!-----).*\n)*)"
    r"-----BEGIN PGP SIGNATURE-----\n(?:(?!-----).*\n)*-----END PGP SIGNATURE-----"
)


def payload(part: Part) -> bytes:
    raw = part.get_payload(decode=True)
    return raw if isinstance(raw, bytes) else b""


def content(part: Part) -> str:
    return in_charset(payload(part), part.get_content_charset())


def flowed(part: Part) -> str:
    """Return plain text with the lines together that a mail program broke (RFC 3676)."""
    text = content(part).replace("\r\n", "\n")
    if part.get_param("format") != "flowed":
        return text
    space = "" if str(part.get_param("delsp")).lower() == "yes" else " "
    lines: list[str] = []
    for line in text.split("\n"):
        marks, before = QUOTES.match(line), lines[-1] if lines else ""
        deep = marks[0] if marks else ""
        # "-- " is a signature's mark and no flowed line.
        goes_on = (
            before.endswith(" ") and line.strip() and not {before[len(deep) :], line[len(deep) :]} & {"-- "}
        )
        if goes_on and (above := QUOTES.match(before)) and above[0].count(">") == deep.count(">"):
            lines[-1] = before[:-1] + space + line[len(deep) :]
        else:
            lines.append(line)
    return "\n".join(lines)


QUOTES = re.compile("(?:> ?)*")


def forwarded(mail: Part) -> Iterator[Part]:
    for part in mail.iter_parts() if mail.get_content_maintype() == "multipart" else []:
        if part.get_content_type() == "message/rfc822":
            inner = part.get_content()
            coded = part.get("Content-Transfer-Encoding", "").lower() == "base64"  # which no standard allows
            yield parsed(b64decode(inner.get_payload())) if coded and not inner.keys() else inner


ENCRYPTED = ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted")
