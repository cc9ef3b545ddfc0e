"""The form in Chromium: from a link to the studio, and the ways in which a text might have been lost."""

import re
from collections.abc import Iterator

import pytest
from browsing import (
    NewVisitor,
    Visitor,
    a_portal,
    box,
    create,
    focused,
    kept,
    overflows,
    path,
    token,
    visitors,
    wait_until_kept,
)  # fmt: skip
from conftest import Portal, Sandbox
from engines import launch_chromium
from playwright.sync_api import Browser, expect

TEXT = "A first call with the IT director."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with a_portal(sandbox, tmp_path_factory.mktemp("browser-form")) as portal:
        yield portal


@pytest.fixture
def new_visitor(browser: Browser, served: Portal, sandbox: Sandbox) -> Iterator[NewVisitor]:
    """`new_visitor(java_script_enabled=False)`; browsers are closed with the test."""
    with visitors(browser, served, sandbox) as new:
        yield new


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


# From the link to the studio


def test_a_press_leads_through_the_studios_own_sign_in(visitor: Visitor, sandbox: Sandbox) -> None:
    hops: list[str] = []
    visitor.arrive()
    visitor.tab.on("request", lambda request: hops.append(request.url))
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    third_origin = sandbox.url.replace("127.0.0.1", "localhost")
    assert any(hop.startswith(f"{third_origin}/studio-sso") for hop in hops)
    assert [one["user_email"] for one in visitor.sessions] == [visitor.email]


def test_a_shared_link_fills_the_form_and_sends_nothing(visitor: Visitor) -> None:
    tab = visitor.arrive("/?prompt=A%20price%20objection%3F%20%F0%9F%98%80")
    expect(box(tab)).to_have_value("A price objection? 😀")
    assert visitor.calls == []


