"""What the identity provider publishes and answers: its description, its keys, its endpoints.

Documents grow old and are fetched again; an address that does not answer is left alone for seconds; so many
calls at once and no more. Knows no flow, no claims, and no words for people.
"""

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

from joserfc import jws, jwt
from joserfc.errors import InvalidKeyCurveError, JoseError, KeyParameterError, UnsupportedAlgorithmError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from requests import RequestException, Response

from .addresses import origin_of
from .transport import Limits, Transport, cause

log = logging.getLogger(__name__)

LIMITS = Limits(connect=4, whole=8, size=1024 * 1024)
DISCOVERY = "/.well-known/openid-configuration"
FRESH = 3600  # seconds that a document is taken for true
LEFT_ALONE = 5  # seconds that an address which did not answer is not asked again
AT_ONCE = 64  # calls under way; each holds one of the threads that serve everybody
WAIT = 2  # seconds that one more waits for its turn
SIGNING_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
# What another's JSON or token can make our libraries raise.
UNREADABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)

T = TypeVar("T")


class SignInFailed(Exception):
    """Nobody is signed in. The text is for the log; `errors.py` has the words for people, by class.

    `about` tells this cause from others: the text, less what changes from one time to the next, or what
    a stranger has a say in.
    """

    status = 400
    account = ""  # who was refused, as far as it is known
    for_operator = False  # only a setting, here or at the provider, mends it

    def __init__(self, text: str, about: str = "") -> None:
        super().__init__(text)
        self.about = about or text


class BadAnswer(SignInFailed):
    """The provider's answer cannot be trusted or read."""

    status = 502


class ProviderUnavailable(SignInFailed):
    """The provider is down, slow, or not what `OIDC_ISSUER` says."""

    status = 503


class ProviderUnfit(ProviderUnavailable):
    """The provider wants what the portal cannot do; waiting cures nothing."""

    for_operator = True


def printable(text: object, most: int = 200) -> str:
    """Return another's words for the log: one line, visible, short."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:most]


@dataclass(frozen=True)
class Metadata:
    """What the provider says about itself (OpenID Connect Discovery 1.0, section 3), as far as we use it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    pushed_endpoint: str | None
    must_push: bool
    names_itself: bool
    scopes: frozenset[str]
    prompts: frozenset[str]
    algorithms: tuple[str, ...]
    posts_secret: bool

    @classmethod
    def parse(cls, found: object, address: str) -> "Metadata":
        """Read a discovery document. Raises `ProviderUnavailable`, and `ProviderUnfit` naming the member."""
        if not isinstance(found, dict) or not isinstance(found.get("issuer"), str):
            raise ProviderUnavailable(f"{address} is no discovery document: see OIDC_ISSUER")
        if found["issuer"].rstrip("/") + DISCOVERY != address:
            names = printable(found["issuer"])
            raise ProviderUnavailable(f"{address} names another issuer, {names}: see OIDC_ISSUER")
        methods, algorithms = _fit(found)
        pushed = _endpoint(found, "pushed_authorization_request_endpoint")
        return cls(
            issuer=found["issuer"],
            authorization_endpoint=_needed(found, "authorization_endpoint"),
            token_endpoint=_needed(found, "token_endpoint"),
            jwks_uri=_needed(found, "jwks_uri"),
            userinfo_endpoint=_endpoint(found, "userinfo_endpoint"),
            end_session_endpoint=_endpoint(found, "end_session_endpoint"),
            pushed_endpoint=pushed,
            must_push=found.get("require_pushed_authorization_requests") is True and pushed is not None,
            names_itself=found.get("authorization_response_iss_parameter_supported") is True,
            scopes=frozenset(_texts(found.get("scopes_supported"))),
            prompts=frozenset(_texts(found.get("prompt_values_supported"))),
            algorithms=algorithms,
            posts_secret="client_secret_basic" not in methods,
        )


def _fit(found: Mapping[str, Any]) -> tuple[list[str], tuple[str, ...]]:
    """Return what both sides can do: ways to show the client's secret, and signing algorithms."""
    offered = _texts(found.get("token_endpoint_auth_methods_supported")) or ["client_secret_basic"]
    methods = [method for method in offered if method in ("client_secret_basic", "client_secret_post")]
    if not methods:
        raise ProviderUnfit(_names("token_endpoint_auth_methods_supported", offered, "client_secret_basic"))
    signing = _texts(found.get("id_token_signing_alg_values_supported")) or ["RS256"]
    algorithms = tuple(one for one in signing if one in SIGNING_ALGORITHMS)
    if not algorithms:
        raise ProviderUnfit(_names("id_token_signing_alg_values_supported", signing, "RS256"))
    if "code" not in (flows := _texts(found.get("response_types_supported")) or ["code"]):
        raise ProviderUnfit(_names("response_types_supported", flows, "code"))
    if found.get("require_signed_request_object") is True:
        raise ProviderUnfit("the provider wants require_signed_request_object: change it there")
    return methods, algorithms


