"""One attempt at Exec, for real at the sandbox; what answers mean on pages is in test_launches."""

from uuid import uuid4

from conftest import MakeApp, Sandbox

from webapp.attempts import attempt
from webapp.portal import Portal, portal_of
from webapp.store.tables import Launch, person_key

PERSON = person_key("https://idp.example", "omar")


def record(portal: Portal, email: str, text: str) -> Launch:
    recorded = portal.store.launches.record(PERSON, email, "token", f"{text} {uuid4()}", another=False)
    assert recorded.launch
    return recorded.launch


def test_exec_is_told_the_address_that_the_person_has_now(make_app: MakeApp, sandbox: Sandbox) -> None:
    portal = portal_of(make_app())
    launch = record(portal, "omar@acme.example", "Talk to a client")

    made = attempt(portal.pacer, portal.exec, launch, "dana@acme.example")

    assert made is not None
    assert (made.state, made.email) == ("ready", "dana@acme.example")
    [call] = sandbox.requests(request_id=launch.request_id)
    assert call["user_email"] == "dana@acme.example"


def test_nothing_is_called_out_of_turn(make_app: MakeApp, sandbox: Sandbox) -> None:
    portal = portal_of(make_app(exec_creations_per_minute=1))
    first, second = (record(portal, "dana@acme.example", "Talk to a client") for _ in range(2))

    assert attempt(portal.pacer, portal.exec, first, "dana@acme.example")
    assert attempt(portal.pacer, portal.exec, second, "dana@acme.example") is None
    assert sandbox.requests(request_id=second.request_id) == []
