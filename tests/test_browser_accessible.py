"""Every page and state held to axe: two widths, light, dark, forced colours, print, text twice the size."""

import contextlib
import functools
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple, get_args

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Visitor, a_portal, box, create, overflows, visitors
from conftest import Portal, Sandbox, free_port
from engines import launch_chromium
from not_run import not_run
from playwright.sync_api import Browser, Page, expect
from providers import HERE, PROGRAMS

from webapp.store.tables import Reason

WIDTHS = {"wide": 1280, "phone": 320}
ADMINS = {"wide": "p6901", "phone": "p6902"}
REFUSED = {"not_a_member", "not_accepted", "expired", "cancelled"}  # reasons of launches that wait no more
NOT_LET_IN = (
    "una",
    "noel",
    "otto",
    "!cancel",
    "!deny",
    "!bad-signature",
    "!token-500",
)  # the sandbox's people
CONTRAST: dict[str, object] = {"runOnly": ["color-contrast"]}
# Rules of html-validate that stay off, and why.
OFF = {
    "attribute-boolean-style": 'the browser writes its page down with hidden=""',
    "attribute-empty-style": "the same",
    "valid-autocomplete": "without autocomplete=off a reload in Firefox brings an old token back",
    "meta-refresh": "without scripts a waiting launch and a board ask again; nothing is typed there",
}
A_WIDE_LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 70"><path d="M0 0h400v70H0z"/></svg>'
MENU_IS_CUT = "[...document.querySelectorAll('header nav')].some(nav => nav.scrollWidth > nav.clientWidth)"
FOR_A_SCREEN = "nav, button:not(.ticks button), .primary, input[type=file]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def around() -> Iterator[str]:
    """The origin of a page on another site that frames what its query names."""

    class Around(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            src, _, sandbox = self.path.partition("?")[2].partition("&")
            frame = f'<iframe title=x src="{src}" width="100%" height=640 {sandbox}></iframe>'
            page = f"<!DOCTYPE html><html lang=en><title>Around</title><main><h1>Around</h1>{frame}</main>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Around)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser-accessible")


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, around: str, directory: Path) -> Iterator[Portal]:
    admins = ",".join(f"{person}@acme.example" for person in ADMINS.values())
    (logo := directory / "logo.svg").write_text(A_WIDE_LOGO, encoding="utf-8")
    settings = {
        "ADMIN_EMAILS": admins,
        "ALLOWED_EMAIL_DOMAINS": "acme.example",
        "CREATIONS_PER_PERSON_PER_HOUR": "1000",
        "FRAME_ANCESTORS": around,
        "LOGO_FILE": str(logo),
        "SUPPORT_CONTACT": "help@acme.example",
    }
    with a_portal(sandbox, directory, **settings) as portal:
        yield portal