def _names(member: str, offered: Sequence[str], wanted: str) -> str:
    return f"{member} of the provider is {printable(', '.join(offered))}; the portal needs {wanted}"


def _needed(found: Mapping[str, Any], name: str) -> str:
    endpoint = _endpoint(found, name)
    if endpoint is None:
        raise ProviderUnavailable(f"the discovery document has no usable {name}: see OIDC_ISSUER")
    return endpoint


def _endpoint(found: Mapping[str, Any], name: str) -> str | None:
    """Return an address that is https, or on loopback: the client's secret goes there."""
    address = found.get(name)
    usable = isinstance(address, str) and "://" in address and origin_of(address) is not None
    return address if usable else None


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def basic(client_id: str, secret: str) -> tuple[str, ...]:
    """Return what to show as the client (RFC 6749, section 2.3.1), one after the other until it is known.

    The standard has both percent-encoded; LemonLDAP::NG and django-allauth take them as they stand.
    """
    pairs = (f"{quote(client_id, safe='')}:{quote(secret, safe='')}", f"{client_id}:{secret}")
    return tuple(f"Basic {b64encode(pair.encode()).decode()}" for pair in dict.fromkeys(pairs))


class Registry(JWSRegistry):
    """The library's rules with room for what is legal: certificates in the header, hundreds of groups."""

    max_header_length = 16 * 1024
    max_payload_length = 512 * 1024
    max_signature_length = 4 * 1024

    def get_alg(self, name: str) -> Any:  # noqa: ANN401  # the library does not export its type
        """Return an algorithm that is allowed, `EdDSA` without the library's warning.

        Its new name (RFC 9864) is the provider's to use; a warning helps nobody who reads our log.
        """
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


class Document(Generic[T]):
    """Something published, fetched again when it has grown old; one thread fetches, others wait for it."""

    def __init__(self, fetch: Callable[[], T]) -> None:
        self._fetch, self._lock = fetch, Lock()
        self._kept: tuple[T, float] | None = None
        self._tried = float("-inf")

    def get(self, newer_than: float = float("-inf")) -> T:
        """Return what is kept if it is young and was fetched after `newer_than` (`time.monotonic()`).

        A fetch that failed since then counts as well: what is kept is the newest that there is.
        """
        kept = self._kept
        if kept and kept[1] >= max(newer_than, monotonic() - FRESH):
            return kept[0]
        must_wait = kept is None or kept[1] < newer_than
        if not self._lock.acquire(blocking=must_wait):
            return kept[0]  # type: ignore[index]  # somebody is fetching; the old one will do
        try:
            return self._renew(newer_than)
        finally:
            self._lock.release()

    def _renew(self, newer_than: float) -> T:
        begun = monotonic()
        kept = self._kept
        if kept and kept[1] >= max(newer_than, begun - FRESH):
            return kept[0]
        if kept and kept[1] < newer_than <= self._tried:
            return kept[0]
        self._tried = begun
        try:
            found = self._fetch()
        except ProviderUnavailable as error:
            if kept is None or kept[1] < newer_than:
                raise
            log.warning(
                "what the provider published is still used, as it cannot be fetched: %s",
                error,
                extra={"event": "provider.away", "every": 60, "about": error.about},
            )
            return kept[0]
        self._kept = (found, begun)
        return found


