"""What Prometheus is told, and that only who knows the token is."""

import re
from uuid import uuid4

import pytest
import requests
from conftest import Fetch, MakeApp, SignIn, StartPortal, wait_until
from flask import Flask
from flask.testing import FlaskClient

from webapp.portal import portal_of

TOKEN = "a-token-for-prometheus"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(metrics_token=TOKEN)


def value(text: str, name: str) -> float:
    [found] = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found)


def create(client: FlaskClient, page: Fetch, text: str) -> None:
    client.post("/launches", data={**page(client).fields, "prompt": f"{text} {uuid4()}"})


def test_without_a_token_there_is_no_such_page(make_app: MakeApp) -> None:
    assert make_app().test_client().get("/metrics").status_code == 404


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}s"])
def test_who_does_not_know_the_token_is_refused(client: FlaskClient, said: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": said})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_launches_are_counted_by_outcome(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    for text in ("Talk", "Talk", "[[400]]", "[[500]]"):
        create(client, page, text)

    told = client.get("/metrics", headers=BEARER).text

    assert value(told, 'portal_launches_total{outcome="ready"}') == 2
    assert value(told, 'portal_launches_total{outcome="not_accepted"}') == 1
    assert value(told, "portal_launches_waiting") == 1
    assert value(told, "portal_launches_held") == 0
    assert value(told, 'portal_build_info{version="1.0.0"}') == 1


def test_what_happens_is_counted_by_event_and_cause(
    client: FlaskClient, sign_in: SignIn, page: Fetch
) -> None:
    sign_in(client, "una")
    sign_in(client)
    create(client, page, "Talk")
    create(client, page, "[[500]]")

    told = client.get("/metrics", headers=BEARER).text

    assert value(told, 'portal_events_total{cause="",event="sign_in"}') == 1
    assert value(told, 'portal_events_total{cause="UnverifiedEmail",event="sign_in.failed"}') == 1
    assert value(told, 'portal_exec_seconds_count{answer="created"}') == 1
    assert value(told, 'portal_exec_seconds_count{answer="unavailable"}') == 1
    assert value(told, "portal_wait_seconds_count") == 1


def test_a_database_that_is_away_is_told(client: FlaskClient, app: Flask) -> None:
    assert value(client.get("/metrics", headers=BEARER).text, "portal_ready") == 1
    with portal_of(app).store.database.engine.begin() as broken:
        broken.exec_driver_sql("PRAGMA query_only = 1")
    portal_of(app).health._began = float("-inf")

    told = client.get("/metrics", headers=BEARER).text

    assert value(told, "portal_ready") == 0
    assert "portal_launches_waiting" not in told


def test_no_metric_names_a_person(client: FlaskClient, sign_in: SignIn, page: Fetch) -> None:
    sign_in(client)
    create(client, page, "Talk")
    told = client.get("/metrics", headers=BEARER).text
    assert "acme.example" not in told
    assert "Talk" not in told


def test_several_processes_are_counted_together(portal: StartPortal) -> None:
    running = portal("--workers", "2", METRICS_TOKEN=TOKEN)
    wait_until(lambda: running.output.count("Booting worker") == 2, "the workers")
    for _ in range(20):
        requests.get(f"{running.url}/healthz", headers={"Connection": "close"}, timeout=60)

    def counted() -> bool:
        told = requests.get(f"{running.url}/metrics", headers=BEARER, timeout=60).text
        return value(told, 'portal_request_seconds_count{status="2xx"}') >= 20

    wait_until(counted, "all requests")
