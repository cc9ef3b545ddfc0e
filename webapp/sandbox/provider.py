"""The company's OpenID Connect provider, on Authlib's server side: choose a person, and be that person.

One provider per issuer; the further ones are whole providers that misbehave in one way each.
"""

import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

from authlib.common.urls import add_params_to_uri
from authlib.consts import default_json_headers
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    ClientMixin,
    InvalidRequestError,
    OAuth2Request,
    TokenMixin,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode, UserInfoEndpoint
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from flask import Blueprint, Response, abort, current_app, json, make_response, render_template, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response as BaseResponse

from . import id_tokens
from .options import Options
from .people import BROKEN_SIGN_INS, ENDS_AT_ONCE, PEOPLE, Person, find
from .raw import RawAnswer
from .waiting import pause

CLIENT_ID = "scenario-portal"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - a pretend one, published on the first page
CODE_SECONDS = 60
TOKEN_SECONDS = 3600
SLOW_SECONDS = 30
SSO_COOKIE = "sandbox_sso"
SCOPES = ("openid", "profile", "email")
ISSUERS = {
    "oidc": "Everything as it should be.",
    "oidc-plain": "Does only what it must: no userinfo, no end-session, no iss, no prompt=select_account.",
    "oidc-pushed": "Wants each request handed over beforehand (PAR, RFC 9126).",
    "oidc-odd-keys": "Publishes keys of kinds that nobody knows beside its own.",
    "oidc-slow": "Discovery waits 30 seconds.",
    "oidc-down": "Discovery answers 503.",
    "oidc-lying": "Discovery names another issuer.",
    "oidc-garbled": "Discovery is not JSON.",
}

PLAIN_LACKS = (
    "userinfo_endpoint",
    "end_session_endpoint",
    "prompt_values_supported",
    "authorization_response_iss_parameter_supported",
)
ODD_KEYS = (
    {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AA"},
    {"kty": "EC", "crv": "P-999", "kid": "new-curve", "x": "AA", "y": "AA"},
)

bp = Blueprint("provider", __name__, url_prefix=f"/<any({', '.join(map(repr, ISSUERS))}):name>")


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]
    """The portal as the provider has registered it (RFC 6749, section 2)."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]

    @property
    def client_metadata(self) -> dict[str, tuple[str, ...]]:
        return {"post_logout_redirect_uris": self.post_logout_redirect_uris}

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(word for word in (scope or "").split() if word in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint != "token" or method in {"client_secret_basic", "client_secret_post"}

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """An authorization code: good once, for a minute."""

    code: str
    person: Person
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str
    issued: float

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.issued)

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass(frozen=True)
class Token(TokenMixin):  # type: ignore[misc]
    """An access token, good for the userinfo endpoint."""

    person: Person
    client: Client
    scope: str
    expires: float

    def get_scope(self) -> str:
        return self.scope

    def get_client(self) -> Client:
        return self.client

    def get_user(self) -> Person:
        return self.person

    def is_expired(self) -> bool:
        return time.time() >= self.expires

    def is_revoked(self) -> bool:
        return False


class CodeFlow(AuthorizationCodeGrant):  # type: ignore[misc]
    """The authorization code grant (RFC 6749, section 4.1), kept by its provider."""

    server: "Provider"

    def save_authorization_code(self, code: str, oauth_request: OAuth2Request) -> None:
        asked = oauth_request.payload.data
        self.server.keep_code(
            Code(
                code=code,
                person=oauth_request.user,
                redirect_uri=asked["redirect_uri"],
                scope=oauth_request.scope,
                nonce=asked.get("nonce"),
                code_challenge=asked["code_challenge"],
                code_challenge_method=asked["code_challenge_method"],
                issued=time.time(),
            )
        )

    def query_authorization_code(self, code: str, _client: Client) -> Code | None:
        return self.server.take_code(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Nothing is left to delete: a code is gone as soon as it was asked for."""

    def authenticate_user(self, authorization_code: Code) -> Person:
        return authorization_code.person


