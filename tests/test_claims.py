"""Who may enter, by what providers really send: address and flag from one document."""

from typing import Any

import pytest
from conftest import MakeSettings

from webapp.claims import (
    GroupsLeftOut,
    NoEmail,
    NotAllowed,
    UnverifiedEmail,
    UnvouchedEmail,
    User,
    person,
    says_enough,
)
from webapp.issuer import BadAnswer, SignInFailed

ID = {"iss": "https://login.acme.example", "sub": "00u1"}
ME = {"email": "me@acme.example", "email_verified": True}
LEFT_OUT = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}}


def enter(make: MakeSettings, id_token: dict[str, Any], userinfo: dict[str, Any], **settings: object) -> User:
    return person({**ID, **id_token}, userinfo, make(**settings))


# Which document is believed


def test_a_flag_at_userinfo_goes_with_the_address_there(make_settings: MakeSettings) -> None:
    """Okta's own server: the address in the ID token, address and flag at userinfo."""
    assert enter(make_settings, {"email": "me@acme.example"}, ME).email == "me@acme.example"


def test_a_flag_of_one_document_vouches_for_no_address_of_another(make_settings: MakeSettings) -> None:
    assert enter(make_settings, {"email": "boss@acme.example"}, ME).email == "me@acme.example"
    with pytest.raises(UnvouchedEmail):
        enter(make_settings, {"email": "boss@acme.example"}, {"email_verified": True})


def test_userinfo_overrides_nothing_that_the_id_token_vouches_for(make_settings: MakeSettings) -> None:
    other = {"email": "other@acme.example", "email_verified": True, "sub": "00u2"}
    user = enter(make_settings, ME, other)
    assert (user.email, user.sub) == ("me@acme.example", "00u1")


@pytest.mark.parametrize(
    ("id_token", "settings", "enough"),
    [
        (ME, {}, True),
        ({"email": "me@acme.example"}, {}, False),
        (ME, {"allowed_groups": "sales"}, False),
        ({**ME, "groups": []}, {"allowed_groups": "sales"}, True),
        ({**ME, **LEFT_OUT}, {"allowed_groups": "sales"}, True),
        (
            {"email": "me@acme.example"},
            {"oidc_trust_unverified_email": True, "allowed_email_domains": "acme.example"},
            True,
        ),
    ],
)
def test_userinfo_is_asked_for_all_that_the_decision_needs(
    make_settings: MakeSettings, id_token: dict[str, Any], settings: dict[str, object], enough: bool
) -> None:
    assert says_enough({**ID, **id_token}, make_settings(**settings)) is enough


# The flag


@pytest.mark.parametrize("flag", [True, "true"])
def test_these_vouch(make_settings: MakeSettings, flag: object) -> None:
    assert enter(make_settings, {**ME, "email_verified": flag}, {}).verified


@pytest.mark.parametrize("flag", [False, "false", 1, "True", "1", [True], {"a": 1}, ""])
def test_these_do_not(make_settings: MakeSettings, flag: object) -> None:
    with pytest.raises(UnverifiedEmail):
        enter(make_settings, {**ME, "email_verified": flag}, {})


@pytest.mark.parametrize("id_token", [{"email": "me@acme.example"}, {**ME, "email_verified": None}])
def test_a_provider_that_never_says_so_is_the_operators_to_mend(
    make_settings: MakeSettings, id_token: dict[str, Any]
) -> None:
    """Entra ID, ADFS and others send no email_verified at all."""
    with pytest.raises(UnvouchedEmail, match="OIDC_TRUST_UNVERIFIED_EMAIL"):
        enter(make_settings, id_token, {})


def test_a_trusted_provider_need_not_say_so(make_settings: MakeSettings) -> None:
    trust = {"oidc_trust_unverified_email": True, "allowed_email_domains": "acme.example"}
    user = enter(make_settings, {"email": "me@acme.example"}, {}, **trust)
    assert (user.email, user.verified) == ("me@acme.example", False)


# Groups


def test_groups_may_stand_at_userinfo(make_settings: MakeSettings) -> None:
    assert enter(make_settings, ME, {"groups": ["sales"]}, allowed_groups="sales").groups == ("sales",)


