"""Settings: what is accepted, what is refused and in which words, and that no secret is ever shown."""

import os
import re
import traceback
from pathlib import Path

import pytest
from conftest import ROOT

from webapp.config import InvalidSettings, Settings, log_format, wants_metrics
from webapp.names import OF_OTHERS

KEY = "exec_live_" + "a1B2c3D4" * 5
GOOD = {
    "SECRET_KEY": "a-signing-key-of-some-length",
    "PUBLIC_URL": "https://scenarios.acme.example",
    "OIDC_ISSUER": "https://login.acme.example/realm",
    "OIDC_CLIENT_ID": "portal",
    "OIDC_CLIENT_SECRET": "the-client-secret",
    "EXEC_API_KEY": KEY,
}
REQUIRED = sorted(GOOD)
SECRETS = ("SECRET_KEY", "OIDC_CLIENT_SECRET", "EXEC_API_KEY")
TRUST = {"OIDC_TRUST_UNVERIFIED_EMAIL": "true", "ALLOWED_EMAIL_DOMAINS": "acme.example"}


@pytest.fixture(autouse=True)
def in_an_empty_place(own_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: ARG001
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that holds what is required and nothing else."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refused(env: pytest.MonkeyPatch, **changes: str) -> list[str]:
    for name, value in changes.items():
        env.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        Settings()
    return caught.value.problems


def accepted(env: pytest.MonkeyPatch, **changes: str) -> Settings:
    for name, value in changes.items():
        env.setenv(name, value)
    return Settings()


# Required, and all at once


def test_what_is_required_is_enough(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env)
    assert settings.exec_api_url == "https://api.exec.com/rest/v1"
    assert settings.exec_studio_hosts == ("*.app.exec.com",)
    assert settings.session_hours == 8
    assert settings.oidc_email_claim == "email"
    assert not settings.oidc_trust_unverified_email


def test_an_empty_environment_is_told_every_missing_name() -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings()
    assert sorted(caught.value.problems) == [f"{name} is missing" for name in REQUIRED]


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_setting_is_missed_by_name(env: pytest.MonkeyPatch, name: str) -> None:
    env.delenv(name)
    assert refused(env) == [f"{name} is missing"]


@pytest.mark.parametrize("name", REQUIRED)
def test_an_empty_setting_is_a_missing_one(env: pytest.MonkeyPatch, name: str) -> None:
    assert refused(env, **{name: ""}) == [f"{name} is missing"]


def test_all_problems_are_told_at_once(env: pytest.MonkeyPatch) -> None:
    env.delenv("OIDC_CLIENT_ID")
    problems = refused(
        env, SECRET_KEY="short", PUBLIC_URL="acme", EXEC_API_KEY="exec_live_1", SESSION_HOURS="soon"
    )
    names = {problem.partition(":")[0].partition(" ")[0] for problem in problems}
    assert names == {"OIDC_CLIENT_ID", "SECRET_KEY", "PUBLIC_URL", "EXEC_API_KEY", "SESSION_HOURS"}


def test_the_refusal_ends_a_program_with_its_text(env: pytest.MonkeyPatch) -> None:
    env.delenv("PUBLIC_URL")
    with pytest.raises(SystemExit) as caught:
        Settings()
    assert caught.value.code == "The portal cannot start. Please change:\n  PUBLIC_URL is missing"


def test_names_that_are_no_settings_are_left_alone(env: pytest.MonkeyPatch) -> None:
    assert not hasattr(accepted(env, PORTAL_COLOUR="blue"), "portal_colour")


# Secrets


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_a_file(env: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(f"{GOOD[name]}\n")
    env.delenv(name)
    settings = accepted(env, **{f"{name}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, name.lower()).get_secret_value() == GOOD[name]


def test_the_environment_comes_before_a_secrets_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file-0123456789")
    assert accepted(env, SECRET_KEY_FILE=str(tmp_path / "secret")).secret_keys == [GOOD["SECRET_KEY"]]


def test_a_secrets_file_comes_before_the_env_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file-0123456789")
    (tmp_path / ".env").write_text("SECRET_KEY=from-dot-env-0123456789\n")
    env.delenv("SECRET_KEY")
    assert accepted(env, SECRET_KEY_FILE=str(tmp_path / "secret")).secret_keys == ["from-the-file-0123456789"]


def test_the_env_file_may_name_a_secrets_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file-0123456789")
    (tmp_path / ".env").write_text(f"SECRET_KEY_FILE={tmp_path / 'secret'}\n")
    env.delenv("SECRET_KEY")
    assert accepted(env).secret_keys == ["from-the-file-0123456789"]


def test_the_environment_comes_before_the_env_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OIDC_CLIENT_ID=other\nSESSION_HOURS=3\n")
    settings = accepted(env)
    assert (settings.oidc_client_id, settings.session_hours) == ("portal", 3)


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_is_not_there_is_named_by_its_setting(env: pytest.MonkeyPatch, name: str) -> None:
    env.delenv(name)
    assert refused(env, **{f"{name}_FILE": "/nowhere/secret"}) == [
        f"{name}: its file cannot be read (FileNotFoundError)"
    ]


def test_a_directory_is_no_secrets_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env.delenv("SECRET_KEY")
    assert refused(env, SECRET_KEY_FILE=str(tmp_path)) == [
        "SECRET_KEY: its file cannot be read (IsADirectoryError)"
    ]


def test_a_binary_file_is_no_secrets_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe" * 16)
    env.delenv("SECRET_KEY")
    assert refused(env, SECRET_KEY_FILE=str(tmp_path / "secret")) == [
        "SECRET_KEY: its file cannot be read (UnicodeDecodeError)"
    ]


def test_an_empty_secrets_file_is_refused(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    env.delenv("OIDC_CLIENT_SECRET")
    assert refused(env, OIDC_CLIENT_SECRET_FILE=str(tmp_path / "secret")) == [
        "OIDC_CLIENT_SECRET: its file is empty"
    ]


def test_what_is_no_secret_is_not_read_from_a_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("portal")
    env.delenv("OIDC_CLIENT_ID")
    assert "OIDC_CLIENT_ID is missing" in refused(env, OIDC_CLIENT_ID_FILE=str(tmp_path / "id"))


def test_settings_that_are_printed_show_no_secret(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env, HTTPS_PROXY="http://joe:proxy-password@proxy.acme.example:3128")
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    for secret in (*(GOOD[name] for name in SECRETS), "proxy-password"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "planted"),
        ("SECRET_KEY", "a-signing-key-of-some-length,planted"),
        ("EXEC_API_KEY", "exec_live_planted"),
        ("EXEC_API_KEY", f"planted{KEY}"),
        ("HTTPS_PROXY", "socks5://joe:planted@proxy.acme.example"),
        ("HTTPS_PROXY", "http://joe:planted@proxy.acme.example:port"),
        ("HTTPS_PROXY", "http://joe:planted@[::1"),
        ("PUBLIC_URL", "https://joe:planted@acme.example"),
        ("OIDC_ISSUER", "https://joe:planted@[acme"),
        ("EXEC_API_URL", "https://acme.example/?key=planted"),
    ],
)
def test_a_refusal_never_shows_the_value(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    env.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        Settings()
    shown = f"{caught.value} {caught.value!r} {caught.value.problems} " + "".join(
        traceback.format_exception(caught.value)
    )
    assert name in shown
    assert "planted" not in shown


@pytest.mark.parametrize(
    "keys", ["short", "a-signing-key-of-some-length,short", ",", " , ", "fifteen-letters"]
)
def test_a_short_signing_key_is_refused(env: pytest.MonkeyPatch, keys: str) -> None:
    assert refused(env, SECRET_KEY=keys)[0].startswith("SECRET_KEY: each key needs at least 16 characters")


def test_signing_keys_rotate_the_first_one_signs(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env, SECRET_KEY=" the-new-key-0123456789 , the-old-key-0123456789,")
    assert settings.secret_keys == ["the-new-key-0123456789", "the-old-key-0123456789"]


@pytest.mark.parametrize(
    "key",
    [
        KEY[:-1],
        KEY + "a",
        KEY.replace("live", "test"),
        KEY[:-1] + "-",
        f"Bearer {KEY}",
        KEY[:-1] + "é",
        KEY.upper(),
    ],
)
def test_what_is_no_exec_key_is_refused(env: pytest.MonkeyPatch, key: str) -> None:
    assert refused(env, EXEC_API_KEY=key)[0].startswith("EXEC_API_KEY: must be exec_live_ and 40")


# Addresses

ADDRESSES = ("PUBLIC_URL", "OIDC_ISSUER", "EXEC_API_URL")


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "value",
    [
        "acme.example",
        "//acme.example",
        "ftp://acme.example",
        "https://",
        "https:///path",
        "http://acme.example",
        "http://10.0.0.7",
        "http://localhost.acme.example",
        "http://127.0.0.1.acme.example",
        "http://localhost@acme.example",
        "https://joe@acme.example",
        "https://joe:password@acme.example",
        "https://@acme.example",
        "https://acme.example?",
        "https://acme.example/#",
        "https://acme.example/?a=b",
        "https://acme.example/#top",
        "https://acme.example/a b",
        "https://acme.example\\evil.example",
        "https://acme.example:port",
        "https://acme.example:99999",
        "https://[::1",
        "https://acme.example/a\nb",
        "javascript:alert(1)",
    ],
)
def test_an_address_we_could_not_use_is_refused(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert [problem.partition(":")[0] for problem in refused(env, **{name: value})] == [name]


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "value",
    [
        "https://acme.example",
        "https://acme.example:8443/path/below",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
    ],
)
def test_https_and_loopback_http_are_accepted(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert getattr(accepted(env, **{name: value}), name.lower()) == value


def test_a_slash_at_the_end_makes_no_difference_to_public_url(env: pytest.MonkeyPatch) -> None:
    assert accepted(env, PUBLIC_URL="https://acme.example/").public_url == "https://acme.example"


@pytest.mark.parametrize(
    "value",
    [
        "https://acme_portal.example",
        "https://acme.example.",
        "https://acme.example/szenärien",
        "https://acme.example/all%20scenarios",
        "https://acme.example/my[1]",
        "https://acme.example//scenarios",
        "https://acme.example/a//b",
        "https://acme.example/a/../b",
        "https://acme.example/./b",
    ],
)
def test_a_public_url_that_browsers_write_differently_is_refused(env: pytest.MonkeyPatch, value: str) -> None:
    """The first page would load itself for ever, or every page be missing."""
    assert [problem.partition(":")[0] for problem in refused(env, PUBLIC_URL=value)] == ["PUBLIC_URL"]


@pytest.mark.parametrize("value", ["https://acme.example/a.b/..c/~d_e-1", "https://acme.example/a,b;c=d@e"])
def test_a_public_url_may_have_any_other_path(env: pytest.MonkeyPatch, value: str) -> None:
    assert accepted(env, PUBLIC_URL=value).public_url == value


def test_a_public_url_with_an_umlaut_is_what_browsers_make_of_it(env: pytest.MonkeyPatch) -> None:
    """Or Werkzeug makes another host of it in redirects: `strasse`, which is somebody else's."""
    settings = accepted(env, PUBLIC_URL="https://Straße.example:8443/Scenarios/")
    assert settings.public_url == "https://xn--strae-oqa.example:8443/Scenarios"
    assert settings.public_url == settings.origin + settings.base_path


def test_a_slash_at_the_end_of_the_issuer_is_kept(env: pytest.MonkeyPatch) -> None:
    assert (
        accepted(env, OIDC_ISSUER="https://login.acme.example/").oidc_issuer == "https://login.acme.example/"
    )


@pytest.mark.parametrize(
    ("public_url", "origin", "path"),
    [
        ("https://acme.example", "https://acme.example", ""),
        ("https://ACME.example/Scenarios", "https://acme.example", "/Scenarios"),
        ("https://acme.example:443/a/b/", "https://acme.example", "/a/b"),
        ("https://acme.example:8443", "https://acme.example:8443", ""),
        ("http://localhost:80", "http://localhost", ""),
        ("http://[::1]:8000", "http://[::1]:8000", ""),
    ],
)
def test_origin_and_path_come_from_public_url(
    env: pytest.MonkeyPatch, public_url: str, origin: str, path: str
) -> None:
    settings = accepted(env, PUBLIC_URL=public_url)
    assert (settings.origin, settings.base_path) == (origin, path)


@pytest.mark.parametrize(
    "proxy", ["proxy.acme.example:3128", "socks5://proxy.acme.example", "http://", "none"]
)
def test_what_is_no_http_proxy_is_refused(env: pytest.MonkeyPatch, proxy: str) -> None:
    assert refused(env, HTTPS_PROXY=proxy) == [
        "HTTPS_PROXY: must be a URL such as http://proxy.example.com:3128"
    ]


def test_a_proxy_may_want_a_password(env: pytest.MonkeyPatch) -> None:
    proxy = accepted(env, HTTPS_PROXY="http://joe:password@proxy.acme.example:3128").https_proxy
    assert proxy is not None
    assert proxy.get_secret_value() == "http://joe:password@proxy.acme.example:3128"


def test_settings_names_are_read_in_small_letters_too(env: pytest.MonkeyPatch) -> None:
    assert accepted(env, no_proxy="acme.example").no_proxy == ("acme.example",)
    assert "NO_PROXY" not in os.environ


def test_a_ca_file_that_is_not_there_is_refused(env: pytest.MonkeyPatch) -> None:
    assert refused(env, SSL_CERT_FILE="/nowhere/ca.pem") == [
        "SSL_CERT_FILE: cannot be read (No such file or directory)"
    ]


# Lists, numbers, switches


def test_lists_are_split_at_commas_and_trimmed(env: pytest.MonkeyPatch) -> None:
    settings = accepted(
        env, ALLOWED_EMAIL_DOMAINS=" Acme.example ,, ACME.co.uk, ", ALLOWED_GROUPS="Sales, HR"
    )
    assert settings.allowed_email_domains == ("acme.example", "acme.co.uk")
    assert settings.allowed_groups == ("Sales", "HR")


@pytest.mark.parametrize(
    "domains", ["@acme.example", "*.acme.example", "acme.example;b.example", "a b", "https://a.b", "acme."]
)
def test_what_is_no_domain_is_refused(env: pytest.MonkeyPatch, domains: str) -> None:
    assert refused(env, ALLOWED_EMAIL_DOMAINS=f"good.example,{domains}") == [
        "ALLOWED_EMAIL_DOMAINS: must be a comma-separated list such as acme.com,acme.co.uk"
    ]


@pytest.mark.parametrize(
    "hosts",
    [
        "https://a.example",
        "a.example/",
        "*",
        "*.",
        "*a.example",
        "a.*.example",
        "a.example:",
        "a:b",
        "-a",
        "ä.de",
    ],
)
def test_what_is_no_studio_host_is_refused(env: pytest.MonkeyPatch, hosts: str) -> None:
    assert refused(env, EXEC_STUDIO_HOSTS=hosts) == [
        "EXEC_STUDIO_HOSTS: must be a comma-separated list such as *.app.exec.com"
    ]


def test_studio_hosts_may_carry_a_port(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env, EXEC_STUDIO_HOSTS="*.App.exec.com,studio.acme.example:8443,localhost:8001")
    assert settings.exec_studio_hosts == ("*.app.exec.com", "studio.acme.example:8443", "localhost:8001")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "one"),
        ("SESSION_HOURS", "0"),
        ("SESSION_HOURS", "-8"),
        ("SESSION_HOURS", "1.5"),
        ("SESSION_IDLE_HOURS", "0"),
        ("RETENTION_DAYS", "0"),
        ("OIDC_TRUST_UNVERIFIED_EMAIL", "perhaps"),
    ],
)
def test_numbers_and_switches_out_of_range_are_refused(
    env: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert [problem.partition(":")[0] for problem in refused(env, **{name: value})] == [name]


# Whose word about an e-mail is taken


def test_trust_without_domains_is_refused(env: pytest.MonkeyPatch) -> None:
    assert refused(env, OIDC_TRUST_UNVERIFIED_EMAIL="true") == [
        "OIDC_TRUST_UNVERIFIED_EMAIL: needs ALLOWED_EMAIL_DOMAINS: otherwise anybody could claim any address"
    ]


def test_trust_with_domains_is_accepted(env: pytest.MonkeyPatch) -> None:
    assert accepted(env, **TRUST).oidc_trust_unverified_email


@pytest.mark.parametrize("tail", ["", "/", "/v2.0"])
@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.google.com",
        "https://login.microsoftonline.com/common",
        "https://login.microsoftonline.com/organizations",
        "https://login.microsoftonline.com/consumers",
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad",
        "https://sts.windows.net/common",
        "https://LOGIN.microsoftonline.com/Common",
        "https://login.microsoftonline.com./common",
        "https://login.microsoftonline.com:443/common",
    ],
)
def test_trust_in_everybodys_provider_is_refused(env: pytest.MonkeyPatch, issuer: str, tail: str) -> None:
    problems = refused(env, OIDC_ISSUER=issuer + tail, **TRUST)
    assert [problem.partition(":")[0] for problem in problems] == ["OIDC_TRUST_UNVERIFIED_EMAIL"]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.microsoftonline.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/v2.0",
        "https://login.acme.example/common",
        "https://accounts.google.com.acme.example",
    ],
)
def test_trust_in_a_provider_of_ones_own_is_accepted(env: pytest.MonkeyPatch, issuer: str) -> None:
    assert accepted(env, OIDC_ISSUER=issuer, **TRUST).oidc_issuer == issuer