class RequiredChallenge(CodeChallenge):  # type: ignore[misc]
    """PKCE (RFC 7636), S256 only, and required although the client has a secret (RFC 9700, section 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeFlow, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if not asked.get("code_challenge") or not asked.get("code_challenge_method"):
            raise InvalidRequestError("Missing 'code_challenge' or 'code_challenge_method'")
        super().validate_code_challenge(grant, redirect_uri)


class IDTokens(OpenIDCode):  # type: ignore[misc]
    """ID tokens (OpenID Connect Core, section 3.1.3.6), signed, and broken where the person says so."""

    def __init__(self, provider: "Provider") -> None:
        super().__init__()
        self._provider = provider

    def exists_nonce(self, _nonce: str, _oauth_request: OAuth2Request) -> bool:
        return False

    def resolve_client_private_key(self, _client: Client) -> RSAKey:
        return self._provider.key

    def get_encode_header(self, _client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": str(self._provider.key.kid)}

    def get_client_claims(self, client: Client) -> dict[str, str]:
        return {"iss": self._provider.issuer, "aud": client.client_id}

    def generate_user_info(self, user: Person, scope: str) -> dict[str, object]:
        return user.id_token_claims(scope.split())

    def encode_id_token(self, token: dict[str, Any], oauth_request: OAuth2Request) -> str:
        id_token: str = super().encode_id_token(token, oauth_request)
        return id_tokens.spoil(id_token, oauth_request.user.broken, self._provider.key)


class AccessTokens(BearerTokenValidator):  # type: ignore[misc]
    """Access tokens (RFC 6750) of one provider."""

    def __init__(self, provider: "Provider") -> None:
        super().__init__()
        self._provider = provider

    def authenticate_token(self, token_string: str) -> Token | None:
        return self._provider.find_token(token_string)


class UserInfo(UserInfoEndpoint):  # type: ignore[misc]
    """The userinfo endpoint (OpenID Connect Core, section 5.3): JSON, or a JWT where the person wants it."""

    server: "Provider"

    def __call__(self, _request: OAuth2Request) -> tuple[int, object, list[tuple[str, str]]]:
        token: Token = self.resource_protector.acquire_token("openid")
        claims = token.person.userinfo_claims(token.scope.split())
        if not token.person.signed_userinfo:
            return 200, claims, default_json_headers
        claims |= {"iss": self.server.issuer, "aud": token.client.client_id}
        key = self.server.key
        return 200, id_tokens.sign(claims, key, str(key.kid)), [("Content-Type", "application/jwt")]


class EndSession(EndSessionEndpoint):  # type: ignore[misc]
    """The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0)."""

    server: "Provider"

    def validate_request(self, oauth_request: OAuth2Request) -> EndSessionRequest:
        """Hold the hint to be of this very provider: all of the sandbox's sign with one key (section 2)."""
        asked = cast("EndSessionRequest", super().validate_request(oauth_request))
        if asked.id_token_claims and asked.id_token_claims.get("iss") != self.server.issuer:
            raise InvalidRequestError("'id_token_hint' was issued by another provider")
        return asked

    def must_ask(self, asked: EndSessionRequest, person: Person | None) -> bool:
        """Whether the person has to say so: no hint, or one of somebody who is not signed in (section 2)."""
        is_of_another = person is not None and (asked.id_token_claims or {}).get("sub") != person.sub
        return bool(asked.needs_confirmation or is_of_another)

    def get_server_jwks(self) -> KeySet:
        return KeySet([*self.server.keys])

    def is_post_logout_redirect_uri_legitimate(
        self, _request: OAuth2Request, _uri: str, client: Client | None, _logout_hint: str | None
    ) -> bool:
        """A registered address is good enough with a client id alone, as at Entra and Okta."""
        return client is not None

    def end_session(self, _end_session_request: EndSessionRequest) -> None:
        """Forget who is signed in here; the cookie goes with the answer."""
        self.server.forget(request.cookies.get(SSO_COOKIE))


