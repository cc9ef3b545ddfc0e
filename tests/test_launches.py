"""From the press of the button to Scenario Studio, and everything that can come in between.

The sandbox is shared by all tests: every prompt and every person is this test's own.
"""

import io
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import (
    EXEC_API_KEY,
    PUBLIC_URLS,
    SESSION_COOKIE,
    Fetch,
    MakeApp,
    PostgreSQL,
    Sandbox,
    SignIn,
    wait_until,
)
from flask import Flask
from flask.testing import FlaskClient
from reading import Page
from sqlalchemy import event, select, update
from werkzeug.test import TestResponse

from webapp import cookies
from webapp.forms import clean
from webapp.store import Store
from webapp.store.launches import PAGE
from webapp.store.tables import Call, Launch, Pace

people = (f"p{number}" for number in itertools.count(5000))


@pytest.fixture
def person() -> str:
    """A member of the workspace whom no other test knows."""
    return next(people)


@pytest.fixture
def signed_in(client: FlaskClient, sign_in: SignIn, person: str) -> FlaskClient:
    """A browser in which that person is signed in."""
    sign_in(client, person)
    return client


@pytest.fixture
def other(app: Flask, sign_in: SignIn) -> FlaskClient:
    """Somebody else's browser, at the same portal."""
    browser = app.test_client()
    sign_in(browser, next(people))
    return browser


@pytest.fixture
def store(app: Flask) -> Store:
    store: Store = app.extensions["portal"].store
    return store


def text_with(word: str = "") -> str:
    """A description that nobody else sends, with a magic word of the sandbox's."""
    return f"Meet client {uuid4()}\nand listen. {word}".strip()


def press(client: FlaskClient, text: str, address: str = "/", **changes: str) -> TestResponse:
    """Open the form, type the text, press the button."""
    fields = Page(client.get(address).text).fields
    return client.post("/launches", data={**fields, "prompt": text, **changes})


def wait(client: FlaskClient, text: str) -> str:
    """Press the button for what has to wait; return the path of its page."""
    answer = press(client, text)
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith("/launches/"), answer.location
    return str(answer.location)


def only_launch(store: Store) -> Launch:
    with store.database.read() as db:
        return db.scalars(select(Launch)).one()


def make_due(store: Store) -> None:
    """Let the time come at which every launch and everybody may call again."""
    with store.database.write() as db:
        db.execute(update(Launch).values(not_before=0, lease_until=Launch.lease_until - 3600))
        db.execute(update(Pace).values(floor=0, held_until=0))


def calls_of(sandbox: Sandbox, person: str) -> list[dict[str, Any]]:
    return sandbox.requests(user_email=f"{person}@acme.example")


def is_studio(address: str, sandbox: Sandbox) -> bool:
    return address.startswith(f"{sandbox.url}/chat/")


def levels(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.levelname for record in caplog.records if record.name == "webapp.attempts"}


# --- What Exec's answers become


