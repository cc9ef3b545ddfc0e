"""The company's identity provider, as an OpenID Connect relying party sees it.

Code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636). The e-mail comes from verified claims
and from nowhere else. Authlib keeps state, nonce and verifier in Flask's session; no views here.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import session
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests import RequestException

from .config import Settings
from .store.tables import person_key
from .transport import Limits, Transport, equip

LIMITS = Limits(connect=4, whole=8, size=1024 * 1024)
SIGNING_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
PENDING_SIGN_INS = 3  # each abandoned one stays in the session cookie, which must stay small
PENDING = "_state_provider_"  # how Authlib's keys for them begin
EMAIL = re.compile(r"[^@\s<>\"(),:;\\\[\]\x00-\x1f\x7f]+@[A-Za-z0-9.-]+")


class SignInFailed(Exception):
    """Nobody is signed in. The class says what the person reads, the text what the log gets."""

    status = 400
    title = "You are not signed in"
    explanation = "The sign-in did not work. Please try again."
    retry = "Try again"
    retry_prompt: str | None = None
    needs_support = False


class Cancelled(SignInFailed):
    """The person turned back at the provider."""

    title = "Sign-in was cancelled"
    explanation = "You turned back before the sign-in was finished. Nothing was sent."
    retry = "Sign in"


class Refused(SignInFailed):
    """The provider does not let this person use the portal (`access_denied`)."""

    status = 403
    title = "Sign-in was refused"
    explanation = (
        "Your company's sign-in service did not let you in, or the sign-in was cancelled there. "
        "If you should have access, ask for it to be granted."
    )
    retry_prompt = "select_account"
    needs_support = True


class PromptRefused(SignInFailed):
    """The provider does not know `select_account`, which it may leave out; `login` it must know."""


class Stale(SignInFailed):
    """The answer belongs to no sign-in that this browser has under way: old, repeated, or forged."""

    title = "This sign-in has expired"
    explanation = "It took too long, was already used, or began in another window. Please sign in again."
    retry = "Sign in again"


class BadAnswer(SignInFailed):
    """The provider's answer cannot be trusted or read."""

    status = 502
    title = "The sign-in could not be verified"
    explanation = "The answer of your company's sign-in service did not pass the checks. Please try again."
    needs_support = True


class ProviderUnavailable(SignInFailed):
    """The provider is down, slow, or not what `OIDC_ISSUER` says."""

    status = 503
    title = "Sign-in is not available right now"
    explanation = "Your company's sign-in service does not answer. Please try again in a minute."
    needs_support = True


class NoEmail(SignInFailed):
    """The claims hold no usable e-mail address."""

    status = 403
    title = "Your account has no e-mail address"
    explanation = (
        "Scenario Studio knows people by their e-mail address, and your company's sign-in service did not "
        "pass one on for this account."
    )
    retry = "Use another account"
    retry_prompt = "select_account"
    needs_support = True


class UnverifiedEmail(NoEmail):
    """The provider does not vouch for the address (`email_verified` is not true)."""

    title = "Your e-mail address is not verified"
    explanation = (
        "Your company's sign-in service has not confirmed the e-mail address of this account. "
        "Confirm it there, then sign in again."
    )


class NotAllowed(NoEmail):
    """The address or the groups are not among those that may use the portal."""

    title = "This account may not use the portal"
    explanation = "It is open to certain accounts of your company only, and this one is not among them."


@dataclass(frozen=True)
class User:
    """The person signed in; `issuer` and `sub` together never change (OpenID Connect Core, section 5.7)."""

    issuer: str
    sub: str
    email: str
    name: str
    groups: tuple[str, ...] = ()  # those that ALLOWED_GROUPS names
    sid: str | None = None  # the provider's own session (OpenID Connect Back-Channel Logout 1.0)
    auth_time: float | None = None
    verified: bool = True  # the provider vouches for the address
    proved: bool = False  # had to sign in there and then (`prompt=login`)

    @property
    def key(self) -> str:
        """What stands for this person in the database and in the browser's own storage."""
        return person_key(self.issuer, self.sub)