@pytest.mark.parametrize("groups", [["others"], [], None, 7, {"sales": 1}, "salesforce"])
def test_who_is_in_no_such_group_stays_out(make_settings: MakeSettings, groups: object) -> None:
    with pytest.raises(NotAllowed, match="ALLOWED_GROUPS"):
        enter(make_settings, {**ME, "groups": groups}, {}, allowed_groups="sales")


def test_more_groups_than_the_token_holds_are_told_as_such(make_settings: MakeSettings) -> None:
    with pytest.raises(GroupsLeftOut, match="_claim_names"):
        enter(make_settings, {**ME, **LEFT_OUT}, {}, allowed_groups="sales")


# Odd, but legal


@pytest.mark.parametrize(
    ("address", "known_as"),
    [
        ("Jane.Doe+x@ACME.example", "Jane.Doe+x@acme.example"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jané@acme.example", "jané@acme.example"),
    ],
)
def test_an_address_is_what_servers_know_it_as(
    make_settings: MakeSettings, address: str, known_as: str
) -> None:
    assert enter(make_settings, {**ME, "email": address}, {}).email == known_as


@pytest.mark.parametrize(
    "address",
    [
        "",
        "jane",
        "jane@",
        "@acme.example",
        "jane@acme@example",
        "ja ne@acme.example",
        "j\ud800@acme.example",
        f"{'j' * 242}@acme.example",  # 255 characters
        7,
    ],
)
def test_what_is_no_address_is_none(make_settings: MakeSettings, address: object) -> None:
    with pytest.raises(NoEmail):
        enter(make_settings, {**ME, "email": address}, {})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Jane \ud800Doe", "Jane Doe"),
        ("Jane\nDoe", "JaneDoe"),
        ("  ", "me@acme.example"),
        (None, "me@acme.example"),
        (["Jane"], "me@acme.example"),
        ("x" * 500, "x" * 100),
    ],
)
def test_a_name_can_be_stored_and_shown(make_settings: MakeSettings, name: object, shown: str) -> None:
    assert enter(make_settings, {**ME, "name": name}, {}).name == shown


@pytest.mark.parametrize("sub", ["", None, 7, "x" * 300, "a\nb", "\ud800"])
def test_a_subject_that_cannot_be_kept_is_refused(make_settings: MakeSettings, sub: object) -> None:
    with pytest.raises(BadAnswer, match="sub"):
        enter(make_settings, {**ME, "sub": sub}, {})


@pytest.mark.parametrize(("sid", "kept"), [("s-1", "s-1"), ("", None), (7, None), (None, None)])
def test_a_session_of_the_providers_is_kept_if_it_is_one(
    make_settings: MakeSettings, sid: object, kept: str | None
) -> None:
    assert enter(make_settings, {**ME, "sid": sid, "auth_time": "yesterday"}, {}).sid == kept


@pytest.mark.parametrize(
    ("claims", "at"),
    [
        ({"auth_time": 1000, "iat": 2000}, 1000),
        ({"iat": 2000}, 2000),
        ({"auth_time": "yesterday", "iat": 2000.5}, 2000.5),
        ({"auth_time": True}, None),
        ({"auth_time": -1, "iat": 1e11}, None),
        ({"iat": float("nan")}, None),
    ],
)
def test_a_sign_in_is_as_old_as_its_proof_or_its_token(
    make_settings: MakeSettings, claims: dict[str, Any], at: float | None
) -> None:
    """By this a sign-out of the provider's tells which sign-ins were before it."""
    assert enter(make_settings, {**ME, **claims}, {}).auth_time == at


def test_groups_of_the_id_token_come_before_those_of_userinfo(make_settings: MakeSettings) -> None:
    signed, other = {**ME, "groups": ["sales"]}, {"groups": ["board"]}
    assert enter(make_settings, signed, other, allowed_groups="sales,board").groups == ("sales",)
    assert enter(make_settings, ME, other, allowed_groups="sales,board").groups == ("board",)


def test_a_refusal_names_the_account(make_settings: MakeSettings) -> None:
    with pytest.raises(SignInFailed) as caught:
        enter(make_settings, ME, {}, allowed_email_domains="other.example")
    assert caught.value.account == "me@acme.example"
