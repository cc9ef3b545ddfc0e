"""Who can sign in at the sandbox, and what each of them is there to show."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

GENERATED = re.compile(r"p[0-9]{1,4}")


@dataclass(frozen=True)
class Person:
    """Somebody with an account at the provider; `member` says whether the Exec workspace knows them too."""

    id: str
    name: str
    email: str | None
    shows: str
    groups: tuple[str, ...] = ()
    email_verified: bool = True
    upn: str | None = None
    member: bool = True
    email_in_id_token: bool = True
    userinfo_sub: str | None = None
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
        claims = self._claims(scopes)
        if not self.email_in_id_token:
            claims.pop("email", None)
            claims.pop("email_verified", None)
        return claims

    def userinfo_claims(self, scopes: Iterable[str]) -> dict[str, object]:
        """What the userinfo endpoint says about this person (OpenID Connect Core, section 5.3)."""
        return {**self._claims(scopes), "sub": self.userinfo_sub or self.sub}

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
        email_in_id_token=False,
    ),
    Person(
        "uwe",
        "Uwe Switched",
        "uwe@acme.example",
        "His e-mail is in userinfo only, and userinfo answers for another sub: it must not be believed.",
        email_in_id_token=False,
        userinfo_sub="acme|somebody-else",
    ),
    Person("otto", "Otto Outside", "otto@elsewhere.example", "His e-mail is outside the company's domain."),
    Person(
        "upton",
        "Upton Principal",
        None,
        "A member without an email claim; upn holds upton@acme.example.",
        upn="upton@acme.example",
    ),
)

BROKEN_SIGN_INS = {
    "!deny": "The person refuses: error=access_denied.",
    "!cancel": "The person goes back: error=access_denied, error_description=cancelled.",
    "!server-error": "The provider fails before it answers: error=server_error.",
    "!bad-signature": "The ID token is signed with a key that is not the provider's.",
    "!wrong-audience": "The ID token is meant for another client.",
    "!wrong-issuer": "The ID token names another issuer.",
    "!expired": "The ID token expired an hour ago.",
    "!wrong-nonce": "The ID token carries a nonce that nobody asked for.",
    "!no-nonce": "The ID token carries no nonce.",
    "!alg-none": "The ID token is not signed (alg none).",
    "!token-500": "The token endpoint answers 500.",
    "!token-slow": "The token endpoint waits 30 seconds.",
    "!token-not-json": "The token endpoint answers 200 with an HTML page.",
    "!token-refused": "The token endpoint refuses the code: invalid_grant.",
}

ENDS_AT_ONCE = {
    "!deny": ("access_denied", "The person refused"),
    "!cancel": ("access_denied", "cancelled"),
    "!server-error": ("server_error", "The provider failed"),
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
    if any(p.member and p.address and p.address.casefold() == address for p in PEOPLE):
        return True
    local, _, domain = address.partition("@")
    return domain == "acme.example" and _is_generated(local)


def _is_generated(person_id: str) -> bool:
    return GENERATED.fullmatch(person_id) is not None
