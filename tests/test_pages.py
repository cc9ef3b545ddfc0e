"""Every page a person may see, held to the house rules; and the first one, which is the link's preview."""

import pytest
from conftest import PUBLIC_URLS, Fetch, MakeApp, SignIn, change_sign_in
from flask.testing import FlaskClient
from reading import Page

STARTERS = (
    "discovery", "objection", "renewal", "complaint", "feedback", "change", "interview", "negotiation"
)  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/", "/?prompt=hello", "/signed-out", "/nowhere", "/sign-in/callback", "/drafts/x"]
)
def test_a_strangers_pages_keep_the_house_rules(client: FlaskClient, page: Fetch, path: str) -> None:
    answer = client.get(path)
    assert page(client, answer, answer.status_code).h1


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?prompt=hello",
        "/?starter=discovery",
        "/launches",
        "/signed-out",
        "/nowhere",
        "/sign-in/callback?error=x",
    ],
)
@pytest.mark.parametrize("public_url", PUBLIC_URLS)
def test_a_persons_pages_keep_the_house_rules(
    make_app: MakeApp, sign_in: SignIn, page: Fetch, path: str, public_url: str
) -> None:
    client = make_app(public_url=public_url).test_client()
    sign_in(client)
    answer = client.get(client.application.extensions["portal"].settings.base_path + path)
    assert page(client, answer, answer.status_code).h1


# The first page


@pytest.mark.parametrize("path", ["/", "/?prompt=hello", "/?starter=discovery", "/?request_id=shared-1"])
def test_a_strangers_first_page_goes_on_to_the_sign_in(client: FlaskClient, page: Fetch, path: str) -> None:
    first = page(client, path)
    way = first.link("Sign in")
    assert way.startswith("http://localhost:8000/sign-in")
    assert ("?to=" in way) is (path != "/")
    assert "Signing you in…" in first.main.words
    refresh = first.one("noscript").one("meta", http_equiv="refresh")
    assert refresh.attrs["content"] == f"0; url={way}"


def test_a_strangers_first_page_is_the_links_preview(client: FlaskClient, page: Fetch) -> None:
    first = page(client, "/?prompt=planted")
    described = first.one("meta", name="description").attrs["content"]
    assert described == first.one("meta", property="og:description").attrs["content"]
    assert first.one("meta", property="og:title").attrs["content"] == first.title
    assert "planted" not in first.html


def test_the_first_page_answers_to_head(client: FlaskClient) -> None:
    answer = client.head("/?prompt=hello")
    assert (answer.status_code, answer.data) == (200, b"")


# The form, as links fill it


@pytest.fixture
def form(client: FlaskClient, sign_in: SignIn, page: Fetch) -> Page:
    sign_in(client)
    return page(client)


def test_the_form_is_empty_at_first(form: Page) -> None:
    assert form.prompt == ""
    assert form.h1 == "Create a scenario"


def test_the_form_says_who_is_signed_in_and_where_the_text_goes(form: Page) -> None:
    assert "Dana Whitfield" in form.words
    assert "Your text goes to Exec" in form.main.words


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_fills_the_form(client: FlaskClient, page: Fetch, name: str) -> None:
    assert page(client, f"/?starter={name}").prompt.startswith("Who meets:")


def test_every_starter_is_linked(form: Page) -> None:
    linked = {a.attrs["href"] for a in form.main.find("a")}
    assert {f"/?starter={name}" for name in STARTERS} <= linked


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("query", ["starter=nowhere", "starter=", "starter=__class__", "unknown=1"])
def test_an_unknown_starter_leaves_the_form_empty(client: FlaskClient, page: Fetch, query: str) -> None:
    assert page(client, f"/?{query}").prompt == ""


@pytest.mark.usefixtures("form")
def test_a_prompt_comes_before_a_starter(client: FlaskClient, page: Fetch) -> None:
    assert page(client, "/?starter=discovery&prompt=mine").prompt == "mine"


@pytest.mark.usefixtures("form")
def test_each_form_is_an_intention_of_its_own(client: FlaskClient, page: Fetch) -> None:
    assert page(client).fields["form_token"] != page(client).fields["form_token"]


@pytest.mark.usefixtures("form")
def test_a_link_makes_no_launch_by_itself(client: FlaskClient, page: Fetch) -> None:
    page(client, "/?prompt=hello&request_id=shared-1")
    shown = page(client, "/?prompt=hello&request_id=shared-1")
    assert "You made this" not in shown.main.words
    assert "data-send-now" not in shown.html


def test_a_name_cannot_bring_markup(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    change_sign_in(client, name="<script>alert(1)</script>")
    assert "<script>alert(1)</script>" in page(client).words


def test_a_page_that_lacks_a_value_fails_loudly(client: FlaskClient) -> None:
    template = client.application.jinja_env.from_string("{{ nobody }}")
    with pytest.raises(Exception, match="'nobody' is undefined"):
        template.render()
