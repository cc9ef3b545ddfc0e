"""Calendars (`.ics`): subject, time, people and agenda of each event."""

import codecs
import quopri
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

from .encoding import decode, in_charset
from .html import HTML, from_html
from .joining import joined_off

MOST_PEOPLE = 30


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


def event_text(event: Any, *, cancelled: bool) -> str:  # icalendar's
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


def one_of(value: Any) -> Any:
    """Return the first of what may stand there more than once."""
    return value[0] if isinstance(value, list) else value


def first(entry: Any, name: str) -> str:
    value = one_of(entry.get(name, ""))
    text = str(value)
    if getattr(value, "params", {}).get("ENCODING", "").upper() == "QUOTED-PRINTABLE":  # vCalendar 1.0
        text = in_charset(quopri.decodestring(text.encode()), value.params.get("CHARSET"))
    return text.strip()


def people(event: Any, name: str) -> Iterator[str]:
    found = event.get(name, [])
    for one in found if isinstance(found, list) else [found]:
        if one.params.get("CUTYPE", "").upper() not in ("ROOM", "RESOURCE"):
            yield one.params.get("CN", "").strip("'\" ") or re.sub("(?i)^mailto:", "", str(one))


def listed(names: Iterable[str]) -> str:
    every = list(dict.fromkeys(filter(None, names)))
    rest = len(every) - MOST_PEOPLE
    return ", ".join(every[:MOST_PEOPLE]) + (f" and {rest} more" if rest > 0 else "")


def when(event: Any) -> str:
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


def moment(event: Any, name: str) -> Any:  # a date or a datetime
    value = event.get(name)
    found = getattr(one_of(value), "dt", None)
    return found if isinstance(found, date) else None


def day(at: date) -> str:
    return f"{at:%A}, {at.day} {at:%B} {at.year}"


def repeats(rule: Any) -> str:
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
UNITS = {
    "DAILY": "day",
    "WEEKLY": "week",
    "MONTHLY": "month",
    "YEARLY": "year",
    "HOURLY": "hour",
    "MINUTELY": "minute",
    "SECONDLY": "second",
}
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
