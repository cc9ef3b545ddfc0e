"""PDFs: pages line by line, without what stands around each, and what was filled in."""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

from . import Refused


def read_pdf(data: bytes) -> str:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("encrypted")
    pages = [[line.strip() for line in spelt(page_text(page)).strip().split("\n")] for page in reader.pages]
    text = HYPHEN.sub(whole_word, BULLET.sub("- ", "\n\n".join(without_edges(pages))))
    filled = (f"{name}: {value}" for name, value in filled_in(reader))
    return "\n\n".join(filter(None, (text, "\n".join(filled))))


def page_text(page: Any) -> str:  # pypdf's
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


def name_encodings(page: Any) -> None:
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


def filled_in(reader: Any) -> Iterator[tuple[str, str]]:
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
