"""What a file says, as text: a script that `files.py` runs by path, in a process of its own.

Reads the file from stdin, writes one JSON object to stdout. Whatever else ends it is the file's fault: the
limits stand before the first byte is read, and each library is loaded only for the kind that needs it.
"""

import codecs
import io
import json
import quopri
import re
import resource
import sys
import unicodedata
import zipfile
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage, MIMEPart
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

MEMORY = 256 * 1024 * 1024  # bytes of address space
CPU = 5  # seconds
LARGEST_BY_LINES = 1024 * 1024  # bytes; the parsers of calendars and captions take seconds beyond
LARGEST_UNPACKED = 100 * 1024 * 1024  # bytes, of what a docx says that it holds
LONGEST_TEXT = 5_000_000  # code points
MOST_PEOPLE = 30

KINDS = frozenset({"ics", "vtt", "srt", "txt", "md", "eml", "docx", "pdf"})
CAPTIONS = frozenset({"vtt", "srt"})


Part = EmailMessage | MIMEPart


class Refused(Exception):
    """The file has no text for us; the argument is the reason's name in `files.py`."""


def main() -> None:
    limit()
    name = sys.argv[1]
    try:
        answer = {"text": text_of(sys.stdin.buffer.read(), name)}
    except Refused as refused:
        answer = {"refused": str(refused)}
    sys.stdout.write(json.dumps(answer))


def limit() -> None:
    """Take away what a hostile file could use: memory, time, files, further processes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))


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


# What kind of file it is, by its name and by what it holds


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


def decode(data: bytes, whole: bytes = b"") -> str:
    """Return plain text: by its mark, as UTF-8, or in the encoding that it, or the whole of it, reads best in."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return plain(data[len(mark) :].decode(encoding, "replace"))
    if b"\0" not in data and b"\x1b$" not in data:  # UTF-16 and ISO-2022-JP may pass for UTF-8
        with suppress(UnicodeDecodeError):
            return plain(data.decode())
    return plain(data.decode(likely_encoding(whole or data), "replace"))


def likely_encoding(data: bytes) -> str:
    """Return what a text without a mark is written in; in doubt, what Windows writes in the West.

    chardet ranks encodings by pairs of bytes: a few French accents may be Greek or Cyrillic to it. What the words
    would look like tells these apart.
    """
    import chardet

    lines = [line for line in data.split(b"\n") if not line.isascii()]
    sample = (data if b"\0" in data or not lines else b"\n".join(lines))[:SAMPLE]
    eras = chardet.EncodingEra
    usual = eras.MODERN_WEB | eras.LEGACY_ISO | eras.LEGACY_MAC | eras.DOS
    likely = dict.fromkeys(("cp932", "cp1252"), 0.0)  # Japanese, where all else fails: one word in kana
    for one in chardet.detect_all(sample, ignore_threshold=True, compat_names=False, encoding_era=usual):
        found = one["encoding"] or "cp1252"
        name = WINDOWS.get(found, found)
        likely[name] = max(likely.get(name, 0.0), one["confidence"] * sense(sample.decode(name, "replace")))
    likely["cp1252"] *= 1.4 if sum(byte > 127 for byte in sample) > 3 else 5
    return max(likely, key=lambda name: likely[name])


def in_charset(data: bytes, charset: str | None) -> str:
    """Return a text in the encoding that it is said to be in, if it can be."""
    if charset:
        with suppress(LookupError, UnicodeDecodeError):
            return data.decode(WINDOWS.get(charset.lower(), charset))
    return decode(data)


def sense(text: str) -> float:
    """Return how many of the words that are not ASCII could be words, from 0 to 1."""
    words = [word for word in text.split() if not word.isascii()]
    return sum(not ODD.search(word) for word in words) / len(words) if words else 1


SAMPLE = 20_000  # bytes
# Windows has quotation marks where these have controls, and what says that it is in the one is in the other.
WINDOWS = {"iso8859-1": "cp1252", "iso-8859-1": "cp1252"}
ODD = re.compile(  # no letters at all, two alphabets in one word, a capital or a sign between letters
    "[\x80-\x9f\ue000-\uf8ff\u2500-\u25ff\ufffd]|[A-Za-z][\u0370-\u06ff]|[\u0370-\u06ff][A-Za-z]"
    "|[a-zß-öø-ÿα-ωа-я][À-ÖØ-ÞŒŠŽŸΑ-ΩА-ЯЂ-Џ]|[^\\W\\d_][¡-©«-´¶¸¹»-¿×÷†‡‰‹›€„‚ƒˆ˜≈≠≤≥∞√∫][^\\W\\d_]"
)


def plain(text: str) -> str:
    """Return the text; what holds the signs of a program or a picture is none."""
    odd = len(NO_TEXT.findall(text))
    if odd > len(text) * 0.01:
        raise Refused("mislabelled")
    return text


MARKS = {  # UTF-32's begins as UTF-16's does, so it comes first
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


def read_plain(data: bytes) -> str:
    return decode(data)


# Calendars


def read_calendar(data: bytes) -> str:
    return "\n\n".join(without_repetition(events_of(data)))


def events_of(data: bytes) -> list[str]:
    import icalendar  # each library only for its kind: they are slow to load

    # Some break a line within a character, so lines are put together before they are decoded.
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = decode(data if wide else re.sub(rb"\r?\n[ \t]", b"", data)).lstrip("\ufeff \t\r\n")
    if "QUOTED-PRINTABLE" in text:
        text = re.sub(r"=\r?\n", "", text)
    for kind in (icalendar.Calendar, icalendar.Todo, icalendar.Journal, icalendar.Alarm):
        kind.ignore_exceptions = True  # as events do: one broken line spoils no calendar
    calendars = icalendar.Calendar.from_ical(whole_lines(text), multiple=True)
    shown: list[str] = []
    for calendar in calendars:
        cancelled = str(calendar.get("METHOD", "")) == "CANCEL"
        for entry in calendar.walk():
            for broken in filter(None, (name for name, _ in entry.errors)):
                entry.pop(broken, None)
            if entry.name in ("VEVENT", "VTODO", "VJOURNAL"):
                shown.append(event_text(entry, cancelled=cancelled))  # three loops in one
    return shown


def whole_lines(text: str) -> str:
    """Return a calendar's lines, with what some break without folding put to the line before.

    The rules of time zones stay out: their names are enough, and a broken line in them would spoil the calendar.
    """
    lines: list[str] = []
    zone = False
    for line in re.split("\r\n|\r|\n", text):
        zone = line.upper().startswith("BEGIN:VTIMEZONE") or zone
        if zone:
            zone = not line.upper().startswith("END:VTIMEZONE")
        elif CONTENT_LINE.match(line):
            lines.append(line)
        elif line.strip() and lines and lines[-1].upper().startswith(WORDS):
            lines[-1] += f"\\n{line}"
    return "\r\n".join(lines)


CONTENT_LINE = re.compile(r"[A-Za-z0-9.-]+[;:]")
WORDS = ("DESCRIPTION", "SUMMARY", "COMMENT", "LOCATION", "X-ALT-DESC")


def without_repetition(events: list[str]) -> Iterator[str]:
    """Leave out the agenda where an event only repeats the one of its series."""
    known: set[str] = set()
    for event in events:
        head, gap, agenda = event.partition("\n\n")
        yield head if agenda in known else head + gap + agenda
        known.add(agenda)


def event_text(event: Any, *, cancelled: bool) -> str:  # noqa: ANN401  # icalendar's
    lines = {
        "Subject": first(event, "SUMMARY"),
        "When": when(event),
        "Repeats": repeats(event.get("RRULE")),
        "Where": place(first(event, "LOCATION")),
        "Organiser": next(people(event, "ORGANIZER"), ""),
        "People": listed(people(event, "ATTENDEE")),
        "Comment": first(event, "COMMENT"),
        "Status": "cancelled" if cancelled or first(event, "STATUS") == "CANCELLED" else "",
    }
    head = "\n".join(f"{label}: {' '.join(value.split())}" for label, value in lines.items() if value.strip())
    agenda = first(event, "DESCRIPTION") or unescaped(first(event, "X-ALT-DESC"))
    if HTML.search(agenda):
        agenda = from_html(agenda.replace("\n", "<br>"))  # Google mixes both
    agenda = COPIED.sub("", agenda.replace("\r\n", "\n"))
    return f"{head}\n\n{joined_off(agenda)}".strip()


# Exchange and Zimbra put subject, time and place above the agenda once more, and this line below them.
COPIED = re.compile(r"\A(?:.*\n){0,40}?(?:\*~){5,}\*?\s*")


def place(text: str) -> str:
    """Return where people meet, without a link and without the meeting program's own name for itself."""
    lines = (line.strip(" ,;") for line in re.split("\n|; ", joined_off(text)))
    return ", ".join(line for line in lines if line and not PROGRAM.match(line))


PROGRAM = re.compile(
    r"(?i)(?:(?:réunion|reunión|reunião|riunione|spotkanie|собрание|schůzka)(?: [a-zв]{1,2})?(?: aplikac\w+)? )?(?:microsoft teams|zoom meeting|google meet|webex)\b"
)


def unescaped(text: str) -> str:
    """Return the text of an `X-` property, which icalendar leaves as it is written (RFC 5545, section 3.3.11)."""
    return re.sub(r"\\([\\;,])", r"\1", re.sub(r"\\[nN]", "\n", text))


def one_of(value: Any) -> Any:  # noqa: ANN401
    """Return the first of what may stand there more than once."""
    return value[0] if isinstance(value, list) else value


def first(entry: Any, name: str) -> str:  # noqa: ANN401
    value = one_of(entry.get(name, ""))
    text = str(value)
    if getattr(value, "params", {}).get("ENCODING", "").upper() == "QUOTED-PRINTABLE":  # vCalendar 1.0
        text = in_charset(quopri.decodestring(text.encode()), value.params.get("CHARSET"))
    return text.strip()


def people(event: Any, name: str) -> Iterator[str]:  # noqa: ANN401
    found = event.get(name, [])
    for one in found if isinstance(found, list) else [found]:
        if one.params.get("CUTYPE", "").upper() not in ("ROOM", "RESOURCE"):
            yield one.params.get("CN", "").strip("'\" ") or re.sub("(?i)^mailto:", "", str(one))


def listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(filter(None, names)))
    rest = len(every) - MOST_PEOPLE
    return ", ".join(every[:MOST_PEOPLE]) + (f" and {rest} more" if rest > 0 else "")


