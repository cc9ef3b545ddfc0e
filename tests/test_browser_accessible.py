"""Every page and state held to axe, at two widths and in both themes, and to text of twice the size."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Visitor, a_portal, box, create, overflows, visitors
from conftest import Portal, Sandbox, free_port
from engines import launch_chromium
from playwright.sync_api import Browser, Page, expect

WIDTHS = {"wide": 1280, "phone": 320}


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
def served(sandbox: Sandbox, around: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    directory = tmp_path_factory.mktemp("browser-accessible")
    with a_portal(sandbox, directory, FRAME_ANCESTORS=around, SUPPORT_CONTACT="help@acme.example") as portal:
        yield portal


class States:
    """Walks from state to state; `look` is called in each."""

    def __init__(self, visitor: Visitor, around: str, look: Callable[[str], None]) -> None:
        self.visitor, self.around, self.look = visitor, around, look
        self.tab = visitor.tab

    def walk(self) -> None:
        self.framed()
        self.strangers()
        self.writing()
        self.sharing()
        self.refused()
        self.waiting()
        self.listed()

    def framed(self) -> None:
        portal = self.visitor.portal.url
        for name, address in {
            "frame": f"{portal}/embed",
            "framed diagnosis": f"{portal}/embed/diagnose",
            "bound diagnosis": f"{portal}/embed/diagnose&sandbox=allow-scripts",
        }.items():
            self.tab.goto(f"{self.around}/?{address}")
            expect(self.tab.frame_locator("iframe").get_by_role("heading", level=1)).to_be_visible()
            self.look(name)

    def strangers(self) -> None:
        for path in ("/signed-out", "/embed/diagnose?page=wiki.example", "/nowhere"):
            self.tab.goto(path)
            self.look(path)

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
        box(self.tab).fill("x" * 10_001)
        create(self.tab).click()
        self.look("form, too long")
        self.tab.get_by_role("button", name="Share this text").click()
        self.tab.wait_for_url("**/links")
        self.look("share")

    def sharing(self) -> None:
        self.tab.goto("/")
        box(self.tab).fill("Dana meets [customer].")
        self.tab.get_by_role("button", name="Share this text").click()
        self.tab.get_by_role("textbox", name="Title").fill("Renewal")
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

    def refused(self) -> None:
        self.press("A talk with a buyer. [[400]]")
        self.tab.get_by_text("Exec did not accept").wait_for()
        self.look("form, refused")

    def waiting(self) -> None:
        self.press("A talk with a buyer. [[500]]")
        self.tab.get_by_role("progressbar").wait_for()
        self.look("waiting")
        self.press("A talk with another buyer. [[401]]")
        self.tab.get_by_text("access to Exec").wait_for()
        self.look("held")

    def listed(self) -> None:
        for path in ("/launches", "/launches?q=nowhere", "/links", "/sign-ins"):
            self.tab.goto(path)
            self.look(path)
        self.tab.goto("/launches")
        self.tab.get_by_text("Cancel", exact=True).first.click()
        self.look("erasing")

    def press(self, text: str) -> None:
        self.tab.goto("/")
        self.visitor.press(text)


def violations(tab: Page, options: dict[str, object] | None = None) -> list[str]:
    found = Axe().run(tab, options=options)
    return [
        f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}"
        for one in found.response["violations"]
    ]


CONTRAST: dict[str, object] = {"runOnly": ["color-contrast"]}


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(
    browser: Browser, served: Portal, sandbox: Sandbox, around: str, width: str
) -> None:
    found: dict[str, list[str]] = {}
    with visitors(browser, served, sandbox) as new:
        visitor = new(viewport={"width": WIDTHS[width], "height": 700}, reduced_motion="reduce")

        def look(name: str) -> None:
            visitor.tab.emulate_media(color_scheme="light")
            found[name] = violations(visitor.tab)
            visitor.tab.emulate_media(color_scheme="dark")
            found[f"{name}, dark"] = violations(visitor.tab, CONTRAST)
            found[f"{name}, width"] = ["to be scrolled sideways"] if overflows(visitor.tab) else []

        States(visitor, around, look).walk()
    assert {name: what for name, what in found.items() if what} == {}
    assert len(found) > 50


def test_text_of_twice_the_size_fits(browser: Browser, served: Portal, sandbox: Sandbox, around: str) -> None:
    too_wide: list[str] = []
    with visitors(browser, served, sandbox) as new:
        visitor = new(viewport={"width": 640, "height": 700}, reduced_motion="reduce")

        def look(name: str) -> None:
            visitor.tab.evaluate("document.documentElement.style.fontSize = '200%'")
            too_wide.extend([name] if overflows(visitor.tab) else [])

        States(visitor, around, look).walk()
    assert too_wide == []
