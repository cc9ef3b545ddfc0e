"""Pages (HTML) as one reads them, in mails and invitations."""

import re
from contextlib import suppress
from html.parser import HTMLParser

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
