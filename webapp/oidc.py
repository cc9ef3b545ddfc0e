"""The way to the company's identity provider and back, as an OpenID Connect relying party walks it.

Code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9700). The e-mail comes from verified
claims and from nowhere else. A sign-in under way is the caller's to keep; no views here.
"""

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oidc.core import CodeIDToken
from joserfc.errors import ClaimError
from requests import Response

from . import claims
from .claims import Claims, User
from .config import Settings
from .issuer import (
    SIGNING_ALGORITHMS,
    UNREADABLE,
    BadAnswer,
    Issuer,
    Metadata,
    ProviderUnavailable,
    SignInFailed,
    printable,
)
from .transport import Transport

SKEW = 60  # seconds that two clocks may differ
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_AGE = 300  # seconds
LONGEST_ADDRESS = 2000  # characters; hundreds of groups make a token of 32 KB, and that a 431 at the provider

# What to look at when the provider refuses (RFC 6749, sections 4.1.2.1 and 5.2).
CURES = {
    "invalid_client": "see OIDC_CLIENT_ID and OIDC_CLIENT_SECRET",
    "invalid_grant": "the code was used before, is too old, or was given for another redirect address",
    "invalid_scope": "allow the scopes openid, email and profile at the provider",
    "redirect_uri_mismatch": "register the redirect address at the provider",
    "unauthorized_client": "see OIDC_CLIENT_ID, and allow the authorization code flow at the provider",
    "unsupported_response_type": "allow the authorization code flow at the provider",
}
# What a provider may send back (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6).
REGISTERED = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)
CURES_BY_CLAIM = {"aud": "see OIDC_CLIENT_ID", "iss": "see OIDC_ISSUER", "azp": "see OIDC_CLIENT_ID"}


class Cancelled(SignInFailed):
    """The person turned back at the provider."""


class Refused(SignInFailed):
    """The provider does not let this person use the portal (`access_denied`)."""

    status = 403


class PromptRefused(SignInFailed):
    """The provider does not know `select_account`, which it may leave out; `login` it must know."""


class Stale(SignInFailed):
    """The answer belongs to no sign-in that this browser has under way: old, repeated, or forged."""


@dataclass(frozen=True)
class Pending:
    """A sign-in under way. State, nonce and verifier come from one secret, so that it is short to keep."""

    secret: str
    prompt: str | None = None
    began: float = 0

    @classmethod
    def new(cls, prompt: str | None) -> "Pending":
        return cls(secrets.token_urlsafe(24), prompt)

    @property
    def state(self) -> str:
        return self._part("state")

    @property
    def nonce(self) -> str:
        return self._part("nonce")

    @property
    def verifier(self) -> str:
        return self._part("verifier")

    @property
    def challenge(self) -> str:
        return _base64(sha256(self.verifier.encode()).digest())

    def _part(self, name: str) -> str:
        return _base64(sha256(f"{name} {self.secret}".encode()).digest())


@dataclass(frozen=True)
class Logout:
    """What the provider ended: one session (`sid`), or all of somebody (`sub`) that began before `at`."""

    jti: str
    sub: str | None
    sid: str | None
    at: float


