"""What happened to a person's scenarios, as an operator asks for it: times, states, reasons, never a text."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from .store import Store
from .store.tables import Event, Launch, Reason, SignIn

MOST = 30  # of the newest: what fits a screen and answers "at 14:02?"
WHY: dict[Reason, str] = {
    "not_a_member": "Exec does not know the address: invite it to the workspace",
    "not_accepted": "Exec did not accept the text, and the person read why",
    "expired": "it waited too long and was given up",
    "cancelled": "the person cancelled it",
    "no_access": "Exec refuses EXEC_API_KEY: set a new one and restart",
    "untrusted": "Exec answered with no address that EXEC_STUDIO_HOSTS names",
    "own_limit": "CREATIONS_PER_PERSON_PER_HOUR was reached",
    "busy": "a limit was reached: EXEC_CREATIONS_PER_MINUTE, or Exec's own",
    "unavailable": "Exec did not answer, or with an error of its own",
}


def person(store: Store, email: str) -> str:
    """Return everything that is known of whoever had this address."""
    people = store.launches.people(email)
    if not people:
        return (
            f"Nobody with the address {email} is known: no launch, sign-in or event names it."
            " Who was not let in stands in the log (event sign_in.failed)."
        )
    launches = store.launches.of_people(people, MOST)
    sign_ins = [row for key in people for row in store.sign_ins.of_person(key)]
    events = store.events.of_people(people, MOST)
    return "\n".join(_told(f"{email}, all times UTC", launches, sign_ins, events))


def launch(store: Store, key: str) -> str:
    """Return everything that is known of one launch, by its id or by Exec's `request_id`."""
    try:
        wanted = UUID(key.removeprefix("portal-"))
    except ValueError:
        return f"{key} is no launch's id: it looks like 7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e."
    found = store.launches.any(wanted)
    if found is None:
        return f"There is no launch {wanted}."
    head = f"{found.email or 'somebody whose address was erased'}, all times UTC"
    return "\n".join(_told(head, [found], [], store.events.of_launch(wanted)))


def _told(
    head: str, launches: Sequence[Launch], sign_ins: Sequence[SignIn], events: Sequence[Event]
) -> Iterator[str]:
    yield head
    yield from (_launch(one) for one in launches)
    yield from (_sign_in(row) for row in sign_ins)
    if events:
        yield "What happened, oldest first:"
    yield from (_event(event) for event in sorted(events, key=lambda event: event.id))


def _launch(launch: Launch) -> str:
    state = "on hold" if launch.held and launch.state == "waiting" else launch.state
    parts = [f"launch {launch.id}: {state}"]
    parts += [f"reason {launch.reason}: {WHY.get(launch.reason, '?')}"] if launch.reason else []
    parts += [f"asked {_at(launch.created)}", _count(launch.attempt)]
    parts += [f"ended {_at(launch.finished)}"] if launch.finished else []
    parts += [f"next attempt not before {_at(launch.not_before)}"] if launch.state == "waiting" else []
    parts += [f"its page was last seen {_at(launch.seen)}"] if launch.state == "waiting" else []
    parts += [f"erased {_at(launch.erased)}"] if launch.erased else []
    return "  " + ", ".join(parts)


def _sign_in(row: SignIn) -> str:
    return f"  signed in since {_at(row.created)}, last used {_at(row.used)}: {row.browser}"


def _event(event: Event) -> str:
    more = [f"launch {event.launch_id}"] if event.launch_id else []
    more += [event.detail] if event.detail else []
    more += [f"from {event.address}"] if event.address else []
    more += [f"request {event.request_id}"] if event.request_id else []
    return f"  {_at(event.at)}  {event.name:<16} {', '.join(more)}".rstrip()


def _count(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
