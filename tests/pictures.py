"""Makes the README's pictures anew: `PYTHONPATH=. .venv/bin/python tests/pictures.py`."""

import contextlib
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from browsing import Visitor, a_portal, box, create
from conftest import ROOT, Sandbox, run_sandbox
from engines import launch_chromium
from playwright.sync_api import Browser

DOCS = ROOT / "docs"
TEXT = """Who meets: I, from sales, with the IT director of a logistics company that plans in spreadsheets.
Goal: find out what the present way costs them, and who decides.
Good looks like: open questions, listening, a next step with a date.
Challenge: the director is polite, short of time, and was disappointed by a vendor before."""
TOGETHER = 6


class Intranet(BaseHTTPRequestHandler):
    """A page of the company's that holds the portal in a frame; its query names the frame."""

    def do_GET(self) -> None:
        frame = self.path.partition("?")[2]
        page = f"""<!DOCTYPE html><html lang="en"><title>Intranet</title>
            <body style="margin: 0; padding: 2rem 3rem; font: 1rem system-ui; background: #eef1f6">
            <h1>Sales enablement</h1><p>Rehearse your next customer meeting with an AI counterpart.</p>
            <iframe src="{frame}" title="Create a scenario" width="100%" height="460"
                style="border: 1px solid #c6cede; border-radius: 8px"></iframe>"""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def intranet() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Intranet)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def pictures(browser: Browser, sandbox: Sandbox, directory: Path) -> None:
    with intranet() as around, a_portal(sandbox, directory, FRAME_ANCESTORS=around) as portal:
        views = ({"width": 1000, "height": height} for height in (1000, 640, 640, 560))
        new = (Visitor(browser, portal, sandbox, viewport=view, color_scheme="light") for view in views)
        form(next(new))
        waiting(next(new))
        framed(next(new), around)
        board(next(new), browser)


def form(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    tab.locator("[data-ticks] .there").nth(3).wait_for()
    create(tab).focus()
    shoot(visitor, "form")


def waiting(visitor: Visitor) -> None:
    visitor.arrive()
    visitor.press(f"{TEXT} [[429]]")
    visitor.tab.get_by_role("timer").wait_for()
    shoot(visitor, "waiting")


def framed(visitor: Visitor, around: str) -> None:
    visitor.tab.goto(f"{around}/?{visitor.portal.url}/embed")
    visitor.tab.frame_locator("iframe").get_by_role("textbox").fill(TEXT)
    shoot(visitor, "frame")


def board(visitor: Visitor, browser: Browser) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    tab.get_by_role("button", name="Share this text").click()
    tab.get_by_label("Title").fill("Workshop: discovery calls")
    tab.get_by_role("button", name="Share", exact=True).click()
    tab.wait_for_url("**/links/*")
    shared = next(one for one in tab.locator(".address").all_inner_texts() if "/s/" in one)
    for number in range(TOGETHER):
        take_part(
            Visitor(browser, visitor.portal, visitor.sandbox), shared, " [[500]]" if number == 0 else ""
        )
    tab.get_by_role("link", name="project").click()
    tab.get_by_role("progressbar").wait_for()
    shoot(visitor, "board")


def take_part(visitor: Visitor, shared: str, more: str) -> None:
    tab = visitor.arrive(shared)
    box(tab).fill(TEXT + more)
    create(tab).click()
    tab.wait_for_url("**/launches/*" if more else "**/chat/*")
    visitor.context.close()


def shoot(visitor: Visitor, name: str) -> None:
    visitor.tab.screenshot(path=DOCS / f"{name}.png")
    visitor.context.close()


def main() -> None:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sandbox = stack.enter_context(run_sandbox(directory / "sandbox.log"))
        pictures(stack.enter_context(launch_chromium()), sandbox, directory)


if __name__ == "__main__":
    main()