class _ProviderSession(OAuth2Session):  # type: ignore[misc]  # Authlib is not typed
    def __init__(self, *args: object, transport: Transport, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        equip(self, transport)

    def request(self, method: str, url: str, **kwargs: object) -> Any:  # noqa: ANN401  # as the parent
        return super().request(method, url, **{"allow_redirects": False, **kwargs})


def _basic_auth(client: _ProviderSession, _method: str, uri: str, headers: Any, body: Any) -> tuple[Any, ...]:  # noqa: ANN401
    # RFC 6749, section 2.3.1: both are form-encoded first; Authlib leaves that out.
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return uri, headers, body


class _Client(FlaskOAuth2App):  # type: ignore[misc]
    client_cls = _ProviderSession
    server_metadata: dict[str, Any]

    def load_server_metadata(self) -> dict[str, Any]:
        """Return the provider's own description, checked once (OpenID Connect Discovery 1.0, section 4.3)."""
        if not self.server_metadata:
            with self._get_session() as http:
                answer = http.request("GET", self._server_metadata_url, withhold_token=True)
            answer.raise_for_status()
            self.server_metadata = _checked(answer.json(), self._server_metadata_url)
        return self.server_metadata

    def fetch_jwk_set(self, force: bool = False) -> Any:  # noqa: ANN401  # as the parent
        """Return the provider's keys. What is none is not kept, or nobody could sign in until a restart."""
        key_set = super().fetch_jwk_set(force)
        try:
            KeySet.import_key_set(key_set)
        except (JoseError, ValueError, TypeError, LookupError) as error:
            self.server_metadata.pop("jwks", None)
            raise ProviderUnavailable(f"no keys at jwks_uri: {type(error).__name__}") from None
        return key_set


def _checked(metadata: Any, address: str) -> dict[str, Any]:  # noqa: ANN401  # whatever the provider sent
    needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(name), str) for name in needed):
        raise ProviderUnavailable("the discovery document is not one")
    if f"{metadata['issuer'].rstrip('/')}/.well-known/openid-configuration" != address:
        raise ProviderUnavailable("the discovery document names another issuer than OIDC_ISSUER")
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [a for a in offered if a in SIGNING_ALGORITHMS]
    methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if "client_secret_basic" not in methods and "client_secret_post" in methods:
        metadata["token_endpoint_auth_method"] = "client_secret_post"  # noqa: S105  # the method's name
    return metadata


