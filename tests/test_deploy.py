"""What stands in `deploy/`, run for real: each proxy leads a person from a long link to the studio.

Prometheus and systemd read what is theirs: which series raise which alert, and how exposed the service is.
"""

import re
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import trustme
import yaml
from conftest import (
    ROOT,
    MakeApp,
    Portal,
    Sandbox,
    end,
    free_port,
    portal_values,
    run_gunicorn,
    wait_until,
)
from proxies import PROXIES, Place, find, serving
from reading import Page
from requests.adapters import HTTPAdapter

from webapp import cookies
from webapp.config import Settings
from webapp.ops import check_signer

TEXT = "Ask open questions, listen, agree on a next step: planted. " * 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its chain and key, and itself the root that is trusted."""
    path = tmp_path_factory.mktemp("certificate") / "portal.pem"
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    authority.cert_pem.write_to_path(path, append=True)
    return path


@pytest.fixture(scope="module")
def served(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, str]]:
    """One portal below a path, reached over https; and the address that people know."""
    directory, port = tmp_path_factory.mktemp("served"), free_port()
    address = f"https://localhost:{sandbox.portal_ports[0]}/scenarios"
    environment = portal_values(sandbox, port, f"sqlite:///{directory}/portal.sqlite")
    environment |= {"PUBLIC_URL": address, "TRUSTED_PROXIES": "1"}
    log = directory / "output"
    process = run_gunicorn(port, environment, log, directory, "--workers", "1")
    try:
        portal = Portal(port, process, log)
        wait_until(lambda: "Booting worker" in portal.output, "the portal")
        yield portal, address
    finally:
        end(process)


class Visitor:
    """A browser that trusts the test's certificate and follows no redirect by itself."""

    def __init__(self, address: str, certificate: Path) -> None:
        self.address = address
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(certificate)
        self.http.mount("https://", HTTPAdapter(max_retries=0))

    def get(self, path: str) -> requests.Response:
        address = path if path.startswith("https:") else self.address + path
        return self.http.get(address, allow_redirects=False, timeout=20)

    def post(self, path: str, fields: dict[str, str]) -> str:
        """Send a form as our own page does; return where it leads."""
        origin = self.address.removesuffix("/scenarios")
        sent = self.http.post(
            self.address + path,
            data=fields,
            headers={"Origin": origin},
            allow_redirects=False,
            timeout=30,
        )
        assert sent.status_code == 303, Page(sent.text).main.words
        return (
            origin + sent.headers["Location"].removeprefix(origin)
            if "/drafts/" in sent.headers["Location"]
            else sent.headers["Location"]
        )

    def sign_in(self, sandbox: Sandbox, way: str = "/sign-in") -> requests.Response:
        """Sign in; return the page where one lands."""
        callback = sandbox.choose(self.get(way).headers["Location"], "dana")
        landed = self.get(callback)
        assert landed.status_code == 303, landed.text
        origin = self.address.removesuffix("/scenarios")
        return self.get(origin + landed.headers["Location"].removeprefix(origin))


