"""Whether a configuration will work: looks outside and says, line by line, what was found and what to change.

Nothing is created anywhere. The client's secret is tried once a run, with a code that cannot be right.
"""

import json
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from .authorities import lacking
from .config import Settings
from .exec_api import ExecClient, ExecError, ExecRefusedKey, is_studio_url
from .health import Health
from .issuer import basic
from .ops import PADDING, check_signer
from .store.database import Database, StoreUnavailable
from .store.migration import migrate
from .transport import Fetched, Transport, Unreachable, fetch

WRONG = 5  # CAs named at most
SKEW = 60  # seconds that clocks may differ
METHODS = frozenset({"client_secret_basic", "client_secret_post"})


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where it could not be told; that does not fail."""

    name: str
    ok: bool | None
    setting: str
    found: str
    change: str = ""


def of_setting(problem: str) -> Check:
    """Return one problem that stops the start: its first word is the setting's name."""
    name = problem.split(maxsplit=1)[0].strip(":")
    return Check("settings", False, name, problem, "as it says")


def run(settings: Settings, client: ExecClient, transport: Transport) -> Iterator[Check]:
    """Look at everything, in the order in which an operator sets it up."""
    yield Check("settings", True, "", "all settings can be read")
    yield _tls(settings)
    yield from _database(settings)
    yield from _provider(settings, transport)
    yield from _exec(settings, client)
    yield from _portal(settings, transport)


def report(checks: list[Check]) -> str:
    """Return the lines for a terminal."""
    return "\n".join(_line(check) for check in checks)


def as_json(checks: list[Check]) -> str:
    return json.dumps({"ok": is_ok(checks), "checks": [asdict(check) for check in checks]}, indent=2)


def is_ok(checks: list[Check]) -> bool:
    return all(check.ok is not False for check in checks)


def _line(check: Check) -> str:
    word = {True: "ok  ", False: "FAIL", None: "?   "}[check.ok]
    change = f"\n       change {check.setting}: {check.change}" if check.change else ""
    return f"{word}  {check.name:<16} {check.found}{change}"


# This machine


def _tls(settings: Settings) -> Check:
    """Say which roots are trusted, and which of them this Python takes, or a newer one, only if made anew."""
    context = ssl.create_default_context(cafile=settings.ssl_cert_file)
    strict = bool(context.verify_flags & ssl.VERIFY_X509_STRICT)
    version = sys.version.split()[0]
    told = f"Python {version}, {'strict' if strict else 'lenient'} on certificates (VERIFY_X509_STRICT)"
    if settings.ssl_cert_file is None:
        return Check("tls", True, "SSL_CERT_FILE", f"the system's certificates; {told}")
    found = lacking(settings.ssl_cert_file)
    wrong = [f"{name} lacks {', '.join(lacks)}" for name, lacks in found.items() if lacks]
    told = "; ".join([f"{len(found)} CA certificates; {told}", *wrong[:WRONG]])
    if not wrong:
        return Check("tls", True, "SSL_CERT_FILE", told)
    if not strict:
        return Check("tls", True, "SSL_CERT_FILE", f"{told}; Python 3.13 and newer refuses what it signs")
    change = "have the CA's certificate issued anew with what it lacks (same key), or run Python 3.12"
    return Check("tls", None if len(wrong) < len(found) else False, "SSL_CERT_FILE", told, change)


def _database(settings: Settings) -> Iterator[Check]:
    url = settings.database_url.get_secret_value()
    try:
        migrate(url, patience=0)
        database = Database(url)
        wrong = Health(database).ask()
    except StoreUnavailable as error:
        change = "as the sentence ends; docs/database.md says what each means"
        yield Check("database", False, "DATABASE_URL", str(error), change)
        return
    where = database.engine.url.set(password=None, username=None, query={})
    found = f"{where.get_backend_name()} at {where.host or where.database}, tables up to date, written to"
    yield Check(
        "database", not wrong, "DATABASE_URL", wrong or found, "make room, or let it be written" * bool(wrong)
    )
    free = database.free_bytes()
    if free is None:
        yield _connections(database)
    else:
        yield Check(
            "disk", free > 2**30 or None, "DATABASE_URL", f"{free // 2**20} MB are free for the database"
        )


