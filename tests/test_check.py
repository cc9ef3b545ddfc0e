"""What `check` finds, looked at from outside; each wrong configuration names the setting to change."""

import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
from conftest import EXEC_API_KEY, MakeSettings, PostgreSQL, Sandbox, Shell, StartPortal, free_port
from peers import Peer, http
from pgbouncer import pooled

from webapp import exec_client, issuer, way_out
from webapp.check import Check, is_ok, run


def look(settings: object) -> dict[str, Check]:
    """Run all checks; return them by name."""
    checks = [*run(settings, exec_client(settings), way_out(settings, issuer.LIMITS))]
    return {check.name: check for check in checks}


def test_a_configuration_that_works_finds_nothing_wrong(
    portal: StartPortal, make_settings: MakeSettings, tmp_path: Path
) -> None:
    running = portal()
    found = look(
        make_settings(
            public_url=running.url,
            database_url=f"sqlite:///{tmp_path / 'portal.sqlite'}",
            exec_studio_hosts="*.app.exec.com",
        )
    )

    assert {name: check.found for name, check in found.items() if check.ok is False} == {}
    for name in (
        "database",
        "discovery",
        "issuer",
        "keys",
        "client_secret",
        "exec_key",
        "public_url",
        "heads",
    ):
        assert found[name].ok is True, found[name]


@pytest.mark.parametrize(
    ("changes", "name", "setting", "words"),
    [
        ({"oidc_client_secret": "wrong"}, "client_secret", "OIDC_CLIENT_SECRET", "refuses client or secret"),
        ({"oidc_client_id": "unknown"}, "client_secret", "OIDC_CLIENT_SECRET", "refuses client or secret"),
        (
            {"public_url": "http://localhost:9"},
            "redirect_address",
            "PUBLIC_URL",
            "http://localhost:9/sign-in",
        ),
        ({"oidc_issuer": "http://127.0.0.1:9"}, "discovery", "OIDC_ISSUER", "ECONNREFUSED"),
        ({"exec_api_key": "exec_live_" + "wrong000" * 5}, "exec_key", "EXEC_API_KEY", "401"),
        ({"database_url": "postgresql://portal@127.0.0.1:9/portal"}, "database", "DATABASE_URL", "refused"),
    ],
    ids=["secret", "client", "redirect", "issuer-down", "key", "database"],
)
def test_what_is_wrong_is_named_by_its_setting(
    make_settings: MakeSettings, changes: dict[str, object], name: str, setting: str, words: str
) -> None:
    found = look(make_settings(**changes))[name]

    assert (found.ok, found.setting) == (False, setting)
    assert words in found.found
    assert found.change


def test_what_the_database_says_is_told_with_its_cure(
    make_settings: MakeSettings, postgresql: PostgreSQL
) -> None:
    with postgresql.database() as url:
        read_only = f"{url}&options=-c%20default_transaction_read_only%3Don"
        found = look(make_settings(database_url=read_only))["database"]

    assert (found.ok, found.setting) == (False, "DATABASE_URL")
    assert "(25006); it only reads: DATABASE_URL must name the primary" in found.found


@pytest.mark.parametrize(("mode", "servers", "ok"), [("session", 10, False), ("transaction", 4, True)])
def test_a_pooler_with_fewer_servers_than_connections_is_told(
    make_settings: MakeSettings, postgresql: PostgreSQL, mode: str, servers: int, *, ok: bool
) -> None:
    with pooled(postgresql, mode, servers=servers) as url:
        found = look(make_settings(database_url=url))["connections"]

    assert (found.ok, found.setting) == (ok, "DATABASE_URL")
    assert ("no answer within 7 s" in found.found, "pool_size" in found.change) == (not ok, not ok)


@pytest.mark.parametrize(("ahead", "ok", "words"), [(0, True, "differ by"), (-90, False, "s ahead of that")])
def test_a_provider_whose_clock_is_off_is_told(
    make_settings: MakeSettings, sandbox: Sandbox, ahead: int, words: str, *, ok: bool
) -> None:
    date = f"Date: {formatdate(time.time() + ahead, usegmt=True)}"
    document = requests.get(f"{sandbox.issuer}/.well-known/openid-configuration", timeout=60).content
    with Peer(http(document, "200 OK", date)) as provider:
        found = look(make_settings(oidc_issuer=provider.url))["provider_clock"]

    assert (found.ok, found.setting) == (ok, "OIDC_ISSUER")
    assert words in found.found
    assert ("NTP" in found.change) is not ok


def test_an_issuer_with_another_path_is_told(make_settings: MakeSettings, sandbox: Sandbox) -> None:
    found = look(make_settings(oidc_issuer=f"{sandbox.url}/other"))["discovery"]
    assert (found.ok, found.setting) == (False, "OIDC_ISSUER")
    assert "answered 404" in found.found


def test_nothing_listening_at_the_portals_address_does_not_fail(make_settings: MakeSettings) -> None:
    found = look(make_settings(public_url=f"http://localhost:{free_port()}"))["public_url"]
    assert found.ok is None


def test_another_program_at_the_portals_address_is_told(
    make_settings: MakeSettings, sandbox: Sandbox
) -> None:
    found = look(make_settings(public_url=sandbox.url.replace("127.0.0.1", "localhost")))["public_url"]
    assert (found.ok, found.setting) == (False, "PUBLIC_URL")


def test_a_wrong_number_of_proxies_is_told(portal: StartPortal, make_settings: MakeSettings) -> None:
    running = portal()
    found = look(make_settings(public_url=running.url, trusted_proxies=2))["proxies"]
    assert (found.ok, found.setting, found.change) == (False, "TRUSTED_PROXIES", "to 0")


def test_nothing_is_created_and_the_secret_is_tried_once(
    make_settings: MakeSettings, sandbox: Sandbox
) -> None:
    before = len(sandbox.report()["sessions"])
    look(make_settings())
    assert len(sandbox.report()["sessions"]) == before


def test_the_command_prints_lines_and_json(shell: Shell) -> None:
    lines = shell.run("check")
    assert "ok    settings" in lines.stdout, lines.stderr
    told = json.loads(shell.run("check", "--json").stdout)
    assert set(told) == {"ok", "checks"}
    assert {frozenset(check) for check in told["checks"]} == {
        frozenset({"name", "ok", "setting", "found", "change"})
    }
    assert lines.returncode == (0 if told["ok"] else 1)


def test_settings_that_stop_the_start_are_checks_too(shell: Shell) -> None:
    done = shell.run("check", "--json", EXEC_API_KEY="exec_live_short", SESSION_HOURS="many")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (1, False)
    assert {check["setting"] for check in told["checks"]} == {"EXEC_API_KEY", "SESSION_HOURS"}


def test_no_secret_is_printed(shell: Shell) -> None:
    done = shell.run("check", OIDC_CLIENT_SECRET="a-wrong-secret-of-ours")
    assert "a-wrong-secret-of-ours" not in done.stdout + done.stderr
    assert EXEC_API_KEY not in done.stdout + done.stderr


def test_what_could_not_be_told_does_not_fail() -> None:
    assert is_ok([Check("one", True, "", ""), Check("other", None, "", "")])
    assert not is_ok([Check("one", True, "", ""), Check("other", False, "", "")])