class States:
    """Walks from state to state; `look` is called in each. `database` is the portal's."""

    def __init__(self, visitor: Visitor, around: str, database: Path, look: Callable[[str], None]) -> None:
        self.visitor, self.around, self.database, self.look = visitor, around, database, look
        self.tab = visitor.tab

    def walk(self) -> None:
        self.framed()
        self.strangers()
        self.not_let_in()
        self.writing()
        self.sharing()
        self.coming_back()
        self.refused()
        self.waiting()
        self.listed()
        self.administered()
        self.leaving()

    def framed(self) -> None:
        portal = self.visitor.portal.url
        for name, address in {
            "frame": f"{portal}/embed",
            "light frame": f"{portal}/embed?theme=light",
            "framed diagnosis": f"{portal}/embed/diagnose",
            "bound diagnosis": f"{portal}/embed/diagnose&sandbox=allow-scripts",
        }.items():
            self.tab.goto(f"{self.around}/?{address}")
            expect(self.tab.frame_locator("iframe").get_by_role("heading", level=1)).to_be_visible()
            self.look(name)

    def strangers(self) -> None:
        diagnosis = "/embed/diagnose"
        asked = (f"{diagnosis}?page={page}" for page in ("wiki.example", "https://wiki.example", self.around))
        for path in ("/signed-out", "/nowhere", diagnosis, *asked, f"{diagnosis}?tab=1"):
            self.tab.goto(path)
            self.look(path)
        with self.staying("**/sign-in*"):
            for words, path in {"Signing you in": "/", "a long text": f"/?prompt={'word ' * 100}"}.items():
                self.tab.goto(path, wait_until="commit")
                self.tab.get_by_text(words).wait_for()
                self.look(words)
            self.tab.evaluate("sessionStorage.clear()")  # or the form would have the text
            self.tab.evaluate(
                """() => {
                    const form = document.createElement("form");
                    form.method = "post";
                    form.action = "/launches";
                    form.innerHTML = "<input name=prompt value=Kept><input name=form_token value=a-token>";
                    document.body.append(form);
                    form.submit();
                }"""
            )
            self.tab.get_by_role("heading", name="Signing you in").wait_for()
            self.look("signing in, with a text")

    def not_let_in(self) -> None:
        for person in NOT_LET_IN:
            self.tab.goto("/sign-in?prompt=select_account")
            self.tab.locator(f'button[value="{person}"]').click()
            self.tab.wait_for_url(f"{self.visitor.portal.url}/**")
            self.look(f"not let in: {person}")
        self.visitor.context.clear_cookies()

    def writing(self) -> None:
        self.visitor.arrive()
        self.look("form")
        create(self.tab).click()
        self.look("form, empty")
        self.tab.get_by_role("link", name="Discovery call").click()
        expect(self.tab.locator("[data-ticks] .there")).to_have_count(4)
        self.look("form, example")
        box(self.tab).fill("Write to ana@acme.example.")
        self.tab.get_by_role("button", name="Replace").wait_for()
        self.look("form, offer")
        self.tab.goto("/?prompt=From+a+link")
        self.tab.get_by_role("button", name="Use it").wait_for()
        self.look("form, unsent text")
        box(self.tab).fill("x" * 10_001)
        create(self.tab).click()
        self.look("form, too long")
        self.tab.get_by_role("button", name="Add its text").click()
        self.tab.get_by_role("button", name="Keep the end").wait_for()
        self.look("form, to be cut")
        self.tab.get_by_role("button", name="Share this text").click()
        self.tab.wait_for_url("**/links")
        self.look("share, too long")

    def sharing(self) -> None:
        self.tab.goto("/")
        box(self.tab).fill("Dana meets [customer].")
        self.tab.get_by_role("button", name="Share this text").click()
        title = self.tab.get_by_role("textbox", name="Title")
        title.fill("x" * 300)
        self.tab.get_by_role("button", name="Share", exact=True).click()
        self.tab.get_by_text("Nothing is shared yet").wait_for()
        self.look("sharing, title too long")
        title.fill("Renewal")
        self.tab.get_by_text("Rather a long link").click()
        self.look("sharing")
        self.tab.get_by_role("button", name="Share", exact=True).click()
        self.tab.wait_for_url("**/links/*")
        page, address = self.tab.url, self.tab.locator("#address").inner_text()
        for path in (page, f"{page}/wall", address, "/s/wrongwrang"):
            self.tab.goto(path)
            self.look(path)
        self.tab.goto(f"{self.around}/?{self.visitor.portal.url}/embed?s={address[-10:]}")
        expect(self.tab.frame_locator("iframe").get_by_role("button")).to_be_visible()
        self.look("frame of a shared text")
        self.tab.goto(page)
        self.tab.get_by_text("Withdraw", exact=True).click()
        self.look("withdrawing")
        self.tab.get_by_role("button", name="Withdraw for everybody").click()
        self.tab.get_by_role("heading", name="This text is withdrawn").wait_for()
        self.look("withdrawn")
        self.tab.goto(address)
        self.look("withdrawn, for others")

    def coming_back(self) -> None:
        text = f"A talk of {self.visitor.person}."
        self.press(text)
        self.visitor.expect_studio(text)
        self.tab.go_back()
        self.tab.get_by_text("You sent this text at").wait_for()
        self.look("form, back from the studio")
        self.press(text)
        self.tab.get_by_text("You made this at").wait_for()
        self.look("form, made already")

    def refused(self) -> None:
        self.press("A talk with a buyer. [[400]]")
        self.tab.get_by_text("Exec did not accept").wait_for()
        self.look("form, refused")

    def waiting(self) -> None:
        self.press("A talk with a buyer. [[500]]")
        self.tab.get_by_role("progressbar").wait_for()
        self.look("waiting")
        key = self.tab.url.partition("/launches/")[2].partition("?")[0]
        for reason in get_args(Reason):
            state = "refused" if reason in REFUSED else "waiting"
            self.become(key, reason, state, held=reason in ("no_access", "untrusted"))
            self.look(f"{state}: {reason}")
        self.become(key, "busy", "waiting", seconds=7200)
        self.look("waiting for hours")
        self.become(key, "own_limit", "waiting", seconds=3000)
        self.look("waiting for one's own limit")
        self.tab.route("**/launches/*go=1", lambda route: route.abort())
        self.tab.evaluate("dispatchEvent(new Event('online'))")
        self.tab.get_by_text("You seem to be offline").wait_for()
        self.look("waiting, offline")
        self.tab.unroute("**/launches/*go=1")
        self.become(key, None, "ready")
        self.look("ready")

    def become(
        self, key: str, reason: str | None, state: str, *, held: bool = False, seconds: int = 300
    ) -> None:
        """Let the launch be in this state, and open its page."""
        self.tab.goto("/signed-out")  # its own page would go on meanwhile
        change = """UPDATE launches SET reason = ?, state = ?, held = ?, not_before = unixepoch() + ?,
            url = 'https://acme.app.exec.com/chat/1' WHERE id = ?"""
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            assert db.execute(change, (reason, state, held, seconds, key.replace("-", ""))).rowcount == 1
        self.tab.goto(f"/launches/{key}")
        self.tab.locator("[data-heading]").wait_for()

    def listed(self) -> None:
        for path in ("/launches", "/launches?q=nowhere", "/links", "/sign-ins"):
            self.tab.goto(path)
            self.look(path)
        self.tab.goto("/launches")
        self.tab.get_by_text("Erase", exact=True).first.click()
        self.look("erasing")
        self.tab.get_by_role("button", name="Erase for good").first.click()
        self.tab.get_by_text("Erased. Its text").wait_for()
        self.look("erased")

    def administered(self) -> None:
        self.tab.goto("/admin")
        self.tab.get_by_text("The same as a table").click()
        self.look("admin")
        self.tab.get_by_role("button", name="Check the provider").click()
        self.tab.get_by_text("Good:").first.wait_for(timeout=30_000)
        self.look("admin, checked")

    def leaving(self) -> None:
        if not self.tab.get_by_role("button", name="Sign out").is_visible():
            self.tab.locator("summary", has_text="Account").click()
            self.look("account menu")
        with self.staying(f"{self.visitor.sandbox.url}/**"):
            self.tab.get_by_role("button", name="Sign out").click()
            self.tab.get_by_role("heading", name="Signing you out").wait_for()
            self.look("signing out")

    def press(self, text: str) -> None:
        self.tab.goto("/")
        self.visitor.press(text)

    @contextlib.contextmanager
    def staying(self, address: str) -> Iterator[None]:
        """Let the page's own way on, to this address, lead nowhere: no content leaves it where it is."""
        self.tab.route(address, lambda route: route.fulfill(status=204))
        yield
        self.tab.unroute(address)


