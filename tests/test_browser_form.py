"""The form in Chromium: from a link to the studio, and the ways in which a text might have been lost."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

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
from conftest import ROOT, Portal, Sandbox, wait_until
from engines import launch_chromium
from playwright.sync_api import Browser, Page, expect

from webapp.forms import clean

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
    tab.keyboard.press("Tab")
    assert focused(tab) == "Skip to the text"
    tab.keyboard.press("Enter")
    assert focused(tab) == "prompt"
    stops = []
    while not stops or stops[-1] != "Skip to the text":
        tab.keyboard.press("Shift+Tab")
        stops.append(focused(tab))
    assert stops[:-10:-1] == [
        "Skip to the text", "Scenario Portal", "New scenario", "My scenarios",
        "Shared texts",
        f"Person {visitor.person[1:]}", "Use another account", "Sign out", "Who meets (not yet)",
    ]  # fmt: skip
    tab.keyboard.press("Enter")
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
        - text: Describe the meeting or the scenario
        - paragraph: "A few lines are enough. These four help the agent most:"
        - list:
          - listitem: Who meets
          - listitem: Goal
          - listitem: Good looks like
          - listitem: Challenge
        - region "Examples":
          - heading "Examples" [level=2]
          - list:
            - listitem:
              - link "Discovery call"
        - textbox "Describe the meeting or the scenario"
        - paragraph: 0 of 10,000 characters
        - button "Create scenario"
        - status
        - status
        - paragraph
    """)
    expect(box(visitor.tab)).to_have_accessible_description(re.compile("Who meets.* characters$"))


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
            return [sent, button.textContent, button.ariaDisabled, status.textContent.trim()];
        }"""
    )
    assert shown == [
        [True, False],
        "Create scenario",
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
    expect(tab.locator("[data-offer]")).to_contain_text("You sent this text at")
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
    expect(tab.locator("[data-offer]")).to_contain_text(f"“{TEXT}”")
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


def test_an_example_is_put_in_place_with_the_caret_where_one_goes_on(visitor: Visitor) -> None:
    tab = visitor.arrive()
    tab.get_by_role("link", name="Price objection").click()
    expect(box(tab)).to_have_value(re.compile("cheaper offer"))
    expect(box(tab)).to_be_focused()
    tab.get_by_role("link", name="Discovery call").click()
    expect(box(tab)).to_have_value(re.compile("IT director"))
    expect(box(tab)).not_to_have_value(re.compile("cheaper offer"))
    assert len(visitor.context.pages) == 1


def test_an_example_never_replaces_what_is_typed(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    tab.get_by_role("link", name="Price objection").click()
    expect(box(tab)).to_have_value(re.compile(f"{TEXT}\n\n.*cheaper offer", re.DOTALL))
    tab.get_by_role("button", name="Undo").click()
    expect(box(tab)).to_have_value(TEXT)
    expect(box(tab)).to_be_focused()


def test_a_text_in_the_fragment_survives_the_sign_in_and_is_not_sent(visitor: Visitor) -> None:
    tab = visitor.arrive("/#p=Caf%C3%A9%20%26%20more")
    expect(box(tab)).to_have_value("Café & more")
    assert "#" not in tab.url
    tab.reload()
    expect(box(tab)).to_have_value("Café & more")
    assert visitor.calls == []


def test_a_text_in_the_fragment_arrives_where_the_form_stands_already(visitor: Visitor) -> None:
    tab = visitor.arrive()
    tab.goto("/#p=First")
    expect(box(tab)).to_have_value("First")
    assert "#" not in tab.url
    tab.goto("/#p=Second")
    expect(tab.locator("[data-offer]")).to_contain_text("Second")
    expect(box(tab)).to_have_value("First")
    assert visitor.calls == []


LONG = "A long text, with 100% of “it” & more. " * 40


def test_a_long_link_goes_through_the_sign_in_by_itself(visitor: Visitor) -> None:
    tab = visitor.arrive(f"/?request_id=shared-8&prompt={quote(LONG)}")
    expect(box(tab)).to_have_value(LONG.strip())
    assert token(tab) == "shared-8"
    tab.reload()
    expect(box(tab)).to_have_value(LONG.strip())
    assert visitor.calls == []


def test_a_long_link_waits_for_a_press_where_nothing_can_be_kept(new_visitor: NewVisitor) -> None:
    visitor = new_visitor()
    refuse = "{ get() { throw new DOMException('', 'SecurityError'); } }"
    visitor.context.add_init_script(f"Object.defineProperty(window, 'sessionStorage', {refuse});")
    visitor.tab.goto(f"/?request_id=shared-9&prompt={quote(LONG)}", wait_until="networkidle")
    assert path(visitor.tab) == "/"
    visitor.tab.get_by_role("button", name="Sign in to go on").click()
    visitor.choose()
    expect(box(visitor.tab)).to_have_value(LONG.strip())
    assert token(visitor.tab) == "shared-9"
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
    tab.goto("/#p=Linked")
    expect(box(tab)).to_have_value("Hello")
    tab.get_by_role("button", name="Use it").click()
    expect(box(tab)).to_have_value("Linked")
    visitor.press(TEXT)
    visitor.expect_studio(TEXT)


# Help to write


def ticked(tab: Page) -> list[str]:
    return tab.locator("[data-ticks] .there button").all_inner_texts()


def test_ticks_show_what_the_text_seems_to_hold(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill("I meet a buyer who is angry.")
    expect(tab.get_by_role("button", name="Who meets (in the text)")).to_be_visible()
    assert [text.split()[0] for text in ticked(tab)] == ["Who", "Challenge"]
    tab.get_by_role("button", name="Goal (not yet)").click()
    expect(box(tab)).to_have_value("I meet a buyer who is angry.\nGoal: ")
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    tab.keyboard.type("calm")
    expect(tab.get_by_role("button", name="Goal (in the text)")).to_be_visible()
    expect(box(tab)).to_have_value("I meet a buyer who is angry.\nGoal: calm")
    for _ in range(9):  # a browser takes back a letter or a word at a time
        if "Goal" in box(tab).input_value():
            tab.keyboard.press("Control+z")
    expect(box(tab)).to_have_value("I meet a buyer who is angry.")


def test_an_example_holds_all_four_parts(visitor: Visitor) -> None:
    tab = visitor.arrive()
    for name in tab.locator("[data-starters] a").all_inner_texts():
        tab.get_by_role("link", name=name).click()
        expect(tab.locator("[data-ticks] .there")).to_have_count(4)
        assert re.fullmatch(r"\[[^\]]+\]", tab.evaluate("String(getSelection())")), name


PASTED = """Quarterly review
Tom will show the numbers; Ana worries about the price.
________________
Join Zoom Meeting
https://acme.zoom.us/j/123456789?pwd=abc
Meeting ID: 123 456 789
Dial by your location
+1 646 558 8656 US (New York)
"""


TRANSCRIPT = """WEBVTT

