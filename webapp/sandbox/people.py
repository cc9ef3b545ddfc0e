"""Who can sign in at the sandbox, and what each of them is there to show."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

GENERATED = re.compile(r"p[0-9]{1,4}")
NO_EMAIL: Mapping[str, object] = {"email": None, "email_verified": None}
# Where Entra ID points to for what a token has no room for (OpenID Connect Core, section 5.6.2).
GROUPS_ELSEWHERE: Mapping[str, object] = {
    "groups": None,
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://directory.example/users/gus/getMemberObjects"}},
}


@dataclass(frozen=True)
class Person:
    """Somebody with an account at the provider; `member` says whether the Exec workspace knows them too."""

    id: str
    name: str
    email: str | None
    shows: str
    groups: tuple[str, ...] = ()
    email_verified: bool | None = True
    """None is not sent."""
    upn: str | None = None
    member: bool = True
    id_token: Mapping[str, object] = field(default_factory=dict)
    """What the ID token says differently; None is not sent."""
    userinfo: Mapping[str, object] = field(default_factory=dict)
    """What userinfo says differently."""
    signed_userinfo: bool = False
    broken: str | None = None
    """Which of `BROKEN_SIGN_INS` happens to this person, without the exclamation mark."""

    @property
    def sub(self) -> str:
        """The provider's own, opaque name for the person: never their e-mail or sandbox id alone."""
        return f"acme|{self.id}"

    @property
    def address(self) -> str | None:
        """The e-mail under which the Exec workspace would know this person."""
        return self.email or self.upn

    def id_token_claims(self, scopes: Iterable[str]) -> dict[str, object]:
        """What the ID token says about this person (OpenID Connect Core, section 5.4)."""
        return _sent({**self._claims(scopes), **self.id_token})

    def userinfo_claims(self, scopes: Iterable[str]) -> dict[str, object]:
        """What the userinfo endpoint says about this person (OpenID Connect Core, section 5.3)."""
        return _sent({**self._claims(scopes), **self.userinfo})

    def _claims(self, scopes: Iterable[str]) -> dict[str, object]:
        claims: dict[str, object] = {"sub": self.sub}
        if "profile" in scopes:
            claims["name"] = self.name
            claims["groups"] = list(self.groups)
            if self.upn:
                claims["upn"] = self.upn
        if "email" in scopes and self.email:
            claims["email"] = self.email
            claims["email_verified"] = self.email_verified
        return claims


DANA = Person(
    "dana", "Dana Whitfield", "dana@acme.example", "Everything works: a member of the workspace.", ("sales",)
)

PEOPLE = (
    DANA,
    Person(
        "omar",
        "Omar Haddad",
        "omar@acme.example",
        "A trainer and a member: shares links, runs workshops, sees usage.",
        ("enablement", "sales"),
    ),
    Person("mei", "林美 Mei Lin", "mei@acme.example", "A member whose name is not ASCII.", ("sales",)),
    Person(
        "nina",
        "Nina New",
        "nina@acme.example",
        "Signs in, but is not a member of the Exec workspace: the API answers user_not_found.",
        ("sales",),
        member=False,
    ),
    Person(
        "una",
        "Una Verified",
        "una@acme.example",
        "The provider says that her e-mail is not verified.",
        email_verified=False,
    ),
    Person("noel", "Noel Nomail", None, "Has no e-mail at all, neither in the ID token nor in userinfo."),
    Person(
        "ugo",
        "Ugo Indirect",
        "ugo@acme.example",
        "His e-mail is in userinfo only, not in the ID token.",
        id_token=NO_EMAIL,
    ),
    Person(
        "uwe",
        "Uwe Switched",
        "uwe@acme.example",
        "His e-mail is in userinfo only, and userinfo answers for another sub: it must not be believed.",
        id_token=NO_EMAIL,
        userinfo={"sub": "acme|somebody-else"},
    ),
    Person("otto", "Otto Outside", "otto@elsewhere.example", "His e-mail is outside the company's domain."),
    Person(
        "upton",
        "Upton Principal",
        None,
        "A member without an email claim; upn holds upton@acme.example.",
        upn="upton@acme.example",
    ),
    Person(
        "olga",
        "Olga Twofold",
        "olga@acme.example",
        "Her ID token has the address alone; that it is verified stands in userinfo only, as at Okta.",
        ("sales",),
        id_token={"email_verified": None},
    ),
    Person(
        "vito",
        "Vito Vouched",
        "vito@acme.example",
        "His ID token has Dana's address, and userinfo vouches for his own: he is Vito, never Dana.",
        ("sales",),
        id_token={"email": "dana@acme.example", "email_verified": None},
    ),
    Person(
        "nadia",
        "Nadia Novouch",
        "nadia@acme.example",
        "Nobody says whether her e-mail is verified, as at Entra ID and ADFS.",
        email_verified=None,
    ),
    Person(
        "sina",
        "Sina Signed",
        "sina@acme.example",
        "Her e-mail is in userinfo only, which is a signed JWT.",
        id_token=NO_EMAIL,
        signed_userinfo=True,
    ),
    Person(
        "bea",
        "Bea Bücher",
        "bea@bücher.example",
        "The domain of her e-mail has an umlaut; a member as bea@xn--bcher-kva.example.",
    ),
    Person(
        "gus",
        "Gus Groups",
        "gus@acme.example",
        "Is in more than 200 groups, so that they are left out (_claim_names), as at Entra ID.",
        id_token=GROUPS_ELSEWHERE,
        userinfo={"groups": None},
    ),
)