def when(event: Any) -> str:  # noqa: ANN401
    start, end = moment(event, "DTSTART"), moment(event, "DTEND") or moment(event, "DUE")
    if start is None:
        return f"until {day(end)}" if end else ""
    length = getattr(event.get("DURATION"), "dt", None)
    if end is None and isinstance(length, timedelta):
        with suppress(OverflowError):
            end = start + length
    if not isinstance(start, datetime):
        last = (end or start) - timedelta(days=1)
        return day(start) if last <= start else f"{day(start)} to {day(last)}"
    zone = one_of(event["DTSTART"]).params.get("TZID", "") or ("UTC" if start.tzinfo else "")
    until = ""
    if isinstance(end, datetime):
        until = f" to {end:%H:%M}" if end.date() == start.date() else f" to {day(end)}, {end:%H:%M}"
    return f"{day(start)}, {start:%H:%M}{until}" + (f" ({zone})" if zone else "")


def moment(event: Any, name: str) -> Any:  # noqa: ANN401  # a date or a datetime
    value = event.get(name)
    found = getattr(one_of(value), "dt", None)
    return found if isinstance(found, date) else None


def day(at: date) -> str:
    return f"{at:%A}, {at.day} {at:%B} {at.year}"


def repeats(rule: Any) -> str:  # noqa: ANN401
    if not rule:
        return ""
    rule = one_of(rule)
    unit = UNITS.get(str(rule.get("FREQ", [""])[0]).upper(), "time")
    step = int(rule.get("INTERVAL", [1])[0])
    words = f"every {unit}" if step == 1 else f"every {step} {unit}s"
    days = [name for name in (which_day(str(one).upper()) for one in rule.get("BYDAY", [])) if name]
    if days:
        named = (
            "weekday" if days == WEEKDAYS else " and ".join(filter(None, (", ".join(days[:-1]), days[-1])))
        )
        which = ORDER.get(str(rule.get("BYSETPOS", [""])[0]))
        words += f" on the {which} {named}" if which else f" on {named}"
    words += f", {rule['COUNT'][0]} times" if "COUNT" in rule else ""
    return words + (f", until {day(rule['UNTIL'][0])}" if "UNTIL" in rule else "")


def which_day(text: str) -> str:
    """Return the day of `TU` or `3TH`, or nothing."""
    number, name = text[:-2].lstrip("+"), DAYS.get(text[-2:], "")
    return f"the {ORDER[number]} {name}" if name and number in ORDER else name


ORDER = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth", "-1": "last"}
UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year", "HOURLY": "hour"}
DAYS = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
WEEKDAYS = list(DAYS.values())[:5]


# Captions and transcripts


def read_captions(data: bytes) -> str:
    import webvtt

    text = decode(data).lstrip("\ufeff \t\r\n").replace("\r\n", "\n").replace("\r", "\n")
    kind = "vtt" if text[:6].upper() == "WEBVTT" else "srt"
    if kind == "vtt":  # some write its times as those of an srt
        text = re.sub(r"(?m)^.{0,20}-->.{0,20}", lambda times: times[0].replace(",", "."), text)
    try:
        captions = webvtt.from_buffer(io.StringIO(text), format=kind).captions
    except webvtt.errors.MalformedFileError:
        return text  # tidying takes its time codes off
    return "\n".join(spoken(said_by(caption.identifier or "", caption.raw_text) for caption in captions))


def said_by(identifier: str, text: str) -> str:
    """Return a caption with its speaker in it, whom Webex puts into the caption's name."""
    webex = re.fullmatch(r'\d+ "([^"]*)" \(\d+\)', identifier)
    return f"<v {webex[1]}>{text}" if webex else text


def spoken(captions: Iterable[str]) -> Iterator[str]:
    """Return who says what: one paragraph until another one speaks, or until it is long enough to read."""
    speaker, paragraph, last = "", "", ""
    for voice, line in voices(captions):
        if not voice and line == last:  # captions that roll up show each line twice
            continue
        if last and voice in ("", speaker) and line.startswith(f"{last} "):  # live ones grow word by word
            paragraph = paragraph.removesuffix(last)
        last = line
        turn = not voice and line.startswith(("-", "–", "—", ">>"))
        other = turn and line.startswith(">>")  # somebody else, whose name is not known
        ends = len(paragraph) > 400 and paragraph.endswith((".", "?", "!", "…", "。"))
        if paragraph and ((voice and voice != speaker) or other or ((ends or turn) and not speaker)):
            yield f"{speaker}: {paragraph}" if speaker else paragraph
            paragraph = ""
        speaker = "" if other else voice or speaker
        paragraph = f"{paragraph} {line}".strip()
    if paragraph:
        yield f"{speaker}: {paragraph}" if speaker else paragraph


