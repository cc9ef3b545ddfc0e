"""The portal in a frame on another site, in three engines: what people get, whatever that page allows."""

import contextlib
import html
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from conftest import ROOT, Portal, Sandbox, end, free_port, inherited, portal_values, run_gunicorn, wait_until
from engines import CHROMIUM_FLAGS, Browser, Engine, Lab, find_chromium, launch, require
from playwright.sync_api import sync_playwright

PORTAL = "https://portal.test"
STRICT = "https://strict.test"  # a second portal: EMBED_REVIEW and EMBED_COEP
INTRANET = "https://intranet.test"
NEWS = "https://news.test"  # listed too
EVIL = "https://evil.test"
OWN_PAGES = ("intranet.test", "news.test", "evil.test")
PRESS = ".primary"
STUDIO = "Scenario Studio (sandbox)"
REVIEW = "Create a scenario · Scenario Portal"

ALL = "allow-forms allow-scripts allow-same-origin allow-popups allow-popups-to-escape-sandbox"
NO_FORMS = ALL.replace("allow-forms ", "")


class Around(BaseHTTPRequestHandler):
    """Pages of other sites: `/frame?src=…` frames something, `/post?to=…` sends a form by itself."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        page = {"/frame": self.frame, "/post": self.post, "/paste": self.paste}.get(address.path)
        body = ("<!doctype html>" + (page(**query) if page else "")).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if "coop" in query:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        if "coep" in query:
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body)

    def frame(self, src: str, sandbox: str | None = None, width: str = "100%", **_: str) -> str:
        attribute = "" if sandbox is None else f'sandbox="{sandbox}"'
        return f"""
            <title>Around</title><body style="margin: 0"><script>
                window.told = []
                onmessage = ({{data, origin}}) => told.push({{...data, origin}})
            </script>
            <iframe src="{html.escape(src)}" {attribute} width="{width}" height="640" frameborder=0></iframe>
        """

    def post(self, to: str, **fields: str) -> str:
        inputs = [
            f'<input name="{name}" value="{html.escape(value)}" type=hidden>'
            for name, value in fields.items()
        ]
        return f"""
            <form method=post action="{html.escape(to)}">{"".join(inputs)}</form>
            <script>document.forms[0].submit()</script>
        """

    def paste(self) -> str:
        return "<textarea autofocus></textarea>"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class AroundServer(ThreadingHTTPServer):
    """Shakes hands in the connection's own thread: browsers open connections that they never use."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Around)
        self.context = context
        self.block_on_close = False

    def finish_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


class World:
    """The lab with everything in it: two portals, the sandbox, and other people's pages."""

    def __init__(self, lab: Lab, sandbox: Sandbox, portal: Portal) -> None:
        self.lab = lab
        self.sandbox = sandbox
        self.portal = portal

    def created(self, text: str) -> list[dict[str, Any]]:
        """The sessions that were made for this text."""
        digest = sha256(text.encode()).hexdigest()
        return self.sandbox.requests(prompt_sha256=digest, is_new=True)

    @property
    def sign_ins(self) -> int:
        """How many have begun."""
        return self.portal.output.count(" GET /sign-in ")

    def client(self) -> requests.Session:
        """Somebody else's browser, at the portal's own port."""
        http = requests.Session()
        http.trust_env = False
        http.verify = str(self.lab.ca_file)
        return http


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with contextlib.ExitStack() as stack:
        lab = Lab(directory)
        stack.callback(lab.close)
        around = AroundServer(lab.server_context())
        threading.Thread(target=around.serve_forever, daemon=True).start()
        stack.callback(around.server_close)
        stack.callback(around.shutdown)
        sandbox = start_sandbox(stack, lab, directory)
        lab.routes.update(dict.fromkeys(OWN_PAGES, around.server_port))
        portal = start_portal(stack, lab, sandbox, directory, PORTAL)
        start_portal(stack, lab, sandbox, directory, STRICT, EMBED_REVIEW="true", EMBED_COEP="true")
        yield World(lab, sandbox, portal)