1
00:00:01.000 --> 00:00:04.000
<v Ana>Too dear.</v>

2
00:00:05.000 --> 00:00:09.000
<v Tom>Why?</v>
"""


def paste(tab: Page, text: str) -> None:
    box(tab).focus()
    tab.evaluate(
        """text => {
            const box = document.querySelector("[name=prompt]");
            box.dispatchEvent(new ClipboardEvent("paste", { bubbles: true }));
            box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
            box.dispatchEvent(new InputEvent("input", { bubbles: true }));
        }""",
        text,
    )


def test_a_pasted_invite_is_tidied_when_wanted(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).focus()
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    paste(tab, PASTED)
    tab.get_by_role("button", name="Tidy it").click()
    expect(box(tab)).to_have_value(
        "Quarterly review\nTom will show the numbers; Ana worries about the price."
    )
    tab.get_by_role("button", name="Undo").click()
    expect(box(tab)).to_have_value(PASTED)


def test_a_pasted_transcript_keeps_who_speaks(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).focus()
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    paste(tab, TRANSCRIPT)
    tab.get_by_role("button", name="Tidy it").click()
    expect(box(tab)).to_have_value("Ana: Too dear.\n\nTom: Why?")


def test_addresses_and_numbers_are_replaced_by_roles_when_wanted(visitor: Visitor) -> None:
    tab = visitor.arrive()
    text = "Ana (ana@acme.example), bo@acme.example, ana@acme.example, +49 30 1234567; 10,000 on 2026-11-25."
    box(tab).fill(text)
    offer = tab.locator("[data-offer]")
    expect(offer).to_contain_text("2 e-mail addresses and a phone number: replace by roles?")
    tab.get_by_role("button", name="Replace").click()
    expect(box(tab)).to_have_value(
        "Ana ([person 1]), [person 2], [person 1], [phone number]; 10,000 on 2026-11-25."
    )
    tab.get_by_role("button", name="Undo").click()
    expect(box(tab)).to_have_value(text)


def test_a_declined_offer_does_not_come_again(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill("Write to ana@acme.example.")
    tab.get_by_role("button", name="Leave").click()
    tab.keyboard.type(" And to bo@acme.example.")
    tab.wait_for_timeout(1500)
    expect(tab.locator("[data-offer]")).to_be_empty()


def test_a_chosen_files_text_comes_below_and_can_be_undone(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    file = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"The price is too high."}
    tab.get_by_label("Bring a file along").set_input_files([file])
    expect(box(tab)).to_have_value(f"{TEXT}\n\nThe price is too high.")
    tab.get_by_role("button", name="Undo").click()
    expect(box(tab)).to_have_value(TEXT)


def test_a_dropped_files_text_comes_in(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill(TEXT)
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    box(tab).evaluate(
        """box => {
            const brought = new DataTransfer();
            brought.items.add(new File(["Dropped."], "notes.txt", { type: "text/plain" }));
            box.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: brought }));
        }"""
    )
    expect(box(tab)).to_have_value(f"{TEXT}\n\nDropped.")


def test_a_long_text_is_no_long_work(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).focus()
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    for hostile in ("a" * 50_000, "1 " * 25_000, "a@" * 25_000, " " * 50_000, ">" * 50_000):
        paste(tab, hostile + "\nend ")
    expect(tab.locator("[data-count]")).to_have_text(re.compile("of 10,000"), timeout=20_000)


# What it weighs

LARGEST_VISIT = 14_600  # bytes on the wire, heads included: what a new connection carries at once


def test_the_form_weighs_little_and_is_whole_after_one_more_round_trip(visitor: Visitor) -> None:
    tab = visitor.arrive()
    tab.goto("about:blank")  # what the first page still asks for is not counted
    asked: dict[str, dict[str, Any]] = {}
    sizes: dict[str, int] = {}

    def arrived() -> bool:
        tab.wait_for_timeout(50)  # lets events in; the icon is asked for when the browser has time
        return len(asked) >= 4 and sizes.keys() >= asked.keys()

    wire = visitor.context.new_cdp_session(tab)
    wire.on("Network.requestWillBeSent", lambda one: asked.update({one["requestId"]: one}))
    wire.on("Network.loadingFinished", lambda one: sizes.update({one["requestId"]: one["encodedDataLength"]}))
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    tab.goto("/")
    wait_until(arrived, "the page with its style, script and icon")
    names = {key: urlsplit(one["request"]["url"]).path.rpartition("/")[2] for key, one in asked.items()}
    assert sorted(names.values()) == ["", "icon.svg", "portal.css", "portal.js"]
    assert {one["initiator"]["type"] for one in asked.values()} == {"parser", "other"}  # none by a script
    assert sum(sizes[key] for key in names) <= LARGEST_VISIT
    box(tab).focus()
    expect(tab.get_by_role("button", name="Goal (not yet)")).to_be_visible()
    later = {urlsplit(one["request"]["url"]).path for key, one in asked.items() if key not in names}
    assert later == {"/static/writing.js", "/static/words.html"}


def test_the_head_is_one_row_however_wide_the_window(visitor: Visitor) -> None:
    tab = visitor.arrive()
    for width in (320, 400, 720, 800, 1000, 1200):
        tab.set_viewport_size({"width": width, "height": 700})
        tops = "[...document.querySelectorAll('.bar > *')].map(one => one.getBoundingClientRect())"
        rows = tab.evaluate(f"{tops}.map(one => one.top + one.height / 2)")
        assert max(rows) - min(rows) < 10, width


# What is counted


@pytest.mark.parametrize(("text", "count"), [("👩‍👩‍👧", 5), ("e\u0301😀", 3), ("\n\n a \n\n", 2)])
def test_characters_are_counted_as_the_server_counts_them(visitor: Visitor, text: str, count: int) -> None:
    tab = visitor.arrive()
    box(tab).fill(text)
    expect(tab.locator("[data-count]")).to_have_text(f"{count} of 10,000 characters")


def test_a_text_that_is_too_long_is_not_sent(visitor: Visitor) -> None:
    tab = visitor.arrive()
    visitor.press("😀" * 10_003)
    expect(tab.locator("[data-count]")).to_have_text("10,003 of 10,000 characters")
    expect(tab.get_by_text("3 characters too long")).to_have_count(1)
    assert focused(tab) == "Nothing was sent yet The description is 3 characters too long."
    assert path(tab) == "/"
    visitor.press("😀" * 10_001)
    expect(tab.get_by_text("1 character too long")).to_be_visible()
    visitor.press("😀" * 10_000)
    visitor.expect_studio("😀")


@pytest.mark.parametrize("text", ["", "\u200b", " \n\u2800"])
def test_an_empty_box_is_answered_in_our_own_words(visitor: Visitor, text: str) -> None:
    tab = visitor.arrive()
    visitor.press(text)
    assert focused(tab) == "Nothing was sent yet Describe the meeting or the scenario first."
    expect(box(tab)).to_have_attribute("aria-invalid", "true")
    expect(box(tab)).to_have_accessible_description(re.compile("Challenge.* scenario first. 0 of 10,000"))
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(box(tab)).to_be_focused()
    tab.keyboard.type("A talk")
    expect(tab.get_by_text("Nothing was sent yet")).to_be_hidden()
    expect(box(tab)).not_to_have_accessible_description(re.compile("scenario first"))
    assert visitor.calls == []


# One rule for texts, here and on the server


def test_a_text_has_the_shape_that_the_server_gives_it(visitor: Visitor) -> None:
    rows = json.loads((ROOT / "tests" / "texts.json").read_text(encoding="utf-8"))
    tab = visitor.arrive()
    script = "rows => rows.map(({ typed }) => ({ clean: clean(typed), length: lengthOf(typed) }))"
    assert tab.evaluate(script, rows) == [{"clean": row["clean"], "length": row["length"]} for row in rows]


def test_every_character_is_taken_as_the_server_takes_it(visitor: Visitor) -> None:
    everywhere = """([first, last]) => Array.from({ length: last - first }, (_, at) => {
        const one = String.fromCodePoint(first + at);
        return [clean(one), clean(`a${one}`), clean(`${one}a`)];
    }).flat().join("\\n\\n")"""
    tab = visitor.arrive()
    for first, last in ((0, 0x10000), (0x10000, 0x20000), (0xE0000, 0xE1100)):
        characters = map(chr, range(first, last))
        ours = "\n\n".join(clean(text) for one in characters for text in (one, f"a{one}", f"{one}a"))
        assert tab.evaluate(everywhere, [first, last]) == ours


def test_an_over_long_fragment_is_cut_and_holds_nobody_up(visitor: Visitor) -> None:
    tab = visitor.arrive("/#p=a" + "%20" * 100_000 + "x")
    expect(box(tab)).to_have_value(re.compile("^a {39999}$"))
    expect(tab.locator("[data-count]")).to_have_text("1 of 10,000 characters")
    expect(tab.locator("[data-offer]")).to_contain_text("Its end was left out")
    assert max(map(len, kept(tab))) < 41_000


def test_enter_that_ends_a_composition_sends_nothing(visitor: Visitor) -> None:
    tab = visitor.arrive()
    box(tab).fill("会議")
    for how in ({"isComposing": True}, {"keyCode": 229}):
        key = {"key": "Enter", "ctrlKey": True, "bubbles": True, **how}
        box(tab).evaluate("(box, key) => box.dispatchEvent(new KeyboardEvent('keydown', key))", key)
    expect(tab.locator("[data-status]")).to_have_text("")
    assert path(tab) == "/"
    assert visitor.calls == []


def test_a_strangers_page_at_another_host_leads_home_with_everything(visitor: Visitor) -> None:
    there = visitor.portal.url.replace("localhost", "127.0.0.1")
    tab = visitor.arrive(f"{there}/?request_id=shared-7#p=Kept%20on%20the%20way")
    expect(box(tab)).to_have_value("Kept on the way")
    assert tab.url.startswith(visitor.portal.url)
    assert token(tab) == "shared-7"