class Provider:
    """What the portal asks of the provider: where to sign in, who came back, where to sign out."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self.settings = settings
        secret = settings.oidc_client_secret.get_secret_value()
        self.issuer = Issuer(settings.oidc_issuer, settings.oidc_client_id, secret, transport)
        self.callback = f"{settings.public_url}/sign-in/callback"

    def begin(self, pending: Pending) -> str:
        """Return the address to send the person to. Raises `SignInFailed`."""
        metadata = self.issuer.metadata
        asked = self._request(pending, metadata)
        if metadata.must_push:
            asked = self._push(asked, str(metadata.pushed_endpoint))
        return _with_query(metadata.authorization_endpoint, asked)

    def _request(self, pending: Pending, metadata: Metadata) -> dict[str, str]:
        groups = " groups" if self.settings.allowed_groups and "groups" in metadata.scopes else ""
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": self.callback,
            "scope": f"openid email profile{groups}",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        prompt = pending.prompt
        if prompt == "select_account" and metadata.prompts and prompt not in metadata.prompts:
            prompt = "login"  # or a provider that ignores it goes on with the account that was refused
        return asked | ({"prompt": prompt} if prompt else {})

    def _push(self, asked: Mapping[str, str], endpoint: str) -> dict[str, str]:
        """Hand the request over beforehand (RFC 9126); what is left of it is a name for it."""
        answer = self.issuer.post(endpoint, asked)
        found = _json(answer, "the pushed request")
        if answer.status_code not in (200, 201) or not isinstance(found.get("request_uri"), str):
            raise _refused(answer, found, "the pushed request")
        return {"client_id": self.settings.oidc_client_id, "request_uri": found["request_uri"]}

    def finish(self, answer: Mapping[str, str], pending: Pending | None) -> User:
        """Exchange the callback's code and return the person. Raises `SignInFailed`."""
        if "error" in answer:
            if answer["error"] == "invalid_request" and pending and pending.prompt == "select_account":
                raise PromptRefused("select_account")
            raise _turned_away(answer, is_ours=pending is not None)
        if pending is None or not answer.get("code") or answer.get("state") != pending.state:
            raise Stale("no such sign-in is under way in this browser")
        self._check_sender(answer.get("iss"))
        try:
            token, id_token, userinfo = self._documents(answer["code"], pending)
            user = claims.person(id_token, userinfo, self.settings)
        except UNREADABLE as error:
            raise BadAnswer(f"the answer cannot be read: {type(error).__name__}") from None
        return replace(user, proved=_has_proved(user, pending), id_token=token)

    def _check_sender(self, sender: str | None) -> None:
        """Hold the answer to come from our provider, where it says so (RFC 9207, section 2.4)."""
        metadata = self.issuer.metadata
        if sender is None and not metadata.names_itself:
            return
        if sender != metadata.issuer:
            named = "names no issuer" if sender is None else f"comes from {printable(sender)}"
            about = "the answer's iss" if sender else "the answer without iss"
            raise BadAnswer(f"the answer {named} (iss), and not from {metadata.issuer}", about)

    def _documents(self, code: str, pending: Pending) -> tuple[str, Claims, Claims]:
        """Return the ID token, its claims and, where the decision needs them, userinfo's."""
        metadata = self.issuer.metadata
        answer = self.issuer.post(metadata.token_endpoint, self._exchange(code, pending))
        found = _json(answer, "the token endpoint")
        if answer.status_code != 200 or "error" in found:
            raise _refused(answer, found, "the token endpoint")
        if not found.get("id_token"):
            raise BadAnswer("the token endpoint answered without an ID token")
        id_token = self._id_token(found, pending.nonce, answer)
        if claims.says_enough(id_token, self.settings) or metadata.userinfo_endpoint is None:
            return found["id_token"], id_token, {}
        userinfo = self._userinfo(metadata.userinfo_endpoint, found.get("access_token"), id_token["sub"])
        return found["id_token"], id_token, userinfo

    def _exchange(self, code: str, pending: Pending) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": pending.verifier,
        }

    def _id_token(self, token: Claims, nonce: str, answer: Response) -> Claims:
        """Return the ID token's claims, validated (OpenID Connect Core, section 3.1.3.7)."""
        metadata, client_id = self.issuer.metadata, self.settings.oidc_client_id
        signed = self.issuer.verified(token["id_token"], metadata.algorithms)
        expected = {
            "iss": {"essential": True, "value": metadata.issuer},
            "sub": {"essential": True},
            "aud": {"essential": True, "value": client_id},
        }
        params = {"nonce": nonce, "client_id": client_id, "access_token": token.get("access_token")}
        found = CodeIDToken(signed.claims, signed.header, expected, params)
        try:
            found.validate(leeway=SKEW)
        except ClaimError as error:
            raise BadAnswer(_wrong_claim(error, signed.claims, answer), f"claim {error.claim}") from None
        return signed.claims

    def _userinfo(self, endpoint: str, access_token: object, sub: object) -> Claims:
        """Return userinfo's claims, signed or not (OpenID Connect Core, section 5.3.2)."""
        shown = {"Authorization": f"Bearer {access_token}"}
        answer = self.issuer.call("GET", endpoint, headers=shown)
        if answer.status_code != 200:
            why = printable(answer.headers.get("WWW-Authenticate", ""))
            raise BadAnswer(f"userinfo answered {answer.status_code} {why}", f"userinfo {answer.status_code}")
        found = self._signed_userinfo(answer) if _is_token(answer) else _json(answer, "userinfo")
        if found.get("sub") != sub:
            raise BadAnswer("userinfo speaks of somebody else: claim sub")
        return found

    def _signed_userinfo(self, answer: Response) -> Claims:
        found = self.issuer.verified(answer.text.strip(), sorted(SIGNING_ALGORITHMS)).claims
        issuer, audience = found.get("iss", self.issuer.metadata.issuer), found.get("aud", [])
        if issuer != self.issuer.metadata.issuer:
            raise BadAnswer("the signed userinfo names another issuer: claim iss")
        if audience and self.settings.oidc_client_id not in (audience, *_items(audience)):
            raise BadAnswer("the signed userinfo is meant for another client: claim aud")
        return found

    def logout(self, token: object) -> Logout:
        """Read a logout token (Back-Channel Logout 1.0, sections 2.4 and 2.6). Raises `BadAnswer`.

        A token that no key fits lets the keys be fetched anew, once a minute at most: anybody can send one.
        """
        metadata = self.issuer.metadata
        try:
            signed = self.issuer.verified(token, metadata.algorithms, time.monotonic() - 60)
            _hold_type(signed.header.get("typ"))
            return _logout(signed.claims, metadata.issuer, self.settings.oidc_client_id)
        except UNREADABLE as error:
            raise BadAnswer(f"the logout token cannot be read: {type(error).__name__}") from None

    def end_session_address(self, back_to: str, id_token: str | None) -> str | None:
        """Return where the provider ends its own session (RP-Initiated Logout 1.0), if it offers that.

        With the ID token it need not ask the person; one that makes the address too long stays out, and so
        does one of a client that we are no more: the provider would refuse both together.
        """
        try:
            endpoint = self.issuer.metadata.end_session_endpoint
        except SignInFailed:
            return None  # signing out here must work while the provider is down
        asked = {"post_logout_redirect_uri": back_to, "client_id": self.settings.oidc_client_id}
        if not endpoint:
            return None
        with_hint = _with_query(endpoint, asked | {"id_token_hint": id_token or ""})
        fits = id_token and _is_for(id_token, self.settings.oidc_client_id)
        return with_hint if fits and len(with_hint) < LONGEST_ADDRESS else _with_query(endpoint, asked)


