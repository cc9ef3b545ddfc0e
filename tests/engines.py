"""Real browsers for tests: three engines behind one small interface, and the pretend network they live in.

Chromedriver and WebKitWebDriver speak W3C WebDriver over HTTP, Firefox the same commands over a socket
(Marionette). That is small enough to be spoken here, and nothing else drives the browsers that people have:
Selenium would need geckodriver, which neither Debian 12 nor PyPI has; Playwright drives patched builds of its
own instead of an installed Firefox or WebKitGTK, and how those block cookies is what the tests are about.
Where Chromium alone is wanted, Playwright drives the installed one (`launch_chromium`).

Run as a program, prints the Debian packages that are missing; with QUICK=1, those of Chromium.
"""

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, TypeVar

import trustme
from not_run import not_run
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import sync_playwright

HOSTS = ("portal.test", "intranet.test", "idp.test", "studio.test", "evil.test")

# The popup blocker stays on: chromedriver and Playwright switch it off unless told not to.
POPUPS_ALLOWED = "--disable-popup-blocking"
CHROMIUM_FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


T = TypeVar("T")
Json: TypeAlias = Any


class Engine(StrEnum):
    """The browsers, each with the cookie setting that its tests are about."""

    CHROMIUM = "chromium"  # third-party cookies blocked
    FIREFOX = "firefox"  # as shipped: a jar for each top-level site
    FIREFOX_STRICT = "firefox-strict"  # every cross-site cookie blocked
    WEBKIT = "webkit"  # WebKitGTK with ITP: a third party gets no cookie

    @property
    def product(self) -> str:
        """What a person installs."""
        return {"chromium": "Chromium with its driver", "webkit": "WebKitGTK"}.get(self, "Firefox")