def violations(tab: Page, options: dict[str, object] | None = None) -> list[str]:
    found = Axe().run(tab, options=options)
    return [
        f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}"
        for one in found.response["violations"]
    ]


def too_wide(tab: Page) -> list[str]:
    """What does not fit into the window."""
    return ["the page"] * overflows(tab) + ["the menu"] * tab.evaluate(MENU_IS_CUT)


def at_twice_the_size(tab: Page) -> list[str]:
    """What WCAG 1.4.4 asks for, on a page of half the width."""
    size = tab.viewport_size
    tab.set_viewport_size({"width": 640, "height": 700})
    tab.evaluate("document.documentElement.style.fontSize = '200%'")
    found = too_wide(tab)
    tab.evaluate("document.documentElement.style.fontSize = ''")
    tab.set_viewport_size(size or {"width": 1280, "height": 700})
    return found


def on_paper(tab: Page) -> list[str]:
    """What is wrong when a page is printed that is dark on the screen."""
    tab.emulate_media(media="print", color_scheme="dark")
    found = violations(tab, CONTRAST)
    found += [f"printed: {one}" for one in tab.locator(FOR_A_SCREEN).locator("visible=true").all()]
    tab.emulate_media(media="null", color_scheme="light")
    return found


class Walked(NamedTuple):
    found: dict[str, list[str]]
    pages: dict[str, str]