class Provider(AuthorizationServer):  # type: ignore[misc]
    """One issuer: its keys, its client, and in memory what was pushed, codes, tokens, signed-in people."""

    def __init__(self, name: str, options: Options, key: RSAKey) -> None:
        super().__init__(query_client=self._find_client, save_token=self._keep_token)
        self.name = name
        self.issuer = f"{options.issuer_url}/{name}"
        self.keys = [key]
        self.client = Client(
            CLIENT_ID,
            CLIENT_SECRET,
            tuple(f"{portal}/sign-in/callback" for portal in options.portals),
            tuple(f"{portal}/signed-out" for portal in options.portals),
        )
        self._lock = threading.Lock()
        self._pushed: dict[str, ImmutableMultiDict[str, str]] = {}
        self._codes: dict[str, Code] = {}
        self._tokens: dict[str, Token] = {}
        self._signed_in: dict[str, Person] = {}
        self.load_config({"OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": TOKEN_SECONDS}})
        self.register_grant(CodeFlow, [RequiredChallenge(), IDTokens(self)])
        protector = ResourceProtector()
        protector.register_token_validator(AccessTokens(self))
        self.register_endpoint(UserInfo(resource_protector=protector))
        self.ending = EndSession(self)
        self.register_endpoint(self.ending)

    @property
    def is_plain(self) -> bool:
        """Whether this provider has neither userinfo nor end-session, and does not name itself."""
        return self.name == "oidc-plain"

    @property
    def wants_pushed(self) -> bool:
        """Whether this provider takes only what was handed over beforehand."""
        return self.name == "oidc-pushed"

    @property
    def key(self) -> RSAKey:
        """The key that signs; the ones before it are published no more."""
        return self.keys[-1]

    def change_key(self) -> None:
        """Sign with a new key, and call it as the old one was called."""
        self.keys.append(RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": str(self.key.kid)}))

    def metadata(self) -> dict[str, object]:
        """What discovery says (OpenID Connect Discovery, section 3)."""
        metadata: dict[str, object] = {
            "issuer": "https://login.elsewhere.example" if self.name == "oidc-lying" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/end-session",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "scopes_supported": list(SCOPES),
            "claims_supported": ["sub", "name", "groups", "upn", "email", "email_verified"],
            "authorization_response_iss_parameter_supported": True,
        }
        if self.wants_pushed:
            metadata["pushed_authorization_request_endpoint"] = f"{self.issuer}/par"
            metadata["require_pushed_authorization_requests"] = True
        if self.is_plain:
            for optional in PLAIN_LACKS:
                del metadata[optional]
        return metadata

    def published_keys(self) -> list[dict[str, Any]]:
        """What the key set holds (RFC 7517, section 5)."""
        own = self.key.as_dict(private=False)
        return [ODD_KEYS[0], own, ODD_KEYS[1]] if self.name == "oidc-odd-keys" else [own]

    def push(self, asked: ImmutableMultiDict[str, str]) -> str:
        """Keep a request for its browser; return its name (RFC 9126, section 2.2)."""
        name = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(24)}"
        with self._lock:
            self._pushed[name] = asked
        return name

    def pushed(self, name: str | None) -> ImmutableMultiDict[str, str] | None:
        """The request of this name. It is looked at twice: before and after the chooser."""
        with self._lock:
            return self._pushed.get(name or "")

    def check_prompt(self, grant: AuthorizationCodeGrant) -> None:
        """Raise OAuth2Error for the one prompt that a provider may leave out, if this one does."""
        if self.is_plain and request.args.get("prompt") == "select_account":
            raise OAuth2Error("unsupported prompt", error="invalid_request", redirect_uri=grant.redirect_uri)

    def keep_code(self, code: Code) -> None:
        """Remember a code until it is asked for."""
        with self._lock:
            self._codes[code.code] = code

    def find_code(self, code: str | None) -> Code | None:
        """Look at a code without using it up."""
        with self._lock:
            return self._codes.get(code or "")

    def take_code(self, code: str) -> Code | None:
        """Use a code up; None if it was used before, or is too old."""
        with self._lock:
            taken = self._codes.pop(code, None)
        return taken if taken and time.time() < taken.issued + CODE_SECONDS else None

    def find_token(self, access_token: str) -> Token | None:
        """The access token of this string, if this provider gave it."""
        with self._lock:
            return self._tokens.get(access_token)

    def remember(self, person: Person) -> str:
        """Sign a person in at the provider; return the cookie's value."""
        cookie = secrets.token_urlsafe(24)
        with self._lock:
            self._signed_in[cookie] = person
        return cookie

    def signed_in(self, cookie: str | None) -> Person | None:
        """Who is signed in at the provider with this cookie."""
        with self._lock:
            return self._signed_in.get(cookie or "")

    def forget(self, cookie: str | None) -> None:
        """Sign whoever has this cookie out."""
        with self._lock:
            self._signed_in.pop(cookie or "", None)

    def _find_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else None

    def _keep_token(self, token: dict[str, Any], oauth_request: OAuth2Request) -> None:
        with self._lock:
            self._tokens[token["access_token"]] = Token(
                person=oauth_request.user,
                client=oauth_request.client,
                scope=token["scope"],
                expires=time.time() + token["expires_in"],
            )