def voices(captions: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return each line with its speaker: by WebVTT's `<v Dana Lee>`, by a name and a colon or on a line of its own."""
    cues = [cue for caption in captions if (cue := list(lines_of(caption)))]
    often = Counter(named(line)[0] for cue in cues for voice, line in cue if not voice)
    everywhere = len(cues) > 2 and all(not cue[0][0] and PREFIX.match(cue[0][1]) for cue in cues)
    above = names_above(cues)
    for cue in cues:
        name = above.get(cue[0][1], "") if len(cue) > 1 else ""
        for at, (voice, line) in enumerate(cue[1:] if name else cue):
            found, rest = ("", line) if voice else named(line)
            if everywhere and not at and (prefix := PREFIX.match(line)):
                name, rest = unbracketed(prefix[1]), prefix[2]
            elif found and (often[found] > 1 or sounds_like_a_name(found)):
                name = found
            else:
                rest = line
            if rest:
                yield voice or name, rest


def names_above(cues: list[list[tuple[str, str]]]) -> dict[str, str]:
    """Return the first lines that are names: they stand above several captions, or all captions have such a line."""
    tops = [
        cue[0][1]
        for last, cue in pairwise([[], *cues])
        # What rolls up stands at the end of the caption before.
        if len(cue) > 1 and not cue[0][0] and cue[0] not in last[-1:] and TOP.fullmatch(cue[0][1])
    ]
    often = Counter(tops)
    each = len(tops) == len(cues) and (len(often) < len(tops) or all(top[0] in "([" for top in tops))
    return {top: unbracketed(top) for top in tops if each or often[top] > 1}


def unbracketed(name: str) -> str:
    return re.sub(r"^[\[(](.*)[\])]$", r"\1", name.strip(" :：")).strip()


def lines_of(caption: str) -> Iterator[tuple[str, str]]:
    """Return a caption's lines, each with the voice that it is marked with, or none."""
    unvoiced, *pieces = VOICE.split(caption)  # text, name, text, name, text …
    known = (unescape(voice).strip() or "Unknown speaker" for voice in pieces[::2])
    for voice, said in [("", unvoiced), *zip(known, pieces[1::2], strict=True)]:
        for line in said.split("\n"):
            text = " ".join(unescape(TAG.sub("", line)).split())
            if text:
                yield voice, text


def named(line: str) -> tuple[str, str]:
    """Return what may be a speaker's name before a line, and the rest of it."""
    found = NAMED.match(line)
    return (found[1] or found[2] or found[3], found[4]) if found else ("", line)


def sounds_like_a_name(text: str) -> bool:
    """Whether it could be a name that is said once; "so about the price" is the beginning of a sentence."""
    words = [
        word for word in re.findall(r"[^\W\d_][\w'’.-]*", text.partition("(")[0]) if word not in PARTICLES
    ]
    return len(words) < 2 or not any(word.islower() for word in words)


PARTICLES = frozenset(
    re.findall(r"\w+", "von van der den de da di do dos del la le el al bin ibn und and of")
)
PREFIX = re.compile(r"(?:>>|[-–])?\s*([^:：\n]{1,60}?)(?::\s|：)\s*(\S.*)")
TOP = re.compile(r"[\[(]?([^\W\d_a-z][^:.!?,;\[\]()\n]{1,50})[\])]?:?")
VOICE = re.compile(r"<v(?:\.[^\s>]{0,80})?\s+([^<>\n]{0,200})>")
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>|</?>|<[\d:.]{5,20}>|\{\\[^}\n]{0,40}\}")
# Its words begin with capitals where it has the points of "Dr." or "J. P."; what a company adds is in brackets.
NAMED = re.compile(
    r"(?:>>|[-–])?\s*(?:((?:[^\W\d_][^:：.?!,;<>\[\]()\n]{0,39}|(?:[^\W\d_a-z][\w'’-]{0,24}\.?\s){1,5}[^\W\d_a-z][\w'’-]{0,24})"
    r"(?:\s?\([^():\n]{1,30}\))?)(?::(?=[\s\u3040-\u9fff\uac00-\ud7af]|$)|：)|[\[(]([^\W\d_a-z][^:?!;<>\[\]()\n]{0,39}[a-z])[\])]:?(?=\s\S)|[\[(]([^\W\d_][^:?!;<>\[\]()\n]{0,39})[\])]:(?=\s\S))\s*(.*)"
)


# Mails


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


def conversation(text: str, writer: str = "") -> str:
    """Return the messages of a thread, each without its head, its quotation marks and its signature.

    Of a quoted head only who wrote stays: it says whose words follow. `writer` wrote what has no head.
    """
    lines = [line.rstrip() for line in joined_off(text).split("\n")]
    messages: list[tuple[str, list[str]]] = [("", [])]
    writers = {0: writer}  # by depth: an answer between quoted lines needs its writer's name again
    depth: int | None = 0
    at = 0
    while at < len(lines):
        may = MAY_BE_HEAD.match(lines[at])
        name, length = quoted_head(lines[at : at + 12]) if may else ("", 0)
        marks = QUOTED.match(lines[at])
        deep = marks[0].count(">") if marks else 0
        bare = QUOTED.sub("", lines[at])
        if length:
            messages.append((name, []))
            depth = None  # what follows a head belongs to it, however it is marked
        elif bare.strip():
            if depth is None:
                writers[deep] = messages[-1][0]
            elif depth != deep:
                messages.append((writers.get(deep, ""), []))
            depth = deep
        if not length:
            messages[-1][1].append(bare)
        at += length or 1
    said = ((name, unsigned(one, name or writer)) for name, one in messages)
    return re.sub(
        r"\n{3,}", "\n\n", "\n\n".join(f"{name}:\n\n{text}" if name else text for name, text in said if text)
    ).strip()


def quoted_head(lines: list[str]) -> tuple[str, int]:
    """Return who wrote what follows, and how many lines say so; 0 when none of these begins a quotation."""
    quotes = any(QUOTED.match(line) and not QUOTED.match(lines[0]) for line in lines[1:3])
    lines = [QUOTED.sub("", line).strip() for line in lines]
    if RULE.fullmatch(lines[0]):
        name, length = quoted_head([*lines[1:], ""]) if len(lines) > 1 else ("", 0)
        blank = not length and len(lines) > 2 and not lines[1]
        if blank:
            name, length = quoted_head([*lines[2:], ""])
        certain = WORDS_OF_RULE.search(lines[0])
        return (name, length + 1 + blank) if length else ("", 1 if certain else 0)
    for length in (1, 2, 3):
        wrote = WROTE.fullmatch(" ".join(lines[:length]))
        if wrote and wrote[0]:
            return name_after_date(wrote["after"] or wrote["before"] or wrote[0][:-1]), length
    if WROTE_ANYHOW.fullmatch(lines[0]) or (quotes and DATED.fullmatch(lines[0])):
        return name_after_date(lines[0][:-1]), 1
    length = next((n for n, line in enumerate(lines) if not HEAD_LINE.match(line)), len(lines))
    written = [line for line in lines[:length] if HEAD_FROM.match(line)]
    return (name_in(HEAD_FROM.sub("", written[0])), length) if written and length > 2 else ("", 0)


def name_in(text: str) -> str:
    """Return the name before an address, or the address."""
    name = re.sub(r"\s*[\[(<].*$", "", text).strip("*'\" ")
    return name or text.strip("*'\"<>[]() ")


def name_after_date(text: str) -> str:
    """Return the name in `Mon, 2 March 2026 at 9:15 AM Dana Lee <dana@example.com>`."""
    return name_in(
        re.sub(
            r"(?i)^.*\d{1,2}[:.h]\d{2}(?:\s?[AP]M)?\W*(?:Uhr|schrieb)?[^\w<]*", "", text.rpartition(",")[2]
        )
    )


