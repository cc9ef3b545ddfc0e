"""Documents (`.docx`): what one sees in Word, as it would be if all changes were accepted."""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

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


def put_in_notes(document: Any, kind: str) -> None:  # python-docx's, which knows no notes
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


def blocks(parent: Any) -> Iterator[str]:  # lxml's
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


def style_of(paragraph: Any) -> str:
    style = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
    return "" if style is None else style.get(f"{WORD}val", "")


def is_listed(paragraph: Any) -> bool:
    """Whether it has a bullet or a number; a heading's number is none of a list."""
    style, number = style_of(paragraph), paragraph.find(f"{WORD}pPr/{WORD}numPr")
    none = number is not None and any(one.get(f"{WORD}val") == "0" for one in number.iter(f"{WORD}numId"))
    if none or re.match("(?i)heading|berschrift|titre", style):
        return False
    return number is not None or bool(re.match("List(?!Paragraph)", style))


CONTENTS = re.compile(
    r"(?i)(?:toc|verzeichnis|tm|tdc|sommario)\d$"
)  # the style of a line in a table of contents


def row_text(row: Any) -> str:
    cells = (" ".join(" ".join(blocks(cell)).split()) for cell in inside(row, f"{WORD}tc"))
    return " | ".join(filter(None, cells))


def inside(parent: Any, tag: str) -> Iterator[Any]:
    """Return the rows of a table or the cells of a row, those in content controls too, no inner table's."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag not in GONE:
            yield from inside(child, tag)


def words(element: Any) -> str:
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


def is_hidden(run: Any) -> bool:
    mark = run.find(f"{WORD}rPr/{WORD}vanish")
    return mark is not None and mark.get(f"{WORD}val", "on") not in ("0", "false", "off")


def is_filling(control: Any) -> bool:
    """Whether a content control holds Word's own words: "Click here to enter text", or the table of contents."""
    gallery = control.find(f"{WORD}sdtPr/{WORD}docPartObj/{WORD}docPartGallery")
    contents = gallery is not None and gallery.get(f"{WORD}val") == "Table of Contents"
    return contents or control.find(f"{WORD}sdtPr/{WORD}showingPlcHdr") is not None