def _has_proved(user: User, pending: Pending) -> bool:
    """Whether the person had to sign in there and then: a provider may take `prompt=login` for a wish."""
    return pending.prompt == "login" and (user.auth_time or 0) > pending.began - SKEW


def _hold_type(named: object) -> None:
    """Refuse a token that calls itself another kind; not all call a logout token one (section 2.4)."""
    if str(named or "JWT").lower().removeprefix("application/") not in ("jwt", "logout+jwt"):
        raise BadAnswer("the logout token is not good: its typ is another")


def _logout(found: Claims, issuer: str, client_id: str) -> Logout:
    audience, sub, sid = found.get("aud"), found.get("sub"), found.get("sid")
    at, until, jti = found.get("iat"), found.get("exp"), found.get("jti")
    now, named = time.time(), [one for one in (sub, sid) if one is not None]
    wrong = {
        "iss": found.get("iss") != issuer,
        "aud": client_id not in (audience, *_items(audience)),
        "events": not isinstance(found.get("events", {}).get(LOGOUT_EVENT), dict),
        "nonce": "nonce" in found,
        "jti": not claims.is_plain(jti),
        "iat": not isinstance(at, (int, float)) or not now - LOGOUT_AGE < at < now + SKEW,
        "exp": until is not None and not (isinstance(until, (int, float)) and until >= now - SKEW),
        "sub": not all(claims.is_plain(one) for one in named) or not named,
    }
    spoilt = [claim for claim, is_wrong in wrong.items() if is_wrong]
    if spoilt:
        raise BadAnswer(f"the logout token is not good: claim {spoilt[0]}")
    return Logout(str(jti), sub, sid, float(found["iat"]))


