"""The form: one shape for every text, its limits, and a text that survives the way through the page."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import ROOT, Fetch, Sandbox, SignIn
from flask import Flask
from flask.testing import FlaskClient

from webapp.forms import LONGEST_PROMPT, PromptForm, clean, new_token, prefill

Check = Callable[..., PromptForm]


@pytest.fixture
def check(app: Flask) -> Check:
    """Validate what a browser might post."""

    def validate(**posted: str) -> PromptForm:
        with app.test_request_context("/launches", method="POST", data=posted):
            form = PromptForm(meta={"csrf": False})
            form.validate()
            return form

    return validate


# One shape: the browser's tests run the same table

TEXTS = json.loads((ROOT / "tests" / "texts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row["what"])
def test_a_text_has_one_shape(row: dict[str, Any]) -> None:
    assert clean(row["typed"]) == row["clean"]
    assert len(clean(row["typed"])) == row["length"]
    assert clean(row["clean"]) == row["clean"]


def test_nothing_is_an_empty_text() -> None:
    assert clean(None) == ""


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 20_000 + "b",
        " \n" * 10_000 + "a",
        "a" + "\n \t" * 6_000 + "b",
        "\r\n" * 10_000,
        "a" + "\u200b \x1f" * 9_000 + "b",
    ],
)
def test_a_hostile_text_is_quick_to_clean(text: str) -> None:
    begun = time.process_time()
    clean(text)
    assert time.process_time() - begun < 0.5


# Limits


@pytest.mark.parametrize("letter", ["a", "é", "例", "🎭"])
def test_a_text_of_the_longest_length_is_accepted(check: Check, letter: str) -> None:
    form = check(prompt=letter * LONGEST_PROMPT, form_token="t")
    assert not form.errors
    assert form.prompt.data == letter * 10_000


@pytest.mark.parametrize("letter", ["a", "é", "例", "🎭"])
def test_one_letter_more_is_too_long(check: Check, letter: str) -> None:
    form = check(prompt=letter * 10_001, form_token="t")
    assert form.errors["prompt"] == ["The description is 1 character too long."]
    assert form.prompt.data == letter * 10_001


def test_many_letters_more_are_counted(check: Check) -> None:
    assert check(prompt="a" * 12_439, form_token="t").errors["prompt"] == [
        "The description is 2,439 characters too long."
    ]


def test_a_line_break_counts_once(check: Check) -> None:
    assert not check(prompt="a\r\n" * 4999 + "ab", form_token="t").errors


def test_blank_lines_at_the_ends_do_not_count(check: Check) -> None:
    assert not check(prompt="\r\n" * 50 + "a" * 10_000 + "\r\n" * 50, form_token="t").errors


@pytest.mark.parametrize("prompt", ["", " ", "\r\n\r\n", "\u3000", "\u200b", "\ufeff", "\u2800\u3164"])
def test_a_blank_text_is_refused(check: Check, prompt: str) -> None:
    assert check(prompt=prompt, form_token="t").errors["prompt"] == [
        "Describe the meeting or the scenario first."
    ]


def test_an_invisible_control_character_is_dropped_and_not_refused(check: Check) -> None:
    form = check(prompt="\ufeffa\x00b\x1b\x9f", form_token="t")
    assert not form.errors
    assert form.prompt.data == "ab"


@pytest.mark.parametrize("letter", ["\t", "\n", "\xa0", "\u200d", "\ufeff", "\u202e", "🎭", "\U0010ffff"])
def test_other_characters_are_accepted(check: Check, letter: str) -> None:
    assert not check(prompt=f"a{letter}b", form_token="t").errors


def test_a_missing_prompt_is_refused(check: Check) -> None:
    assert "prompt" in check(form_token="t").errors


# The token


@pytest.mark.parametrize("token", ["a", "A-z_0.9", "x" * 64, "...", "portal-7d1c7c2e"])
def test_a_token_of_the_pattern_is_kept(check: Check, token: str) -> None:
    form = check(prompt="a", form_token=token)
    assert not form.errors
    assert form.form_token.data == token


@pytest.mark.parametrize("token", ["x" * 65, "a b", "a/b", "a\n", "é", "<b>", "a,b", "\x00", "٣", "a\u200b"])
def test_another_token_is_replaced_and_said(check: Check, token: str) -> None:
    form = check(prompt="a", form_token=token)
    assert "form_token" in form.errors
    assert form.form_token.data != token
    assert form.prompt.data == "a"


@pytest.mark.parametrize("posted", [{}, {"form_token": ""}])
def test_a_missing_token_is_said(check: Check, posted: dict[str, str]) -> None:
    assert "form_token" in check(prompt="a", **posted).errors


def test_every_token_is_a_new_one() -> None:
    assert len({new_token() for _ in range(100)}) == 100


# What a link brings


@pytest.mark.parametrize("request_id", ["shared-1", "x" * 64])
def test_a_links_request_id_becomes_the_token(request_id: str) -> None:
    assert prefill("a", request_id)["form_token"] == request_id


@pytest.mark.parametrize("request_id", [None, "", "x" * 65, "a b", "<script>", "a\n"])
def test_another_request_id_is_ignored(request_id: str | None) -> None:
    assert prefill("a", request_id)["form_token"] not in (request_id, "")


def test_what_cannot_be_sent_is_not_prefilled() -> None:
    assert prefill("\r\na\x00b\x1bc\r\n", None)["prompt"] == "abc"


# Through the page, as a browser parses it


@pytest.mark.parametrize(
    "text",
    [
        "\n\nA line after two empty ones",
        "  indented\n\ttabbed",
        "</textarea><script>alert(1)</script>",
        "&lt;b&gt; &amp; <b> \"quoted\" 'too'",
        "{{ 7 * 7 }} {% raw %}",
        "Первый\n第一\n🎭",
        "a\r\nb",
    ],
)
def test_a_text_survives_the_page(client: FlaskClient, sign_in: SignIn, page: Fetch, text: str) -> None:
    sign_in(client)
    shown = page(client, client.get("/", query_string={"prompt": text}))
    assert shown.prompt == clean(text)


def test_a_refused_text_comes_back_as_it_was(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    fields = page(client).fields
    text = "  indented\n\n" + "x" * 10_000
    again = page(client, client.post("/launches", data={**fields, "prompt": text}), 422)
    assert again.prompt == text
    assert again.fields["form_token"] == fields["form_token"]
    (box,) = again.find("textarea")
    assert box.attrs["aria-invalid"] == "true"
    assert "prompt-error" in box.attrs["aria-describedby"].split()


def test_a_refused_text_is_not_sent(
    client: FlaskClient, sign_in: SignIn, page: Fetch, sandbox: Sandbox
) -> None:
    sign_in(client, "p31")
    client.post("/launches", data={**page(client).fields, "prompt": "x" * 10_001})
    assert sandbox.requests(user_email="p31@acme.example") == []


def test_a_lost_csrf_token_costs_neither_text_nor_token(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client)
    fields = page(client).fields
    posted = {"prompt": "My text", "form_token": fields["form_token"], "csrf_token": "old"}
    again = page(client, client.post("/launches", data=posted), 422)
    assert (again.prompt, again.fields["form_token"]) == ("My text", fields["form_token"])
    assert again.fields["csrf_token"] != "old"


def test_the_form_is_what_tools_expect(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    form = page(client).prompt_form
    assert (form.attrs["method"], form.attrs["action"]) == ("post", "/launches")
    first, *others = form.find("button")
    assert first.words == "Create scenario"
    assert "formaction" not in first.attrs
    assert all("formaction" in button.attrs for button in others)
    assert not any("name" in button.attrs for button in (first, *others))
    shown = [control.attrs for control in form.find("input") if control.attrs["type"] != "hidden"]
    assert [(attrs["type"], attrs["name"]) for attrs in shown] == [("file", "file")]
    assert len(form.find("textarea")) == 1
