"""The page of a launch, and "My scenarios", in Chromium."""

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from browsing import NewVisitor, Visitor, a_portal, box, focused, kept, overflows, path, visitors
from conftest import Portal, Sandbox
from engines import launch_chromium
from playwright.sync_api import Browser, expect

TEXT = "A talk about late reports."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with a_portal(sandbox, tmp_path_factory.mktemp("browser-launches")) as portal:
        yield portal


@pytest.fixture
def new_visitor(browser: Browser, served: Portal, sandbox: Sandbox) -> Iterator[NewVisitor]:
    """`new_visitor(java_script_enabled=False)`; browsers are closed with the test."""
    with visitors(browser, served, sandbox) as new:
        yield new


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


@pytest.fixture
def waiting(visitor: Visitor) -> Visitor:
    """Somebody whose scenario waits, for as long as the test lasts."""
    visitor.arrive()
    visitor.press(f"{TEXT} [[500]]")
    expect(visitor.tab.get_by_role("heading", level=1)).to_have_text("Your scenario is waiting")
    return visitor


# The page that waits


@pytest.mark.parametrize("scripts", [True, False], ids=["with-script", "without-script"])
def test_a_waiting_page_goes_on_by_itself(new_visitor: NewVisitor, scripts: bool) -> None:
    visitor = new_visitor(java_script_enabled=scripts)
    visitor.arrive()
    visitor.press(f"{TEXT} [[500 x1]]")
    expect(visitor.tab.get_by_role("heading", level=1)).to_have_text("Your scenario is waiting")
    # Only a script moves the bar; it would stand there empty.
    expect(visitor.tab.locator("progress")).to_be_visible(visible=scripts)
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_a_busy_exec_is_told_with_a_countdown(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(f"{TEXT} [[429 x1]]")
    clock = tab.get_by_role("timer")
    shown = clock.inner_text()
    assert re.fullmatch(r"0:0[1-5]", shown)
    expect(clock).not_to_have_text(shown)
    expect(tab.get_by_role("progressbar", name="Waiting")).to_be_visible()
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_the_clock_stands_in_the_tabs_title(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(f"{TEXT} [[429 x1]]")
    expect(tab).to_have_title(re.compile(r"^0:0[1-5] · Your scenario is waiting · Scenario Portal$"))
    visitor.expect_studio(TEXT)


def test_waiting_leaves_the_focus_alone_and_says_the_place_once(waiting: Visitor) -> None:
    tab = waiting.tab
    text = tab.get_by_text("Your text", exact=True)
    text.focus()
    said = tab.locator("[data-announce]")
    expect(said).to_have_text(re.compile("You are next.|It is your turn."))
    with tab.expect_response("**?go=1"):
        pass
    expect(text).to_be_focused()


def test_an_end_without_a_scenario_is_read_first(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(f"{TEXT} [[500 x1]] [[400]]")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Not created", timeout=15_000)
    assert focused(tab) == "Not created"
    assert tab.title().startswith("Not created")
    tab.get_by_role("link", name="Change the text and try again").click()
    expect(box(tab)).to_have_value(f"{TEXT} [[500 x1]] [[400]]")


def test_being_offline_is_said_and_mended_by_itself(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(f"{TEXT} [[500 x1]]")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Your scenario is waiting")
    visitor.context.set_offline(True)
    expect(tab.get_by_text("You seem to be offline")).to_be_visible()
    visitor.context.set_offline(False)
    visitor.expect_studio(TEXT)


def test_cancelling_gives_the_text_back_and_keeps_it(waiting: Visitor) -> None:
    tab = waiting.tab
    tab.get_by_role("button", name="Cancel and get the text back").click()
    expect(box(tab)).to_have_value(f"{TEXT} [[500]]")
    expect(box(waiting.reopen())).to_have_value(f"{TEXT} [[500]]")
    assert waiting.sessions == []


def test_a_closed_page_is_continued_from_my_scenarios(visitor: Visitor) -> None:
    visitor.arrive()
    visitor.press(f"{TEXT} [[500 x1]]")
    expect(visitor.tab.get_by_role("heading", level=1)).to_have_text("Your scenario is waiting")
    tab = visitor.reopen("/launches")
    expect(tab.get_by_text("Waiting", exact=True)).to_be_visible()
    tab.get_by_role("link", name="Continue").click()
    visitor.expect_studio(TEXT)


# My scenarios


def test_my_scenarios_opens_what_is_ready(visitor: Visitor) -> None:
    visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab = visitor.reopen()
    tab.get_by_role("link", name="My scenarios").click()
    tab.get_by_role("link", name=f"Open: {TEXT}", exact=True).click()
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_times_are_the_readers_own(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(timezone_id="Asia/Tokyo", locale="en-GB")
    visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    time = visitor.reopen("/launches").locator("time")
    moment = datetime.fromisoformat(time.get_attribute("datetime") or "")
    assert time.inner_text().endswith(f"{(moment.hour + 9) % 24:02}:{moment.minute:02}")


def test_a_text_is_used_again_and_erased(visitor: Visitor) -> None:
    visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab = visitor.reopen("/launches")
    tab.get_by_role("link", name="Use again").click()
    expect(box(tab)).to_have_value(TEXT)
    tab.get_by_role("link", name="My scenarios").click()
    height = tab.locator(".card").evaluate("card => card.offsetHeight")
    tab.get_by_text("Erase", exact=True).click()
    assert tab.locator(".card").evaluate("card => card.offsetHeight") == height  # nothing moves away
    tab.get_by_role("button", name="Erase for good").click()
    expect(tab.get_by_text("Erased. Its text and its link have left the portal.")).to_be_visible()
    expect(tab.get_by_text("Nothing here yet")).to_be_visible()
    assert path(tab) == "/launches"
    assert kept(tab) == []


def test_back_does_not_bring_an_erased_text_again(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab.goto("/launches")
    tab.get_by_text("Erase", exact=True).click()
    tab.get_by_role("button", name="Erase for good").click()
    expect(tab.get_by_text("Erased. Its text")).to_be_visible()
    while path(tab) != "/":
        tab.go_back()
    expect(tab.locator("[data-count]")).to_have_text("0 of 10,000 characters")
    expect(box(tab)).to_have_value("")
    assert TEXT not in tab.evaluate("JSON.stringify(history.state)")


def test_nothing_yet_leads_to_the_form(visitor: Visitor) -> None:
    visitor.arrive()
    tab = visitor.reopen("/launches")
    tab.get_by_role("main").get_by_role("link", name="Create a scenario").click()
    expect(box(tab)).to_be_visible()


def test_320_pixels_are_wide_enough(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(viewport={"width": 320, "height": 640})
    visitor.arrive()
    visitor.press("x" * 900 + " [[500]]")
    expect(visitor.tab.get_by_role("heading", level=1)).to_have_text("Your scenario is waiting")
    visitor.tab.get_by_text("Your text", exact=True).click()
    assert not overflows(visitor.tab)
    assert not overflows(visitor.reopen("/launches"))
