"""Controls: the browsers have the settings that the other browser tests are about, or those prove nothing."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from engines import HOSTS, Browser, Engine, Lab, launch, launch_chromium

PAGES = {
    "/cookie": "<p id=sent>{cookie}</p>",
    "/frame": '<iframe src="https://portal.test/cookie"></iframe>',
    "/type": "<title>{host}</title><label>Say <input id=said></label>",
    "/framed-form": '<iframe src="https://portal.test/form"></iframe>',
    "/form": """
        <form action=/type target=_blank><input id=said name=q> <button>Send</button></form>
    """,
    "/popup": """
        <title>Popup</title><button id=now>Now</button> <button id=late>Late</button> <p id=result></p>
        <script>
            const open = () => { result.textContent = String(window.open("/cookie") && "opened") }
            now.onclick = open
            late.onclick = () => setTimeout(open, 6500)
        </script>
    """,
    "/script": "<p id=ran>no</p><script>ran.textContent = 'yes'</script>",
}


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = PAGES.get(self.path.partition("?")[0], "").replace(
            "{cookie}", self.headers.get("Cookie", "none")
        )
        body = page.replace("{host}", self.headers["Host"]).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if self.path == "/cookie":
            self.send_header("Set-Cookie", "plain=1; Path=/; Secure; SameSite=None")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Shakes hands in the connection's own thread: browsers open connections that they never use."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Pages)
        self.context = context
        self.block_on_close = False

    def finish_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    server = Server(lab.server_context())
    lab.routes.update(dict.fromkeys(HOSTS, server.server_port))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lab
    lab.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Browser]:
    with launch(request.param, lab) as browser:
        yield browser


def engines(*wanted: Engine) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("browser", wanted, ids=str, indirect=True)


def framed_cookie(browser: Browser, top: str) -> str:
    browser.open(f"https://{top}/frame")
    browser.frame()
    return browser.text("#sent")


@engines(Engine.CHROMIUM, Engine.FIREFOX_STRICT, Engine.WEBKIT)
def test_a_framed_third_party_sees_and_keeps_no_cookie(browser: Browser) -> None:
    browser.open("https://portal.test/cookie")
    assert framed_cookie(browser, "intranet.test") == "none"
    assert framed_cookie(browser, "intranet.test") == "none"


@engines(Engine.FIREFOX)
def test_a_framed_third_party_keeps_a_cookie_for_each_top_site(browser: Browser) -> None:
    framed_cookie(browser, "intranet.test")
    assert framed_cookie(browser, "intranet.test") == "plain=1"
    assert framed_cookie(browser, "evil.test") == "none"


@engines(*Engine)
def test_a_page_of_its_own_keeps_its_cookie(browser: Browser) -> None:
    browser.open("https://portal.test/cookie")
    browser.reload()
    assert browser.text("#sent") == "plain=1"
    assert browser.cookies == {"plain": "1"}


@engines(Engine.CHROMIUM, Engine.FIREFOX, Engine.WEBKIT)
def test_a_window_opens_at_a_click_and_not_long_after(browser: Browser) -> None:
    browser.open("https://portal.test/popup")
    first = browser.window
    with browser.new_window():
        browser.click("#now")
    browser.wait(lambda: browser.url == "https://portal.test/cookie", "the new window's page")
    browser.close_window(then=first)
    assert browser.text("#result") == "opened"

    browser.reload()
    browser.click("#late")
    assert browser.wait(lambda: browser.text("#result"), "an answer") == "null"
    assert browser.windows == [first]


@engines(*Engine)
def test_a_person_can_type_and_read(browser: Browser) -> None:
    browser.open("https://studio.test/type")
    assert browser.title == "studio.test"
    browser.type("#said", "Grüße, 世界")
    assert browser.value("#said") == "Grüße, 世界"
    assert browser.screenshot().startswith(b"\x89PNG")


@engines(*Engine)
def test_a_framed_form_opens_a_new_tab(browser: Browser) -> None:
    browser.open("https://intranet.test/framed-form")
    browser.frame('iframe[src^="https://portal.test/"]')
    browser.type("#said", "hello")
    with browser.new_window():
        browser.click("button")
    assert browser.wait(lambda: browser.title, "a title") == "portal.test"
    assert browser.url == "https://portal.test/type?q=hello"
    assert len(browser.windows) == 2


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("javascript", [True, False])
def test_scripts_can_be_off(lab: Lab, engine: Engine, javascript: bool) -> None:
    with launch(engine, lab, javascript=javascript) as browser:
        browser.open("https://portal.test/script")
        assert browser.text("#ran") == ("yes" if javascript else "no")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("engine", Engine)
def test_nothing_is_left_running(
    lab: Lab, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with launch(engine, lab) as browser:
        browser.open("https://portal.test/cookie")
        assert running_below(tmp_path)
    assert not running_below(tmp_path)
    assert not list(tmp_path.iterdir())


def running_below(home: Path) -> list[str]:
    """The programs that have this folder in their environment or arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(home).encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes():
                found.append((process / "comm").read_text().strip())
    return found


def test_playwright_drives_chromium(lab: Lab) -> None:
    with launch_chromium() as chromium:
        page = chromium.new_page(
            ignore_https_errors=True, base_url=f"https://127.0.0.1:{lab.routes['portal.test']}"
        )
        page.goto("/script")
        assert page.text_content("#ran") == "yes"