def create_providers(options: Options) -> dict[str, Provider]:
    """One provider per issuer, with one key for all, made now."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return {name: Provider(name, options, key) for name in ISSUERS}


@bp.get("/.well-known/openid-configuration")
def discovery(name: str) -> Response:
    """Discovery, or the way in which this issuer fails it."""
    if name == "oidc-slow":
        pause(SLOW_SECONDS)
    if name == "oidc-down":
        return _json({"error": "temporarily_unavailable"}, 503)
    if name == "oidc-garbled":
        return Response("<!doctype html><title>Welcome</title>", mimetype="application/json")
    return _json(_provider(name).metadata())


@bp.get("/jwks.json")
def jwks(name: str) -> Response:
    """The provider's public keys."""
    return _json({"keys": _provider(name).published_keys()})


@bp.post("/par")
def push(name: str) -> Response:
    """Take a request from the client itself (RFC 9126, section 2); the browser then brings its name."""
    provider = _provider(name)
    if not provider.wants_pushed:
        abort(404)
    try:
        asked = provider.create_oauth2_request(request)
        provider.authenticate_client(asked, ["client_secret_basic", "client_secret_post"])
    except OAuth2Error as error:
        return cast("Response", provider.handle_error_response(None, error))
    return _json({"request_uri": provider.push(request.form), "expires_in": CODE_SECONDS}, 201)


@bp.route("/authorize", methods=["GET", "POST"])
def authorize(name: str) -> BaseResponse:
    """Ask who it is, unless the provider knows; then send the browser back with a code or an error."""
    provider = _provider(name)
    if provider.wants_pushed:
        pushed = provider.pushed(request.args.get("request_uri"))
        if pushed is None:
            return _refuse(provider, InvalidRequestError("A pushed request is required"))
        request.args = pushed
    choice = request.form.get("person")
    person = find(choice) if choice else provider.signed_in(request.cookies.get(SSO_COOKIE))
    try:
        grant = provider.get_consent_grant(end_user=person)
        _end_at_once(choice, grant.redirect_uri)
        provider.check_prompt(grant)
    except OAuth2Error as error:
        return _refuse(provider, error)
    if person is None or (grant.prompt and not choice):
        return _chooser(unknown=choice if person is None else None)
    response = cast("Response", provider.create_authorization_response(grant=grant, grant_user=person))
    _name_sender(provider, response, person.broken)
    if choice and not person.broken:
        response.set_cookie(
            SSO_COOKIE,
            provider.remember(person),
            path=f"/{name}",
            httponly=True,
            samesite="Lax",
            secure=provider.issuer.startswith("https:"),
        )
    return response


