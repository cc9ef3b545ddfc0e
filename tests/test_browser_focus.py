"""Where the focus is after each thing that one can do: where one goes on, never on the page as a whole."""

from collections.abc import Callable, Iterator

import pytest
from browsing import NewVisitor, Visitor, a_portal, box, visitors, wait_until_kept
from conftest import Portal, Sandbox
from engines import launch_chromium
from playwright.sync_api import Browser, Locator, expect

TEXT = "A first call with the IT director."
FILE = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"The price is too high."}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with a_portal(sandbox, tmp_path_factory.mktemp("browser-focus")) as portal:
        yield portal


@pytest.fixture
def new_visitor(browser: Browser, served: Portal, sandbox: Sandbox) -> Iterator[NewVisitor]:
    with visitors(browser, served, sandbox) as new:
        yield new


class Doing:
    """One method for each thing that one can do; it returns what then has the focus."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.tab = visitor.tab
        visitor.arrive()

    def write(self, text: str = TEXT) -> None:
        box(self.tab).fill(text)
        self.tab.get_by_role("button", name="Goal").wait_for()  # the help is there

    def press(self, name: str) -> None:
        self.tab.get_by_role("button", name=name, exact=True).press("Enter")

    def note(self, words: str) -> Locator:
        return self.tab.locator("[tabindex='-1']:not(main)", has_text=words)

    # The form

    def brings_a_file(self) -> Locator:
        self.write()
        self.tab.get_by_label("Bring a file along").set_input_files([FILE])
        return self.note("The text of your file is in the box")

    def undoes_a_file(self) -> Locator:
        self.brings_a_file()
        self.press("Undo")
        return box(self.tab)

    def adds_no_file(self) -> Locator:
        self.write()
        self.press("Add its text")
        return self.note("No file was chosen")

    def cuts(self) -> Locator:
        self.write("word " * 2100)
        self.press("Add its text")
        self.press("Keep the end")
        return self.note("The text fits now")

    def presses_a_tick(self) -> Locator:
        self.write()
        self.press("Goal (not yet)")
        return box(self.tab)

    def chooses_an_example(self) -> Locator:
        self.tab.get_by_role("link", name="Price objection").press("Enter")
        return box(self.tab)

    def undoes_an_example(self) -> Locator:
        self.write()
        self.chooses_an_example()
        self.press("Undo")
        return box(self.tab)

    def replaces_by_roles(self) -> Locator:
        self.write("Write to ana@acme.example.")
        self.press("Replace")
        return box(self.tab)

    def undoes_roles(self) -> Locator:
        self.replaces_by_roles()
        self.press("Undo")
        return box(self.tab)

    def leaves_an_offer(self) -> Locator:
        self.write("Write to ana@acme.example.")
        self.press("Leave")
        return box(self.tab)

    def clears_a_draft(self) -> Locator:
        self.write()
        wait_until_kept(self.tab, TEXT)
        self.tab = self.visitor.reopen()
        self.press("Clear")
        return box(self.tab)

    def discards_another_text(self) -> Locator:
        self.write()
        wait_until_kept(self.tab, TEXT)
        self.tab = self.visitor.reopen("/?prompt=From+a+link")
        self.press("Discard")
        return box(self.tab)

    def sends_nothing(self) -> Locator:
        self.press("Create scenario")
        return self.note("Nothing was sent yet")

    def is_refused(self) -> Locator:
        self.write("A talk. [[400]]")
        self.press("Create scenario")
        return self.note("Exec did not accept")

    # What comes of it

    def cancels(self) -> Locator:
        self.write("A talk. [[500]]")
        self.press("Create scenario")
        self.press("Cancel and get the text back")
        return self.note("Cancelled: nothing was created")

    def erases(self) -> Locator:
        self.write("A talk. [[400]]")
        self.press("Create scenario")
        self.note("Exec did not accept").wait_for()
        self.tab.goto("/launches")
        self.tab.get_by_text("Erase", exact=True).press("Enter")
        self.press("Erase for good: A talk. [[400]]")
        return self.note("Erased.")

    def shares(self) -> Locator:
        self.write()
        self.press("Share this text")
        return self.tab.get_by_role("textbox", name="Title")

    def shares_without_a_title(self) -> Locator:
        self.shares().fill(" ")
        self.press("Share")
        return self.note("Nothing is shared yet")

    def gives_a_title(self) -> Locator:
        self.shares().fill("Renewal")
        self.press("Share")
        return self.note("It is shared")

    def copies(self) -> Locator:
        self.gives_a_title().wait_for()
        self.press("Copy the address")
        return self.tab.get_by_role("button", name="Copied")

    def withdraws(self) -> Locator:
        self.gives_a_title().wait_for()
        self.tab.get_by_text("Withdraw", exact=True).press("Enter")
        self.press("Withdraw for everybody")
        return self.tab.get_by_role("heading", name="This text is withdrawn")

    def asks_who_is_allowed(self) -> Locator:
        self.tab.goto("/embed/diagnose")
        self.tab.get_by_label("The address of your intranet page").fill("https://wiki.example")
        self.press("Check")
        return self.tab.get_by_role("heading", name="No, https://wiki.example")


DOINGS = [name for name in vars(Doing) if name not in {"write", "press", "note"} and not name.startswith("_")]


@pytest.mark.parametrize("name", DOINGS)
def test_the_focus_is_where_one_goes_on(new_visitor: NewVisitor, name: str) -> None:
    where: Callable[[], Locator] = getattr(Doing(new_visitor()), name)
    expect(where()).to_be_focused(timeout=10_000)
