"""People at a real browser in front of a real portal, for the browser tests."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conftest import Portal, Sandbox, answers, end, portal_values, run_gunicorn, wait_until
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

PEOPLE = (
    f"p{number}" for number in itertools.count(7000)
)  # each test somebody else: it sees its own calls only


@contextlib.contextmanager
def a_portal(sandbox: Sandbox, directory: Path, **settings: str) -> Iterator[Portal]:
    """A portal for a whole file of tests, without a limit on creations."""
    port = sandbox.portal_ports[-1]
    log = directory / "portal.log"
    environment = portal_values(sandbox, port, f"sqlite:///{directory / 'portal.sqlite'}")
    changes = {
        # The studio's own sign-in is on a third origin; over http Chromium wants it named.
        "EXEC_STUDIO_HOSTS": f"{sandbox.studio_host},{sandbox.studio_host.replace('127.0.0.1', 'localhost')}",
        "EXEC_CREATIONS_PER_MINUTE": "0",
        "CREATIONS_PER_PERSON_PER_HOUR": "0",
    }
    process = run_gunicorn(port, environment | changes | settings, log, directory)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the portal")
        yield Portal(port, process, log)
    finally:
        end(process)


class Visitor:
    """Somebody nobody has seen before, with a browser of their own and one tab open."""

    def __init__(self, browser: Browser, portal: Portal, sandbox: Sandbox, **options: Any) -> None:  # noqa: ANN401  # Playwright's
        self.person = next(PEOPLE)
        self.email = f"{self.person}@acme.example"
        self.portal = portal
        self.sandbox = sandbox
        self.context: BrowserContext = browser.new_context(base_url=portal.url, **options)
        self.context.set_default_timeout(10_000)
        self.tab = self.context.new_page()

    def arrive(self, address: str = "/") -> Page:
        """Follow a link to the portal as a stranger, through the provider; return the tab."""
        self.tab.goto(address)
        self.choose()
        return self.tab

    def choose(self) -> None:
        """Say at the provider who one is."""
        self.tab.get_by_label("One of the generated people").fill(self.person)
        self.tab.get_by_role("button", name="Sign in").click()
        self.tab.wait_for_url(f"{self.portal.url}/**")

    def reopen(self, address: str = "/") -> Page:
        """Close the tab and open another one there."""
        self.tab.close()
        self.tab = self.context.new_page()
        self.tab.goto(address)
        return self.tab

    def press(self, text: str | None = None) -> None:
        """Describe a scenario and press the button."""
        if text is not None:
            box(self.tab).fill(text)
        create(self.tab).click()

    def expect_studio(self, text: str) -> None:
        """The tab is in Scenario Studio, where the agent works on this text."""
        self.tab.wait_for_url(f"{self.sandbox.url}/chat/*")
        expect(self.tab.get_by_text(text).first).to_be_visible()

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The studio sessions that exist for this person."""
        return [one for one in self.sandbox.report()["sessions"] if one["user_email"] == self.email]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What Exec was asked for this person."""
        return self.sandbox.requests(user_email=self.email)


NewVisitor = Callable[..., Visitor]


@contextlib.contextmanager
def visitors(browser: Browser, portal: Portal, sandbox: Sandbox) -> Iterator[NewVisitor]:
    """`new(java_script_enabled=False)` is one more visitor; all of them leave at the end."""
    everybody: list[Visitor] = []

    def new(**options: Any) -> Visitor:  # noqa: ANN401  # Playwright's
        everybody.append(Visitor(browser, portal, sandbox, **options))
        return everybody[-1]

    yield new
    for visitor in everybody:
        visitor.context.close()


def box(tab: Page) -> Locator:
    return tab.get_by_role("textbox", name="Describe the meeting or the scenario")


def create(tab: Page) -> Locator:
    return tab.get_by_role("button", name="Create scenario")


def token(tab: Page) -> str:
    """Which intention the form would send."""
    return tab.locator("[data-prompt-form] [name=form_token]").input_value()


def kept(tab: Page) -> list[str]:
    """The texts that this browser keeps for the portal."""
    script = "Object.keys(localStorage).filter(k => k.startsWith('portal.')).map(k => localStorage[k])"
    texts: list[str] = tab.evaluate(script)
    return texts


def wait_until_kept(tab: Page, text: str) -> None:
    wait_until(lambda: any(text in one for one in kept(tab)), "keeping the text in the browser")


def overflows(tab: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    width: int = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width > 0


def focused(tab: Page) -> str:
    """What has the focus, by its words."""
    words: str = tab.evaluate("document.activeElement.innerText || document.activeElement.name || ''")
    return re.sub(r"\s+", " ", words).strip()


def path(tab: Page) -> str:
    return urlsplit(tab.url).path