QUOTED = re.compile(r"^(?:[ \t]?>)+[ \t]?")
MAY_BE_HEAD = re.compile(
    r"(?i).{0,400}[:\uff1a]\s*$|[> \t]*(?:[-_=]{3}|begin forwarded|anfang der|\d{4}[年/-]|(?:on|am|le|el|il|op|em|den)\s"
    r"|\*?(?:from|von|de|da|van|från|差出人|发件人|sent|date|subject|gesendet|datum|betreff|objet|asunto|oggetto)\s?[:\uff1a])"
)
RULE = re.compile(
    r"[-_=\s]{3,}(?:[^\n]{4,60}?[-_=\s]{3,})?|Begin forwarded message:|Anfang der weitergeleiteten .*:"
)
WORDS_OF_RULE = re.compile(r"(?i)message|nachricht|mail|mensaje|forwarded|weitergeleitet")
WROTE = re.compile(
    r"(?:On|Am|Le|El|Il|Op|Em|Den)\s(?P<before>.{6,240}?)\s?"
    r"(?:wrote|schrieb(?P<after>[^:]{0,120}(?:<[^>]*>)?)|a écrit|escribió|ha scritto|schreef.{0,120}|escreveu|skrev.{0,120})"
    r"\s?:|(?:\d{4}年|\d{4}-\d\d-\d\d|\d{4}/\d\d?/\d\d?).{3,120}<[^>]+>\s?[:\uff1a]"
)
# In other languages: a date with a time and an address, or such a line right above a quotation.
WROTE_ANYHOW = re.compile(r".{3,160}\d{1,2}[:.h]\d{2}\b.{0,120}<[^<>\s]+@[^<>\s]+>.{0,40}[:\uff1a]")
DATED = re.compile(r".{0,80}\d{1,2}[:.h]\d{2}\b.{2,120}[:\uff1a]")
HEAD_FROM = re.compile(r"(?i)\*?(?:From|Von|De|Da|Van|Från|差出人|发件人)\s?[:\uff1a]\*?\s*(?=\S)")
HEAD_LINE = re.compile(
    r"(?i)\*?(?:From|Sent|Date|To|Från|Skickat|Till|Ämne|差出人|发件人|Cc|Bcc|Subject|Reply-To|Importance|Von|Gesendet|Datum|An|Betreff|De|Envoyé"
    r"|Date|À|Objet|Enviado(?: el)?|Fecha|Para|Asunto|Da|Inviato|Data|A|Oggetto|Van|Verzonden|Aan|Onderwerp"
    r"|送信日時|宛先|件名|日時|发送时间|收件人|抄送|主题)\s?(?::\*?(?:\s|$)|\uff1a)"
)


def unsigned(message: list[str], writer: str) -> str:
    """Return a message without its signature, the device's advertisement and the legal notice."""
    lines = [line for line in message if not DEVICE.match(line.strip())]
    lines = lines[: next((n for n, line in enumerate(lines) if SIGNATURE.fullmatch(line)), len(lines))]
    lines = lines[: next((n for n, line in enumerate(lines) if n and NOTICE.match(line)), len(lines))]
    lines = lines[
        : next((n for n, line in enumerate(lines) if n and is_card(line, lines[n + 1 :])), len(lines))
    ]
    for at in (n for n, line in enumerate(lines) if n and CLOSING.fullmatch(line.strip())):
        rest = [one.strip() for one in lines[at + 1 : at + 40] if one.strip()]
        short = len(rest) <= 12 and all(len(one) <= 90 and not LISTED.match(one) for one in rest)
        if short and len(lines) <= at + 40:
            lines = lines[:at]
            break
    lines = lines[: next((n for n in range(2, len(lines)) if signs_off(lines, n, writer)), len(lines))]
    return "\n".join(lines).strip()


def is_card(line: str, below: list[str]) -> bool:
    """Whether a line of signs parts a text from the writer's name, company and numbers, as in Japan."""
    rest = [one for one in below if one.strip() and not CARD.fullmatch(one)]
    short = 0 < len(rest) <= 12 and all(len(one) <= 60 for one in rest)
    return bool(CARD.fullmatch(line)) and short and any(CONTACT.search(one) for one in rest)


CARD = re.compile(r"[-=*_━─—＿◇◆☆★+~]{6,}\s*")
CONTACT = re.compile(r"(?i)\b(?:tel|fax|mobile|www|https?)\b|[\w.]@[\w.]|\d{2,4}-\d{2,4}-\d{4}|〒|\+\d{2}")


def signs_off(lines: list[str], at: int, writer: str) -> bool:
    """Whether only the writer's name and a few short lines about them are left, below a blank one."""
    if lines[at - 1].strip() or len(lines) - at > 12:
        return False
    name = re.findall(r"[^\W\d_]+", lines[at])
    theirs = {word.casefold() for word in re.findall(r"[^\W\d_]{2,}", writer)}
    named = (
        0 < len(name) <= 6
        and all(not word[0].islower() for word in name)
        and not lines[at].endswith((":", "?"))
    )
    known = any(word.casefold() in theirs for word in name[:3])
    return named and known and all(len(line) <= 90 and not LISTED.match(line.strip()) for line in lines[at:])


SIGNATURE = re.compile(r"--[ \u00a0]?|—\s?|_{2,4}")
LISTED = re.compile(r"(?:\d{1,2}[.)]|[-*•–·])\s")
DEVICE = re.compile(
    r"(?i)(?:sent|gesendet|envoyé|enviado|inviato|verzonden|skickat) (?:from|von|de|depuis|desde|da|vanaf|från)\b"
    r".{1,60}$|(?:sent|gesendet|envoyé) (?:via|with|using|mit|über|avec) .{1,40}$|.{0,25}outlook (?:for|für|pour) (?:ios|android)|get outlook for|von mein\w+ \S+ gesendet"
    r"|caution: this e?-?mail originated|\[external\]|you don't often get e?-?mail from"
)
NOTICE = re.compile(
    r"(?i)\W*(?:confidentiality notice|disclaimer|legal notice|the information (?:contained )?in this|this (?:e-?mail|message|communication)"
    r"(?: and any\b.{0,60})? (?:is|are|may|contains?)\b.{0,80}(?:confidential|privileged|intended)"
    r"|diese (?:e-?mail|nachricht)\b.{0,60}(?:vertraulich|enthält)|ce (?:message|courriel)\b.{0,80}confidentiel"
    r"|registered (?:office|in)\b|please consider the environment|unsubscribe\W*$"
    r"|you (?:are )?receiv(?:e|ed|ing) this (?:e-?mail|message|newsletter|notification|because)\b"
    r"|(?:sitz der gesellschaft|(?:register|amts)gericht|handelsregister)\b.{0,3}:)"
)
CLOSING = re.compile(
    r"(?i)(?:(?:with |my )?(?:very )?(?:best|kind|kindest|warm|warmest)(?: (?:regards|wishes))?|regards|cheers"
    r"|(?:many |best )?thanks(?: again| in advance)?|thank you|thx|sincerely(?: yours)?|yours (?:sincerely|faithfully|truly)"
    r"|all the best|br|mit (?:freundlichen|besten|herzlichen|vielen|lieben) gr(?:ü|ue)(?:ß|ss)en(?: (?:aus|nach) .{2,30})?"
    r"|(?:(?:viele|beste|liebe|lieber|herzliche|freundliche) )?gr(?:uß|üße|uss|uesse)(?: (?:aus|nach) .{2,30})?|mfg|vg|lg"
    r"|(?:bien |très )?cordialement|bien à vous|(?:sincères|meilleures|cordiales) salutations|bonne (?:journée|soirée)"
    r"|(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|(?:cordiali|distinti|un caro) salut[io]|saluti"
    r"|(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|groeten|mvg|(?:med )?vänliga hälsningar|hälsningar"
    r"|(?:med )?(?:venlig|vennlig) hilsen|mvh|(?:ystävällisin )?terveisin|pozdrawiam(?: serdecznie)?|z poważaniem"
    r"|s pozdravem|üdvözlettel|cu stimă|saygılarım(?:ız)?la|iyi çalışmalar|с уважением|с наилучшими пожеланиями|з повагою"
    r"|με εκτίμηση|בברכה|مع (?:أطيب )?التحي(?:ة|ات)|此致|敬礼|祝好|atenciosamente|cumprimentos)[,.!、，。]?"
)


# Pages

BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article blockquote dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre section table tr ul",
    )
)
PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "hr"})
BREAK, ROW = "\x1e", "\x1d"  # where a block or a row begins or ends: one line's end, however many meet
UNSEEN = frozenset({"head", "script", "style", "title", "template", "noscript", "object", "svg"})
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
SIGNATURES = re.compile(
    r"(?i)\b(?:gmail_signature\w*|moz-signature|AppleMailSignature|ms-outlook-mobile-signature)\b"
)
HIDDEN = re.compile(r"(?i)display\s*:\s*none|mso-hide\s*:\s*all")
HTML = re.compile(r"(?i)</?(?:html|body|p|br|div|span|b|i|u|a|ul|ol|li|table)\b[^>]{0,500}>")


