"""What every answer tells the browser."""

from collections.abc import Iterator

import pytest
from conftest import PUBLIC_URLS, Fetch, MakeApp, SignIn
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

ID = "7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e"
VALUES = {"key": ID, "filename": "portal.css", "slug": "abcdefghjk"}


def addresses(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Every route as (method, path, rule)."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        path = adapter.build(rule.endpoint, {name: VALUES[name] for name in rule.arguments})
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            yield method, path, rule


def policy_of(answer: TestResponse) -> dict[str, str]:
    policies = answer.headers.getlist("Content-Security-Policy")
    assert len(policies) == 1
    return dict(part.strip().partition(" ")[::2] for part in policies[0].split(";"))


@pytest.fixture
def answers(app: Flask, sign_in: SignIn) -> list[tuple[Rule, TestResponse]]:
    """What every route answers, to a stranger and to a person; and what no route answers."""
    stranger, person = app.test_client(), app.test_client()
    sign_in(person)
    everything = [
        (rule, client.open(path, method=method, buffered=True))
        for client in (stranger, person)
        for method, path, rule in addresses(app)
        if rule.endpoint != "auth.sign_out" or client is stranger
    ]
    nowhere = Rule("/nowhere", endpoint="nowhere")
    return [*everything, (nowhere, stranger.get("/nowhere")), (nowhere, stranger.delete("/"))]


def test_every_answer_has_a_narrow_policy(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        policy = policy_of(answer)
        assert policy["default-src"] == "'none'", rule
        assert policy["base-uri"] == "'none'", rule
        found = {policy.get(name) for name in ("script-src", "style-src", "img-src", "connect-src")}
        assert found == ({None} if rule.endpoint == "static" else {"'self'"}), rule
        assert "unsafe" not in str(policy), rule


def test_every_answer_refuses_to_be_framed_by_default(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        assert policy_of(answer)["frame-ancestors"] == "'none'", rule
        assert answer.headers["X-Frame-Options"] == "DENY", rule


def test_every_answer_is_taken_for_what_it_says(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff", rule
        policy = None if rule.endpoint == "static" else "same-origin"
        assert answer.headers.get("Referrer-Policy") == policy, rule
        assert "Cross-Origin-Opener-Policy" not in answer.headers, rule


def test_only_static_files_may_be_used_by_other_sites(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        policy = "cross-origin" if rule.endpoint == "static" else "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == policy, rule


def test_no_answer_but_a_static_file_is_kept(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        kept = answer.headers["Cache-Control"]
        assert kept == ("no-cache" if rule.endpoint == "static" else "no-store"), rule


def test_only_pages_with_the_prompt_may_post_onwards(answers: list[tuple[Rule, TestResponse]]) -> None:
    for rule, answer in answers:
        leads_on = policy_of(answer)["form-action"] not in ("'self'", "'none'")
        if "<form" in (text := answer.get_data(as_text=True) if answer.mimetype == "text/html" else ""):
            assert leads_on == ('action="/launches"' in text), rule
        else:
            assert not leads_on, rule


def test_the_form_may_lead_to_the_studio_and_on(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    settings = client.application.extensions["portal"].settings
    allowed = policy_of(page(client).response)["form-action"].split()
    assert allowed == ["'self'", "https:", f"http://{settings.exec_studio_hosts[0]}"]


def test_a_studio_elsewhere_adds_nothing_to_the_policy(
    make_app: MakeApp, sign_in: SignIn, page: Fetch
) -> None:
    client = make_app(exec_studio_hosts="*.app.exec.com,studio.acme.example:8443").test_client()
    sign_in(client)
    assert policy_of(page(client).response)["form-action"] == "'self' https:"


def test_the_form_given_back_may_lead_on_as_well(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    again = page(client, client.post("/launches", data={**page(client).fields, "prompt": ""}), 422)
    assert "https:" in policy_of(again.response)["form-action"].split()


@pytest.mark.parametrize("public_url", PUBLIC_URLS)
def test_only_https_is_insisted_on(make_app: MakeApp, public_url: str) -> None:
    answer = make_app(public_url=public_url).test_client().get("/healthz")
    strict = answer.headers.get("Strict-Transport-Security")
    assert strict == ("max-age=31536000" if public_url.startswith("https:") else None)


def test_a_static_file_is_kept_for_good_at_its_address(client: FlaskClient, page: Fetch) -> None:
    first = page(client)
    sheets = [link.attrs["href"] for link in first.find("link", rel="stylesheet")]
    scripts = [script.attrs["src"] for script in first.find("script")]
    for address in (*sheets, *scripts):
        answer = client.get(address, buffered=True)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Set-Cookie" not in answer.headers


def test_a_page_depends_on_its_cookies(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    assert "Cookie" in client.get("/").headers.get("Vary", "")


def test_a_page_is_not_compressed(client: FlaskClient, sign_in: SignIn) -> None:
    sign_in(client)
    assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": "gzip, br"}).headers