def start_sandbox(stack: contextlib.ExitStack, lab: Lab, directory: Path) -> Sandbox:
    port = free_port()
    certificate = str(lab.cert_file)
    command = [sys.executable, "-m", "webapp.sandbox", "serve", "--port", str(port)]
    command += ["--certificate", certificate, "--key", certificate]
    command += ["--issuer-url", "https://idp.test", "--studio-url", "https://studio.test"]
    command += ["--sso-url", "https://sso.test", "--portal", PORTAL, "--portal", STRICT]
    for limit in ("creations-per-minute", "requests-per-minute", "requests-per-day"):
        command += [f"--{limit}", "0"]
    output = stack.enter_context((directory / "sandbox.log").open("wb"))
    process = subprocess.Popen(command, cwd=ROOT, env=inherited(), stdout=output, stderr=output)
    stack.callback(end, process)
    sandbox = Sandbox(f"https://127.0.0.1:{port}", [])
    sandbox.http.verify = str(lab.ca_file)
    stack.callback(sandbox.http.close)
    lab.routes.update(dict.fromkeys(("idp.test", "studio.test", "sso.test"), port))
    wait_for(sandbox.http, sandbox.url, process, directory / "sandbox.log")
    return sandbox


def start_portal(
    stack: contextlib.ExitStack, lab: Lab, sandbox: Sandbox, directory: Path, url: str, **changes: str
) -> Portal:
    """A portal over TLS: its names lead through the lab's proxy, for itself as for the browsers."""
    port = free_port()
    host = str(urlsplit(url).hostname)
    log = directory / f"{host}.log"
    environment = portal_values(sandbox, port, f"sqlite:///{directory / host}.sqlite") | {
        "PUBLIC_URL": url,
        "OIDC_ISSUER": "https://idp.test/oidc",
        "EXEC_API_URL": "https://idp.test/rest/v1",
        "EXEC_STUDIO_HOSTS": "studio.test",
        "EXEC_CREATIONS_PER_MINUTE": "0",
        "CREATIONS_PER_PERSON_PER_HOUR": "0",
        "FRAME_ANCESTORS": f"{INTRANET},{NEWS}",
        "HTTPS_PROXY": f"http://127.0.0.1:{lab.proxy_port}",
        "SSL_CERT_FILE": str(lab.ca_file),
    }
    certificate = str(lab.cert_file)
    options = ("--certfile", certificate, "--keyfile", certificate, "--workers", "1")
    process = run_gunicorn(port, environment | changes, log, directory, *options)
    stack.callback(end, process)
    lab.routes[host] = port
    with requests.Session() as http:
        http.trust_env = False
        http.verify = str(lab.ca_file)
        wait_for(http, f"https://127.0.0.1:{port}/healthz", process, log)
    return Portal(port, process, log)


def wait_for(http: requests.Session, url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return http.get(url, timeout=60).ok
        except requests.ConnectionError:
            return False

    wait_until(is_up, url)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, world: World) -> Iterator[Browser]:
    with launch(request.param, world.lab) as browser:
        yield browser


@pytest.fixture
def b(browser: Browser) -> Iterator[Browser]:
    """The engine's browser with one empty window, whoever is signed in."""
    yield browser
    browser.top()
    first, *others = browser.windows
    for handle in others:
        browser.switch(handle)
        browser.close_window(then=first)
    browser.switch(first)
    browser.open("about:blank")


def engines(*wanted: Engine) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("browser", wanted, ids=str, indirect=True)


three = engines(Engine.CHROMIUM, Engine.FIREFOX, Engine.WEBKIT)


def new_text(more: str = "") -> str:
    return f"A renewal with a procurement lead, {uuid.uuid4().hex}{more}"


def frame_page(src: str = f"{PORTAL}/embed", host: str = INTRANET, **query: str) -> str:
    return f"{host}/frame?{urlencode({'src': src, **query})}"


def go_in(b: Browser, **query: str) -> None:
    """Open the intranet page and go into its frame."""
    b.open(frame_page(**query))
    b.frame()
    b.find("textarea")


def write(b: Browser, text: str) -> None:
    """Put a text into the box at once; typing ten thousand characters takes a minute."""
    b.find("textarea")
    b.script(
        """
        const box = document.querySelector("textarea");
        box.value = arguments[0];
        box.dispatchEvent(new InputEvent("input", {bubbles: true}));
        """,
        text,
    )


def press(b: Browser, css: str = PRESS) -> None:
    """Press a button that opens a tab, and go on in it."""
    with b.new_window():
        b.click(css)


def choose(b: Browser, person: str = "dana") -> None:
    b.wait(lambda: b.url.startswith("https://idp.test/"), "the provider")
    b.wait(lambda: b.script("return document.readyState") == "complete", "all of its page")
    for _ in range(3):
        b.click(f'button[value="{person}"]')
        with contextlib.suppress(TimeoutError):  # Firefox loses a press while the page still moves
            b.wait(lambda: not b.url.startswith("https://idp.test/"), "the way back", timeout=6)
            return
    raise TimeoutError("the provider does not let go")