def test_a_scenario_opens_in_the_studio(
    signed_in: FlaskClient, sandbox: Sandbox, store: Store, person: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = press(signed_in, text_with())

    assert answer.status_code == 303
    assert is_studio(answer.location, sandbox)
    launch = only_launch(store)
    assert (launch.state, launch.url) == ("ready", answer.location)
    [call] = calls_of(sandbox, person)
    assert (call["status"], call["is_new"], call["request_id"]) == (200, True, launch.request_id)
    assert levels(caplog) == {"INFO"}


def test_exec_gets_the_text_as_the_form_cleaned_it(
    signed_in: FlaskClient, sandbox: Sandbox, person: str, store: Store
) -> None:
    press(signed_in, f"\r\n\r\n  Talk\r\n\r\nto {person}\r\n ")

    text = f"  Talk\n\nto {person}"
    assert only_launch(store).prompt == text
    assert calls_of(sandbox, person)[0]["prompt_length"] == len(text)


def test_the_browser_learns_that_its_own_copy_is_not_needed_any_more(
    signed_in: FlaskClient, store: Store
) -> None:
    press(signed_in, text_with())

    cookie = signed_in.get_cookie(cookies.name(PUBLIC_URLS[0], cookies.RECORDED))
    assert cookie
    assert cookie.value == only_launch(store).form_token


def test_a_person_whom_exec_does_not_know_is_told_whom_to_ask(
    client: FlaskClient,
    sign_in: SignIn,
    page: Fetch,
    store: Store,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sign_in(client, "nina")
    text = text_with()
    with caplog.at_level(logging.INFO):
        refused = page(client, press(client, text), 422)

    assert "not a member of the Exec workspace yet" in refused.main.words
    assert "nina@acme.example" in refused.main.words
    assert refused.prompt == text
    assert (only_launch(store).state, only_launch(store).reason) == ("refused", "not_a_member")
    assert levels(caplog) == {"INFO"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("[[400]]", "This prompt is <b>markup</b> & not allowed"),
        ("[[413]]", "Request entity too large"),
        ("[[422]]", "The prompt cannot be processed"),
    ],
)
def test_what_exec_refuses_comes_back_with_its_reason(
    signed_in: FlaskClient,
    page: Fetch,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    word: str,
    said: str,
) -> None:
    text = text_with(word)
    with caplog.at_level(logging.INFO):
        refused = page(signed_in, press(signed_in, text), 422)

    assert "Exec did not accept this description" in refused.main.words
    assert refused.one("q").text == said
    assert refused.prompt == text
    assert (only_launch(store).state, only_launch(store).reason) == ("refused", "not_accepted")
    assert levels(caplog) == {"INFO"}


HELD = [
    ("401", "no_access"),
    ("403", "no_access"),
    ("not-json", "untrusted"),
    ("no-url", "untrusted"),
    ("list", "untrusted"),
    ("strange-host", "untrusted"),
    ("http-url", "untrusted"),
    ("userinfo-url", "untrusted"),
    ("backslash-url", "untrusted"),
    ("newline-url", "untrusted"),
    ("redirect", "untrusted"),
    ("204", "untrusted"),
]


@pytest.mark.parametrize(("word", "reason"), HELD)
def test_what_only_the_operator_can_mend_is_held(
    signed_in: FlaskClient,
    page: Fetch,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    word: str,
    reason: str,
) -> None:
    text = text_with(f"[[{word}]]")
    with caplog.at_level(logging.INFO):
        waiting = page(signed_in, wait(signed_in, text))

    said = {"no_access": "access to Exec is not working", "untrusted": "answered something we do not trust"}
    assert said[reason] in waiting.main.words
    assert "Your text is safe" in waiting.main.words
    assert waiting.main.one("pre").text == text
    launch = only_launch(store)
    assert (launch.state, launch.held, launch.reason, launch.url) == ("waiting", True, reason, None)
    assert levels(caplog) == {"ERROR"}


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("429", 5),
        ("429-date", 5),
        ("429-error", 5),
        ("429-body", 5),
        ("429-bare", 60),
    ],
)
def test_exec_busy_is_a_countdown(
    signed_in: FlaskClient,
    page: Fetch,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    word: str,
    seconds: int,
) -> None:
    text = text_with(f"[[{word}]]")
    with caplog.at_level(logging.INFO):
        waiting = page(signed_in, wait(signed_in, text))

    assert "Exec is busy" in waiting.main.words
    minutes, _, rest = waiting.one(role="timer").words.partition(":")
    assert seconds - 3 <= int(minutes) * 60 + int(rest) <= seconds
    assert waiting.main.one("pre").text == text
    assert (only_launch(store).state, only_launch(store).held) == ("waiting", False)
    assert levels(caplog) == {"WARNING"}


def test_a_wait_of_hours_is_told_without_a_countdown(signed_in: FlaskClient, page: Fetch) -> None:
    waiting = page(signed_in, wait(signed_in, text_with("[[429-day]]")))

    assert waiting.h1 == "Your scenario is waiting"
    assert "It takes new ones at about" in waiting.main.words
    assert not waiting.find(role="timer")