class Provider:
    """What the portal asks of the provider: where to sign in, who came back, where to sign out."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self.settings = settings
        self._client = _Client(
            FlaskIntegration("provider"),
            "provider",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value(),
            server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_auth_methods=[("client_secret_basic", _basic_auth)],
            client_kwargs={"code_challenge_method": "S256", "transport": transport},
        )

    def begin(self, redirect_uri: str, prompt: str | None) -> str:
        """Note a new sign-in in the session; return the address to send the person to."""
        try:
            scopes = self._client.load_server_metadata().get("scopes_supported") or ()
        except (RequestException, ValueError, RecursionError) as error:
            raise ProviderUnavailable(type(error).__name__) from None
        # By time: the cookie keeps its keys in alphabetical order.
        pending = sorted(
            (key for key in session if key.startswith(PENDING)), key=lambda key: session[key]["exp"]
        )
        for key in pending[: 1 - PENDING_SIGN_INS]:
            del session[key]
        groups = " groups" if self.settings.allowed_groups and "groups" in scopes else ""
        asked = {"scope": f"openid email profile{groups}"} | ({"prompt": prompt} if prompt else {})
        started = self._client.create_authorization_url(redirect_uri, **asked)
        address: str = started.pop("url")
        self._client.save_authorize_data(redirect_uri=redirect_uri, prompt=prompt, **started)
        return address

    def finish(self, answer: Mapping[str, str]) -> User:
        """Exchange the callback's code and return the person. Raises `SignInFailed`."""
        pending = self._client.framework.get_state_data(session, answer.get("state")) or {}
        if "error" in answer:
            self._client.framework.clear_state_data(session, answer.get("state"))
            if answer["error"] == "invalid_request" and pending.get("prompt") == "select_account":
                raise PromptRefused("select_account")
            raise _turned_away(answer)
        try:
            token = self._client.authorize_access_token(leeway=60, claims_options=self._expected())
            claims = self._complete(token)
        except OAuthError as error:
            raise (Stale if error.error == "mismatching_state" else BadAnswer)(error.error) from None
        except JoseError as error:
            raise BadAnswer(f"{type(error).__name__} {error.error}") from None
        except RequestException as error:
            raise ProviderUnavailable(type(error).__name__) from None
        except (ValueError, TypeError, RecursionError) as error:  # JSON that is none, or another's
            raise BadAnswer(type(error).__name__) from None
        return replace(self._user(claims), proved=pending.get("prompt") == "login")

    def _expected(self) -> dict[str, Any]:
        issuer = self._client.load_server_metadata()["issuer"]
        client_id = self.settings.oidc_client_id
        return {
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
        }

    def _complete(self, token: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the ID token's claims, and userinfo's where the e-mail or the groups are missing."""
        claims = token.get("userinfo")
        if not claims:
            raise BadAnswer("no ID token")
        needed = {self.settings.oidc_email_claim} | ({"groups"} if self.settings.allowed_groups else set())
        if needed <= claims.keys() or not self._client.load_server_metadata().get("userinfo_endpoint"):
            return dict(claims)
        more = self._client.userinfo(token=token)
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core, section 5.3.2
            raise BadAnswer("userinfo speaks of somebody else")
        return {**more, **claims}

    def _user(self, claims: Mapping[str, Any]) -> User:
        settings = self.settings
        email = claims.get(settings.oidc_email_claim)
        if not isinstance(email, str) or len(email) > 254 or not EMAIL.fullmatch(email):
            raise NoEmail(f"claim {settings.oidc_email_claim}")
        verified = claims.get("email_verified") in (True, "true") and settings.oidc_email_claim == "email"
        if not (verified or settings.oidc_trust_unverified_email):
            raise UnverifiedEmail("email_verified is not true")
        domains, groups = settings.allowed_email_domains, settings.allowed_groups
        if domains and email.rpartition("@")[2].lower() not in domains:
            raise NotAllowed("ALLOWED_EMAIL_DOMAINS")
        if groups and not set(groups) & set(_texts(claims.get("groups"))):
            raise NotAllowed("ALLOWED_GROUPS")
        name, sid, at = (claims.get(claim) for claim in ("name", "sid", "auth_time"))
        return User(
            claims["iss"],
            claims["sub"],
            email,
            name[:100] if isinstance(name, str) and name else email,
            groups=tuple(set(groups) & set(_texts(claims.get("groups")))),
            sid=sid if isinstance(sid, str) else None,
            auth_time=at if isinstance(at, (int, float)) else None,
            verified=verified,
        )

    def end_session_address(self, back_to: str) -> str | None:
        """Return where the provider ends its own session (RP-Initiated Logout 1.0), if it offers that."""
        try:
            metadata = self._client.load_server_metadata()
        except (RequestException, ValueError, RecursionError, SignInFailed):
            return None  # signing out here must work while the provider is down
        if not isinstance(metadata.get("end_session_endpoint"), str):
            return None
        asked = self._client.create_logout_url(back_to, client_id=self.settings.oidc_client_id)
        address: str = asked["url"]
        return address


def _turned_away(answer: Mapping[str, str]) -> SignInFailed:
    """Read the provider's error (RFC 6749, section 4.1.2.1). No state is checked: anybody can call it up."""
    error = re.sub(r"[^a-z_]", "?", answer["error"])[:40]
    if error == "access_denied":
        return Cancelled(error) if answer.get("error_subcode") == "cancel" else Refused(error)
    if error in ("login_required", "interaction_required", "consent_required", "account_selection_required"):
        return Cancelled(error)
    if error in ("temporarily_unavailable", "server_error"):
        return ProviderUnavailable(error)
    return BadAnswer(error)


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