def be_signed_out(b: Browser) -> None:
    for address in (f"{PORTAL}/signed-out", "https://idp.test/oidc/end-session"):
        b.open(address)
        b.forget_cookies()


def be_signed_in(b: Browser) -> None:
    b.open(f"{PORTAL}/launches")
    if b.url.startswith("https://idp.test/"):
        choose(b)
    b.wait(lambda: b.title.startswith("My scenarios"), "one's own page")


def in_studio(b: Browser, text: str) -> None:
    b.wait(lambda: b.title == STUDIO, "the studio", timeout=20)
    assert b.url.startswith("https://studio.test/chat/")
    assert text in b.text(".message.person")


def once(world: World, text: str) -> None:
    assert [call["user_email"] for call in world.created(text)] == ["dana@acme.example"]


def visible(b: Browser, css: str) -> bool:
    return bool(b.script("return document.querySelector(arguments[0]).checkVisibility()", css))


# The way through


@engines(Engine.CHROMIUM, Engine.FIREFOX, Engine.FIREFOX_STRICT, Engine.WEBKIT)
def test_a_stranger_gets_from_the_frame_to_the_studio(world: World, b: Browser) -> None:
    text = new_text("\nGrüße, 世界 🎭👩🏽‍🏫").ljust(10_000, "🙂")
    be_signed_out(b)
    go_in(b, coop="1")
    write(b, text)
    press(b)
    choose(b)
    in_studio(b, text)
    once(world, text)


@engines(Engine.CHROMIUM, Engine.FIREFOX, Engine.FIREFOX_STRICT, Engine.WEBKIT)
def test_the_post_out_of_the_frame_leaves_the_sign_in_alone(world: World, b: Browser) -> None:
    be_signed_in(b)
    before = world.sign_ins
    for text in (new_text(), new_text()):
        go_in(b)
        write(b, text)
        press(b)
        in_studio(b, text)
        once(world, text)
    b.open(f"{PORTAL}/launches")
    assert b.title.startswith("My scenarios")
    assert world.sign_ins == before


@three
def test_the_frame_says_that_the_text_arrived(b: Browser) -> None:
    be_signed_in(b)
    go_in(b)
    write(b, new_text())
    first = b.window
    press(b)
    b.switch(first)
    b.frame()
    b.wait(lambda: "has arrived" in b.text("[data-status]"), "the frame's word", timeout=15)
    assert not b.count(".needed")


@three
def test_a_double_click_opens_one_session(world: World, b: Browser) -> None:
    be_signed_in(b)
    go_in(b)
    text = new_text()
    write(b, text)
    first = b.window
    with b.new_window():
        b.click(PRESS)
        b.click(PRESS)
    in_studio(b, text)
    assert len(b.windows) == 2
    # And once more, when the button is free again.
    b.switch(first)
    b.frame()
    b.wait(lambda: not b.script("return document.querySelector('[aria-disabled=true]')"), "the button")
    assert b.script("return document.activeElement.className") == "primary"
    press(b)
    b.wait(lambda: f"{PORTAL}/launches/" in b.url, "the launch")
    once(world, text)


# Sandboxes


@three
@pytest.mark.parametrize("sandbox", [ALL, ALL.replace("allow-scripts ", "")], ids=["all", "no-scripts"])
def test_a_sandbox_that_lets_tabs_escape_changes_nothing(world: World, b: Browser, sandbox: str) -> None:
    be_signed_in(b)
    text = new_text()
    b.open(frame_page(sandbox=sandbox))
    b.frame()
    if b.engine is Engine.WEBKIT or "allow-scripts" in sandbox:
        write(b, text)
    else:
        b.type("textarea", text)
    press(b)
    in_studio(b, text)
    once(world, text)


@three
def test_without_same_origin_one_more_press_is_asked_for(world: World, b: Browser) -> None:
    be_signed_in(b)
    text = new_text()
    go_in(b, sandbox=ALL.replace("allow-same-origin ", ""))
    write(b, text)
    press(b)
    b.wait(lambda: b.title == REVIEW, "the form")
    assert b.value("textarea") == text
    assert not world.created(text)
    b.click(PRESS)
    in_studio(b, text)
    once(world, text)


