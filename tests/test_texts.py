"""A file brought into the form: its text goes below what was typed, and whatever is wrong, that stays."""

import io
import re
import tempfile

import pytest
import requests
from conftest import PUBLIC_URLS, Fetch, Sandbox, SignIn, StartPortal, expire
from flask.testing import FlaskClient
from reading import Page
from werkzeug.test import TestResponse

from webapp import bodies, texts

TYPED = "Dana meets Priya.\n\nShe wants to renew."


@pytest.fixture
def person(client: FlaskClient, sign_in: SignIn) -> FlaskClient:
    sign_in(client)
    return client


def multipart(fields: dict[str, str], name: str) -> bytes:
    """The body of a post up to the file's content. The test client would write a large one to the disk."""
    part = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    typed = "".join(part.format(key, "") + value + "\r\n" for key, value in fields.items())
    return (typed + part.format("file", f'; filename="{name}"')).encode()


def bring(
    client: FlaskClient,
    fields: dict[str, str],
    data: bytes | None = None,
    name: str = "a.txt",
    query: str = "",
    **more: object,
) -> TestResponse:
    """Press the button beside the file field, as a browser sends it; without `data`, none was chosen."""
    body = multipart(fields, name if data is not None else "") + (data or b"") + b"\r\n--edge--\r\n"
    kind = "multipart/form-data; boundary=edge"
    return client.post(f"/texts{query}", data=body, content_type=kind, **more)


def form_of(client: FlaskClient, page: Fetch, prompt: str = TYPED) -> dict[str, str]:
    return page(client).fields | {"prompt": prompt}


def test_a_files_text_goes_below_what_was_typed(person: FlaskClient, page: Fetch) -> None:
    fields = form_of(person, page)
    shown = page(
        person,
        bring(
            person,
            fields,
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Renewal\nEND:VEVENT\nEND:VCALENDAR",
            "a.ics",
        ),
    )
    assert shown.prompt == f"{TYPED}\n\nSubject: Renewal"
    assert shown.fields["form_token"] == fields["form_token"]
    assert "The text of your file is in the box" in shown.main.words


def test_an_empty_box_takes_a_files_text(person: FlaskClient, page: Fetch) -> None:
    assert page(person, bring(person, form_of(person, page, ""), b"Words")).prompt == "Words"


def test_what_was_brought_makes_a_scenario(person: FlaskClient, page: Fetch) -> None:
    shown = page(person, bring(person, form_of(person, page), b"Words"))
    assert person.post("/launches", data=shown.fields).status_code == 303


def test_the_form_offers_the_files_that_can_be_read(person: FlaskClient, page: Fetch) -> None:
    form = page(person).prompt_form
    controls = [element.attrs.get("name") for element in form.find() if element.tag in ("input", "textarea")]
    assert controls[-2:] == ["prompt", "file"]
    assert [button.words for button in form.find("button")][:1] == ["Create scenario"]
    assert all("name" not in button.attrs for button in form.find("button"))