@pytest.mark.parametrize("word", ["500", "502", "503", "half", "cut", "lost"])
def test_exec_unavailable_is_a_countdown(
    signed_in: FlaskClient, page: Fetch, store: Store, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    text = text_with(f"[[{word}]]")
    with caplog.at_level(logging.INFO):
        waiting = page(signed_in, wait(signed_in, text))

    assert "Exec does not answer right now" in waiting.main.words
    assert waiting.find(role="timer")
    assert waiting.main.one("pre").text == text
    assert (only_launch(store).state, only_launch(store).reason) == ("waiting", "unavailable")
    assert levels(caplog) == {"WARNING"}


def test_exec_out_of_reach_is_a_countdown(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    client = make_app(exec_api_url="http://127.0.0.1:9/rest/v1").test_client()
    sign_in(client, next(people))
    text = text_with()

    waiting = page(client, wait(client, text))

    assert "Exec does not answer right now" in waiting.main.words
    assert waiting.main.one("pre").text == text


@pytest.mark.parametrize("word", ["401", "strange-host", "400", "429", "500"])
def test_no_log_line_holds_the_text_the_key_or_the_person(
    signed_in: FlaskClient, caplog: pytest.LogCaptureFixture, word: str, person: str
) -> None:
    with caplog.at_level(logging.DEBUG, "webapp"):
        press(signed_in, text_with(f"[[{word}]]"))

    assert caplog.records
    for secret in ("Meet client", EXEC_API_KEY, f"{person}@", "markup", "evil.example/chat"):
        assert secret not in caplog.text


# --- Trying again


def test_a_launch_that_failed_goes_on_when_it_is_due(
    signed_in: FlaskClient, sandbox: Sandbox, store: Store, person: str
) -> None:
    path = wait(signed_in, text_with("[[500 x1]]"))
    make_due(store)

    answer = signed_in.get(f"{path}?go=1")

    assert answer.status_code == 303
    assert is_studio(answer.location, sandbox)
    assert [call["status"] for call in calls_of(sandbox, person)] == [500, 200]
    assert len({call["request_id"] for call in calls_of(sandbox, person)}) == 1


def test_the_log_says_how_long_a_person_waited(
    signed_in: FlaskClient, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = wait(signed_in, text_with("[[500 x1]]"))
    with store.database.write() as db:
        db.execute(update(Launch).values(created=Launch.created - 1000))
    make_due(store)

    with caplog.at_level(logging.INFO):
        signed_in.get(f"{path}?go=1")

    [made] = [one for one in caplog.records if one.__dict__.get("event") == "launch.created"]
    assert 1000 <= made.__dict__["waited"] < 2000


def test_nothing_is_tried_before_it_is_due(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    path = wait(signed_in, text_with("[[500 x1]]"))

    page(signed_in, f"{path}?go=1")

    assert len(calls_of(sandbox, person)) == 1


@pytest.mark.parametrize(
    ("query", "method", "headers"),
    [
        ("", "GET", {}),
        ("?go=0", "GET", {}),
        ("?go=1", "HEAD", {}),
        ("?go=1", "GET", {"Sec-Purpose": "prefetch"}),
        ("?go=1", "GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("?go=1", "GET", {"Purpose": "prefetch"}),
        ("?go=1", "GET", {"X-Moz": "prefetch"}),
        ("?go=1", "GET", {"Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-site"}),
        ("?go=1", "GET", {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_only_the_pages_own_refresh_acts(
    signed_in: FlaskClient,
    sandbox: Sandbox,
    store: Store,
    person: str,
    query: str,
    method: str,
    headers: dict[str, str],
) -> None:
    path = wait(signed_in, text_with("[[500 x1]]"))
    make_due(store)
    before = only_launch(store).seen

    answer = signed_in.open(path + query, method=method, headers=headers)

    assert answer.status_code == 200
    assert len(calls_of(sandbox, person)) == 1
    assert (only_launch(store).state, only_launch(store).seen) == ("waiting", before)


def test_a_waiting_page_refreshes_itself_without_a_script(signed_in: FlaskClient, page: Fetch) -> None:
    waiting = page(signed_in, wait(signed_in, text_with("[[429]]")))

    refresh = waiting.one("noscript").one("meta", http_equiv="refresh").attrs["content"]
    seconds, _, address = refresh.partition("; url=")
    assert (1 <= int(seconds) <= 10, address) == (True, "?go=1")


def test_the_page_of_one_that_is_being_created_says_so(
    signed_in: FlaskClient, page: Fetch, store: Store
) -> None:
    """Somebody's second tab: there is nothing to count down to, and no reason to ask without a pause."""
    path = wait(signed_in, text_with("[[500]]"))
    with store.database.write() as db:
        db.execute(update(Launch).values(state="creating", reason=None, lease_until=time.time() + 3600))

    shown = page(signed_in, path)

    assert "It is your turn. Exec is being asked now…" in shown.main.words
    assert shown.one("noscript").one("meta", http_equiv="refresh").attrs["content"] == "1; url=?go=1"


def test_a_session_that_was_made_unnoticed_is_found_again(
    signed_in: FlaskClient,
    sandbox: Sandbox,
    store: Store,
    person: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = wait(signed_in, text_with("[[lost x1]]"))
    make_due(store)

    answer = signed_in.get(f"{path}?go=1")

    first, second = calls_of(sandbox, person)
    assert first["session_id"] == second["session_id"]
    assert second["is_new"] is False
    assert answer.location == f"{sandbox.url}/chat/{first['session_id']}"
    assert "Exec knew this launch" not in caplog.text


def test_a_held_launch_goes_through_when_exec_answers_again(
    signed_in: FlaskClient, sandbox: Sandbox, store: Store
) -> None:
    path = wait(signed_in, text_with("[[401 x1]]"))
    make_due(store)

    assert is_studio(signed_in.get(f"{path}?go=1").location, sandbox)


def test_a_session_known_before_its_first_attempt_is_success_and_is_logged(
    make_app: MakeApp,
    sign_in: SignIn,
    sandbox: Sandbox,
    tmp_path: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As after a restored backup: the same intention, forgotten here and known there."""
    person, text, addresses = next(people), text_with(), []
    for name in ("before", "restored"):
        client = make_app(database_url=f"sqlite:///{tmp_path / name}.sqlite").test_client()
        sign_in(client, person)
        addresses.append(press(client, text, "/?request_id=link").location)

    assert addresses[0] == addresses[1]
    assert is_studio(addresses[0], sandbox)
    assert "Exec knew this launch at its first attempt" in caplog.text


def test_a_refused_launch_sent_again_is_tried_again(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    refused = page(signed_in, press(signed_in, text_with("[[400 x1]]")), 422)

    answer = signed_in.post("/launches", data=refused.fields)

    assert is_studio(answer.location, sandbox)
    assert len({call["request_id"] for call in calls_of(sandbox, person)}) == 1


def test_what_exceeds_the_pace_waits_its_turn(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, sandbox: Sandbox
) -> None:
    app = make_app(exec_creations_per_minute=1)
    first, second, third = app.test_client(), app.test_client(), app.test_client()
    for client in (first, second, third):
        sign_in(client, next(people))
    assert is_studio(press(first, text_with()).location, sandbox)

    assert "You are next." in page(second, wait(second, text_with())).main.words
    assert "One person is before you." in page(third, wait(third, text_with())).main.words


def test_a_person_over_their_own_limit_is_told_so(make_app: MakeApp, sign_in: SignIn, page: Fetch) -> None:
    client = make_app(creations_per_person_per_hour=1).test_client()
    sign_in(client, next(people))
    press(client, text_with())

    waiting = page(client, wait(client, text_with()))

    assert "You have made your one scenario of this hour" in waiting.main.words
    goes_on = datetime.fromisoformat(waiting.main.find("time")[0].attrs["datetime"])
    assert 3500 < (goes_on - datetime.now(UTC)).total_seconds() <= 3601
    assert "This one goes on at about" in waiting.main.words


def test_the_last_minutes_of_ones_own_limit_are_counted_down(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, store: Store
) -> None:
    client = make_app(creations_per_person_per_hour=1).test_client()
    sign_in(client, next(people))
    press(client, text_with())
    with store.database.write() as db:
        db.execute(update(Call).values(began=Call.began - 3400))

    waiting = page(client, wait(client, text_with()))

    assert "You have made your one scenario of this hour" in waiting.main.words
    assert "Goes on in 3:" in waiting.main.words
    assert "You are next." not in waiting.main.words  # it has no place, and the turn is nobody else's


# --- One intention, one session


def test_a_form_sent_twice_makes_one_session(signed_in: FlaskClient, sandbox: Sandbox, person: str) -> None:
    fields = {**Page(signed_in.get("/").text).fields, "prompt": text_with()}

    first, second = (signed_in.post("/launches", data=fields).location for _ in range(2))

    assert first == second
    assert len(calls_of(sandbox, person)) == 1


def test_a_form_sent_twice_at_once_makes_one_session(
    signed_in: FlaskClient, sandbox: Sandbox, person: str, app: Flask
) -> None:
    fields = {**Page(signed_in.get("/").text).fields, "prompt": text_with("[[slow]]")}
    cookie = signed_in.get_cookie(SESSION_COOKIE)
    assert cookie
    answers: list[TestResponse] = []

    def send() -> None:
        client = app.test_client()
        client.set_cookie(SESSION_COOKIE, cookie.value)
        answers.append(client.post("/launches", data=fields))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [303] * 3
    studio = [answer.location for answer in answers if is_studio(answer.location, sandbox)]
    assert len(studio) == 1, "the others wait on the launch's page"
    assert len(calls_of(sandbox, person)) == 1


def test_the_same_text_from_a_second_tab_is_asked_about(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    text = text_with()
    press(signed_in, text)

    asked = page(signed_in, press(signed_in, text), 422)

    assert "You made this at" in asked.main.words
    assert asked.prompt == text
    assert len(calls_of(sandbox, person)) == 1


def test_another_one_of_the_same_text_is_made_when_the_person_says_so(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    text = text_with()
    press(signed_in, text)
    asked = page(signed_in, press(signed_in, text), 422)

    answer = signed_in.post("/launches", data=asked.fields)

    assert is_studio(answer.location, sandbox)
    assert len({call["session_id"] for call in calls_of(sandbox, person)}) == 2


def test_a_link_used_before_offers_what_came_of_it(
    signed_in: FlaskClient, page: Fetch, store: Store, other: FlaskClient
) -> None:
    link = f"/?prompt=Talk+{uuid4()}&request_id=link-{uuid4()}"
    first = page(signed_in, link)
    signed_in.post("/launches", data=first.fields)

    again = page(signed_in, link)

    assert "You made this at" in again.main.words
    assert again.link("Open that scenario") == f"/launches/{only_launch(store).id}"
    assert again.prompt == first.prompt
    assert again.fields["form_token"] != first.fields["form_token"]
    assert "You made this at" not in page(other, link).main.words


def test_two_people_following_one_link_get_a_session_each(
    signed_in: FlaskClient, other: FlaskClient, sandbox: Sandbox
) -> None:
    link = f"/?prompt=Talk+{uuid4()}&request_id=shared"

    addresses = [
        client.post("/launches", data=Page(client.get(link).text).fields).location
        for client in (signed_in, other)
    ]

    assert addresses[0] != addresses[1]
    assert all(is_studio(address, sandbox) for address in addresses)


# --- What a form must hold


def test_an_expired_page_gives_the_text_back_and_works_then(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str
) -> None:
    text = text_with()
    old = {**page(signed_in).fields, "prompt": text}
    with signed_in.session_transaction() as session:
        del session["csrf_token"]  # as a new sign-in in another tab does

    refused = page(signed_in, signed_in.post("/launches", data=old), 422)

    assert refused.prompt == text
    assert refused.fields["form_token"] == old["form_token"]
    assert refused.fields["csrf_token"] != old["csrf_token"]
    assert "This page had expired" in refused.main.words
    assert calls_of(sandbox, person) == []
    assert is_studio(signed_in.post("/launches", data=refused.fields).location, sandbox)


@pytest.mark.parametrize("token", ["", "forged", None])
def test_a_post_without_the_pages_token_creates_nothing(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str, token: str | None
) -> None:
    fields = {**page(signed_in).fields, "prompt": text_with()}
    data = {**fields, "csrf_token": token}
    if token is None:
        del data["csrf_token"]

    refused = page(signed_in, signed_in.post("/launches", data=data), 422)

    assert refused.prompt == fields["prompt"]
    assert refused.fields["form_token"] == fields["form_token"]
    assert calls_of(sandbox, person) == []


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:8000.evil.example", "http://é"])
def test_a_post_from_another_site_gives_the_text_back(
    signed_in: FlaskClient,
    page: Fetch,
    sandbox: Sandbox,
    person: str,
    caplog: pytest.LogCaptureFixture,
    origin: str,
) -> None:
    fields = {**page(signed_in).fields, "prompt": text_with()}

    answer = signed_in.post("/launches", data=fields, headers={"Origin": origin})

    refused = page(signed_in, answer, 422)
    assert refused.prompt == fields["prompt"]
    assert refused.fields["form_token"] == fields["form_token"]
    assert "open http://localhost:8000 and send it from there" in refused.words
    assert calls_of(sandbox, person) == []
    [warning] = [record.getMessage() for record in caplog.records if record.name == "webapp.guard"]
    assert origin in warning
    assert "PUBLIC_URL is at http://localhost:8000" in warning


def test_an_origin_that_a_proxy_took_away_is_judged_by_the_pages_token(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox
) -> None:
    """A proxy adds `Referrer-Policy: no-referrer`, and browsers send `Origin: null`."""
    fields, headers = {**page(signed_in).fields, "prompt": text_with()}, {"Origin": "null"}

    forged = signed_in.post("/launches", data={**fields, "csrf_token": "forged"}, headers=headers)
    assert page(signed_in, forged, 422).prompt == fields["prompt"]

    assert is_studio(signed_in.post("/launches", data=fields, headers=headers).location, sandbox)


def test_a_post_of_our_own_page_says_so(signed_in: FlaskClient, page: Fetch, sandbox: Sandbox) -> None:
    fields = {**page(signed_in).fields, "prompt": text_with()}

    answer = signed_in.post("/launches", data=fields, headers={"Origin": "http://localhost:8000"})

    assert is_studio(answer.location, sandbox)


@pytest.mark.parametrize("token", ["", "two words", "x" * 65, "ünicode", "<script>", "a\x00b"])
def test_a_form_token_that_we_did_not_make_is_replaced(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str, token: str
) -> None:
    text = text_with()

    refused = page(signed_in, press(signed_in, text, form_token=token), 422)

    assert refused.prompt == text
    assert calls_of(sandbox, person) == []
    assert is_studio(signed_in.post("/launches", data=refused.fields).location, sandbox)


def test_ten_thousand_characters_are_sent(signed_in: FlaskClient, sandbox: Sandbox, person: str) -> None:
    assert is_studio(press(signed_in, "🎯" * 10_000).location, sandbox)

    assert calls_of(sandbox, person)[0]["prompt_length"] == 10_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("🎯" * 10_001, "1 character too long"),
        ("\x00\u200b", "Describe the meeting or the scenario first."),
        (" \t\n \u3000\n", "Describe the meeting or the scenario first."),
        ("", "Describe the meeting or the scenario first."),
    ],
    ids=["too long", "invisible", "blanks", "empty"],
)
def test_what_cannot_be_sent_comes_back(
    signed_in: FlaskClient, page: Fetch, sandbox: Sandbox, person: str, text: str, said: str
) -> None:
    refused = page(signed_in, press(signed_in, text), 422)

    assert said in refused.main.words
    assert refused.prompt == clean(text)
    assert refused.one("textarea").attrs["aria-invalid"] == "true"
    assert calls_of(sandbox, person) == []


class Unread(io.RawIOBase):
    """A body of fifty megabytes that must not be read."""

    def readable(self) -> bool:
        return True

    def __init__(self) -> None:
        self.at = 0

    def tell(self) -> int:
        return self.at

    def seek(self, to: int, whence: int = 0) -> int:
        self.at = 50_000_000 if whence == io.SEEK_END else to
        return self.at

    def readinto(self, _: object) -> int:
        raise AssertionError("the body was read")


def test_fifty_megabytes_are_refused_unread(signed_in: FlaskClient, page: Fetch) -> None:
    answer = signed_in.post(
        "/launches",
        input_stream=Unread(),
        content_type="application/x-www-form-urlencoded",
    )

    assert page(signed_in, answer, 413).h1 == "That is too much text"


# --- One launch


def test_a_ready_launch_links_to_its_session(signed_in: FlaskClient, page: Fetch, store: Store) -> None:
    address = press(signed_in, text_with()).location

    ready = page(signed_in, f"/launches/{only_launch(store).id}")

    assert ready.h1 == "Your scenario is ready"
    [link] = [a for a in ready.find("a") if a.attrs["href"] == address]
    assert "noreferrer" in link.attrs["rel"].split()


def test_a_ready_launch_goes_on_to_its_session(signed_in: FlaskClient, store: Store) -> None:
    address = press(signed_in, text_with()).location

    answer = signed_in.get(f"/launches/{only_launch(store).id}?go=1")

    assert (answer.status_code, answer.location) == (303, address)


def test_a_refused_launch_leads_back_to_its_text(signed_in: FlaskClient, page: Fetch, store: Store) -> None:
    text = text_with("[[400]]")
    press(signed_in, text)

    refused = page(signed_in, f"/launches/{only_launch(store).id}")

    assert refused.h1 == "Not created"
    form = page(signed_in, refused.link("Change the text and try again"))
    assert form.prompt == text
    assert form.fields["form_token"] != only_launch(store).form_token


def test_a_text_that_was_not_at_fault_need_not_be_changed(
    client: FlaskClient, sign_in: SignIn, page: Fetch, store: Store
) -> None:
    sign_in(client, "nina")
    text = text_with()
    press(client, text)

    refused = page(client, f"/launches/{only_launch(store).id}")

    assert "Ask for an invitation to Exec" in refused.main.words
    for shown, words in ((refused, "Use the text again"), (page(client, "/launches"), "Use again")):
        assert page(client, shown.link(words)).prompt == text


@pytest.mark.parametrize("path", ["/launches/{id}", "/launches/{id}?go=1", "/?launch={id}"])
def test_another_persons_launch_is_not_there(
    signed_in: FlaskClient, other: FlaskClient, page: Fetch, store: Store, path: str
) -> None:
    text = text_with("[[500]]")
    wait(signed_in, text)

    missing = page(other, path.format(id=only_launch(store).id), 404)

    assert text.splitlines()[0] not in missing.html


def test_nobody_erases_another_persons_launch(
    signed_in: FlaskClient, other: FlaskClient, page: Fetch, store: Store
) -> None:
    path = wait(signed_in, text_with("[[500]]"))
    token = page(other).fields["csrf_token"]

    page(other, other.post(f"{path}/erase", data={"csrf_token": token}), 404)

    assert only_launch(store).state == "waiting"
    page(signed_in, path)


@pytest.mark.parametrize(
    "key",
    [
        "1",
        "x",
        "%00",
        "7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7",
        "7d1c7c2e5f0c4d579a573f5a3f6f0a7e",
        str(UUID(int=7)),
    ],
)
def test_what_is_no_launch_is_not_there(signed_in: FlaskClient, page: Fetch, key: str) -> None:
    page(signed_in, f"/launches/{key}", 404)
    page(signed_in, f"/?launch={key}", 404)


def csrf(client: FlaskClient) -> dict[str, str]:
    return {"csrf_token": Page(client.get("/").text).fields["csrf_token"]}


def test_cancelling_gives_the_text_back_in_a_new_form(
    signed_in: FlaskClient, page: Fetch, store: Store, sandbox: Sandbox, person: str
) -> None:
    text = text_with("[[500 x1]]")
    path = wait(signed_in, text)
    token = only_launch(store).form_token

    form = page(signed_in, signed_in.post(f"{path}/erase", data=csrf(signed_in)))

    assert form.prompt == text
    assert form.fields["form_token"] != token
    assert only_launch(store).prompt is None
    page(signed_in, path, 404)
    assert len(calls_of(sandbox, person)) == 1


def test_erasing_a_ready_one_leads_to_my_scenarios(signed_in: FlaskClient, page: Fetch, store: Store) -> None:
    press(signed_in, text_with())
    token = only_launch(store).form_token
    path = f"/launches/{only_launch(store).id}"

    answer = signed_in.post(f"{path}/erase", data=csrf(signed_in))

    assert (answer.status_code, answer.location) == (303, "/launches")
    listed = page(signed_in, "/launches")
    assert "Nothing here yet" in listed.main.words
    assert "Erased." in listed.main.words
    assert [p.attrs["data-erased"] for p in listed.find("p", tabindex="-1")] == [token]
    assert "Erased." not in page(signed_in, "/launches").main.words
    assert page(signed_in, path, 404).h1 == "This scenario was erased"


def test_the_form_names_what_was_erased_so_that_other_browsers_drop_their_copies(
    signed_in: FlaskClient, page: Fetch, store: Store
) -> None:
    press(signed_in, text_with())
    launch = only_launch(store)
    signed_in.post(f"/launches/{launch.id}/erase", data=csrf(signed_in))

    assert page(signed_in).prompt_form.attrs["data-forget"] == launch.form_token


def test_an_erased_launch_of_another_person_is_none(
    signed_in: FlaskClient, sign_in: SignIn, page: Fetch, store: Store
) -> None:
    press(signed_in, text_with())
    path = f"/launches/{only_launch(store).id}"
    signed_in.post(f"{path}/erase", data=csrf(signed_in))
    other = signed_in.application.test_client()
    sign_in(other, "omar")

    assert page(other, path, 404).h1 == "There is no such page"


def test_a_page_that_asked_in_vain_says_why_as_of_now(
    make_app: MakeApp, sign_in: SignIn, page: Fetch
) -> None:
    """It waited for Exec, and waits now for its own person's limit."""
    app = make_app(creations_per_person_per_hour=1)
    client, store = app.test_client(), app.extensions["portal"].store
    sign_in(client, next(people))
    path = wait(client, text_with("[[500]]"))
    with store.database.write() as db:
        db.execute(update(Call).values(began=Call.began - 3600))
    press(client, text_with())
    make_due(store)

    assert "You have made your one scenario of this hour" in page(client, f"{path}?go=1").main.words


@pytest.fixture
def creating(signed_in: FlaskClient, store: Store) -> Callable[[str], TestResponse]:
    """`creating("post")`: erase a launch in another tab while the sandbox takes its 3 s to create it."""

    def cancel_meanwhile(first: str) -> TestResponse:
        text = text_with("[[slow]]" if first == "post" else "[[500 x1]] [[slow]]")
        token = csrf(signed_in)
        path = "" if first == "post" else wait(signed_in, text)
        make_due(store)
        answers: list[TestResponse] = []

        def go() -> None:
            answers.append(press(signed_in, text) if first == "post" else signed_in.get(f"{path}?go=1"))

        tab = threading.Thread(target=go)
        tab.start()
        other_tab = signed_in.application.test_client()
        cookie = signed_in.get_cookie(SESSION_COOKIE)
        assert cookie
        other_tab.set_cookie(SESSION_COOKIE, cookie.value)
        wait_until(lambda: [launch.state for launch in list_launches(store)] == ["creating"], "the call")
        [launch] = list_launches(store)
        form = other_tab.post(f"/launches/{launch.id}/erase", data=token)
        assert Page(form.text).prompt == text
        tab.join()
        return answers[0]

    return cancel_meanwhile


def list_launches(store: Store) -> list[Launch]:
    with store.database.read() as db:
        return list(db.scalars(select(Launch)))


@pytest.mark.parametrize("first", ["post", "refresh"])
def test_a_launch_cancelled_while_it_is_created_goes_nowhere(
    creating: Callable[[str], TestResponse], store: Store, first: str
) -> None:
    answer = creating(first)

    assert (answer.status_code, answer.location) == (303, "/launches")
    launch = only_launch(store)
    assert (launch.prompt, launch.url, launch.email) == (None, None, None)
    assert launch.erased


# --- My scenarios


def test_my_scenarios_are_ones_own_only(signed_in: FlaskClient, other: FlaskClient, page: Fetch) -> None:
    mine, theirs = text_with(), text_with()
    press(signed_in, mine)
    press(other, theirs)

    shown = page(signed_in, "/launches")

    assert mine.splitlines()[0] in shown.main.words
    assert theirs.splitlines()[0] not in shown.main.words


@pytest.mark.parametrize(
    ("word", "state", "action"),
    [
        ("", "Ready", "Open"),
        ("[[500]]", "Waiting", "Continue"),
        ("[[401]]", "On hold", "Continue"),
        ("[[400]]", "Not created", "Change and try again"),
    ],
)
def test_my_scenarios_say_how_each_one_stands(
    signed_in: FlaskClient, page: Fetch, word: str, state: str, action: str
) -> None:
    press(signed_in, text_with(word))

    shown = page(signed_in, "/launches")

    assert state in shown.main.one("li").words
    assert shown.link(action)


def test_my_scenarios_go_on_to_older_ones(
    signed_in: FlaskClient, page: Fetch, store: Store, person: str
) -> None:
    press(signed_in, text_with())
    key = only_launch(store).person
    for number in range(PAGE + 2):
        store.launches.record(key, f"{person}@acme.example", str(number), f"Text {number}.", another=False)

    first = page(signed_in, "/launches")
    second = page(signed_in, first.link("Older scenarios"))

    shown = [h2.words for one in (first, second) for h2 in one.find("h2")]
    assert len(first.find("h2")) == PAGE
    assert len(shown) == len(set(shown)) == PAGE + 3
    assert not [a for a in second.find("a") if a.words == "Older scenarios"]
    again = page(signed_in, second.link("Newer scenarios"))
    assert [h2.words for h2 in again.find("h2")] == [h2.words for h2 in first.find("h2")]
    assert not [a for a in again.find("a") if a.words == "Newer scenarios"]


def test_newer_scenarios_are_the_page_before(
    signed_in: FlaskClient, page: Fetch, store: Store, person: str
) -> None:
    press(signed_in, text_with())
    key = only_launch(store).person
    for number in range(2 * PAGE + 2):
        store.launches.record(key, f"{person}@acme.example", str(number), f"Text {number}.", another=False)
    second = page(signed_in, page(signed_in, "/launches").link("Older scenarios"))
    third = page(signed_in, second.link("Older scenarios"))
    assert len(third.find("h2")) == 3
    back = page(signed_in, third.link("Newer scenarios"))
    assert [h2.words for h2 in back.find("h2")] == [h2.words for h2 in second.find("h2")]
    assert back.link("Newer scenarios")


@pytest.mark.parametrize(
    ("words", "found"), [("price", 1), ("PRICE", 1), ("100%", 1), ("%", 1), ("_", 0), ("nothing", 0)]
)
def test_my_scenarios_are_searched(signed_in: FlaskClient, page: Fetch, words: str, found: int) -> None:
    press(signed_in, text_with() + "\nThe price, 100% of it.")
    press(signed_in, text_with())
    shown = page(signed_in, signed_in.get("/launches", query_string={"q": words}))
    assert len(shown.find("h2")) == found
    assert shown.one("input", name="q").attrs["value"] == words
    assert found or shown.link("Show all") == "/launches"


def test_a_search_is_cut_at_a_hundred_characters(signed_in: FlaskClient, page: Fetch) -> None:
    shown = page(signed_in, f"/launches?q={'x' * 500}")
    assert shown.one("input", name="q").attrs["value"] == "x" * 100


def test_what_one_hears_of_each_scenario_differs(signed_in: FlaskClient, page: Fetch) -> None:
    press(signed_in, text_with())
    press(signed_in, text_with())
    shown = page(signed_in, "/launches").main
    names = [
        e.attrs["aria-label"]
        for tag in ("a", "summary", "button")
        for e in shown.find(tag)
        if "aria-label" in e.attrs
    ]
    assert len(names) == len(set(names)) == 8


def test_a_cancelled_scenario_says_so_above_its_text(
    signed_in: FlaskClient, page: Fetch, store: Store
) -> None:
    press(signed_in, text_with("[[500]]"))
    waiting = page(signed_in, f"/launches/{only_launch(store).id}")
    (form,) = [one for one in waiting.find("form") if one.attrs["action"].endswith("/erase")]
    token = form.one("input", name="csrf_token").attrs["value"]
    back = page(signed_in, signed_in.post(form.attrs["action"], data={"csrf_token": token}))
    assert "Cancelled: nothing was created" in back.main.words


@pytest.mark.parametrize("before", ["", "x", "1_x", f"nan_{UUID(int=7)}", f"inf_{UUID(int=7)}", "\x00"])
def test_a_mistyped_page_of_my_scenarios_is_a_page_all_the_same(
    signed_in: FlaskClient, page: Fetch, before: str
) -> None:
    page(signed_in, signed_in.get("/launches", query_string={"before": before}))


def test_an_earlier_text_can_be_used_again(signed_in: FlaskClient, page: Fetch, store: Store) -> None:
    text = text_with()
    press(signed_in, text)

    form = page(signed_in, page(signed_in, "/launches").link("Use again"))

    assert form.prompt == text
    assert form.fields["form_token"] != only_launch(store).form_token


# --- When the database is away


def test_a_text_survives_an_absent_database(
    postgresql: PostgreSQL,
    make_app: MakeApp,
    sign_in: SignIn,
    page: Fetch,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    person = next(people)
    with postgresql.database() as url:
        app = make_app(database_url=url)
        client = app.test_client()
        sign_in(client, person)
        fields = {**page(client).fields, "prompt": text_with()}
        with postgresql.stopped():
            refused = page(client, client.post("/launches", data=fields), 503)
            assert "cannot save your text right now" in refused.main.words
            assert refused.prompt == fields["prompt"]
            assert refused.fields["form_token"] == fields["form_token"]
            assert refused.response.headers["Retry-After"]
            assert calls_of(sandbox, person) == []
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            assert page(client, "/launches", 503).h1 == "The portal cannot answer right now"
            stranger = app.test_client()
            kept = page(stranger, stranger.post("/launches", data=fields), 503)
            assert kept.prompt == fields["prompt"]

        assert is_studio(client.post("/launches", data=refused.fields).location, sandbox)
        wait_until(
            lambda: client.get("/readyz").status_code == 200, "a probe of the last seconds to grow old"
        )
        app.extensions["portal"].store.database.engine.dispose()
    assert fields["prompt"].splitlines()[0] not in caplog.text


def test_a_person_arrives_though_the_session_cannot_be_recorded(
    signed_in: FlaskClient, store: Store, sandbox: Sandbox, person: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's file is locked while the sandbox takes 3 s to answer, and longer than SQLite has patience."""
    event.listen(
        store.database.engine, "checkout", lambda made, *_: made.execute("PRAGMA busy_timeout = 200")
    )
    answers: list[TestResponse] = []
    text = text_with("[[slow x1]]")
    tab = threading.Thread(target=lambda: answers.append(press(signed_in, text)))
    tab.start()
    wait_until(lambda: [launch.state for launch in list_launches(store)] == ["creating"], "the call")

    with closing(sqlite3.connect(store.database.engine.url.database or "", isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        tab.join()
        locker.execute("ROLLBACK")

    assert is_studio(answers[0].location, sandbox)
    assert "the person arrived, but the database does not answer" in caplog.text
    make_due(store)
    again = signed_in.get(f"/launches/{list_launches(store)[0].id}?go=1")
    assert again.location == answers[0].location
    assert len({call["session_id"] for call in calls_of(sandbox, person)}) == 1


# --- Below a path


def test_everything_works_below_a_path(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, sandbox: Sandbox
) -> None:
    client = make_app(public_url="https://portal.example/scenarios").test_client()
    sign_in(client, next(people))
    fields = {**page(client, "/scenarios/").fields, "prompt": text_with("[[500 x1]]")}

    answer = client.post("/scenarios/launches", data=fields)

    assert answer.location.startswith("/scenarios/launches/")
    page(client, answer.location)
    make_due(client.application.extensions["portal"].store)
    assert is_studio(client.get(f"{answer.location}?go=1").location, sandbox)