def _connections(database: Database) -> Check:
    """Hold at once what a process may hold: a pooler with too few servers lets the first few people in."""
    try:
        found = f"{database.hold_all()} connections at once, as a process may hold"
    except StoreUnavailable as error:
        change = "or the pooler's pool_size (in session pooling) or num_init_children, to 30 a machine"
        found = f"fewer connections at once than a process may hold: {error}"
        return Check("connections", False, "DATABASE_URL", found, change)
    finally:
        database.engine.dispose()
    return Check("connections", True, "DATABASE_URL", found)


# The identity provider


def _provider(settings: Settings, transport: Transport) -> Iterator[Check]:
    address = f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = fetch(transport, "GET", address)
    except Unreachable as error:
        yield Check("discovery", False, "OIDC_ISSUER", str(error), "an issuer that this machine reaches")
        return
    metadata = answer.json()
    if answer.status != 200 or not isinstance(metadata.get("issuer"), str):
        found = f"{address} answered {answer.status}, no discovery document"
        yield Check(
            "discovery", False, "OIDC_ISSUER", found, "the issuer, to the letter, as the provider names it"
        )
        return
    yield Check("discovery", True, "OIDC_ISSUER", f"found at {address}")
    yield _issuer(settings, metadata["issuer"])
    yield _clock("provider_clock", "OIDC_ISSUER", answer)
    yield _keys(metadata, transport)
    yield _claims(settings, metadata)
    yield _client_methods(metadata)
    yield from _client(settings, metadata, transport)


def _issuer(settings: Settings, issuer: str) -> Check:
    if issuer.rstrip("/") == settings.oidc_issuer.rstrip("/"):
        return Check("issuer", True, "OIDC_ISSUER", issuer)
    return Check("issuer", False, "OIDC_ISSUER", f"the provider calls itself {issuer}", f"to {issuer}")


def _clock(name: str, setting: str, answer: Fetched) -> Check:
    try:
        ahead = round(time.time() - parsedate_to_datetime(answer.headers.get("date", "")).timestamp())
    except ValueError:
        return Check(name, None, setting, "the answer carries no Date")
    if abs(ahead) <= SKEW:
        return Check(name, True, setting, f"clocks differ by {abs(ahead)} s")
    behind = "behind" if ahead < 0 else "ahead of"
    found = f"this machine's clock is {abs(ahead)} s {behind} that of the other side"
    return Check(name, False, setting, found, "nothing: set the clock that is wrong (NTP), here or there")