class Issuer:
    """One provider, at the address that `OIDC_ISSUER` names."""

    def __init__(self, address: str, client_id: str, client_secret: str, transport: Transport) -> None:
        self.discovery = address.rstrip("/") + DISCOVERY
        self.client_id, self._client_secret = client_id, client_secret
        self._transport = transport
        self._slots = BoundedSemaphore(AT_ONCE)
        self._failures: dict[str, tuple[float, str]] = {}
        self._metadata = Document(self._fetch_metadata)
        self._keys = Document(self._fetch_keys)

    @property
    def metadata(self) -> Metadata:
        return self._metadata.get()

    def post(self, endpoint: str, form: Mapping[str, str]) -> Response:
        """Post as the client (RFC 6749, section 2.3.1). Raises `ProviderUnavailable`."""
        if self.metadata.posts_secret:
            secret = {"client_id": self.client_id, "client_secret": self._client_secret}
            return self.call("POST", endpoint, data={**form, **secret})
        for shown in basic(self.client_id, self._client_secret):
            answer = self.call("POST", endpoint, data=form, headers={"Authorization": shown})
            if answer.status_code != 401:
                break
        return answer

    def call(self, method: str, address: str, **asked: Any) -> Response:  # noqa: ANN401  # as requests takes it
        """Call once; nothing is followed. Raises `ProviderUnavailable`, for an answer of 5xx as well."""
        failed, why = self._failures.get(address, (float("-inf"), ""))
        if monotonic() < failed + LEFT_ALONE:
            raise ProviderUnavailable(f"{why} (remembered for {LEFT_ALONE} s)", why)
        with self._turn():
            try:
                answer = self._transport.ask(method, address, **asked)
            except RequestException as error:
                self._failures[address] = (monotonic(), cause(error))
                raise ProviderUnavailable(cause(error)) from None
        if answer.status_code >= 500:
            raise ProviderUnavailable(f"{_without_query(address)} answered {answer.status_code}")
        return answer

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=WAIT):
            raise ProviderUnavailable(f"{AT_ONCE} calls to the provider are under way and do not end")
        try:
            yield
        finally:
            self._slots.release()

    def verified(
        self, token: object, algorithms: Sequence[str], refetch_after: float | None = None
    ) -> jwt.Token:
        """Return a token that one of the provider's keys has signed (RFC 7515). Raises `BadAnswer`.

        A provider may put a new key under an old name, or under none: when none fits they are fetched anew,
        if they are older than `refetch_after` (`time.monotonic()`; otherwise this very moment).
        """
        if not isinstance(token, str):
            raise BadAnswer("a token that is no text")
        now = monotonic() if refetch_after is None else refetch_after
        try:
            return _decode(token, self._keys.get(), algorithms) or self._by_new_keys(token, algorithms, now)
        except JoseError as error:
            why = f"the token cannot be verified: {error.error}"
            raise BadAnswer(f"{why}, {_header(token)}", why) from None
        except UNREADABLE as error:
            raise BadAnswer(f"the token cannot be read: {type(error).__name__}") from None

    def _by_new_keys(self, token: str, algorithms: Sequence[str], newer_than: float) -> jwt.Token:
        found = _decode(token, self._keys.get(newer_than), algorithms)
        if found is None:
            why = "no key of the provider has signed the token"
            raise BadAnswer(f"{why}, {_header(token)}", why)
        return found

    def _fetch_metadata(self) -> Metadata:
        return Metadata.parse(self._published(self.discovery), self.discovery)

    def _fetch_keys(self) -> tuple[Key, ...]:
        address = self.metadata.jwks_uri
        found = self._published(address)
        entries = found.get("keys") if isinstance(found, dict) else None
        keys = tuple(key for entry in entries or () if (key := _key(entry)) is not None)
        if not keys:
            raise ProviderUnavailable(f"no usable keys at {address}")
        return keys

    def _published(self, address: str) -> Any:  # noqa: ANN401  # whatever the provider sent
        answer = self.call("GET", address)
        if answer.status_code != 200:
            raise ProviderUnavailable(f"{address} answered {answer.status_code}: see OIDC_ISSUER")
        try:
            return answer.json()
        except UNREADABLE:
            raise ProviderUnavailable(f"{address} answered something that is not JSON") from None


def _key(entry: object) -> Key | None:
    """Read one key; None for a kind that nobody here knows: the others still verify."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, *UNREADABLE):
        return None


def _decode(token: str, keys: tuple[Key, ...], algorithms: Sequence[str]) -> jwt.Token | None:
    """Return the token if one of these keys has signed it; None if none has. Raises for a spoilt one."""
    registry = Registry(algorithms=list(algorithms), strict_check_header=False)
    found = jws.extract_compact(token.encode(), registry=registry)
    header = found.headers()
    registry.get_alg(header["alg"])
    kid = header.get("kid")
    if not any(_has_signed(found, key, registry) for key in keys if kid is None or key.kid in (None, kid)):
        return None
    claims = json.loads(found.payload or b"")
    if not isinstance(claims, dict):
        raise BadAnswer("a token without claims")
    return jwt.Token(header, claims)


def _has_signed(token: jws.CompactSignature, key: Key, registry: JWSRegistry) -> bool:
    try:
        return jws.validate_compact(token, key, registry=registry)
    except (KeyParameterError, InvalidKeyCurveError):  # made for another algorithm
        return False


def _header(token: str) -> str:
    try:
        header = jws.extract_compact(token.encode(), registry=Registry()).headers()
    except (JoseError, *UNREADABLE):
        return "which is not a signed one"
    return printable(f"alg {header.get('alg')}, kid {header.get('kid')}", 100)


def _without_query(address: str) -> str:
    return urlsplit(address)._replace(query="", fragment="").geturl()