@bp.post("/token")
def token(name: str) -> BaseResponse:
    """Exchange a code for tokens, or fail as the person on the code wants it."""
    provider = _provider(name)
    code = provider.find_code(request.form.get("code"))
    broken = code.person.broken if code else None
    if broken == "token-500":
        return _json({"error": "server_error"}, 500)
    if broken == "token-cut":
        return RawAnswer(lambda _connection: None)
    if broken == "new-key":
        provider.change_key()
    if broken == "token-slow":
        pause(SLOW_SECONDS)
    if broken == "token-not-json":
        return Response("<!doctype html><title>Welcome</title>", mimetype="text/html")
    if broken == "token-refused":
        return _json({"error": "invalid_grant", "error_description": "The code was refused"}, 400)
    response = cast("Response", provider.create_token_response())
    if broken == "odd-lifetime":
        return _json({**json.loads(response.get_data()), "expires_in": "3599.5"})
    return response


@bp.route("/userinfo", methods=["GET", "POST"])
def userinfo(name: str) -> BaseResponse:
    """The claims of the person whom the access token is about."""
    provider = _provider(name)
    if provider.is_plain:
        abort(404)
    return cast("Response", provider.create_endpoint_response("userinfo"))


@bp.route("/end-session", methods=["GET", "POST"])
def end_session(name: str) -> BaseResponse:
    """Sign the person out here, and send the browser back if it came from a registered address."""
    provider = _provider(name)
    if provider.is_plain:
        abort(404)
    try:
        asked = provider.validate_endpoint_request("end_session")
    except OAuth2Error as error:
        return _refuse(provider, error)
    person = provider.signed_in(request.cookies.get(SSO_COOKIE))
    if provider.ending.must_ask(asked, person) and "sure" not in request.form:
        return Response(render_template("signing_out.html", person=person, asked=request.values.to_dict()))
    response = provider.create_endpoint_response("end_session", asked)
    response = response or make_response(render_template("signed_out.html"))
    response.delete_cookie(SSO_COOKIE, path=f"/{name}")
    return cast("Response", response)


def _provider(name: str) -> Provider:
    return cast("Provider", current_app.extensions["providers"][name])


class TurnedBack(OAuth2Error):  # type: ignore[misc]
    """`access_denied` by the person's own choice, which some providers tell apart, Microsoft's among them."""

    def get_body(self) -> list[tuple[str, str]]:
        return [*super().get_body(), ("error_subcode", "cancel")]


def _end_at_once(choice: str | None, redirect_uri: str) -> None:
    """Raise OAuth2Error if this choice is not a person, but a way not to sign in."""
    if choice in ENDS_AT_ONCE:
        error, description = ENDS_AT_ONCE[choice]
        failure = TurnedBack if choice == "!cancel" else OAuth2Error
        raise failure(description, error=error, redirect_uri=redirect_uri)


def _chooser(unknown: str | None) -> Response:
    """The page that asks who it is; `unknown` is a person whom nobody knows."""
    page = render_template("chooser.html", people=PEOPLE, broken_sign_ins=BROKEN_SIGN_INS, unknown=unknown)
    return Response(page, 400 if unknown else 200)


def _refuse(provider: Provider, error: OAuth2Error) -> Response:
    """Send an error to a registered address, and show it here otherwise (RFC 6749, section 4.1.2.1)."""
    if not error.redirect_uri:
        return Response(render_template("refused.html", error=error), error.status_code)
    error.state = request.values.get("state")
    response = cast("Response", provider.handle_error_response(None, error))
    _name_sender(provider, response)
    return response


def _name_sender(provider: Provider, response: Response, broken: str | None = None) -> None:
    """Let the answer say from whom it comes (RFC 9207, section 2), as far as the broken sign-in has it."""
    sender = None if provider.is_plain or broken == "no-sender" else provider.issuer
    if broken == "wrong-sender":
        sender = "https://login.elsewhere.example"
    if sender:
        response.location = add_params_to_uri(response.location, {"iss": sender})


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")