def test_everybodys_provider_is_accepted_where_it_verifies_the_email(env: pytest.MonkeyPatch) -> None:
    assert (
        accepted(env, OIDC_ISSUER="https://accounts.google.com").oidc_issuer == "https://accounts.google.com"
    )


def test_another_claim_than_email_is_refused_without_trust(env: pytest.MonkeyPatch) -> None:
    problems = refused(env, OIDC_EMAIL_CLAIM="upn")
    assert [problem.partition(":")[0] for problem in problems] == ["OIDC_TRUST_UNVERIFIED_EMAIL"]


def test_another_claim_than_email_is_accepted_with_trust(env: pytest.MonkeyPatch) -> None:
    assert accepted(env, OIDC_EMAIL_CLAIM="upn", **TRUST).oidc_email_claim == "upn"


@pytest.mark.parametrize("key", ["a" * 40, "abab" * 10, "0000000000000001"])
def test_a_signing_key_without_chance_is_refused(env: pytest.MonkeyPatch, key: str) -> None:
    assert refused(env, SECRET_KEY=key)[0].startswith("SECRET_KEY: each key needs chance in it")


# --- What editors, shells and platforms do to settings


@pytest.mark.parametrize("blank", [" {} ", "{}\n", "\ufeff{}", "{}\r\n", "\t{}", "\u00a0{}"])
def test_blanks_at_the_ends_go_off(env: pytest.MonkeyPatch, blank: str) -> None:
    settings = accepted(env, OIDC_CLIENT_SECRET=blank.format("from-echo"), OIDC_CLIENT_ID=blank.format("me"))
    assert settings.oidc_client_secret.get_secret_value() == "from-echo"
    assert settings.oidc_client_id == "me"


