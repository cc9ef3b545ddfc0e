"""Shared texts and files in Chromium: what scripts add, and that all of it works without them."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from browsing import NewVisitor, Visitor, a_portal, box, create, visitors
from conftest import Portal, Sandbox, free_port
from engines import launch_chromium
from playwright.sync_api import Browser, Page, expect

TEXT = "Dana meets [customer]."
TRANSCRIPT = {
    "name": "call.srt",
    "mimeType": "application/x-subrip",
    "buffer": "".join(
        f"{n}\n00:00:{n % 60:02},000 --> 00:01:00,000\nDana: Sentence {n}.\n\n" for n in range(1, 1200)
    ).encode(),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as chromium:
        yield chromium


class Around(BaseHTTPRequestHandler):
    """A page on another site that somebody pasted a frame into."""

    pasted = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!DOCTYPE html><title>Around</title>{self.pasted}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def around() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Around)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, around: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    directory = tmp_path_factory.mktemp("browser-links")
    with a_portal(sandbox, directory, FRAME_ANCESTORS=around) as portal:
        yield portal


@pytest.fixture
def new_visitor(browser: Browser, served: Portal, sandbox: Sandbox) -> Iterator[NewVisitor]:
    with visitors(browser, served, sandbox) as new:
        yield new


def share(visitor: Visitor) -> tuple[Page, str]:
    """Share a text by hand; return its maker's page and its address."""
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    tab.get_by_role("button", name="Share this text").click()
    tab.get_by_role("textbox", name="Title").fill("Renewal")
    tab.get_by_role("button", name="Share", exact=True).click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Renewal")
    return tab, tab.locator("#address").inner_text()


def test_the_bookmark_takes_what_is_selected_on_any_page_along(
    new_visitor: NewVisitor, sandbox: Sandbox
) -> None:
    visitor = new_visitor()
    tab = visitor.arrive("/links")
    bookmark = tab.locator("#bookmark").inner_text()
    assert bookmark.startswith("javascript:")
    tab.goto(sandbox.url)
    tab.evaluate(
        "document.body.innerHTML = '<p>Not this.</p><p id=this>100% of “it”, & #p=more 🙂</p>';"
        "getSelection().selectAllChildren(document.getElementById('this'))"
    )
    with tab.expect_popup() as opened:
        tab.evaluate(bookmark.removeprefix("javascript:"))
    expect(box(opened.value)).to_have_value("100% of “it”, & #p=more 🙂")


def test_the_bookmark_works_before_the_sign_in_and_without_a_selection(
    new_visitor: NewVisitor, sandbox: Sandbox
) -> None:
    maker, guest = new_visitor(), new_visitor()
    bookmark = maker.arrive("/links").locator("#bookmark").inner_text().removeprefix("javascript:")
    guest.tab.goto(sandbox.url)
    title, address = guest.tab.title(), guest.tab.url
    with guest.tab.expect_popup() as opened:
        guest.tab.evaluate(bookmark)
    guest.tab = opened.value
    guest.choose()
    expect(box(guest.tab)).to_have_value(f"{title}\n{address}")


def test_the_board_keeps_itself_up_to_date(new_visitor: NewVisitor) -> None:
    maker, guest = new_visitor(), new_visitor()
    tab, address = share(maker)
    expect(tab.get_by_role("heading", name="Nobody has pressed the button yet")).to_be_visible()
    tab.evaluate("window.sameAsBefore = true")
    create(guest.arrive(address.removeprefix(maker.portal.url))).click()
    guest.expect_studio(TEXT)
    expect(tab.get_by_role("heading", name="1 of 1 in the studio")).to_be_visible(timeout=30_000)
    assert tab.evaluate("window.sameAsBefore")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_text_is_shared_and_followed(new_visitor: NewVisitor, scripts: bool) -> None:
    maker, guest = (new_visitor(java_script_enabled=scripts) for _ in range(2))
    _, address = share(maker)
    tab = guest.tab
    tab.goto(address)
    if not scripts:
        tab.wait_for_url(f"{guest.sandbox.url}/**")  # by the page's refresh
    guest.choose()
    assert box(tab).input_value() == TEXT
    create(tab).click()
    guest.expect_studio(TEXT)


def test_a_long_file_is_brought_along_and_cut_without_a_script(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(java_script_enabled=False)
    tab = visitor.arrive()
    box(tab).fill("Typed before.")
    tab.locator("input[type=file]").set_input_files(TRANSCRIPT)
    tab.get_by_role("button", name="Add its text").click()
    expect(tab.get_by_role("heading", name="there is too much of it")).to_be_visible()
    tab.get_by_role("button", name="Keep the end").click()
    expect(tab.get_by_role("heading", name="The text fits now")).to_be_visible()
    assert box(tab).input_value().endswith("Sentence 1199.")
    assert len(box(tab).input_value()) <= 10_000
    visitor.press()
    visitor.expect_studio("Sentence 1199.")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_frames_button_opens_the_text_in_a_new_tab(
    new_visitor: NewVisitor, around: str, scripts: bool
) -> None:
    maker, guest = new_visitor(), new_visitor(java_script_enabled=scripts)
    tab, _ = share(maker)
    Around.pasted = tab.locator("#snippet").inner_text()
    guest.tab.goto(around)
    with guest.context.expect_page() as opened:
        guest.tab.frame_locator("iframe").get_by_role("button", name="Create scenario").click()
    guest.tab = opened.value
    guest.choose()
    assert box(guest.tab).input_value() == TEXT
    guest.press()
    guest.expect_studio(TEXT)
