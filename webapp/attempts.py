"""One attempt at Exec, and what its answer means for the launch. No Flask, no words for people."""

import logging
import time

from .exec_api import (
    ExecBusy,
    ExecClient,
    ExecError,
    ExecRefusedKey,
    ExecRefusedRequest,
    ExecUntrusted,
    NotAMember,
)
from .store.database import StoreUnavailable
from .store.launches import Lease
from .store.pace import Pacer
from .store.tables import Launch

log = logging.getLogger(__name__)


def attempt(pacer: Pacer, client: ExecClient, launch: Launch, email: str) -> Launch | None:
    """Call Exec for this e-mail if it is the launch's turn; return the launch as it stands then.

    None when no call was made: it is not the launch's turn, or another process is calling.
    """
    lease = pacer.begin(launch.id, email)
    return call(pacer, client, lease) if lease else None


def call(pacer: Pacer, client: ExecClient, lease: Lease) -> Launch:
    """Call Exec for a launch whose turn it is; return the launch as it stands then."""
    launch = lease.launch
    began = time.monotonic()
    try:
        made = client.create_scenario_studio_session(
            launch.email or "", launch.prompt or "", launch.request_id
        )
    except ExecError as error:
        return _not_created(pacer, lease, error, _ms_since(began))
    told: dict[str, object] = {"launch": str(launch.id), "attempt": lease.attempt, "ms": _ms_since(began)}
    told["waited"] = round(time.time() - launch.created)
    log.info("a session was created", extra={"event": "launch.created", **told})
    if not made.is_new and lease.attempt == 1:
        log.warning(
            "Exec knew this launch at its first attempt: was the database restored from a backup?",
            extra={"event": "launch.known", **told},
        )
    return _created(pacer, lease, made.url)


def _created(pacer: Pacer, lease: Lease, url: str) -> Launch:
    try:
        return pacer.created(lease, url)
    except StoreUnavailable as error:
        # The person arrives all the same; the same id finds the same session when the lease has run out.
        log.error(
            "a session was created, the person arrived, but the database does not answer: %s",
            error,
            extra={"event": "launch.not_recorded", "launch": str(lease.launch.id)},
        )
        lease.launch.state, lease.launch.url = "ready", url
        return lease.launch


def _not_created(pacer: Pacer, lease: Lease, error: ExecError, ms: int) -> Launch:
    match error:
        case NotAMember():
            _tell(lease, error, ms, logging.INFO, "launch.refused")
            return pacer.refused(lease, "not_a_member", "")
        case ExecRefusedRequest():
            _tell(lease, error, ms, logging.INFO, "launch.refused")
            return pacer.refused(lease, "not_accepted", error.message)
        case ExecRefusedKey():
            _tell(lease, error, ms, logging.ERROR, "launch.held")
            return pacer.held(lease, "no_access")
        case ExecUntrusted():
            _tell(lease, error, ms, logging.ERROR, "launch.held")
            return pacer.held(lease, "untrusted")
        case ExecBusy():
            _tell(lease, error, ms, logging.WARNING, "launch.busy")
            return pacer.busy(lease, error.retry_after)
        case _:
            _tell(lease, error, ms, logging.WARNING, "launch.unavailable")
            return pacer.unavailable(lease)


def _tell(lease: Lease, error: ExecError, ms: int, level: int, event: str) -> None:
    """Write down why nothing was created: at `info` a person can mend it, at `error` only the operator."""
    told = {"event": event, "launch": str(lease.launch.id), "attempt": lease.attempt, "ms": ms}
    log.log(level, "no session was created: %s", error, extra={**told, "cause": type(error).__name__})


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
