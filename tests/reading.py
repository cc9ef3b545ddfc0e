"""A page as a browser and a screen reader take it, and the house rules that hold on every one of them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from webapp import ROOT
from webapp.config import Settings

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
BUTTONS = frozenset({"submit", "button", "reset", "image"})
REFERENCES = ("aria-describedby", "aria-labelledby", "aria-controls", "aria-errormessage")


@dataclass
class Element:
    """One element: its attributes, its children, and its text with everything below it."""

    tag: str
    attrs: dict[str, str]
    parent: "Element | None" = None
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text as it was sent; of a textarea, what the person gets (a parser eats one line feed)."""
        text = "".join(child if isinstance(child, str) else child.text for child in self.children)
        return text.removeprefix("\n") if self.tag == "textarea" else text

    @property
    def words(self) -> str:
        """The text as it is read out: one blank between words."""
        return " ".join(self.text.split())

    def find(self, tag: str | None = None, **attrs: str) -> list["Element"]:
        """Every element below with this tag and these attributes; `_` stands for `-`, `class_` for class."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attrs.items()}
        return [
            element
            for element in self._below()
            if tag in (None, element.tag) and wanted.items() <= element.attrs.items()
        ]

    def one(self, tag: str | None = None, **attrs: str) -> "Element":
        """The only such element."""
        found = self.find(tag, **attrs)
        assert len(found) == 1, f"{len(found)} of <{tag} {attrs}>"
        return found[0]

    def _below(self) -> list["Element"]:
        elements = [child for child in self.children if isinstance(child, Element)]
        return [found for element in elements for found in (element, *element._below())]


class Page(Element):
    """A whole document; `response` is where it came from."""

    def __init__(self, html: str, response: TestResponse | None = None) -> None:
        super().__init__("", {})
        self.html = html
        self._response = response
        parser = _Parser(self)
        parser.feed(html)
        parser.close()
        assert parser.open is self, f"<{parser.open.tag}> is never closed"

    @property
    def response(self) -> TestResponse:
        assert self._response is not None
        return self._response

    @property
    def title(self) -> str:
        return self.one("title").words

    @property
    def h1(self) -> str:
        return self.one("h1").words

    @property
    def main(self) -> Element:
        return self.one("main")

    @property
    def prompt_form(self) -> Element:
        """The one form that holds the prompt."""
        forms = [form for form in self.find("form") if form.find("textarea", name="prompt")]
        assert len(forms) == 1, f"{len(forms)} forms with a prompt"
        return forms[0]

    @property
    def prompt(self) -> str:
        """The text in the form."""
        return self.prompt_form.one("textarea", name="prompt").text

    @property
    def fields(self) -> dict[str, str]:
        """What pressing the button would send: change what you type, and post it."""
        hidden = self.prompt_form.find("input", type="hidden")
        return {element.attrs["name"]: element.attrs.get("value", "") for element in hidden} | {
            "prompt": self.prompt
        }

    def link(self, text: str) -> str:
        """Where the only link of this text leads."""
        found = [a.attrs["href"] for a in self.find("a") if a.words == text]
        assert len(found) == 1, f"{len(found)} links {text!r}"
        return found[0]


class _Parser(HTMLParser):
    def __init__(self, root: Element) -> None:
        super().__init__(convert_charrefs=True)
        self.open = root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.children.append(element)
        if tag not in VOID:
            self.open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.tag, f"</{tag}> closes <{self.open.tag}>"
        assert self.open.parent is not None
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.children.append(data)


def read(app: Flask, response: TestResponse) -> Page:
    """Parse a page of the portal; fail where it breaks a rule of the house."""
    assert response.mimetype == "text/html"
    page = Page(response.get_data(as_text=True), response)
    _check_outline(page)
    _check_names(page)
    _check_nothing_inline(page)
    _check_links(page, app)
    return page


def _check_outline(page: Page) -> None:
    assert page.html.lower().startswith("<!doctype html>")
    assert page.one("html").attrs.get("lang")
    assert page.title.rpartition(" · ")[0]
    assert page.h1
    assert page.main
    levels = [int(element.tag[1]) for element in page.find() if element.tag in ("h1", "h2", "h3", "h4")]
    steps = zip([0, *levels], levels, strict=False)
    assert all(below <= above + 1 for above, below in steps), f"a heading skips a level: {levels}"


def _check_names(page: Page) -> None:
    ids = [element.attrs["id"] for element in page.find() if "id" in element.attrs]
    assert len(ids) == len(set(ids)), f"an id stands twice: {sorted(ids)}"
    for element in page.find():
        for name in REFERENCES:
            missing = set(element.attrs.get(name, "").split()) - set(ids)
            assert not missing, f"{name} names {missing}, which is not there"
    labelled = {label.attrs["for"] for label in page.find("label") if label.words and "for" in label.attrs}
    for control in page.find("input") + page.find("textarea") + page.find("select"):
        kind = control.attrs.get("type", "text")
        named = control.attrs.get("aria-label") or control.attrs.get("aria-labelledby")
        assert kind == "hidden" or kind in BUTTONS or named or control.attrs.get("id") in labelled, (
            f"<{control.tag} name={control.attrs.get('name')}> has no label"
        )
    for element in page.find("button") + page.find("a"):
        assert element.words or element.attrs.get("aria-label"), f"<{element.tag}> says nothing"
    assert all("alt" in image.attrs for image in page.find("img"))
    for image in page.main.find("img"):  # the head's logo has its height from the style
        assert {"width", "height"} <= image.attrs.keys(), "what stands below a picture moves when it arrives"


def _check_nothing_inline(page: Page) -> None:
    assert not page.find("style")
    for script in page.find("script"):
        assert script.attrs.get("src"), "an inline script"
        assert not script.text.strip(), "an inline script"
    for element in page.find():
        handlers = {name for name in element.attrs if name.startswith("on")}
        assert not handlers, f"<{element.tag}> has {handlers}"
        assert "style" not in element.attrs, f"<{element.tag}> has a style of its own"
        assert not any(value.strip().lower().startswith("javascript:") for value in element.attrs.values())


def _check_links(page: Page, app: Flask) -> None:
    gets = [e.attrs[n] for e in page.find() for n in ("href", "src") if n in e.attrs]
    gets += [m.attrs["content"].partition("url=")[2] for m in page.find("meta", http_equiv="refresh")]
    for address in filter(None, gets):
        if address.startswith("#"):
            assert page.find(id=address[1:]), f"{address} is not on the page"
        elif not address.startswith(("https://", "http://", "mailto:")) or _is_own(address, app):
            _check_own_address(urljoin(page.response.request.path, address), app, "GET")
    for form in page.find("form"):
        method = form.attrs.get("method", "get").upper()
        assert method in ("GET", "POST")
        _check_own_address(form.attrs["action"], app, method)


def _is_own(address: str, app: Flask) -> bool:
    return f"{address}/".startswith(f"{_settings(app).public_url}/")


def _check_own_address(address: str, app: Flask, method: str) -> None:
    assert not address.startswith("//"), address
    parts = urlsplit(address)
    assert not parts.netloc or _is_own(address, app), f"{address} is elsewhere"
    base = _settings(app).base_path
    assert parts.path.startswith(f"{base}/"), f"{address} is not below {base or '/'}"
    endpoint, values = app.url_map.bind("localhost").match(parts.path.removeprefix(base), method=method)
    if endpoint == "static":
        assert (ROOT / "static" / values["filename"]).is_file(), f"{address} is not a file"


def _settings(app: Flask) -> Settings:
    settings: Settings = app.extensions["portal"].settings
    return settings