def test_everything_works_without_javascript(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(java_script_enabled=False)
    tab = visitor.arrive("/?prompt=Without+a+script")
    expect(box(tab)).to_have_value("Without a script")
    visitor.press()
    visitor.expect_studio("Without a script")
    assert len(visitor.sessions) == 1


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    tab = visitor.arrive()
    stops = []
    while not stops or stops[-1] != "prompt":
        assert len(stops) < 10, f"the box is not reached: {stops}"
        tab.keyboard.press("Tab")
        stops.append(focused(tab))
    assert stops == [
        "Skip to the content", "Scenario Portal", "New scenario", "My scenarios", "Use another account",
        "Sign out", "prompt",
    ]  # fmt: skip
    tab.keyboard.type(TEXT)
    tab.keyboard.press("Tab")
    assert focused(tab) == "Create scenario"
    tab.keyboard.press("Enter")
    visitor.expect_studio(TEXT)


def test_control_and_enter_send_from_the_box(visitor: Visitor) -> None:
    box(visitor.arrive()).fill(TEXT)
    visitor.tab.keyboard.press("Control+Enter")
    visitor.expect_studio(TEXT)


def test_names_are_what_a_screen_reader_says(visitor: Visitor) -> None:
    main = visitor.arrive().get_by_role("main")
    expect(main).to_match_aria_snapshot("""
      - main:
        - heading "Create a scenario" [level=1]
        - status
        - text: Describe the meeting or the scenario
        - paragraph: Who meets whom, what you want to reach, what good looks like, and what makes it hard.
        - textbox "Describe the meeting or the scenario"
        - paragraph: 0 of 10,000 characters
        - button "Create scenario"
        - status
        - paragraph
        - region "Or start from an example":
          - heading "Or start from an example" [level=2]
          - list:
            - listitem:
              - link "Discovery call"
    """)
    expect(box(visitor.tab)).to_have_accessible_description(re.compile("Who meets whom.* characters$"))


@pytest.mark.parametrize(
    "text", ["", "x" * 900, "محادثة مع عميل غاضب " * 40, "顧客が納期の遅れに怒っている" * 40]
)
def test_320_pixels_are_wide_enough(new_visitor: NewVisitor, text: str) -> None:
    visitor = new_visitor(viewport={"width": 320, "height": 640})
    tab = visitor.arrive()
    box(tab).fill(text)
    assert not overflows(tab)
    assert not overflows(visitor.reopen("/signed-out"))


# One intention, one session


@pytest.mark.parametrize("scripts", [True, False], ids=["with-script", "without-script"])
def test_a_double_click_makes_one_session(new_visitor: NewVisitor, scripts: bool) -> None:
    visitor = new_visitor(java_script_enabled=scripts)
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    create(tab).dblclick()
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_the_button_is_busy_while_exec_works(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(f"{TEXT} [[slow]]")
    shown = tab.evaluate(
        """() => {
            const form = document.querySelector("[data-prompt-form]");
            const button = form.querySelector("button.primary");
            const sent = [];
            addEventListener("submit", (event) => sent.push(!event.defaultPrevented));
            button.click();
            button.click();
            const status = form.querySelector("[data-status]");
            return [sent, button.textContent, button.ariaDisabled, status.textContent];
        }"""
    )
    assert shown == [
        [True, False],
        "Creating…",
        "true",
        "Creating your scenario. This can take a few seconds.",
    ]
    visitor.expect_studio(TEXT)
    assert len(visitor.calls) == 1


def test_back_keeps_text_and_token_and_a_second_press_makes_no_second_session(visitor: Visitor) -> None:
    tab = visitor.arrive()
    sent = token(tab)
    # Chromium would restore the text by itself; not every browser does so for a page that is not stored.
    box(tab).evaluate("box => { box.autocomplete = 'off'; }")
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab.go_back()
    expect(box(tab)).to_have_value(TEXT)
    assert token(tab) == sent
    visitor.press()
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_another_text_after_back_is_another_intention_and_is_kept(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab.go_back()
    box(tab).fill("Something else")
    wait_until_kept(tab, "Something else")
    expect(box(visitor.reopen())).to_have_value("Something else")
    visitor.press()
    visitor.expect_studio("Something else")
    assert len(visitor.sessions) == 2


# No text is lost


def test_a_draft_comes_back_after_the_tab_was_closed(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    tab = visitor.reopen()
    expect(box(tab)).to_have_value(TEXT)
    expect(tab.locator("[data-offer]")).to_contain_text("is back")
    tab.get_by_role("button", name="Clear").click()
    expect(box(tab)).to_have_value("")
    tab.get_by_role("button", name="Undo").click()
    expect(box(tab)).to_have_value(TEXT)


def test_a_cleared_draft_does_not_come_back(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    visitor.reopen().get_by_role("button", name="Clear").click()
    expect(box(visitor.reopen())).to_have_value("")


def test_a_reload_keeps_what_was_typed(visitor: Visitor) -> None:
    tab = visitor.arrive("/?prompt=From+the+link")
    box(tab).fill(TEXT)
    before = token(tab)
    tab.reload()
    expect(box(tab)).to_have_value(TEXT)
    assert token(tab) == before


def test_a_differing_draft_is_offered_and_overwrites_nothing(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    tab = visitor.reopen("/?prompt=From+the+link")
    expect(box(tab)).to_have_value("From the link")
    expect(tab.locator("[data-offer]")).to_contain_text("You have an unsent text from")
    tab.get_by_role("button", name="Use it").click()
    expect(box(tab)).to_have_value(TEXT)


def test_a_discarded_draft_is_gone(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    visitor.reopen("/?prompt=From+the+link").get_by_role("button", name="Discard").click()
    expect(visitor.tab.get_by_role("button", name="Undo")).to_be_visible()
    assert not any(TEXT in one for one in kept(visitor.tab))


def test_a_text_that_was_created_is_not_offered_again(visitor: Visitor) -> None:
    visitor.arrive()
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)
    tab = visitor.reopen()
    expect(box(tab)).to_have_value("")
    assert kept(tab) == []


def test_an_example_never_replaces_what_is_typed(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    with visitor.context.expect_page() as opened:
        tab.get_by_role("link", name="Price objection").click()
    expect(box(opened.value)).to_have_value(re.compile("cheaper offer"))
    expect(box(tab)).to_have_value(TEXT)


def test_a_text_in_the_fragment_survives_the_sign_in_and_is_not_sent(visitor: Visitor) -> None:
    tab = visitor.arrive("/#p=Caf%C3%A9%20%26%20more")
    expect(box(tab)).to_have_value("Café & more")
    assert "#" not in tab.url
    tab.reload()
    expect(box(tab)).to_have_value("Café & more")
    assert visitor.calls == []


def test_signing_out_forgets_every_draft(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert kept(tab) == []


def test_nobody_else_is_shown_a_draft(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    wait_until_kept(tab, TEXT)
    visitor.person = "p6999"
    tab.get_by_role("link", name="Use another account").click()
    visitor.choose()
    expect(tab.get_by_text("Person 6999")).to_be_visible()
    expect(box(tab)).to_have_value("")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-script", "without-script"])
def test_an_expired_sign_in_loses_nothing(new_visitor: NewVisitor, scripts: bool) -> None:
    visitor = new_visitor(java_script_enabled=scripts)
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    visitor.context.clear_cookies(name=re.compile("portal-"))
    create(tab).click()
    if not scripts:  # the provider still knows the person
        expect(box(tab)).to_have_value(TEXT)
        create(tab).click()
    visitor.expect_studio(TEXT)
    assert len(visitor.sessions) == 1


def test_a_refusal_is_read_first_and_the_text_stays(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press(f"{TEXT} [[400]]")
    expect(box(tab)).to_have_value(f"{TEXT} [[400]]")
    assert tab.title().startswith("Not created yet")
    assert focused(tab).startswith("Exec did not accept this description")
    assert "This prompt is <b>markup</b>" in focused(tab)
    expect(box(visitor.reopen())).to_have_value(f"{TEXT} [[400]]")


def test_without_storage_the_form_still_works(new_visitor: NewVisitor) -> None:
    visitor = new_visitor()
    refuse = "{ get() { throw new DOMException('', 'SecurityError'); } }"
    for name in ("localStorage", "sessionStorage"):
        visitor.context.add_init_script(f"Object.defineProperty(window, '{name}', {refuse});")
    tab = visitor.arrive()
    box(tab).press_sequentially("Hello")
    expect(tab.locator("[data-count]")).to_have_text("5 of 10,000 characters")
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)


# What is counted


@pytest.mark.parametrize(("text", "count"), [("👩‍👩‍👧", 5), ("e\u0301😀", 3), ("\n\n a \n\n", 2)])
def test_characters_are_counted_as_the_server_counts_them(visitor: Visitor, text: str, count: int) -> None:
    tab = visitor.arrive()
    box(tab).fill(text)
    expect(tab.locator("[data-count]")).to_have_text(f"{count} of 10,000 characters")


def test_a_text_that_is_too_long_is_not_sent(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press("😀" * 10_003)
    expect(tab.locator("[data-count]")).to_have_text("3 characters too long")
    expect(tab.locator("[data-status]")).to_have_text("3 characters too long")
    assert path(tab) == "/"
    visitor.press("😀" * 10_000)
    visitor.expect_studio("😀")
