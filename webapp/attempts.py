"""One attempt at Exec, and what its answer means for the launch. No Flask, no words for people."""

import logging

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
from .store.pace import Lease, Pacer
from .store.tables import Launch

log = logging.getLogger(__name__)


def attempt(pacer: Pacer, client: ExecClient, launch: Launch, email: str) -> Launch | None:
    """Call Exec for this e-mail if it is the launch's turn; return the launch as it stands then.

    None when no call was made: it is not the launch's turn, or another process is calling.
    """
    lease = pacer.begin(launch.id, email)
    if lease is None:
        return None
    try:
        made = client.create_scenario_studio_session(email, lease.launch.prompt or "", launch.request_id)
    except ExecError as error:
        return _not_created(pacer, lease, error)
    log.info("created launch=%s attempt=%s is_new=%s", launch.id, lease.attempt, made.is_new)
    if not made.is_new and lease.attempt == 1:
        log.warning("launch=%s existed already at its first attempt", launch.id)
    return _created(pacer, lease, made.url)


def _created(pacer: Pacer, lease: Lease, url: str) -> Launch:
    try:
        return pacer.created(lease, url)
    except StoreUnavailable as error:
        # The person arrives all the same; the same id finds the same session when the lease has run out.
        log.error("launch=%s was created but not recorded: %s", lease.launch.id, error)
        lease.launch.state, lease.launch.url = "ready", url
        return lease.launch


def _not_created(pacer: Pacer, lease: Lease, error: ExecError) -> Launch:
    log.log(_level(error), "not created launch=%s attempt=%s: %r", lease.launch.id, lease.attempt, error)
    match error:
        case NotAMember():
            return pacer.refused(lease, "not_a_member", "")
        case ExecRefusedRequest():
            return pacer.refused(lease, "not_accepted", error.message)
        case ExecRefusedKey():
            return pacer.held(lease, "no_access")
        case ExecUntrusted():
            return pacer.held(lease, "untrusted")
        case ExecBusy():
            return pacer.busy(lease, error.retry_after)
        case _:
            return pacer.unavailable(lease)


def _level(error: ExecError) -> int:
    if isinstance(error, (NotAMember, ExecRefusedRequest)):
        return logging.INFO  # a person can mend it
    if isinstance(error, (ExecRefusedKey, ExecUntrusted)):
        return logging.ERROR  # only the operator can
    return logging.WARNING
