"""What load balancers ask."""

import pytest
from conftest import PUBLIC_URLS, MakeApp
from flask.testing import FlaskClient


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["localhost:8000", "10.0.0.7", "whatever.example", ""])
def test_health_answers_for_any_host(client: FlaskClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert (answer.status_code, answer.text, answer.mimetype) == (200, "ok\n", "text/plain")


@pytest.mark.parametrize("public_url", PUBLIC_URLS)
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_at_the_root(make_app: MakeApp, public_url: str, path: str) -> None:
    assert make_app(public_url=public_url).test_client().get(path).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_sets_no_cookie(client: FlaskClient, path: str) -> None:
    assert "Set-Cookie" not in client.get(path).headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_to_head(client: FlaskClient, path: str) -> None:
    assert client.head(path).status_code == 200


def test_health_asks_nobody_else(make_app: MakeApp) -> None:
    client = make_app(oidc_issuer="http://127.0.0.1:9", exec_api_url="http://127.0.0.1:9").test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_cannot_be_posted(client: FlaskClient, path: str) -> None:
    assert client.post(path).status_code in (400, 405)


def test_the_start_says_what_runs(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    make_app(allowed_email_domains="acme.example", trusted_proxies=1)
    [line] = [r.getMessage() for r in caplog.records if r.__dict__.get("event") == "started"]
    for word in (
        "1.0.0",
        "http://localhost:8000/sign-in/callback",
        "acme.example",
        "sqlite at",
        "proxies: 1",
    ):
        assert word in line