def which(*names: str) -> str | None:
    """The first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


def find_chromium() -> str | None:
    """An installed Chromium or Chrome."""
    return which(
        "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    )  # fmt: skip


def find_firefox() -> str | None:
    """An installed Firefox."""
    return which("firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox")


def find_minibrowser() -> str | None:
    """WebKitGTK's own test browser, which Debian keeps off the path."""
    return next((str(path) for path in Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")), None)


def missing_packages(engine: Engine) -> list[str]:
    """The Debian packages without which this engine cannot run here."""
    needed = {
        Engine.CHROMIUM: {"chromium": find_chromium(), "chromium-driver": which("chromedriver")},
        Engine.WEBKIT: {
            "webkit2gtk-driver": which("WebKitWebDriver") and find_minibrowser(),
            "xvfb": which("Xvfb"),
            "dbus": which("dbus-run-session"),
        },
    }.get(engine, {"firefox-esr": find_firefox()})
    return [package for package, found in needed.items() if not found]


def require(engine: Engine) -> None:
    """Do not run a test whose engine is not installed."""
    if missing := missing_packages(engine):
        not_run(f"{engine.product} is not installed (apt-get install {' '.join(missing)})")


class WebDriverError(Exception):
    """A command that the browser refused. `code` is WebDriver's word for why (W3C WebDriver, section 6.6)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


# What may be different a moment later, while a page loads.
PASSING = {
    "no such element", "stale element reference", "no such frame", "no such window", "unknown error",
    "element not interactable", "element click intercepted", "javascript error",
}  # fmt: skip

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, section 11: how an element is named in JSON

# Marionette's name of each command, and the method and path of the same command over HTTP.
COMMANDS = {
    "NewSession": ("POST", "/session"),
    "Navigate": ("POST", "/session/{session}/url"),
    "Back": ("POST", "/session/{session}/back"),
    "Refresh": ("POST", "/session/{session}/refresh"),
    "GetCurrentURL": ("GET", "/session/{session}/url"),
    "GetTitle": ("GET", "/session/{session}/title"),
    "GetPageSource": ("GET", "/session/{session}/source"),
    "FindElements": ("POST", "/session/{session}/elements"),
    "ElementClick": ("POST", "/session/{session}/element/{id}/click"),
    "ElementClear": ("POST", "/session/{session}/element/{id}/clear"),
    "ElementSendKeys": ("POST", "/session/{session}/element/{id}/value"),
    "GetElementText": ("GET", "/session/{session}/element/{id}/text"),
    "GetElementProperty": ("GET", "/session/{session}/element/{id}/property/{name}"),
    "SwitchToFrame": ("POST", "/session/{session}/frame"),
    "GetWindowHandle": ("GET", "/session/{session}/window"),
    "GetWindowHandles": ("GET", "/session/{session}/window/handles"),
    "SwitchToWindow": ("POST", "/session/{session}/window"),
    "CloseWindow": ("DELETE", "/session/{session}/window"),
    "ExecuteScript": ("POST", "/session/{session}/execute/sync"),
    "GetCookies": ("GET", "/session/{session}/cookie"),
    "DeleteAllCookies": ("DELETE", "/session/{session}/cookie"),
    "TakeScreenshot": ("GET", "/session/{session}/screenshot"),
    "DeleteSession": ("DELETE", "/session/{session}"),
}


class Connection(Protocol):
    """A way to send the commands above."""

    def send(self, command: str, parameters: dict[str, Json]) -> Json:
        """The command's result; raises WebDriverError."""

    def close(self) -> None: ...


class OverHttp:
    """WebDriver as the standard has it."""

    def __init__(self, port: int) -> None:
        self.http = HTTPConnection("127.0.0.1", port, timeout=60)
        self.session = ""

    def send(self, command: str, parameters: dict[str, Json]) -> Json:
        method, path = COMMANDS[command]
        body = json.dumps(parameters).encode() if method == "POST" else None
        self.http.request(method, path.format(session=self.session, **parameters), body)
        value = json.loads(self.http.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(value["error"], value["message"])
        if command == "NewSession":
            self.session = value["sessionId"]
        return value

    def close(self) -> None:
        self.http.close()


class OverMarionette:
    """WebDriver as Firefox itself speaks it: `length:[0, number, command, parameters]` on a socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream: IO[bytes] = self.socket.makefile("rb")
        self.numbers = itertools.count(1)
        self._receive()  # Firefox introduces itself

    def send(self, command: str, parameters: dict[str, Json]) -> Json:
        if command == "SwitchToFrame" and parameters["id"]:
            parameters = {"element": parameters["id"][ELEMENT]}
        elif command == "NewSession":
            parameters = parameters["capabilities"]["alwaysMatch"]
        message = json.dumps([0, next(self.numbers), f"WebDriver:{command}", parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise WebDriverError(error["error"], error["message"])
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def _receive(self) -> Json:
        length = b"".join(iter(lambda: self.stream.read(1), b":"))
        return json.loads(self.stream.read(int(length)))

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Browser:
    """One running browser. Finding waits until the thing is there; a wait in vain describes the page."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        self.engine = engine
        self.connection = connection
        self.framed = False

    def _send(self, command: str, **parameters: Json) -> Json:
        return self.connection.send(command, parameters)

    def open(self, url: str) -> None:
        """Load a page in the current window, and wait until it has loaded."""
        self.framed = False
        self._send("Navigate", url=url)

    def back(self) -> None:
        """Press Back."""
        self._send("Back")

    def reload(self) -> None:
        """Press Reload."""
        self._send("Refresh")

    @property
    def url(self) -> str:
        """The address of the window (not of the frame)."""
        return str(self._send("GetCurrentURL"))

    @property
    def title(self) -> str:
        """The title of the window (not of the frame)."""
        return str(self._send("GetTitle"))

    @property
    def source(self) -> str:
        """The frame's or page's HTML, as it is now."""
        return str(self._send("GetPageSource"))

    def wait(self, found: Callable[[], T], what: str = "it", timeout: float = 10) -> T:
        """What `found()` returns, as soon as that is true; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if result := found():
                    return result
                problem = ""
            except WebDriverError as error:
                if error.code not in PASSING:
                    raise
                problem = f" ({error})"
            if time.monotonic() > deadline:
                raise TimeoutError(f"No sign of {what}{problem} on {self._where()}")
            time.sleep(0.05)

    def _where(self) -> str:
        with contextlib.suppress(WebDriverError):
            return f"{self.url} {self.title!r} {self.source[:2000]}"
        return "a page that is gone"

    def find(self, css: str, timeout: float = 10) -> str:
        """The first element, in the current frame, that the selector names; waits for it."""
        found = self.wait(lambda: self._send("FindElements", using="css selector", value=css), css, timeout)
        return str(found[0][ELEMENT])

    def count(self, css: str) -> int:
        """How many elements the selector names at this moment."""
        return len(self._send("FindElements", using="css selector", value=css))

    def click(self, css: str) -> None:
        """Click as a person does: what follows from it has user activation."""
        self.wait(lambda: self._send("ElementClick", id=self.find(css)) is None, f"{css} to click")

    def type(self, css: str, text: str) -> None:
        """Type at the end of what is there."""
        if self.engine is Engine.WEBKIT and self.framed:
            # Without a window manager a frame in WebKitGTK never has the focus that typing needs.
            script = """
                arguments[0].value += arguments[1];
                arguments[0].dispatchEvent(new InputEvent("input", {bubbles: true}));
            """
            self.script(script, {ELEMENT: self.find(css)}, text)
        else:
            self._send("ElementSendKeys", id=self.find(css), text=text)

    def clear(self, css: str) -> None:
        """Empty a field."""
        self._send("ElementClear", id=self.find(css))

    def text(self, css: str = "body") -> str:
        """What a person reads there."""
        return str(self.wait(lambda: [self._send("GetElementText", id=self.find(css))], css)[0])

    def value(self, css: str) -> str:
        """What a field holds."""
        return str(
            self.wait(lambda: [self._send("GetElementProperty", id=self.find(css), name="value")], css)[0]
        )

    def script(self, body: str, *arguments: Json) -> Json:
        """Run a function body with `arguments` in the current frame, and return what it returns."""
        return self._send("ExecuteScript", script=body, args=arguments)

    def frame(self, css: str = "iframe") -> None:
        """Go on inside this frame; `iframe[src^="https://portal.test/"]` where there are several."""
        self._send("SwitchToFrame", id={ELEMENT: self.find(css)})
        self.framed = True

    def top(self) -> None:
        """Go on in the window's own page."""
        self._send("SwitchToFrame", id=None)
        self.framed = False

    @property
    def window(self) -> str:
        """The handle of the current window."""
        return str(self._send("GetWindowHandle"))

    @property
    def windows(self) -> list[str]:
        """The handles of all windows and tabs."""
        return list(self._send("GetWindowHandles"))

    def switch(self, handle: str) -> None:
        """Go on in this window."""
        self._send("SwitchToWindow", handle=handle)
        self.top()

    @contextlib.contextmanager
    def new_window(self) -> Iterator[None]:
        """Go on in the window that what happens in this block opens."""
        before = set(self.windows)
        yield
        self.switch(self.wait(lambda: set(self.windows) - before, "a new window").pop())

    def close_window(self, then: str) -> None:
        """Close the current window, and go on in another."""
        self._send("CloseWindow")
        self.switch(then)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the current page's site sees, HttpOnly ones too."""
        return {cookie["name"]: cookie["value"] for cookie in self._send("GetCookies")}

    def forget_cookies(self) -> None:
        """Forget the cookies that the current page's site sees."""
        self._send("DeleteAllCookies")

    def screenshot(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode(self._send("TakeScreenshot"))


class Lab:
    """A network of the browsers' own: the HOSTS lead to servers of the test, and nothing leads elsewhere.

    `routes` says which port of this machine serves a name, by TLS. Browsers come by a proxy, so the names
    need no root, no hosts file and no port in the address; a server under test reaches them the same way,
    with `HTTPS_PROXY` and `SSL_CERT_FILE`.
    """

    def __init__(self, directory: Path) -> None:
        self.routes: dict[str, int] = {}
        self.ca_file = directory / "ca.pem"
        self.cert_file = directory / "cert.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        authority.issue_cert(*HOSTS, "localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            self.cert_file
        )
        self.proxy = _Proxy(self.routes)
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()

    @property
    def proxy_port(self) -> int:
        """The proxy's port on this machine."""
        return int(self.proxy.server_address[1])

    def server_context(self) -> ssl.SSLContext:
        """For a server inside the test process; one outside reads `cert_file`, which holds the key too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file)
        return context

    def close(self) -> None:
        """Stop the proxy; tunnels end with their browsers."""
        self.proxy.shutdown()
        self.proxy.server_close()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, routes: dict[str, int]) -> None:
        self.routes = routes
        super().__init__(("127.0.0.1", 0), _Tunnel)


class _Tunnel(socketserver.StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        method, target, *_ = [*self.rfile.readline().decode("latin-1").split(), "", ""]
        while self.rfile.readline().strip():
            pass
        host, _, asked = target.rpartition(":")
        # WebKitGTK goes through the proxy to this machine's own addresses too.
        port = int(asked) if host in {"localhost", "127.0.0.1"} else self.server.routes.get(host)
        if method != "CONNECT" or port is None:
            self.wfile.write(
                b"HTTP/1.1 502 Not in this lab\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            up = threading.Thread(target=_pump, args=(self.connection, upstream), daemon=True)
            up.start()
            _pump(upstream, self.connection)
            up.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            end.shutdown(how)


@contextlib.contextmanager
def launch(engine: Engine, lab: Lab, *, javascript: bool = True) -> Iterator[Browser]:
    """A fresh browser in this lab, gone without a trace when the block ends. Not installed: see `require`."""
    require(engine)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        start = {Engine.CHROMIUM: _chromium, Engine.WEBKIT: _webkit}.get(engine, _firefox)
        connection, capabilities = start(stack, home, lab, engine, javascript)
        stack.callback(connection.close)
        always = {"acceptInsecureCerts": True, **capabilities}
        connection.send("NewSession", {"capabilities": {"alwaysMatch": always}})
        try:
            yield Browser(engine, connection)
        finally:
            with contextlib.suppress(WebDriverError, OSError):
                connection.send("DeleteSession", {})


Started = tuple[Connection, dict[str, Json]]


def _chromium(
    stack: contextlib.ExitStack, home: Path, lab: Lab, _engine: Engine, javascript: bool
) -> Started:
    log = _run(stack, home, ["chromedriver", "--port=0"])
    options = {
        "binary": find_chromium(),
        "args": [
            *CHROMIUM_FLAGS,
            f"--user-data-dir={home}/profile",
            f"--proxy-server=http://127.0.0.1:{lab.proxy_port}",
        ],
        "excludeSwitches": [POPUPS_ALLOWED.removeprefix("--")],
        "prefs": {
            "profile.cookie_controls_mode": 1,
            "profile.default_content_setting_values.javascript": 1 if javascript else 2,
        },
    }
    return OverHttp(int(_logged(log, r"successfully on port (\d+)"))), {"goog:chromeOptions": options}


def _firefox(stack: contextlib.ExitStack, home: Path, lab: Lab, engine: Engine, javascript: bool) -> Started:
    preferences = {
        "marionette.port": 0,
        "dom.disable_open_during_load": True,
        "network.cookie.cookieBehavior": 1 if engine is Engine.FIREFOX_STRICT else 5,
        "javascript.enabled": javascript,
        "network.proxy.type": 1,
        "network.proxy.http": "127.0.0.1",
        "network.proxy.http_port": lab.proxy_port,
        "network.proxy.ssl": "127.0.0.1",
        "network.proxy.ssl_port": lab.proxy_port,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    profile = home / "profile"
    profile.mkdir()
    (profile / "user.js").write_text("\n".join(lines))
    command = [find_firefox() or "firefox", "--headless", "--marionette", "--profile", str(profile)]
    log = _run(stack, home, command)
    return OverMarionette(int(_logged(log, r"Marionette\tINFO\tListening on port (\d+)"))), {}


def _webkit(stack: contextlib.ExitStack, home: Path, lab: Lab, _engine: Engine, javascript: bool) -> Started:
    display = _run(
        stack, home, ["Xvfb", "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "1280x1024x24"]
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["dbus-run-session", "--", "WebKitWebDriver", f"--port={port}"]
    _run(stack, home, command, DISPLAY=":" + _logged(display, r"^(\d+)$"))
    _until(lambda: _listening(port), "WebKitWebDriver")
    arguments = [
        "--automation",
        "--enable-itp",
        f"--enable-javascript={str(javascript).lower()}",
        f"--proxy=http://127.0.0.1:{lab.proxy_port}",
    ]
    return OverHttp(port), {
        "webkitgtk:browserOptions": {"binary": find_minibrowser(), "args": arguments},
    }


def _run(stack: contextlib.ExitStack, home: Path, command: list[str], **environment: str) -> Path:
    """Start a program with a home of its own, to be ended with the stack; returns its log."""
    log = home / f"{Path(command[0]).name}.log"
    homes = dict.fromkeys(
        ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"), str(home)
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **homes, **environment},
            start_new_session=True,
        )
    stack.callback(_end, process)
    return log


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and the session that it leads: browsers put helpers in process groups of their own."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[3] == str(process.pid):
                os.kill(int(stat.parent.name), signal.SIGKILL)
    process.wait()


def _until(found: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.02)
    raise TimeoutError(f"{what} did not start")


def _logged(log: Path, pattern: str) -> str:
    found = _until(lambda: re.search(pattern, log.read_text(errors="replace"), re.MULTILINE), log.stem)
    return str(found and found[1])


def _listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def launch_chromium() -> Iterator[PlaywrightBrowser]:
    """Chromium under Playwright, for tests of ordinary pages: the installed one, else Playwright's own.

    Make one for the whole run and a context for each test:
    `browser.new_context(base_url=..., ignore_https_errors=True, java_script_enabled=...)`.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_FLAGS[1:], ignore_default_args=[POPUPS_ALLOWED]
        )
        yield browser
        browser.close()


if __name__ == "__main__":
    wanted = [Engine.CHROMIUM] if os.environ.get("QUICK") else list(Engine)
    print(*dict.fromkeys(itertools.chain.from_iterable(map(missing_packages, wanted))), sep="\n")