BROKEN_SIGN_INS = {
    "!deny": "The person refuses: error=access_denied.",
    "!cancel": "The person goes back: error=access_denied, error_description=cancelled.",
    "!server-error": "The provider fails before it answers: error=server_error.",
    "!told-why": "The provider refuses the portal, and says why: error=unauthorized_client.",
    "!no-sender": "The answer does not say from whom it comes (iss, RFC 9207), as discovery says it does.",
    "!wrong-sender": "The answer comes from another issuer.",
    "!bad-signature": "The ID token is signed with a key that is not the provider's.",
    "!wrong-audience": "The ID token is meant for another client.",
    "!wrong-issuer": "The ID token names another issuer.",
    "!expired": "The ID token expired an hour ago.",
    "!early": "The ID token is dated in ten minutes: the provider's clock is fast.",
    "!no-sub": "The ID token names nobody: its sub is empty.",
    "!wrong-nonce": "The ID token carries a nonce that nobody asked for.",
    "!no-nonce": "The ID token carries no nonce.",
    "!alg-none": "The ID token is not signed (alg none).",
    "!new-key": "The provider has a new key under the old name. The sign-in works.",
    "!half-name": "The person's name holds half of a surrogate pair. The sign-in works.",
    "!not-asked": "The provider asked for no password, whatever was wanted of it. The sign-in works.",
    "!odd-lifetime": "The token endpoint says expires_in as the text 3599.5. The sign-in works.",
    "!token-500": "The token endpoint answers 500.",
    "!token-slow": "The token endpoint waits 30 seconds.",
    "!token-cut": "The token endpoint hangs up without an answer.",
    "!token-not-json": "The token endpoint answers 200 with an HTML page.",
    "!token-refused": "The token endpoint refuses the code: invalid_grant.",
}

ENDS_AT_ONCE = {
    "!deny": ("access_denied", "The person refused"),
    "!cancel": ("access_denied", "cancelled"),
    "!server-error": ("server_error", "The provider failed"),
    "!told-why": ("unauthorized_client", "The application is switched off (code 50105)"),
}
"""Broken sign-ins that never reach the token endpoint: OAuth error and description."""


def find(person_id: str) -> Person | None:
    """The person with this id: a listed one, a generated one (`p7`), or Dana with a broken sign-in."""
    for person in PEOPLE:
        if person.id == person_id:
            return person
    if _is_generated(person_id):
        number = person_id[1:]
        return Person(person_id, f"Person {number}", f"{person_id}@acme.example", "A generated member.")
    if person_id in BROKEN_SIGN_INS and person_id not in ENDS_AT_ONCE:
        return replace(DANA, broken=person_id.removeprefix("!"))
    return None


def is_member(user_email: str) -> bool:
    """Whether the Exec workspace knows this address; case does not matter."""
    address = user_email.casefold()
    if any(p.member and p.address and _as_known(p.address) == address for p in PEOPLE):
        return True
    local, _, domain = address.partition("@")
    return domain == "acme.example" and _is_generated(local)


def _as_known(address: str) -> str:
    """The address as servers write it: its domain in letters of ASCII."""
    local, _, domain = address.casefold().partition("@")
    return f"{local}@{domain.encode('idna').decode()}"


def _sent(claims: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in claims.items() if value is not None}


def _is_generated(person_id: str) -> bool:
    return GENERATED.fullmatch(person_id) is not None