@pytest.fixture(
    scope="module", params=[(name, kind) for name in PROXIES for kind in ("shipped", "bare")], ids="-".join
)
def place(
    request: pytest.FixtureRequest,
    served: tuple[Portal, str],
    sandbox: Sandbox,
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """A running proxy before the portal: as we ship it, and with nothing but the way to the portal."""
    name, kind = request.param
    here = Place(tmp_path_factory.mktemp(name), sandbox.portal_ports[0], served[0].port, certificate)
    proxy = PROXIES[name]
    with serving(proxy, (proxy.shipped if kind == "shipped" else proxy.bare)(here), here):
        yield here


shipped = pytest.mark.parametrize(
    "place", [(name, "shipped") for name in PROXIES], ids="-".join, indirect=True
)


@pytest.fixture
def visitor(served: tuple[Portal, str], place: Place) -> Iterator[Visitor]:
    arriving = Visitor(served[1], place.certificate)
    with arriving.http:
        yield arriving


def test_a_long_link_leads_through_the_sign_in_to_the_studio(
    visitor: Visitor, sandbox: Sandbox, place: Place
) -> None:
    text = TEXT + place.directory.name
    first = visitor.get(f"/?prompt={quote(text)}")
    assert first.status_code == 200
    kept = visitor.post("/launches", Page(first.text).fields)
    [way] = set(re.findall(r'href="([^"]*/sign-in[?][^"]*)"', visitor.get(kept).text))
    form = visitor.sign_in(sandbox, unescape(way))
    assert form.status_code == 200
    fields = Page(form.text).fields
    assert fields["prompt"] == text
    studio = visitor.post("/launches", fields)
    assert studio.startswith(f"http://{sandbox.studio_host}/chat/")


def test_a_short_link_leads_through_the_sign_in_to_its_text(visitor: Visitor, sandbox: Sandbox) -> None:
    [way] = set(re.findall(r'href="([^"]*/sign-in[?][^"]*)"', visitor.get("/?prompt=Talk").text))
    assert Page(visitor.sign_in(sandbox, unescape(way)).text).fields["prompt"] == "Talk"


def test_the_largest_head_arrives_whole(visitor: Visitor) -> None:
    signed = check_signer(settings_of(visitor.address)).dumps("")
    answer = visitor.get(f"/healthz?check={quote(str(signed))}")
    assert answer.status_code == 200
    assert len(answer.headers["X-Padding"]) > 2500
    assert answer.json()["portal"] == visitor.address


@shipped
def test_the_proxy_says_for_whom_it_asks(visitor: Visitor) -> None:
    signed = check_signer(settings_of(visitor.address)).dumps("")
    answer = visitor.get(f"/healthz?check={quote(str(signed))}").json()
    assert (answer["forwarded"], answer["https"]) == (1, True)


def test_pages_are_never_compressed_and_static_files_are(visitor: Visitor, sandbox: Sandbox) -> None:
    form = visitor.sign_in(sandbox)
    assert "Content-Encoding" not in form.headers
    (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', form.text)
    origin = visitor.address.removesuffix("/scenarios")
    styles = visitor.get(origin + sheet)
    assert styles.headers["Content-Encoding"] in ("br", "gzip")
    assert "immutable" in styles.headers["Cache-Control"]


@shipped
def test_no_query_is_written_down(visitor: Visitor, place: Place) -> None:
    visitor.get("/?prompt=planted")
    visitor.http.get(
        f"{visitor.address}/signed-out", headers={"Referer": f"{visitor.address}/?prompt=planted"}, timeout=20
    )
    visitor.http.close()
    wait_until(lambda: "/scenarios/signed-out" in place.log.read_text(), "the access line")
    assert "planted" not in place.log.read_text()


@shipped
def test_cookies_are_the_hosts_own(visitor: Visitor, sandbox: Sandbox) -> None:
    visitor.sign_in(sandbox)
    name = cookies.name(visitor.address, cookies.SESSION)
    assert name.startswith("__Host-")
    assert name in visitor.http.cookies


# What Prometheus and systemd read

ALERTS = ROOT / "deploy" / "alerts.yml"
FAILED = 'portal_events_total{event="sign_in.failed",cause="BadAnswer"}'
UNANSWERED = 'portal_exec_seconds_count{answer="unavailable"}'
CREATED = 'portal_exec_seconds_count{answer="created"}'


def read(*command: str) -> None:
    """Let a program of others read a file of ours; what it says against it fails the test."""
    done = subprocess.run(
        [find(command[0]), *command[1:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("series", "raised"),
    [
        ({}, {"PortalGone"}),
        ({"portal_ready": "1x60"}, set()),
        ({"portal_ready": "1x40 0x20"}, {"PortalCannotServe"}),
        ({"portal_ready": "1x60", "portal_launches_held": "3x60"}, {"PortalScenariosOnHold"}),
        ({"portal_ready": "1x60", "portal_launches_held": "3x50 0x10"}, set()),
        ({"portal_ready": "1x60", "portal_stopped_until": "1764072000x60"}, {"PortalStopped"}),
        ({"portal_ready": "1x60", "portal_calls_today": "801x60"}, {"PortalNearDailyLimit"}),
        ({"portal_ready": "1x60", FAILED: "0x50 1+1x10"}, {"PortalSignInsFail"}),
        ({"portal_ready": "1x60", UNANSWERED: "1+1x60"}, {"PortalExecFails"}),
        ({"portal_ready": "1x60", UNANSWERED: "1+1x60", CREATED: "1+2x60"}, set()),
    ],
)
def test_an_alert_is_raised_by_what_it_names(
    series: dict[str, str], raised: set[str], tmp_path: Path
) -> None:
    """An hour of one sample a minute, as promtool reads it; at its end these and no others."""
    rules = {rule["alert"]: rule for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
    expected = [
        {
            "eval_time": "60m",
            "alertname": name,
            "exp_alerts": [{"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}]
            * (name in raised),
        }
        for name, rule in rules.items()
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    hour = {"interval": "1m", "input_series": given, "alert_rule_test": expected}
    test = {"rule_files": [str(ALERTS)], "tests": [hour]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    read("promtool", "test", "rules", str(tmp_path / "test.yml"))


def test_alerts_go_by_figures_that_there_are(make_app: MakeApp) -> None:
    client = make_app(metrics_token="a-token-for-prometheus").test_client()
    told = client.get("/metrics", headers={"Authorization": "Bearer a-token-for-prometheus"}).text
    there = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"portal_\w+", rule["expr"])}
    assert {name.removesuffix("_count") for name in named} <= there


def test_the_service_is_one_that_systemd_reads_and_is_hardly_exposed(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "portal.service").read_text()
    command = "/opt/portal/.venv/bin/gunicorn"
    assert command in unit
    file = tmp_path / "portal.service"
    file.write_text(unit.replace(command, "/bin/true"))
    read("systemd-analyze", "verify", str(file))
    # In tenths of 10, where 10 is a service as systemd starts it without a word about hardening.
    read("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(file))


def settings_of(address: str) -> Settings:
    """What signs and names things at the portal of `served`."""
    values = portal_values(Sandbox("http://127.0.0.1:1", []), 8000, "sqlite:///portal.db") | {
        "PUBLIC_URL": address
    }
    wanted = {key.lower(): value for key, value in values.items() if key.lower() in Settings.model_fields}
    return Settings(_env_file=None, **wanted)
