"""Which kind of file it is, by its name and by what it holds, and its text, tidied."""

import io
import re
import zipfile
from collections.abc import Callable

from . import Refused
from .calendar import read_calendar
from .captions import read_captions
from .encoding import decode
from .joining import joined_off
from .mail import read_mail
from .pdf import read_pdf
from .transcript import codes_off
from .word import read_docx

LARGEST_BY_LINES = 1024 * 1024  # bytes; the parsers of calendars and captions take seconds beyond
LARGEST_UNPACKED = 100 * 1024 * 1024  # bytes, of what a docx says that it holds
LONGEST_TEXT = 5_000_000  # code points
KINDS = frozenset({"ics", "vtt", "srt", "txt", "md", "eml", "docx", "pdf"})
CAPTIONS = frozenset({"vtt", "srt"})


def text_of(data: bytes, ending: str) -> str:
    """Return what a file says, tidied. Raises `Refused`, or anything that a broken file makes a library raise."""
    if not data.strip():
        raise Refused("empty")
    kind = kind_of(data, ending)
    if kind in ("ics", "vtt", "srt") and len(data) > LARGEST_BY_LINES:
        raise Refused("too_large")
    if kind not in ("docx", "pdf"):
        data = data.replace(b"\r\r\n", b"\r\n")  # what was saved as text twice on Windows
    text = READERS[kind](data)
    if len(text) > LONGEST_TEXT:
        raise Refused("too_much_text")
    text = tidy(text)
    if not re.search(r"\w", text):
        raise Refused("no_text")
    return text


def kind_of(data: bytes, ending: str) -> str:
    """Return which reader takes it. Name and content have to agree, except among plain texts."""
    if ending and ending not in KINDS:
        raise Refused("unknown")
    found = packed_kind(data)
    if found == "encrypted":
        raise Refused("encrypted")
    if found or ending in ("pdf", "docx"):
        if found not in KINDS and not ending:
            raise Refused("unknown")
        if ending not in ("", found):
            raise Refused("mislabelled")
        return found
    try:
        return plain_kind(decode(data), ending)
    except Refused:
        raise Refused("mislabelled" if ending else "unknown") from None


def packed_kind(data: bytes) -> str:
    """Return `pdf`, `docx`, another packed kind's name, or nothing for what may be text."""
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return zip_kind(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):  # what Word makes of a docx with a password
        return "encrypted" if "EncryptedPackage".encode("utf-16-le") in data else "ole"
    return "rtf" if data.startswith(b"{\\rtf") else ""


def zip_kind(data: bytes) -> str:
    """Return `docx` for one that can be opened; raises `zipfile.BadZipFile` for half a one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if any(entry.flag_bits & 1 for entry in entries):
        return "encrypted"
    if not any(entry.filename.startswith("word/") for entry in entries):
        return "zip"
    if sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
        raise Refused("too_large")
    return "docx"


def plain_kind(text: str, ending: str) -> str:
    start = text[:2000].lstrip("\ufeff \t\r\n").lower()
    for kind, begins in BEGINNINGS.items():
        if begins.match(start):
            return kind if ending in ("", "txt", "md", kind) or {kind, ending} <= CAPTIONS else mislabelled()
    if ending in CAPTIONS and "-->" in start:
        return ending
    if ending == "eml":
        return ending if MAIL_HEAD.match(start) else mislabelled()
    return ending if ending in ("txt", "md") else "txt" if not ending else mislabelled()


def mislabelled() -> str:
    raise Refused("mislabelled")


BEGINNINGS = {
    "ics": re.compile(r"begin:vcalendar\b"),
    "vtt": re.compile(r"webvtt\b"),
    "srt": re.compile(r"\d+\s*\n\s*\d+:\d{1,2}:\d{1,2}[,.]\d+\s*-->"),
}
MAIL_HEAD = re.compile(r"(?:from \S+ [^\n]*\n|>from [^\n]*\n)?[\x21-\x39\x3b-\x7e]+:")


def tidy(text: str) -> str:
    """Return the text as one would have typed it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ").replace("\u00ad", "")
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f\ufeff\ud800-\udfff]", "", text)
    text = codes_off(joined_off(text))
    lines = (line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


READERS: dict[str, Callable[[bytes], str]] = {
    "ics": read_calendar,
    "vtt": read_captions,
    "srt": read_captions,
    "txt": decode,
    "md": decode,
    "eml": read_mail,
    "docx": read_docx,
    "pdf": read_pdf,
}