class PageText(HTMLParser):
    """A page as it is read, without what nobody sees and without the signature that its program marks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.unseen = ""  # the tag that hides what is in it
        self.deep = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.unseen:
            self.deep += tag == self.unseen
            return
        said = {name: value or "" for name, value in attrs}
        marks = f"{said.get('class', '')} {said.get('id', '')}"
        signed = SIGNATURES.search(marks) or said.get("id") == "Signature"
        if tag not in VOID and (tag in UNSEEN or signed or HIDDEN.search(said.get("style", ""))):
            self.unseen, self.deep = tag, 1
        elif tag == "br":
            self.pieces.append("\n")
        elif tag in BLOCKS:
            self.pieces.append(self.ends(tag, said) + ("- " if tag == "li" else ""))
        elif tag in ("td", "th"):
            self.pieces.append("\t")

    def handle_endtag(self, tag: str) -> None:
        if self.unseen:
            self.deep -= tag == self.unseen
            self.unseen = self.unseen if self.deep else ""
        elif tag in BLOCKS:
            self.pieces.append(BREAK if tag == "p" else self.ends(tag, {}))

    def ends(self, tag: str, said: dict[str, str]) -> str:
        """Return what stands between two blocks. Word's paragraphs have no space between them."""
        if tag == "tr":
            return ROW
        apart = tag in PARAGRAPHS and not said.get("class", "").startswith("Mso")
        return f"{BREAK}\n{BREAK}" if apart else BREAK

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.pieces.append(re.sub(r"[ \t\r\n\f\x1d\x1e]+", " ", data))


def from_html(text: str) -> str:
    page = PageText()
    with suppress(AssertionError):  # of marked sections that Python does not know
        page.feed(re.sub(r"<!\[[^<>]{0,200}>", "", text))
        page.close()
    # A cell's own blocks make no lines around it; then what stands between two lines is one end.
    cells = "\t".join(cell.strip(f"{BREAK} \n\u00a0") for cell in "".join(page.pieces).split("\t"))
    lines = re.sub(rf"(?:\n ?)?[{BREAK}{ROW}][{BREAK}{ROW}\t ]*", "\n", cells).split("\n")
    rows = "\n".join(re.sub("[ \u00a0]+", " ", line).strip().replace("\t", " | ") for line in lines)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(?m)^- *\n+", "- ", rows)).strip()


# Documents

OPEN = b"http://schemas.openxmlformats.org/"
STRICT = b"http://purl.oclc.org/ooxml/"
TYPE = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
# What python-docx knows by one name only: strict documents, those with macros, templates.
NAMES = {
    STRICT + b"wordprocessingml/main": OPEN + b"wordprocessingml/2006/main",
    STRICT + b"officeDocument/relationships": OPEN + b"officeDocument/2006/relationships",
    STRICT + b"officeDocument/math": OPEN + b"officeDocument/2006/math",
    b"application/vnd.ms-word.document.macroEnabled.main+xml": TYPE,
    b"application/vnd.ms-word.template.macroEnabledTemplate.main+xml": TYPE,
    TYPE.replace(b".document.main", b".template.main"): TYPE,
}
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
GONE = frozenset(
    {f"{WORD}del", f"{WORD}moveFrom", f"{WORD}rt", FALLBACK}
)  # the last but one says how it is read
TEXTS = frozenset({f"{WORD}t", "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"})
SIGNS = {
    f"{WORD}tab": "\t",
    f"{WORD}br": "\n",
    f"{WORD}cr": "\n",
    f"{WORD}noBreakHyphen": "-",
    f"{WORD}ptab": "\t",
    f"{WORD}sym": " ",
}


def read_docx(data: bytes) -> str:
    import docx

    document = docx.Document(io.BytesIO(usual(data)))
    for kind in ("footnote", "endnote"):
        put_in_notes(document, kind)
    return "\n".join(blocks(document.element.body))


def put_in_notes(document: Any, kind: str) -> None:  # noqa: ANN401  # python-docx's, which knows no notes
    """Put each note into its reference, in brackets: there it says what it is about."""
    from docx.oxml import OxmlElement, parse_xml

    parts = [
        relation.target_part
        for relation in document.part.rels.values()
        if relation.reltype.endswith(f"/{kind}s")
    ]
    notes = {note.get(f"{WORD}id"): note for part in parts for note in parse_xml(part.blob)}
    for reference in document.element.body.iter(f"{WORD}{kind}Reference"):
        note = " ".join(" ".join(blocks(notes.get(reference.get(f"{WORD}id"), ()))).split())
        reference.append(text := OxmlElement("w:t"))
        text.text = f" [{note}]" if note else ""


def usual(data: bytes) -> bytes:
    """Return a docx in the names that python-docx knows."""
    old = zipfile.ZipFile(io.BytesIO(data))
    names = old.read("_rels/.rels") + old.read("[Content_Types].xml")
    if not any(name in names for name in NAMES):
        return data
    with zipfile.ZipFile(made := io.BytesIO(), "w") as new:
        for entry in old.infolist():
            part = old.read(entry)
            for other, known in NAMES.items():
                part = part.replace(other, known)
            new.writestr(entry.filename, part)
    return made.getvalue()


def blocks(parent: Any) -> Iterator[str]:  # noqa: ANN401  # lxml's
    """Return paragraphs and tables in their order, what stands in content controls included."""
    begun = ""  # of a paragraph whose end was deleted under tracking: the next one goes on with it
    for child in parent:
        if child.tag == f"{WORD}p":
            text = begun + words(child)
            begun = text if child.find(f"{WORD}pPr/{WORD}rPr/{WORD}del") is not None else ""
            if not begun and not CONTENTS.match(style_of(child)):
                yield f"- {text.strip()}" if is_listed(child) and text.strip() else text.strip()
        elif child.tag == f"{WORD}tbl":
            yield from ("", *map(row_text, inside(child, f"{WORD}tr")), "")
        elif child.tag not in GONE and not is_filling(child):
            yield from blocks(child)
    if begun:
        yield begun.strip()


def style_of(paragraph: Any) -> str:  # noqa: ANN401
    style = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
    return "" if style is None else style.get(f"{WORD}val", "")


def is_listed(paragraph: Any) -> bool:  # noqa: ANN401
    """Whether it has a bullet or a number; a heading's number is none of a list."""
    style, number = style_of(paragraph), paragraph.find(f"{WORD}pPr/{WORD}numPr")
    none = number is not None and any(one.get(f"{WORD}val") == "0" for one in number.iter(f"{WORD}numId"))
    if none or re.match("(?i)heading|berschrift|titre", style):
        return False
    return number is not None or bool(re.match("List(?!Paragraph)", style))


CONTENTS = re.compile(
    r"(?i)(?:toc|verzeichnis|tm|tdc|sommario)\d$"
)  # the style of a line in a table of contents


def row_text(row: Any) -> str:  # noqa: ANN401
    cells = (" ".join(" ".join(blocks(cell)).split()) for cell in inside(row, f"{WORD}tc"))
    return " | ".join(filter(None, cells))


def inside(parent: Any, tag: str) -> Iterator[Any]:  # noqa: ANN401
    """Return the rows of a table or the cells of a row, those in content controls too, no inner table's."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag not in GONE:
            yield from inside(child, tag)


def words(element: Any) -> str:  # noqa: ANN401
    """Return what a paragraph says now: what was deleted or moved away under tracking is gone."""
    said = []
    for child in element:
        if child.tag in TEXTS:
            said.append(child.text or "")
        elif child.tag in SIGNS:
            said.append(SIGNS[child.tag])
        elif child.tag == f"{WORD}txbxContent":
            said.append("\n".join(["", *blocks(child), ""]))
        elif child.tag not in GONE and not is_filling(child) and not is_hidden(child):
            said.append(words(child))
    return "".join(said)


def is_hidden(run: Any) -> bool:  # noqa: ANN401
    mark = run.find(f"{WORD}rPr/{WORD}vanish")
    return mark is not None and mark.get(f"{WORD}val", "on") not in ("0", "false", "off")


def is_filling(control: Any) -> bool:  # noqa: ANN401
    """Whether a content control holds Word's own words: "Click here to enter text", or the table of contents."""
    gallery = control.find(f"{WORD}sdtPr/{WORD}docPartObj/{WORD}docPartGallery")
    contents = gallery is not None and gallery.get(f"{WORD}val") == "Table of Contents"
    return contents or control.find(f"{WORD}sdtPr/{WORD}showingPlcHdr") is not None


