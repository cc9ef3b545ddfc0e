"""Who signed in, and whether they may: what the provider's claims say, and nothing else.

An address and the word that vouches for it come from one document. Knows no network and no page.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .addresses import host_name
from .config import Settings
from .issuer import BadAnswer, SignInFailed, printable
from .store.tables import person_key

Claims = Mapping[str, Any]

EMAIL = re.compile(r"([^@\s<>\"(),:;\\\[\]]+)@([^@\s/:]+)")
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
LONGEST_EMAIL = 254
LONGEST_NAME = 100


class NoEmail(SignInFailed):
    """The claims hold no usable e-mail address."""

    status = 403


class UnverifiedEmail(SignInFailed):
    """The provider says that the address is not confirmed (`email_verified` is not true)."""

    status = 403


class UnvouchedEmail(SignInFailed):
    """The provider never says whether an address is confirmed: there is no `email_verified` at all."""

    status = 403
    for_operator = True


class NotAllowed(SignInFailed):
    """The address or the groups are not among those that may use the portal."""

    status = 403


class GroupsLeftOut(SignInFailed):
    """The person is in so many groups that the provider leaves them out (Entra ID: more than 200)."""

    status = 403
    for_operator = True


@dataclass(frozen=True)
class User:
    """The person signed in; `issuer` and `sub` together never change (OpenID Connect Core, section 5.7)."""

    issuer: str
    sub: str
    email: str
    name: str
    groups: tuple[str, ...] = ()  # those that ALLOWED_GROUPS names
    sid: str | None = None  # the provider's own session (OpenID Connect Back-Channel Logout 1.0)
    auth_time: float | None = None  # when the person proved who they are, else when the token was made
    verified: bool = True  # the provider vouches for the address
    proved: bool = False  # had to sign in there and then (`prompt=login`)
    id_token: str | None = field(default=None, repr=False)  # which the provider wants back at sign-out

    @cached_property
    def key(self) -> str:
        """What stands for this person in the database and in the browser's own storage."""
        return person_key(self.issuer, self.sub)


def says_enough(id_token: Claims, settings: Settings) -> bool:
    """Whether the ID token alone has every claim that the decision needs."""
    needed = {settings.oidc_email_claim}
    if not settings.oidc_trust_unverified_email:
        needed.add("email_verified")
    if settings.allowed_groups and not _groups_left_out(id_token):
        needed.add("groups")
    return needed <= id_token.keys()


def person(id_token: Claims, userinfo: Claims, settings: Settings) -> User:
    """Return who signed in. Raises `SignInFailed` for somebody who may not use the portal."""
    account = _account(id_token, userinfo, settings)
    try:
        return _person(id_token, userinfo, settings)
    except SignInFailed as refusal:
        refusal.account = account
        raise


def _person(id_token: Claims, userinfo: Claims, settings: Settings) -> User:
    document = _speaks_of_email(id_token, userinfo, settings)
    email = _email(document.get(settings.oidc_email_claim))
    if email is None:
        raise NoEmail(f"claim {settings.oidc_email_claim}: {_without_value(document, settings)}")
    verified = settings.oidc_email_claim == "email" and _is_true(document.get("email_verified"))
    if not (verified or settings.oidc_trust_unverified_email):
        raise _unverified(document)
    domains = settings.allowed_email_domains
    if domains and email.rpartition("@")[2] not in domains:
        raise NotAllowed("ALLOWED_EMAIL_DOMAINS")
    return User(
        issuer=id_token["iss"],
        sub=_text(id_token["sub"]),
        email=email,
        name=_name(id_token.get("name") or userinfo.get("name")) or email,
        groups=_groups(id_token, userinfo, settings.allowed_groups),
        sid=id_token["sid"] if is_plain(id_token.get("sid")) else None,
        auth_time=_time(id_token.get("auth_time")) or _time(id_token.get("iat")),
        verified=verified,
    )


def _speaks_of_email(id_token: Claims, userinfo: Claims, settings: Settings) -> Claims:
    """Return the one document that is believed: address and flag together, the ID token first."""
    claim = settings.oidc_email_claim
    if not settings.oidc_trust_unverified_email:
        for document in (id_token, userinfo):
            if claim in document and "email_verified" in document:
                return document
    return id_token if claim in id_token else userinfo


def _unverified(document: Claims) -> SignInFailed:
    if document.get("email_verified") is None:
        return UnvouchedEmail(
            "the provider sends no email_verified, neither in the ID token nor at userinfo: let it, "
            "or set OIDC_TRUST_UNVERIFIED_EMAIL"
        )
    said = printable(repr(document["email_verified"]), 40)
    return UnverifiedEmail(f"email_verified is {said}", "email_verified")


def _is_true(flag: object) -> bool:
    return flag is True or flag == "true"


def _email(value: object) -> str | None:
    """Return an address as Exec is told it, its domain as servers know it; None for what is none."""
    found = EMAIL.fullmatch(value) if isinstance(value, str) else None
    if found is None or not _is_visible(found[1]):
        return None
    try:
        domain = host_name(found[2])
    except ValueError:
        return None
    email = f"{found[1]}@{domain}"
    return email if DOMAIN.fullmatch(domain) and len(email) <= LONGEST_EMAIL else None


def _without_value(document: Claims, settings: Settings) -> str:
    """Say what is wrong with it: the log must not repeat what may be anything."""
    if settings.oidc_email_claim not in document:
        return "not sent, neither in the ID token nor at userinfo: see OIDC_EMAIL_CLAIM"
    return "holds no e-mail address"


def _groups(id_token: Claims, userinfo: Claims, allowed: Sequence[str]) -> tuple[str, ...]:
    if not allowed:
        return ()
    found = id_token.get("groups", userinfo.get("groups"))
    if found is None and _groups_left_out(id_token):
        raise GroupsLeftOut(
            "ALLOWED_GROUPS: the provider left the groups out (_claim_names), as the person is in too many; "
            "let it send only the groups assigned to this application"
        )
    groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    own = tuple(group for group in dict.fromkeys(allowed) if group in groups)
    if not own:
        why = "sent no groups claim" if found is None else f"sent {len(groups)} others"
        raise NotAllowed(f"ALLOWED_GROUPS: the provider {why}", f"ALLOWED_GROUPS {found is None}")
    return own


def _groups_left_out(id_token: Claims) -> bool:
    elsewhere = id_token.get("_claim_names")
    return isinstance(elsewhere, dict) and "groups" in elsewhere and "groups" not in id_token


def _account(id_token: Claims, userinfo: Claims, settings: Settings) -> str:
    """Return the words by which a person who is refused recognises the account."""
    email = _email(_speaks_of_email(id_token, userinfo, settings).get(settings.oidc_email_claim))
    names = (id_token.get("preferred_username"), id_token.get("name"), userinfo.get("name"))
    return email or next((name for one in names if (name := _name(one))), "")


def _name(value: object) -> str:
    """Return a name that can be stored and shown: visible letters on one line."""
    if not isinstance(value, str):
        return ""
    shown = "".join(letter if _is_visible(letter) or letter == " " else "" for letter in value[:1000])
    return shown.strip()[:LONGEST_NAME]


def _text(value: object) -> str:
    if not isinstance(value, str) or not is_plain(value):
        raise BadAnswer("claim sub is empty, or no text that can be stored")
    return value


def is_plain(value: object) -> bool:
    """Whether a claim is text that can be stored: 1 to 255 characters (Core 1.0, section 2, on `sub`)."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _is_visible(text: str) -> bool:
    return not any(unicodedata.category(letter)[0] in "CZ" for letter in text)


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value < 1e11 else None