@pytest.mark.parametrize(
    ("query", "start", "end"), [("?keep=beginning", "Dana meets", "1111"), ("?keep=end", "1111", "9999")]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_long_text_is_cut_by_choice(
    person: FlaskClient, page: Fetch, query: str, start: str, end: str, at_once: bool
) -> None:
    long = ("1111 " * 30_000 + "9999").encode()
    if at_once:
        cut = page(person, bring(person, form_of(person, page), long, query=query))
    else:
        whole = page(person, bring(person, form_of(person, page), long))
        assert "Keep the beginning" in whole.prompt_form.words
        assert "150,044 characters, 140,044 more than the 10,000" in whole.main.words
        assert whole.prompt.endswith("9999")
        cut = page(person, bring(person, whole.fields, query=query))
    assert (cut.prompt[: len(start)], cut.prompt[-len(end) :]) == (start, end)
    assert 9_900 < len(cut.prompt) <= 10_000
    assert "Keep the beginning" not in cut.prompt_form.words
    assert person.post("/launches", data=cut.fields).status_code == 303


@pytest.mark.parametrize(
    "text", ["a" * 10_001, "é" * 20_000, "🙂" * 10_001, "a b " * 5000, "\n".join("a" * 10_001)]
)
@pytest.mark.parametrize("keep", ["beginning", "end"])
def test_a_cut_is_never_too_long_and_loses_little(text: str, keep: str) -> None:
    assert 9_700 < len(texts.cut(text, keep)) <= 10_000


def test_a_cut_leaves_a_short_text_alone() -> None:
    assert texts.cut(TYPED, "end") == TYPED


def test_no_file_is_no_mistake(person: FlaskClient, page: Fetch) -> None:
    for answer in (bring(person, form_of(person, page)), person.post("/texts", data=form_of(person, page))):
        shown = page(person, answer)
        assert shown.prompt == TYPED
        assert "No file was chosen" in shown.main.words


@pytest.mark.parametrize(
    ("name", "data", "status", "title"),
    [
        ("a.xlsx", b"PK\x03\x04", 415, "Files of this kind cannot be read"),
        ("a.pdf", b"just words", 422, "The file is not what its name says"),
        ("a.docx", b"PK\x03\x04 half of one", 422, "The file cannot be read"),
        ("a.txt", b" ", 422, "The file is empty"),
        ("a.ics", b"BEGIN:VCALENDAR" + b"\n" * 1_100_000, 413, "The file is too large"),
        ("a.txt", b"a" * (bodies.LARGEST_FILE + 1), 413, "The file is too large"),
        ("a.txt", b"a" * (texts.LONGEST_IN_BOX + 1), 413, "The file holds too much text"),
    ],
)
def test_a_file_without_text_leaves_the_form_filled(
    person: FlaskClient, page: Fetch, name: str, data: bytes, status: int, title: str
) -> None:
    fields = form_of(person, page)
    shown = page(person, bring(person, fields, data, name), status)
    assert (shown.prompt, shown.fields["form_token"]) == (TYPED, fields["form_token"])
    assert title in shown.main.words
    assert person.post("/launches", data=shown.fields).status_code == 303


class Flood(io.RawIOBase):
    """A body that goes on and on; `sent` is how much of it was read."""

    def __init__(self, head: bytes, size: int) -> None:
        self.head, self.size, self.sent = head, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        part = self.head[self.sent : self.sent + len(buffer)] or bytes(len(buffer))
        part = part[: self.size - self.sent]
        buffer[: len(part)] = part
        self.sent += len(part)
        return len(part)


def flooded(client: FlaskClient, fields: dict[str, str], size: int) -> tuple[TestResponse, Flood]:
    flood = Flood(multipart(fields, "a.txt"), size)
    kind = "multipart/form-data; boundary=edge"
    environ = {"wsgi.input": flood, "CONTENT_LENGTH": str(size), "CONTENT_TYPE": kind}
    return client.post("/texts", environ_overrides=environ), flood


def test_the_fields_before_a_file_far_too_large_are_read(person: FlaskClient, page: Fetch) -> None:
    answer, flood = flooded(person, form_of(person, page), 300 * 1024 * 1024)
    assert page(person, answer, 413).prompt == TYPED
    assert bodies.LARGEST_FILE < flood.sent <= bodies.READ_AWAY


def test_a_file_stays_off_the_disk(person: FlaskClient, page: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, fail)
        monkeypatch.setattr(f"werkzeug.formparser.{name}", fail, raising=False)
    answer = bring(person, form_of(person, page), b"words " * 400_000, query="?keep=end")
    assert page(person, answer).prompt.endswith("words words")


def test_a_strangers_text_becomes_a_draft_and_the_file_is_not_kept(
    person: FlaskClient, page: Fetch, sign_in: SignIn
) -> None:
    fields = form_of(person, page)
    expire(person)
    kept = bring(person, fields, b"Words", headers={"Origin": PUBLIC_URLS[0]})
    assert kept.status_code == 303
    assert "The file is not kept" in page(person, kept.location).main.words
    sign_in(person)
    shown = page(person, kept.location)
    assert shown.prompt == TYPED
    assert "The file was not kept" in shown.main.words
    assert "data-send-now" not in shown.html


def test_a_stranger_without_a_text_is_told_to_sign_in(person: FlaskClient, page: Fetch) -> None:
    fields = form_of(person, page, "")
    expire(person)
    shown = page(person, bring(person, fields, b"Words"), 422)
    assert "Sign in before you bring a file along" in shown.main.words


def test_a_page_that_had_expired_gives_the_text_back(person: FlaskClient, page: Fetch) -> None:
    fields = form_of(person, page) | {"csrf_token": "old"}
    shown = page(person, bring(person, fields, b"Words"), 422)
    assert (shown.prompt, shown.fields["form_token"]) == (TYPED, fields["form_token"])
    assert page(person, bring(person, shown.fields, b"Words")).prompt == f"{TYPED}\n\nWords"


def test_a_form_of_another_site_is_not_filled_by_it(person: FlaskClient, page: Fetch) -> None:
    elsewhere = {"Origin": "https://evil.example"}
    shown = page(person, bring(person, form_of(person, page), b"Words", headers=elsewhere), 422)
    assert shown.prompt == TYPED


def test_no_name_of_a_file_is_written_down(
    person: FlaskClient, page: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    fields = form_of(person, page)
    caplog.set_level("INFO")
    bring(person, fields, b"Words", "Globex takeover.txt")
    bring(person, fields, b"Words", "Globex takeover.pdf")
    assert "a file gave 5 characters" in caplog.text
    assert not re.search("globex|words", caplog.text, re.IGNORECASE)


def test_a_browser_is_shown_the_form_after_a_file_far_too_large(
    portal: StartPortal, sandbox: Sandbox
) -> None:
    home = portal("--workers", "1").url
    with requests.Session() as http:
        http.trust_env = False
        provider = http.get(f"{home}/sign-in", allow_redirects=False, timeout=15).headers["Location"]
        http.get(sandbox.choose(provider, "dana"), allow_redirects=False, timeout=15)
        fields = Page(http.get(f"{home}/", timeout=15).text).fields | {"prompt": TYPED}
        body = multipart(fields, "a.txt") + bytes(30 * 1024 * 1024) + b"\r\n--edge--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=edge"}
        answer = http.post(f"{home}/texts", data=body, headers=kind, timeout=60)
    assert answer.status_code == 413
    assert Page(answer.text).prompt == TYPED