def read_pdf(data: bytes) -> str:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("encrypted")
    pages = [[line.strip() for line in spelt(page_text(page)).strip().split("\n")] for page in reader.pages]
    text = HYPHEN.sub(whole_word, BULLET.sub("- ", "\n\n".join(without_edges(pages))))
    filled = (f"{name}: {value}" for name, value in filled_in(reader))
    return "\n\n".join(filter(None, (text, "\n".join(filled))))


def page_text(page: Any) -> str:  # noqa: ANN401  # pypdf's
    """Return what a page says. pypdf ends a line after each piece; those that stand in one row are one line."""
    name_encodings(page)
    pieces: list[str] = []
    row: tuple[float, float, float] | None = (
        None  # where the last piece, if it is one line, begins, ends and stands
    )

    def take(text: str, cm: list[float], tm: list[float], _font: object, size: float) -> None:
        nonlocal row
        if not text.strip("\n"):
            pieces.append(text)
            return
        x, y = cm[0] * tm[4] + cm[2] * tm[5] + cm[4], cm[1] * tm[4] + cm[3] * tm[5] + cm[5]
        high = abs(size * tm[3] * cm[3])
        turned = any(abs(one) > 0.01 for one in (tm[1], tm[2], cm[1], cm[2]))
        if row and not turned and abs(y - row[2]) < high / 4 and x > row[0]:
            while pieces and not pieces[-1].strip("\n"):
                pieces.pop()
            pieces[-1] = pieces[-1].rstrip("\n")
            gap, counted = x - row[1], MARKER.fullmatch(pieces[-1].strip())
            pieces.append("" if gap < high / 2 else " | " if gap > high and not counted else " ")
        pieces.append(text)
        one_line = text.endswith("\n") and "\n" not in text.strip("\n")
        row = (x, x + len(text.strip()) * high / 2, y) if one_line and not turned else None

    page.extract_text(visitor_text=take)
    return ALONE.sub(lambda dot: f"{dot[1]} " if dot[2] else "", "".join(pieces))


DOTS = "•◦▪●○‣"
MARKER = re.compile(rf"\d{{1,2}}[.)]?|[a-z][.)]|[{DOTS}–-]")
ALONE = re.compile(
    rf"(?m)^[ \t]*([{DOTS}])[ \t]*$(?:\n|\Z)(?=([^{DOTS}\s])?)"
)  # a bullet; WeasyPrint's are last on a page


def name_encodings(page: Any) -> None:  # noqa: ANN401
    """Name the encoding of fonts that bring it along, which pypdf takes for one of single bytes: WeasyPrint's."""
    from pypdf.generic import NameObject, StreamObject

    resources = page["/Resources"] if "/Resources" in page else None  # noqa: SIM401  # `get` follows no reference
    fonts = resources["/Font"] if isinstance(resources, dict) and "/Font" in resources else None
    for font in (fonts[name] for name in fonts) if isinstance(fonts, dict) else ():
        known = (
            isinstance(font, dict)
            and {"/Encoding", "/ToUnicode"} <= font.keys()
            and font.get("/Subtype") == "/Type0"
        )
        if known and isinstance(font["/Encoding"], StreamObject):
            font[NameObject("/Encoding")] = NameObject("/Identity-H")


def filled_in(reader: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Return what was typed into a form, chosen, or ticked."""
    for name, field in (reader.get_fields() or {}).items():
        value = field.get("/V", "")
        if field.get("/FT") == "/Btn":
            value = "yes" if value not in ("", "/Off") else ""
        if field.get("/FT") in ("/Tx", "/Ch", "/Btn") and value:
            yield name, str(value)


def whole_word(parted: re.Match[str]) -> str:
    """Return what parts a word at a line's end: nothing, or the hyphen, which is its own where it has others."""
    before = parted.string[max(parted.start() - 40, 0) : parted.start()]
    return "-" if re.search(r"-[^\s-]+$", before) else ""


def spelt(text: str) -> str:
    """Return a text letter by letter, where a font has one sign for two."""
    text = LIGATURES.sub(lambda one: unicodedata.normalize("NFKC", one[0]), text)
    return text.translate({0xF001: "fi", 0xF002: "fl"})  # Liberation's


LIGATURES = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]")  # and the shapes of Arabic letters
BULLET = re.compile(r"(?m)^[\ue000-\uf8ff][ \t]+")  # of the fonts Symbol and Wingdings
HYPHEN = re.compile(r"(?<=[^\W\d_]{2}) ?[-\u2010\u00ad]\n(?!(?:und|oder|bzw|and|or|et|ou)\b)(?=[^\W\d_A-Z])")
EDGE = re.compile(  # a page's number, and what browsers print around a page
    r"(?i)(?:page|seite|página|pagina)\s*\d{1,4}(?:\s*(?:/|of|von|de|sur|di|van)\s*\d{1,4})?|[-–]\s*\d{1,4}\s*[-–]"
    r"|(?:https?|file)://\S+ \d+/\d+|\d{1,2}[./]\d{1,2}[./]\d{2,4}, \d{1,2}:\d{2}(?:\s[AP]M)?.{0,80}"
)


def without_edges(pages: list[list[str]]) -> Iterator[str]:
    """Leave out what is no text at a page's top and end: its number, and what stands there on most pages."""
    tops, ends = (
        Counter(line for page in pages for line in set(page[part])) for part in (slice(2), slice(-2, None))
    )
    for number, page in enumerate(pages, 1):
        lines = page[:]
        for at, often in ((0, tops), (0, tops), (-1, ends), (-1, ends)):
            repeated = lines and len(pages) > 1 and often[lines[at]] > len(pages) / 2
            counted = (str(number), f"{number}/{len(pages)}")
            if lines and (repeated or lines[at].replace(" ", "") in counted or EDGE.fullmatch(lines[at])):
                del lines[at]
        yield "\n".join(lines)


# Tidying: what only a meeting's machinery needs goes off

