"""Transcripts in any file: their time codes, which go off."""

import re

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