@three
@pytest.mark.parametrize(
    "sandbox",
    ["allow-forms allow-scripts allow-same-origin allow-popups", "allow-forms allow-scripts allow-popups"],
    ids=["same-origin", "opaque"],
)
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "signed-out"])
def test_a_tab_that_inherited_the_sandbox_leads_to_a_free_one(
    world: World, b: Browser, sandbox: str, signed_in: bool
) -> None:
    be_signed_in(b) if signed_in else be_signed_out(b)
    text = new_text()
    go_in(b, sandbox=sandbox)
    write(b, text)
    first = b.window
    press(b)
    b.wait(lambda: visible(b, "[data-restricted-notice]"), "the notice")
    assert not visible(b, PRESS)
    address = b.text("[data-address]")
    assert address == b.url
    assert address.startswith(f"{PORTAL}/drafts/")
    assert not world.created(text)
    b.click("[data-copy-address]")
    b.wait(lambda: b.text("[data-copy-address]") == "Copied", "the copy")

    b.close_window(then=first)
    b.open(address)
    if not signed_in:
        choose(b)
    if "same-origin" not in sandbox:
        b.wait(lambda: b.title == REVIEW, "the form")
        assert b.value("textarea") == text
        b.click(PRESS)
    in_studio(b, text)
    once(world, text)


@three
def test_without_popups_the_text_can_be_copied(b: Browser) -> None:
    text = new_text()
    go_in(b, sandbox="allow-forms allow-scripts allow-same-origin")
    write(b, text)
    b.click(PRESS)
    b.wait(lambda: b.count(".needed"), "the other ways", timeout=15)
    assert len(b.windows) == 1
    assert b.value("textarea") == text
    assert PORTAL in b.text("[data-copying]")
    b.click("[data-copy]")
    b.wait(lambda: b.text("[data-status]") == "Copied.", "the copy")
    assert b.script("return String(getSelection())") in (text, "")
    if b.engine is not Engine.WEBKIT:  # without a window manager nothing there has the focus that a key needs
        b.top()
        b.open(f"{EVIL}/paste")
        b.type("textarea", "\ue009v")
        assert b.value("textarea") == text


@three
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "signed-out"])
def test_without_forms_the_link_carries_the_text(world: World, b: Browser, signed_in: bool) -> None:
    be_signed_in(b) if signed_in else be_signed_out(b)
    text = new_text(" & #p=100% 🎭\nSecond line")
    go_in(b, sandbox=NO_FORMS)
    write(b, text)
    if b.engine is Engine.WEBKIT:  # does not tell beforehand that the press will do nothing
        b.click(PRESS)
    b.wait(lambda: b.count(".needed"), "the other ways")
    press(b, "[data-carry]")
    if not signed_in:
        choose(b)
    b.wait(lambda: b.title == REVIEW and b.value("textarea"), "the form")
    assert b.value("textarea") == text
    assert "#" not in b.url
    assert not world.created(text)
    b.click(PRESS)
    in_studio(b, text)
    once(world, text)


# Others who would like to use it


@three
@pytest.mark.parametrize("path", ["/embed", "/launches"])
def test_a_foreign_post_creates_nothing_and_signs_nobody_out(world: World, b: Browser, path: str) -> None:
    be_signed_in(b)
    before = world.sign_ins
    text = new_text()
    fields = {"to": f"{PORTAL}{path}", "prompt": text, "form_token": uuid.uuid4().hex}
    b.open(f"{EVIL}/post?{urlencode(fields)}")
    b.wait(lambda: b.url.startswith(f"{PORTAL}/drafts/") and b.value("textarea") == text, "the review")
    assert "dana@acme.example" in b.source
    b.open(f"{PORTAL}/launches")
    assert b.title.startswith("My scenarios")
    assert not world.created(text)
    assert world.sign_ins == before


@three
def test_only_listed_pages_all_the_way_up_may_frame_it(b: Browser) -> None:
    for path in ("/embed", "/embed/diagnose"):
        ours = PORTAL + path
        b.open(frame_page(ours, host=EVIL))
        assert not shows_portal(b, 1), path
        b.open(frame_page(frame_page(ours), host=EVIL))
        assert not shows_portal(b, 2), path
        b.open(frame_page(frame_page(ours), host=NEWS))
        assert shows_portal(b, 2), path


@three
def test_nothing_else_may_be_framed(b: Browser) -> None:
    be_signed_in(b)
    for path in ("/", "/launches", "/signed-out"):
        b.open(frame_page(PORTAL + path))
        assert not shows_portal(b, 1), path