# Whoever looked at a state before, at twice the size or with axe, leaves one behind.
NO_EMPTY_STYLE = """() => {
  const root = document.documentElement;
  if (!root.style.length) root.removeAttribute("style");
}"""


@pytest.fixture(scope="module")
def walk(
    browser: Browser, served: Portal, sandbox: Sandbox, around: str, directory: Path
) -> Callable[[str], Walked]:
    """Walks once at a width through all states: what axe finds there, and the page as the browser has it."""

    @functools.cache
    def walk(width: str) -> Walked:
        seen = Walked({}, {})
        with visitors(browser, served, sandbox) as new:
            visitor = new(viewport={"width": WIDTHS[width], "height": 700}, reduced_motion="reduce")
            visitor.person = ADMINS[width]
            tab = visitor.tab

            def look(name: str) -> None:
                page = tab.frames[-1]
                page.evaluate(NO_EMPTY_STYLE)
                seen.pages[name] = page.content()
                seen.found.update(looked_at(tab, name, width))

            States(visitor, around, directory / "portal.sqlite", look).walk()
        return seen

    return walk


def looked_at(tab: Page, name: str, width: str) -> dict[str, list[str]]:
    """What is wrong with a state, by how it was looked at."""
    tab.emulate_media(color_scheme="light")
    found = {name: violations(tab), f"{name}, to be scrolled sideways": too_wide(tab)}
    if width == "wide":
        found[f"{name}, twice the size"] = at_twice_the_size(tab)
        found[f"{name}, on paper"] = on_paper(tab)
    tab.emulate_media(color_scheme="dark")
    found[f"{name}, dark"] = violations(tab, CONTRAST)
    tab.emulate_media(color_scheme="light", forced_colors="active")
    found[f"{name}, forced colours"] = violations(tab, CONTRAST)
    tab.emulate_media(forced_colors="none")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(walk: Callable[[str], Walked], width: str) -> None:
    found = walk(width).found
    assert {name: what for name, what in found.items() if what} == {}
    assert len(found) > 200


@pytest.mark.slow
def test_html_validate_finds_nothing(walk: Callable[[str], Walked], tmp_path: Path) -> None:
    program = HERE / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
    if not program.is_file():
        not_run("html-validate is not installed: see .ci/setup.sh")
    pages = walk("wide").pages
    for number, html in enumerate(pages.values()):
        (tmp_path / f"{number}.html").write_text(html, encoding="utf-8")
    rules = {"root": True, "extends": ["html-validate:recommended"], "rules": dict.fromkeys(OFF, "off")}
    (tmp_path / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    command = [PROGRAMS / "node", program, "--config", "rules.json", "--formatter", "text", "*.html"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout + said.stderr == ""
    assert said.returncode == 0
    assert len(pages) > 50
