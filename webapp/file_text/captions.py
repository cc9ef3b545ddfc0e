"""Captions (`.vtt`, `.srt`): who says what."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape
from itertools import pairwise

from .encoding import decode


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
        if len(cue) > 1
        and not cue[0][0]
        and cue[0] not in last[-1:]
        and TOP.fullmatch(cue[0][1])
        and sounds_like_a_name(unbracketed(cue[0][1]))
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