def _keys(metadata: Mapping[str, Any], transport: Transport) -> Check:
    try:
        keys = fetch(transport, "GET", str(metadata.get("jwks_uri"))).json().get("keys")
    except Unreachable as error:
        return Check("keys", False, "OIDC_ISSUER", str(error), "or let this machine reach jwks_uri")
    known = [key for key in keys or [] if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP")]
    if known:
        return Check("keys", True, "OIDC_ISSUER", f"signing keys that can be used: {len(known)}")
    return Check(
        "keys", False, "OIDC_ISSUER", "jwks_uri holds no key that can be used", "or mend the provider"
    )


def _claims(settings: Settings, metadata: Mapping[str, Any]) -> Check:
    offered = metadata.get("claims_supported")
    if not isinstance(offered, list):
        return Check("claims", None, "OIDC_EMAIL_CLAIM", "the provider does not say which claims it has")
    trusted = settings.oidc_trust_unverified_email
    wanted = {settings.oidc_email_claim} | (set() if trusted else {"email_verified"})
    wanted |= {"groups"} if settings.allowed_groups else set()
    missing = sorted(wanted - set(map(str, offered)))
    if not missing:
        return Check("claims", True, "OIDC_EMAIL_CLAIM", f"offered: {', '.join(sorted(wanted))}")
    cure = {
        "email_verified": "OIDC_TRUST_UNVERIFIED_EMAIL=true, ALLOWED_EMAIL_DOMAINS, if it is yours",
        "groups": "map a claim named groups at the provider, or clear ALLOWED_GROUPS",
    }
    change = cure.get(missing[0], f"to a claim that the provider has, not {missing[0]}")
    # Many providers leave claims out of this list that they do send.
    return Check("claims", None, "OIDC_EMAIL_CLAIM", f"not announced: {', '.join(missing)}", change)


def _client_methods(metadata: Mapping[str, Any]) -> Check:
    offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    pushed = " and wants pushed requests (PAR)" * bool(metadata.get("require_pushed_authorization_requests"))
    if METHODS & set(map(str, offered)):
        return Check(
            "client_methods", True, "OIDC_CLIENT_ID", f"the provider takes {', '.join(offered)}{pushed}"
        )
    change = "register the client for client_secret_basic or client_secret_post"
    return Check(
        "client_methods", False, "OIDC_CLIENT_ID", f"the provider takes only {', '.join(offered)}", change
    )


def _client(settings: Settings, metadata: Mapping[str, Any], transport: Transport) -> Iterator[Check]:
    redirect = f"{settings.public_url}/sign-in/callback"
    yield _secret(settings, metadata, transport, redirect)
    yield _redirect(settings, metadata, transport, redirect)


def _secret(settings: Settings, metadata: Mapping[str, Any], transport: Transport, redirect: str) -> Check:
    """Tell `invalid_client` from `invalid_grant` by a code that cannot be right (RFC 6749, section 5.2)."""
    secret = settings.oidc_client_secret.get_secret_value()
    form = {"grant_type": "authorization_code", "code": "check", "redirect_uri": redirect}
    form |= {"code_verifier": "check" * 10}
    shown: list[dict[str, str]] = [{}]
    offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if "client_secret_basic" in offered:
        shown = [{"Authorization": one} for one in basic(settings.oidc_client_id, secret)]
    else:
        form |= {"client_id": settings.oidc_client_id, "client_secret": secret}
    try:
        for head in shown:
            answer = fetch(transport, "POST", str(metadata.get("token_endpoint")), form=form, headers=head)
            if answer.status != 401:
                break
    except Unreachable as error:
        return Check("client_secret", None, "OIDC_CLIENT_SECRET", str(error))
    error_code = str(answer.json().get("error"))[:60]
    if error_code == "invalid_grant":
        return Check("client_secret", True, "OIDC_CLIENT_SECRET", "the provider knows client and secret")
    if error_code in ("invalid_client", "unauthorized_client") or answer.status == 401:
        change = "copy id and secret from the provider anew; a secret may have expired"
        found = f"the provider refuses client or secret ({answer.status} {error_code})"
        return Check("client_secret", False, "OIDC_CLIENT_SECRET", found, change)
    return Check(
        "client_secret", None, "OIDC_CLIENT_SECRET", f"could not tell ({answer.status} {error_code})"
    )


def _redirect(settings: Settings, metadata: Mapping[str, Any], transport: Transport, redirect: str) -> Check:
    """Ask for a sign-in without a page: who knows the address sends the answer there."""
    asked = {"response_type": "code", "client_id": settings.oidc_client_id, "redirect_uri": redirect}
    asked |= {"scope": "openid", "state": "check", "nonce": "check", "prompt": "none"}
    asked |= {"code_challenge": "check" * 8 + "abc", "code_challenge_method": "S256"}
    to_register = f"register {redirect} at the provider"
    endpoint = str(metadata.get("authorization_endpoint"))
    try:
        answer = fetch(transport, "GET", f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}")
    except Unreachable as error:
        return Check("redirect_address", None, "PUBLIC_URL", str(error), to_register)
    if answer.headers.get("location", "").startswith(redirect):
        return Check("redirect_address", True, "PUBLIC_URL", f"the provider knows {redirect}")
    if 400 <= answer.status < 500:
        found = f"the provider refuses {redirect} ({answer.status})"
        return Check("redirect_address", False, "PUBLIC_URL", found, to_register)
    return Check("redirect_address", None, "PUBLIC_URL", "the provider does not say", to_register)


# Exec


def _exec(settings: Settings, client: ExecClient) -> Iterator[Check]:
    try:
        workspace = client.workspace()
    except ExecRefusedKey as error:
        change = "make a new key in Exec under Settings > API"
        yield Check("exec_key", False, "EXEC_API_KEY", str(error), change)
        return
    except ExecError as error:
        yield Check("exec_key", None, "EXEC_API_URL", str(error))
        return
    yield Check("exec_key", True, "EXEC_API_KEY", f"good for the workspace {workspace.name}")
    host = f"{workspace.url_slug}.app.exec.com"
    if not workspace.url_slug or is_studio_url(f"https://{host}/", settings.exec_studio_hosts):
        yield Check("studio_hosts", bool(workspace.url_slug) or None, "EXEC_STUDIO_HOSTS", host)
    else:
        found = f"the workspace's studio is probably at {host}"
        yield Check(
            "studio_hosts", None, "EXEC_STUDIO_HOSTS", found, f"add {host}, if people shall be sent there"
        )


# The portal, as people reach it


def _portal(settings: Settings, transport: Transport) -> Iterator[Check]:
    token = check_signer(settings).dumps("check")
    try:
        answer = fetch(transport, "GET", f"{settings.public_url}/healthz?check={token}")
    except Unreachable as error:
        yield Check("public_url", None, "PUBLIC_URL", f"nothing to look at there yet: {error}")
        return
    told = answer.json()
    if told.get("portal") != settings.public_url:
        yield _not_ours(settings, answer)
        return
    yield Check("public_url", True, "PUBLIC_URL", f"{settings.public_url} leads to this portal")
    yield _proxies(settings, told.get("forwarded"))
    whole = len(answer.headers.get("x-padding", "")) == PADDING
    change = "raise the proxy's buffer for heads (nginx: proxy_buffer_size 8k)"
    yield Check(
        "heads",
        whole,
        "PUBLIC_URL",
        "a head of 3.5 KB comes back whole" if whole else "cut",
        change * (not whole),
    )
    yield _framing(settings, transport)


def _not_ours(settings: Settings, answer: Fetched) -> Check:
    if answer.status in (502, 503, 504):
        found = f"a proxy answers {answer.status}: it does not reach the portal, or takes no head of 3.5 KB"
        return Check(
            "public_url", False, "PUBLIC_URL", found, "the proxy's upstream, and its buffer for heads"
        )
    found = f"{settings.public_url}/healthz answered {answer.status}, and not by this portal"
    change = "lead it here; several instances need the same PUBLIC_URL and SECRET_KEY"
    return Check("public_url", False, "PUBLIC_URL", found, change)


def _proxies(settings: Settings, forwarded: object) -> Check:
    trusted = settings.trusted_proxies
    found = f"proxies that set X-Forwarded-For: {forwarded}; trusted: {trusted}"
    if forwarded == trusted:
        return Check("proxies", True, "TRUSTED_PROXIES", found)
    return Check("proxies", False, "TRUSTED_PROXIES", found, f"to {forwarded}")


def _framing(settings: Settings, transport: Transport) -> Check:
    """Look whether a proxy changed what says who may frame the portal."""
    if not settings.frame_ancestors:
        return Check("framing", True, "FRAME_ANCESTORS", "nobody may frame the portal")
    try:
        answer = fetch(transport, "GET", f"{settings.public_url}/embed")
    except Unreachable as error:
        return Check("framing", None, "FRAME_ANCESTORS", str(error))
    policy = answer.headers.get("content-security-policy", "")
    missing = [origin for origin in settings.frame_ancestors if origin not in policy]
    if missing or "x-frame-options" in answer.headers:
        change = "nothing: let the proxy leave Content-Security-Policy and X-Frame-Options alone"
        return Check("framing", False, "FRAME_ANCESTORS", "a proxy changes the heads of /embed", change)
    return Check("framing", True, "FRAME_ANCESTORS", ", ".join(settings.frame_ancestors))
