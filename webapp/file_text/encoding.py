"""Bytes as text: by a mark, by what they are said to be in, or by what reads best."""

import codecs
import re
from contextlib import suppress

from . import Refused


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