def test_a_setting_of_blanks_is_a_missing_one(env: pytest.MonkeyPatch) -> None:
    assert refused(env, OIDC_CLIENT_ID="  ") == ["OIDC_CLIENT_ID is missing"]


def test_a_secrets_file_ends_where_its_text_ends(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes("\ufeff the-secret \r\n\n".encode())
    env.delenv("OIDC_CLIENT_SECRET")
    settings = accepted(env, OIDC_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    assert settings.oidc_client_secret.get_secret_value() == "the-secret"


def test_the_env_file_may_begin_with_a_byte_order_mark(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("\ufeffSUPPORT_CONTACT=help@acme.example\n".encode())
    assert accepted(env).support_contact == "help@acme.example"


def test_an_env_file_in_another_encoding_is_told(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("SUPPORT_CONTACT=help\n".encode("utf-16"))
    assert refused(env) == [".env is no UTF-8 text: save it as UTF-8"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ALLOWED_EMAIL_DOMAIN", "ALLOWED_EMAIL_DOMAINS"),
        ("ALLOWED_GROUP", "ALLOWED_GROUPS"),
        ("PUBLIC_RUL", "PUBLIC_URL"),
        ("SECRETKEY_FILE", "SECRET_KEY_FILE"),
        ("SESION_HOURS", "SESSION_HOURS"),
        ("allowed_email_domain", "ALLOWED_EMAIL_DOMAINS"),
    ],
)
def test_a_misspelt_name_stops_the_start(
    env: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, meant: str
) -> None:
    wanted = f"{name.upper()} is no setting: is {meant} meant?"
    assert refused(env, **{name: "acme.example"}) == [wanted]
    env.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=acme.example\n")
    assert refused(env) == [wanted]
    assert "is ignored" not in caplog.text


OF_PLATFORMS, _, TYPED = (
    (ROOT / "tests" / "names.txt").read_text(encoding="utf-8").partition("\n# What people type\n")
)


def test_names_of_others_start_as_ever(env: pytest.MonkeyPatch) -> None:
    names = [name for line in OF_PLATFORMS.splitlines() if line[:1] != "#" for name in line.split()]
    assert len(names) > 600
    accepted(env, **dict.fromkeys(names, "/etc/ssl"))


@pytest.mark.parametrize("line", TYPED.replace("\n  ", " ").splitlines(), ids=lambda line: line.split(":")[0])
def test_what_people_type_for_a_setting_stops_the_start(env: pytest.MonkeyPatch, line: str) -> None:
    meant, _, typed = line.partition(": ")
    problems = refused(env, **dict.fromkeys(typed.split(), "acme"))
    told = {problem.split()[0] for problem in problems if re.search(rf"is {meant}(_FILE)? meant", problem)}
    assert told == {name.upper() for name in typed.split()}


@pytest.mark.parametrize(
    "text",
    [
        "ALLOWED_EMAIL_DOMAINS: acme.example",
        "ALLOWED_EMAIL_DOMAINS acme.example",
        "ALLOWED_EMAIL_DOMAINS",
        "set ALLOWED_EMAIL_DOMAINS=acme.example",
        "- ALLOWED_EMAIL_DOMAINS=acme.example",
        'ALLOWED_EMAIL_DOMAINS="acme.example',
    ],
)
def test_a_line_of_the_env_file_that_says_nothing_stops_the_start(
    env: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / ".env").write_text(f"# who may enter\n{text}\n")
    assert refused(env) == [".env cannot be read in line 2: write NAME=value"]


@pytest.mark.parametrize(
    "text",
    [
        "export ALLOWED_EMAIL_DOMAINS=acme.example",
        "ALLOWED_EMAIL_DOMAINS = acme.example # ours",
        "ALLOWED_EMAIL_DOMAINS='acme.example'\r",
        "DOMAIN=acme.example\nALLOWED_EMAIL_DOMAINS=${DOMAIN}",
        "ALLOWED_EMAIL_DOMAINS=${DOMAIN:-acme.example}",
    ],
)
def test_a_line_of_the_env_file_may_be_written_as_shells_do(
    env: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / ".env").write_text(f"{text}\n")
    assert accepted(env).allowed_email_domains == ("acme.example",)


def test_a_secret_that_the_env_file_would_cut_stops_the_start(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env.delenv("OIDC_CLIENT_SECRET")
    (tmp_path / ".env").write_text("OIDC_CLIENT_SECRET='ab${planted}cd'\n")
    assert refused(env) == [
        "OIDC_CLIENT_SECRET holds ${…} in .env, and no variable has that name: set it elsewhere"
    ]


def test_an_unknown_name_in_the_env_file_is_told(
    env: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text("COLOUR_OF_THE_SKY=blue\n")
    accepted(env)
    assert "COLOUR_OF_THE_SKY in .env is no setting and is ignored" in caplog.text


def test_a_list_whose_entries_hold_commas_is_json(env: pytest.MonkeyPatch) -> None:
    groups = '["CN=Sales,OU=Groups,DC=acme ", " CN=Trainers,OU=Groups"]'
    assert accepted(env, ALLOWED_GROUPS=groups).allowed_groups == (
        "CN=Sales,OU=Groups,DC=acme",
        "CN=Trainers,OU=Groups",
    )


@pytest.mark.parametrize("groups", ["CN=Sales,OU=Groups,DC=acme", "[CN=Sales]", "[1, 2]", '[""]', '["a"'])
def test_a_list_that_would_be_split_inside_its_entries_is_refused(
    env: pytest.MonkeyPatch, groups: str
) -> None:
    [problem] = refused(env, ALLOWED_GROUPS=groups)
    assert problem.startswith("ALLOWED_GROUPS: ")
    assert "JSON" in problem


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://portal:p@ss@db.example/portal",
        "postgresql://portal:p/ass@db.example/portal",
        "postgresql://portal:pa#ss@db.example/portal",
        "postgresql://portal:planted@db.example/por/tal",
        "postgresql://portal:planted@db.example:57O2/portal",
        "postgresql://portal:planted@db.example/portal?foo=bar",
        "postgresql://portal:planted@[::1/portal",
        "postgresql:///portal",
        "mysql://portal:planted@db.example/portal",
    ],
)
def test_a_database_address_that_cannot_be_read_is_refused_without_a_piece_of_it(
    env: pytest.MonkeyPatch, address: str
) -> None:
    [problem] = refused(env, DATABASE_URL=address)
    assert problem.startswith("DATABASE_URL: ")
    for piece in ("planted", "p@ss", "ass@", "pa#", "db.example", "57O2"):
        assert piece not in problem


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://portal:p%40ss%2F%3A%23@db.example:5432/portal?sslmode=verify-full",
        "postgres://portal@db.example/portal",
        "postgresql+psycopg://portal@[::1]:5433/portal?options=-c%20search_path%3Dportal",
        "postgresql://portal@/portal?host=/run/postgresql",
    ],
)
def test_a_database_address_that_can_be_read_is_accepted(env: pytest.MonkeyPatch, address: str) -> None:
    assert accepted(env, DATABASE_URL=address).database_url.get_secret_value() == address


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x30\x82\x01\x0a\x02\x82"])
def test_a_ca_file_without_a_certificate_is_refused(
    env: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "ca").write_bytes(content)
    [problem] = refused(env, SSL_CERT_FILE=str(tmp_path / "ca"))
    assert problem == "SSL_CERT_FILE: holds no certificate in PEM form (DER must be converted)"


@pytest.mark.parametrize("name", ["SESSION_HOURS", "SESSION_IDLE_HOURS", "RETENTION_DAYS", "TRUSTED_PROXIES"])
def test_a_number_beyond_all_sense_is_refused(env: pytest.MonkeyPatch, name: str) -> None:
    assert refused(env, **{name: "9" * 20})[0].startswith(f"{name}: ")


def test_the_discovery_address_is_no_issuer(env: pytest.MonkeyPatch) -> None:
    address = "https://login.acme.example/.well-known/openid-configuration"
    assert refused(env, OIDC_ISSUER=address) == [
        "OIDC_ISSUER: must be the issuer itself, without /.well-known/openid-configuration"
    ]


def test_the_example_left_as_it_is_stops_the_start(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PUBLIC_URL", "OIDC_ISSUER"):
        env.delenv(name)
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert refused(env) == [
        "PUBLIC_URL: is still what .env.example says",
        "OIDC_ISSUER: is still what .env.example says",
    ]


def test_a_proxy_may_be_in_a_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("http://proxy.acme.example:3128\n")
    proxy = accepted(env, HTTPS_PROXY_FILE=str(tmp_path / "proxy")).https_proxy
    assert proxy
    assert proxy.get_secret_value() == "http://proxy.acme.example:3128"


# What would be silence, or a traceback later


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_PROXY", "good.example,local*"),
        ("NO_PROXY", "192.168.*"),
        ("SECRET_KEY", "12345678" * 4),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql://portal@db.acme.example:99999/portal"),
        ("OIDC_CLIENT_SECRET", '"planted"'),
        ("OIDC_CLIENT_SECRET", "planted\nplanted"),
        ("FRAME_ANCESTORS", "https://joe@acme.example"),
        ("FRAME_ANCESTORS", "https://acme.example/"),
        ("FRAME_ANCESTORS", "https://acme.example:0"),
        ("METRICS_TOKEN", "planted"),
    ],
)
def test_what_would_fail_later_stops_the_start(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    problems = refused(env, **{name: value})
    assert [problem.partition(":")[0] for problem in problems] == [name]
    assert "planted" not in problems[0]


@pytest.mark.parametrize("name", ["METRICS_TOKEN", "METRICS_TOKEN_FILE"])
def test_times_are_kept_where_metrics_are_wanted(env: pytest.MonkeyPatch, name: str) -> None:
    assert not wants_metrics()
    env.setenv(name, "wherever")
    assert wants_metrics()


@pytest.mark.parametrize(("said", "meant"), [("text", "text"), ("json", "json"), ("xml", "json")])
def test_the_form_of_the_first_lines_is_json_unless_it_is_text(
    env: pytest.MonkeyPatch, said: str, meant: str
) -> None:
    """`Settings` complains of a wrong one, and that line has a form as well."""
    env.setenv("LOG_FORMAT", said)
    assert log_format() == meant


def test_no_proxy_takes_ports_and_networks(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env, NO_PROXY="10.0.0.0/8, acme.example:8443, .svc, *")
    assert settings.no_proxy == ("10.0.0.0/8", "acme.example:8443", ".svc", "*")


def test_frame_ancestors_are_what_browsers_send(env: pytest.MonkeyPatch) -> None:
    settings = accepted(env, FRAME_ANCESTORS="https://*.Müller.example:443,http://localhost:8001")
    assert settings.frame_ancestors == ("https://*.xn--mller-kva.example", "http://localhost:8001")


def test_a_file_of_what_is_no_secret_stops_the_start(env: pytest.MonkeyPatch) -> None:
    assert refused(env, OIDC_CLIENT_ID_FILE="/etc/id") == [
        "OIDC_CLIENT_ID_FILE is not read, for only secrets are: set OIDC_CLIENT_ID"
    ]


@pytest.mark.parametrize("name", sorted(OF_OTHERS))
def test_what_other_programs_set_starts_as_ever(env: pytest.MonkeyPatch, name: str) -> None:
    assert accepted(env, **{name: "theirs"})


def example() -> list[tuple[str, str]]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return re.findall(r"^#?([A-Z_]+)=(.+)$", text, re.MULTILINE)


@pytest.mark.parametrize(("name", "value"), example())
def test_each_invented_value_of_the_example_stops_the_start(
    env: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if "example.com" in value or "/etc/portal" in value:
        assert refused(env, **{name: value}) == [f"{name}: is still what .env.example says"]
    else:
        assert accepted(env, **{name: value})


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_an_env_file_that_is_no_utf_8_breaks_nothing_before_it_is_told(
    env: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / ".env").write_bytes("SUPPORT_CONTACT=Müller\n".encode(encoding))
    assert (log_format(), wants_metrics()) == ("json", False)
    assert refused(env) == [".env is no UTF-8 text: save it as UTF-8"]


def test_an_env_file_that_may_not_be_read_is_told(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to("/proc/self/mem")  # fails for root, too
    assert (log_format(), wants_metrics()) == ("json", False)
    assert refused(env) == [".env cannot be read (Input/output error): let the portal's user read it"]