def _is_for(id_token: str, client_id: str) -> bool:
    """Whether a token that was verified when it came is meant for this client."""
    audience = json.loads(urlsafe_b64decode(id_token.split(".")[1] + "==")).get("aud")
    return client_id in (audience, *_items(audience))


def _json(answer: Response, whose: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except UNREADABLE:
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"{whose} answered {answer.status_code} and something that is not JSON")
    return found


def _refused(answer: Response, found: Claims, whose: str) -> BadAnswer:
    """Say what the provider said, and what to look at."""
    error, description = printable(found.get("error", "no error"), 60), found.get("error_description")
    told = f" ({printable(description)})" if description else ""
    cure = f": {CURES[error]}" if error in CURES else ""
    said = f"{whose} answered {answer.status_code} {error}"
    return BadAnswer(f"{said}{told}{cure}", said)


def _turned_away(answer: Mapping[str, str], *, is_ours: bool) -> SignInFailed:
    """Read the provider's error (RFC 6749, section 4.1.2.1).

    Anybody can call it up: nothing of it is repeated unless a sign-in of this browser is under way.
    """
    error = printable(answer["error"], 60)
    said = "an error came back that belongs to no sign-in under way"
    if is_ours:
        said = f"the provider sent back {error} ({printable(answer.get('error_description', ''))})"
    said += f": {CURES[error]}" if error in CURES else ""
    about = f"{'our' if is_ours else 'nobody'}'s {error if error in REGISTERED else 'other error'}"
    if error == "access_denied":
        return (Cancelled if answer.get("error_subcode") == "cancel" else Refused)(said, about)
    if error in ("login_required", "interaction_required", "consent_required", "account_selection_required"):
        return Cancelled(said, about)
    if error in ("temporarily_unavailable", "server_error"):
        return ProviderUnavailable(said, about)
    return BadAnswer(said, about)


def _wrong_claim(error: ClaimError, found: Claims, answer: Response) -> str:
    """Name the claim, what it holds, and the setting or the clock that cures it."""
    held = printable(repr(found.get(error.claim)), 80)
    if error.claim in ("exp", "iat", "nbf") and isinstance(found.get(error.claim), (int, float)):
        return f"claim {error.claim}: {_by_how_much(found[error.claim] - time.time(), answer)}"
    cure = CURES_BY_CLAIM.get(error.claim)
    named = held if cure else "is missing" if error.claim not in found else "is not what it must be"
    return f"claim {error.claim}: {named}{f'; {cure}' if cure else ''}"


def _by_how_much(seconds: float, answer: Response) -> str:
    """Say whose clock is wrong, by the provider's other clock: the `Date` of its answer."""
    off = f"{abs(seconds):.0f} s in the {'future' if seconds > 0 else 'past'}, and {SKEW} s are forgiven"
    try:
        ahead = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    except (LookupError, ValueError, TypeError):
        return f"{off}: compare this machine's clock with the provider's"
    if abs(ahead) > SKEW:
        return f"{off}; the provider's answer is dated {ahead:+.0f} s from here: set this machine's clock"
    return f"{off}; the provider's answer is dated rightly: set the clock of what signs its tokens"


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"


def _is_token(answer: Response) -> bool:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/jwt"


def _items(audience: object) -> list[Any]:
    return audience if isinstance(audience, list) else []


def _base64(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