ADDRESS = re.compile(r"<?\[?(?:https?://|tel:|sips?:|www\.)[^\s<>\]]+\]?>?", re.IGNORECASE)
MEETING_HOSTS = re.compile(
    r"(?i)teams\.(?:microsoft|live)\.com|dialin\.|aka\.ms/|\bzoom(?:gov)?\.(?:us|com)|meet\.google\.com|tel\.meet"
    r"|webex\.com|goto(?:meeting|meet)?\.(?:com|me)|meet\.jit\.si|whereby\.com|chime\.aws|facetime\.apple\.com"
    r"|join\.skype\.com|meet\.lync\.com|bluejeans\.com|ringcentral\.com|8x8\.vc|dialpad\.com/|telemost\.yandex|meeting\.tencent\.com|voovmeeting\.com|vc\.(?:feishu\.cn|larksuite\.com)|calendly\.com/(?:events|cancellations|reschedulings)|support\.google\.com/a/users|^<?\[?(?:tel|sips?):"
)
VALUE = (
    r"(?:\ ?\([^)]{0,40}\))?[\W\d]{0,60}\S{0,40}"  # a number or one word: what is longer is said to people
)
THINGS = (
    r"\b(?:meeting|zoom|teams|webex|meet|call|conversation|link|phone|computer|app|device|web|browser|system|sip|h\.?323|audio|instructions|pc|lync|skype"
    r"|réunion|ordinateur|téléphone|vidéo|appel|navigateur|reunión|equipo|teléfono|llamada|besprechung)\b"
)
MACHINERY = re.compile(
    rf"""(?ix)[\W_]*(?:
    microsoft\ teams(?:\ meeting|-besprechung)?(?:\ need\ help\?)? | réunion\ microsoft\ teams | need\ help\?(?:\ go\ to\b.*)? | benötigen\ sie\ hilfe\?
    | (?:join|rejoindre|únete|unirse|click\ here\ to\ join|tap\ to\ join|hier\ klicken)\W* | join\ (?:now|here)
    | (?:join|click\ here\ to\ join|tap\ to\ join|when\ it's\ time,\ join|to\ join\ the|rejoindre|únete|unirse|ingresar|hier\ klicken|klicken\ sie\ hier|cliquez\ ici|haga\ clic)\b.{{0,40}}{THINGS}.{{0,80}}
    | (?:jetzt\ )?an\ der\ besprechung\ teilnehmen
    | (?:web)?(?:meeting|webinar|conference|video|(?:phone|video)\ conference|besprechungs-|telefonkonferenz-)[ -]?(?:id|number|link|kennung)\b{VALUE}
    | meeting\ (?:chairperson\ )?(?:password|pin)\b{VALUE}(?:\ .{{0,20}}when\ dialing\b.*|\ \([^)]{{0,40}}\))? | [^:：\n]{{0,40}}(?<![a-z])id(?![a-z])[^:：\n]{{0,30}}[:：][\W\d]{{9,40}} | meeting-?id\b{VALUE} | id\ de\ (?:la\ )?réunion\b{VALUE} | vidéo\ id\b{VALUE}
    | (?:pass(?:code|word)|kennwort|kenncode|code\ secret|access\ code|zugangscode|host\ key|tenant\ key|mandantenschlüssel|pin)\ ?(?:\([^)]{{0,40}}\))?\ ?:{VALUE}
    | .{{0,160}}\bpin\b[^:\n]{{0,20}}:\ ?\d[\d\ ]{{2,20}}\# | one\ tap\ mobile.* | or\ (?:iphone|telephone)\b.{{0,20}} | otherwise,\ to\ join\ by\ phone.* | to\ view\ more\ phone\ numbers.* | dial(?:[ -]?in)?(?:\ ?\(.{{0,90}}|[\W\d]*(?:[\w.]{{0,30}}@[\w.]{{1,60}})?|\ (?:by|in|from|your|using|sip|numbers?|info|details)\b.{{0,90}}) | per\ telefon\ einwählen.*
    | or\ (?:dial|call)\b.{{0,90}} | call-in\b.{{0,60}} | call\ in\ \(.{{0,60}} | (?:find|lokale?)\ (?:a|your)?\ ?(?:local\ )?(?:number|nummer).*
    | (?:more|global|additional|international)\ (?:phone|call-in|dial-in|access)\ ?numbers?\b.* | international\ numbers.* | toll[ -]free.* | globale\ einwahlnummern.* | \(for\ supported\ devices,\ tap\b.* | joining\ from\ a\ video-conferencing\ room\b.*
    | for\ organizers.* | für\ organisatoren.* | meeting\ options.* | besprechungsoptionen.* | options\ de\ réunion.* | reset\ (?:dial-in\ )?pin.*
    | learn\ more(?:\ about\ meet\b.{{0,90}}|\ ?\|.{{0,90}})? | weitere\ infos(?:\ ?\|.*)? | alternate\ vtc\b.{{0,60}}
    | (?:you\ can\ also\ dial|view\ more\ ways\ to\ join|please\ do\ not\ edit\ this\ section|more\ joining\ options|video\ call\ link|google\ meet\ joining\ info).*
    | please\ join\ my\ meeting.* | get\ the\ app\ now.* | view\ meeting\ insights.* | (?:more\ info|org\ help|privacy\ and\ security|system\ reference)(?:\W+\w+){{0,3}}
    | composer\ le\ numéro.* | trouver\ un\ numéro.* | id\ de\ conférence\b{VALUE} | pour\ les\ organisateurs.* | vous\ avez\ besoin\ d.aide.*
    | id\.?\ de\ (?:la\ )?reunión\b{VALUE} | código\ de\ acceso\b{VALUE} | marcar\ (?:por|según|desde)\b.* | ¿?necesitas?\ ayuda.* | buscar\ un\ número.* | para\ organizadores.*
    | do\ not\ delete\ or\ change\b.* | if\ you\ are\ a\ host,\ click\b.{{0,60}} | .{{0,80}}\binvites\ you\ to\ (?:join\ )?(?:this|a)\ webex\ meeting.*
    | .{{0,80}}\bis\ inviting\ you\ to\ a\ scheduled\ zoom\ meeting.* | (?:sip|h\.?323)(?:\W+(?=\S*[\d@])\S{{1,60}})?(?:\ \([^)]{{0,40}}\))?
    | zoom(?:\ meeting)? | google\ meet | video\ call | facetime
    | location:\ this\ is\ a\b.{{0,40}}\bconference.* | you\ can\ join\ this\ meeting\ from\b.{{0,80}} | need\ to\ make\ changes\ to\ this\ event.* | (?:cancel|reschedule): | powered\ by\ calendly.*
    )[\W_]*"""
)
DIALLED = re.compile(
    r"(?=.{0,80}[+#]|\D{0,40}(?:1[ -])?(?:\d{3}[ .-]){2}\d{4}\b|\D{0,40}(?:\d{1,3}\.){3}\d|\W{0,9}(?:\d{6,20}@|(?:tel|phone|mobile)\b))(?i:[\W_]*(?:(?:tel|phone|mobile|telefon)\b\W*|[^\W\d][\w .()'-]{0,40}:\s*(?=\+|1[ -]\(?\d{3}))?(?:\([A-Z]{2}\)\s*)?\+?\d[\d\s().,/*#+-]{6,}\D{0,60}(?:#.*)?)"
)
FAR = 40  # lines after a link for joining; no invitation is longer
FRAME = re.compile(r"(?:>\s?)*(?:_{60,}|-::~[:~]{20,}-?|[~:\-]{30,})")
RULES = re.compile(r"[-_~=*:.…─━—\s]{3,}")
# What these programs say in whatever language: by where it stands, and by the words that no sentence does without.
CODE_WORDS = (
    "pass(?:code|wor[dt])|contraseña|código|senha|mot de passe|code (?:secret|d'accès)|codice|kenncode|zugriffscode"
    "|wachtwoord|toegangscode|hasło|kod dostępu|heslo|jelszó|parola|şifre|lösenord|adgangskode|passord|salasana"
    "|пароль|код доступа|パスコード|パスワード|密码|密碼|암호|비밀번호|סיסמה|رمز المرور|kennnummer|会议号|會議號|회의 ?번호"
)
MEETING_WORDS = (
    r"zoom|webex|\bteams\b|google meet|meeting|réunion|reuni[óã]o?n?\b|riunione|besprechung|vergadering|spotkani|schůzk"
    "|möte|møte|kokou|встреч|конференци|ミーティング|会議|会议|會議|회의|toplantı|פגישה|اجتماع"
)
JOIN_WORDS = (
    r"\bjoin|unir|únete|ingres|entrar|partecip|deelnem|beitret|teilnehm|rejoind|particip|dołącz|připoj|anslut|delta\b|deltag"
    "|bli med|liity|присоедин|войти|参加|加入|참가|참여|katıl|הצטרף|انضم"
)
INVITE_WORDS = "invit|lädt|convid|nodigt|zapras|приглаша|招待|邀请|邀請|초대|davet"
PLANNED = "schedul|program|agend|geplan|planif|pianific|zaplan|запланир|安排|予約|予定|예약|planlan"
JOINING_CODE = re.compile(
    rf"(?i)[^:：\n]{{0,50}}(?:{CODE_WORDS})(?!\w*\s(?:for|to|für|pour|para|per|voor)\b)[^:：\n]{{0,30}}[:：]\s?(?:[\W\d]{{4,40}}|(?=\S*\d)\S{{3,40}}|(?=[a-z]*[A-Z])\w{{3,20}})"
)
CALLED_IN = re.compile(r".{0,80}\+\d[\d ()-]{6,24}\D{2,40}[:：]\s?\d[\d ]{2,20}#.{0,5}")
INVITED = re.compile(
    rf"(?i)(?=.*(?<![a-z])(?:zoom|webex|teams))(?=.*(?:{INVITE_WORDS}))(?=.*(?:{PLANNED})).{{10,160}}"
    r"|.{0,60}\bwebex\b.{0,40}\b(?:here|hier bei|aquí|ici|qui)\W*|-{2,}\s.{5,90}\s-{2,}"
)
RECORDED = re.compile(
    r"(?i).{0,60}:.{0,80}\bwebex\b.{0,200}(?:\brecord|aufge?zeichn|enregistr|\bgraba|registra|gravad|録音|录制).*"
)