def shows_portal(b: Browser, depth: int) -> bool:
    """Whether a page of the portal's stands in the innermost frame."""
    for _ in range(depth):
        b.frame()
    with contextlib.suppress(TimeoutError):
        return bool(b.find("main#main", timeout=0.5))  # a page has loaded when its frames have
    return False


@three
def test_a_draft_of_another_browser_is_not_shown(world: World, b: Browser) -> None:
    text = new_text()
    with world.client() as http:
        fields = {"prompt": text, "form_token": uuid.uuid4().hex}
        address = f"https://127.0.0.1:{world.portal.port}/embed"
        answer = http.post(
            address, fields, headers={"Origin": PORTAL, "Host": "portal.test"}, allow_redirects=False
        )
    assert answer.status_code == 303
    be_signed_in(b)
    b.open(PORTAL + answer.headers["Location"])
    assert b.title.startswith("This text is not here any more")
    assert text not in b.source
    assert not world.created(text)


@three
def test_a_finished_draft_leads_to_its_launch(world: World, b: Browser) -> None:
    be_signed_in(b)
    text = new_text()
    go_in(b, sandbox=ALL.replace("allow-same-origin ", ""))
    write(b, text)
    press(b)
    b.wait(lambda: b.title == REVIEW, "the form")
    draft = b.url
    b.click(PRESS)
    in_studio(b, text)
    b.open(draft)
    b.wait(lambda: b.url.startswith(f"{PORTAL}/launches/"), "the launch")
    assert text in b.source
    once(world, text)


@three
def test_the_studio_has_no_way_back(world: World, b: Browser) -> None:
    be_signed_in(b)
    text = new_text()
    go_in(b)
    write(b, text)
    press(b)
    in_studio(b, text)
    assert b.script("return window.opener") is None
    assert world.created(text)


# The host page


@three
def test_the_frame_tells_its_height_and_needs_no_scroll_bars(b: Browser) -> None:
    for width in (320, 480, 700, 1200):
        b.open(frame_page(width=str(width)))
        b.frame()
        b.find("textarea")
        write(b, "word " * 3000)  # too long: the most that it ever says
        b.script("document.querySelector('[data-fallback]').classList.add('needed')")
        b.script(
            "document.querySelector('[data-status]').textContent = 'Select the text and copy it by hand.'"
        )
        fits = """
            const {scrollHeight: height, scrollWidth: width} = document.documentElement;
            return [height <= innerHeight, width <= innerWidth]
        """
        assert b.script(fits) == [True, True], width
        height = b.script("return Math.ceil(document.querySelector('main').getBoundingClientRect().height)")
        b.top()
        told = b.wait(lambda h=height: [m for m in b.script("return told") if m["height"] == h], "its height")
        assert told[-1] == {"type": "scenario-portal:height", "height": height, "origin": PORTAL}


@three
def test_the_frame_hears_nothing(b: Browser) -> None:
    go_in(b)
    b.top()
    b.script("document.querySelector('iframe').contentWindow.postMessage({type: 'prompt', prompt: 'x'}, '*')")
    b.frame()
    assert b.value("textarea") == ""


@three
def test_a_strict_portal_shows_in_an_isolated_page_and_waits_for_a_press(world: World, b: Browser) -> None:
    b.open(frame_page(f"{PORTAL}/embed", coep="1"))
    assert not shows_portal(b, 1)
    text = new_text()
    go_in(b, src=f"{STRICT}/embed", coep="1", coop="1")
    write(b, text)
    press(b)
    b.wait(lambda: b.url.startswith(("https://idp.test/", f"{STRICT}/drafts/")), "the new tab")
    if b.url.startswith("https://idp.test/"):
        choose(b)
    b.wait(lambda: b.title == REVIEW and b.value("textarea") == text, "the form")
    assert not world.created(text)
    b.click(PRESS)
    in_studio(b, text)
    once(world, text)


# The diagnosis


DIAGNOSES = {
    None: "Nothing, if the new tab opens too",
    ALL: "Nothing, if the new tab opens too",
    ALL.replace("allow-same-origin ", ""): "allow-same-origin is missing",
}


@three
def test_the_diagnosis_names_what_is_missing(b: Browser) -> None:
    for sandbox, says in DIAGNOSES.items():
        query = {} if sandbox is None else {"sandbox": sandbox}
        b.open(frame_page(f"{PORTAL}/embed/diagnose", **query))
        b.frame()
        b.wait(lambda: b.count(".findings li"), "findings")
        assert says in b.text("main"), sandbox
        assert visible(b, "[data-change]") == ("missing" in says), sandbox


@engines(Engine.CHROMIUM, Engine.FIREFOX)
def test_the_diagnosis_names_missing_forms(b: Browser) -> None:
    b.open(frame_page(f"{PORTAL}/embed/diagnose", sandbox=NO_FORMS))
    b.frame()
    b.wait(lambda: "allow-forms is missing:" in b.text(".findings"), "the finding")
    assert visible(b, "[data-change]")


@three
@pytest.mark.parametrize("sandbox", [ALL, ALL.rpartition(" ")[0]], ids=["free", "bound"])
def test_the_diagnosis_opens_a_tab_that_says_whether_it_is_free(b: Browser, sandbox: str) -> None:
    b.open(frame_page(f"{PORTAL}/embed/diagnose", sandbox=sandbox))
    b.frame()
    press(b)
    b.wait(lambda: b.title, "the tab")
    is_free = sandbox == ALL
    b.wait(lambda: visible(b, "[data-tab-free]") == is_free, "its word")
    assert visible(b, "[data-tab-bound]") != is_free


@three
def test_the_diagnosis_says_what_a_press_without_a_tab_means(b: Browser) -> None:
    sandbox = NO_FORMS if b.engine is Engine.WEBKIT else "allow-forms allow-scripts allow-same-origin"
    b.open(frame_page(f"{PORTAL}/embed/diagnose", sandbox=sandbox))
    b.frame()
    b.click(PRESS)
    b.wait(lambda: "allow-popups or allow-forms is missing" in b.text("[data-status]"), "the answer")
    assert visible(b, "[data-change]")


# No scripts


@pytest.mark.parametrize("engine", [Engine.CHROMIUM, Engine.FIREFOX, Engine.WEBKIT])
def test_everything_works_without_scripts(world: World, engine: Engine) -> None:
    text = new_text()
    with launch(engine, world.lab, javascript=False) as b:
        go_in(b)
        if engine is Engine.WEBKIT:
            write(b, text)
        else:
            b.type("textarea", text)
        press(b)
        choose(b)
        b.wait(lambda: b.title == REVIEW, "the form")
        assert b.value("textarea") == text
        b.click(PRESS)
        in_studio(b, text)
        once(world, text)
        long = new_text(" word" * 400)
        be_signed_out(b)
        b.open(f"{PORTAL}/?{urlencode({'prompt': long})}")
        b.click(PRESS)
        choose(b)
        b.wait(lambda: b.title == REVIEW, "the form")
        assert b.value("textarea") == long


# Outside a frame


@engines(Engine.FIREFOX, Engine.WEBKIT)
def test_back_from_the_studio_says_what_was_sent(world: World, b: Browser) -> None:
    be_signed_in(b)
    text = new_text()
    b.open(f"{PORTAL}/")
    write(b, text)
    b.click(PRESS)
    in_studio(b, text)
    b.script("setTimeout(() => history.back())")  # the driver's own Back has hung in WebKit
    b.wait(lambda: "You sent this text at" in b.text("[data-offer]"), "what was sent")
    assert b.value("textarea") == text
    b.click(PRESS)
    in_studio(b, text)
    once(world, text)


# An intranet on the internet, a portal inside the company


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_public_page_needs_the_person_to_allow_a_private_portal(world: World, is_allowed: bool) -> None:
    """Chromium asks, for the page around; a link that opens a tab is never asked about."""
    require(Engine.CHROMIUM)
    port = world.lab.routes["intranet.test"]
    names = ", ".join(f"MAP {name}:443 127.0.0.1:{port}" for name, port in world.lab.routes.items())
    # Not through the lab's proxy: what comes by a proxy has no address.
    options = [f"--host-resolver-rules={names}", f"--ip-address-space-overrides=127.0.0.1:{port}=public"]
    with sync_playwright() as playwright, contextlib.ExitStack() as stack:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*CHROMIUM_FLAGS[1:], *options]
        )
        stack.callback(chromium.close)
        context = chromium.new_context(ignore_https_errors=True)
        if is_allowed:
            context.grant_permissions(["local-network-access"])
        page = context.new_page()
        page.goto(frame_page())
        assert (page.frame_locator("iframe").locator("textarea").count() == 1) == is_allowed
        page.set_content(f'<a href="{PORTAL}/signed-out" target="_blank">To the portal</a>')
        with context.expect_page() as opened:
            page.click("a")
        opened.value.wait_for_selector("h1")
        assert opened.value.title().startswith("Signed out")