def joined_off(text: str) -> str:
    """Return the text without the links, codes and numbers that one joins a meeting by.

    The lines about them go only near such a link or sentence: elsewhere they may be the matter.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if not any(is_joining(line) for line in lines):
        return text
    lines = list(without_blocks(lines))
    marks = [at for at, line in enumerate(lines) if is_joining(line)]
    rests = [ADDRESS.sub(lambda link: "" if is_joining(link[0]) else link[0], line) for line in lines]
    gone, last = [False] * len(lines), -FAR
    for at, line in enumerate(lines):
        while marks and marks[0] <= at:
            last = marks.pop(0)
        ahead = marks[0] - at if marks else FAR
        invited = ahead <= 8 and INVITED.fullmatch(QUOTED.sub("", line))
        known = is_machinery(line, rests[at], after=at - last < FAR, before=ahead <= 4)
        gone[at] = bool(line.strip()) and bool(known or invited)
    for at in reversed(range(len(lines) - 1)):
        gone[at] = gone[at] or is_caption(lines, rests, gone, at)
    return "\n".join(rest for rest, off in zip(rests, gone, strict=True) if not off)


def is_machinery(line: str, rest: str, *, after: bool, before: bool) -> bool:
    """Whether nothing of a line is worth keeping; `rest` is what stays without its links."""
    bare = QUOTED.sub("", rest)
    if len(bare) > LONGEST_MACHINERY:
        return False
    if rest != line and (not re.search(r"\w{3}", bare) or LABEL.fullmatch(bare)):
        return True
    near = MACHINERY.fullmatch(bare) or RULES.fullmatch(bare) or CALLED_IN.fullmatch(bare)
    below = DIALLED.fullmatch(bare) or JOINING_CODE.fullmatch(bare) or RECORDED.fullmatch(bare)
    return bool(bare.strip() and (((after or before) and near) or (after and below)))


LONGEST_MACHINERY = 1000  # code points
LABEL = re.compile(r"\W*[^.!?:：\n]{3,70}[:：(]\W*")


def is_caption(lines: list[str], rests: list[str], gone: list[bool], at: int) -> bool:
    """Whether a line only names the links, codes or numbers right below it, which go off."""
    bare, below = QUOTED.sub("", rests[at]).strip(), QUOTED.sub("", rests[at + 1]).strip()
    first = at == 0 or not QUOTED.sub("", lines[at - 1]).strip()
    if not first or not CAPTION.fullmatch(bare) or LISTED.match(bare):
        return False
    if gone[at + 1]:
        numbers = bool(below) and DIALLED.fullmatch(below)
        return bool(numbers or (MEETING.search(bare) and JOIN.search(bare)))
    following = next((n for n in range(at + 1, len(lines)) if lines[n].strip()), at)
    return bool(bare.endswith(":") and JOIN.search(bare) and gone[following])


CAPTION = re.compile(r"[^\d.!?,;\n]{4,70}")
MEETING, JOIN = re.compile(f"(?i){MEETING_WORDS}"), re.compile(f"(?i){JOIN_WORDS}")


def without_blocks(lines: list[str]) -> Iterator[str]:
    """Leave out what Teams and Meet put between two rules, in whatever language it is."""
    at = 0
    while at < len(lines):
        ends = next(
            (n for n in range(at + 1, min(at + 60, len(lines))) if FRAME.fullmatch(lines[n].strip())), 0
        )
        if FRAME.fullmatch(lines[at].strip()) and ends and any(map(is_joining, lines[at:ends])):
            at = ends
        else:
            yield lines[at]
        at += 1


def is_joining(line: str) -> bool:
    if any(MEETING_HOSTS.search(unquote(link)) for link in ADDRESS.findall(line)):
        return True
    return bool(
        re.match(
            r"(?i)\W{0,20}(?:microsoft teams meeting|(?:.{0,80}\bscheduled|join) zoom meeting|join with google meet"
            r"|.{0,80}\binvites you to (?:join )?(?:this|a) webex meeting)\b",
            line,
        )
    )


CODE = r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,3})?"
RANGE = re.compile(rf"(?m)^(?:\d+\n\s*)?[\[(]?{CODE}[\])]?\s*(?:-->|,|–|-)\s*[\[(]?{CODE}[\])]?.*$\n?")
CODES = re.compile(CODE)
BRACKETED = re.compile(rf"(?<![ \t])[ \t]*[\[(]({CODE}|\d{{1,2}}:\d{{2}})[\])](?:[ \t]*([-–:])(?=\s))?[ \t]?")
SPELT = re.compile(r"(?m)^(?:\d+ (?:hours?|minutes?|seconds?) ?){1,3}$\n?")  # copied from Teams
ADDED = re.compile(
    r"(?m)^(?:Transcribed by https?://otter\.ai/?|(?:#+ )?(?:Transcription|Meeting) ended after [\d:]{4,8}\W{0,4}"
    r"|.{1,60} (?:started|stopped) transcription"
    r"|\*?This editable transcript was computer generated\b.{0,150})$\n?"
)
NAMED_BEFORE = re.compile(rf"(?m)^\[([^\]\n]{{1,60}})\][ \t]+{CODE}[ \t]*$")
NAMED_BEHIND = re.compile(  # Gong's and Fathom's
    r"(?m)^\d{1,3}:\d{2}(?::\d{2})? (?:\| (?P<plain>[^|\n]{1,60})|- \*\*(?P<bold>[^*\n]{1,60})\*\*)$"
)
STAMP = re.compile(  # of chats: WhatsApp's and Teams'
    r"(?m)^\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? \d{1,2}:\d{2}(?::\d{2})?(?:\s[AP]M)?\]?(?: [-–])? (?=[^\W\d][^:\n]{0,60}:)"
)
AT_START = re.compile(rf"(?m)^[ \t]*{CODE}(?:[ \t]+|$\n?)(?:[-–:][ \t]+)?")
CLOCK = re.compile(
    r"(?m)^(?:#+ )?\**(?P<who>[^\W\d][^\n\t:*]{1,60}?)?\**[ \t]*\*?(?P<code>\d{1,2}:\d{2}(?::\d{2})?)\*?[ \t]*$\n?"
)


def without_code(code: re.Match[str]) -> str:
    """Return what a code in brackets leaves behind: the colon of the name before it, or what parts two words."""
    within = code.start() > 0 and code.string[code.start() - 1] != "\n"
    return "" if not within else ": " if code[2] == ":" else " "


def codes_off(text: str) -> str:
    """Return a transcript without its time codes. The times of an agenda stay: it does not begin at 0:00."""
    if len(CODES.findall(text)) > 1:
        text = AT_START.sub("", RANGE.sub("", text))
    bracketed = [code[1] for code in BRACKETED.finditer(text)]
    if len(bracketed) > 1 and (bracketed[0].count(":") > 1 or re.match(r"0?0:", bracketed[0])):
        text = BRACKETED.sub(without_code, text)
    text = NAMED_BEFORE.sub(r"\1:", ADDED.sub("", text))
    text = (
        NAMED_BEHIND.sub(lambda name: f"{name['plain'] or name['bold']}:", text)
        if len(NAMED_BEHIND.findall(text)) > 1
        else text
    )
    text = STAMP.sub("", text) if len(STAMP.findall(text)) > 1 else text
    text = SPELT.sub("", text) if len(SPELT.findall(text)) > 1 else text
    clocks = list(CLOCK.finditer(text))
    begins = next((clock.start() for clock in clocks if re.match(r"0?0:", clock["code"])), len(text))
    if sum(clock.start() >= begins for clock in clocks) > 1:
        spoken_part = CLOCK.sub(
            lambda code: f"{code['who'].strip()}:\n" if code["who"] else "", text[begins:]
        )
        text = text[:begins] + spoken_part
    return text


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
    "txt": read_plain,
    "md": read_plain,
    "eml": read_mail,
    "docx": read_docx,
    "pdf": read_pdf,
}

if __name__ == "__main__":
    main()
