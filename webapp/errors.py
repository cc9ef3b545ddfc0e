"""What went wrong -> status, page and log level, in one place.

The words are for the one who reads them: what happened, and what to do next.
"""

import logging
from dataclasses import dataclass, replace

from flask import Flask, g, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError

from . import exec_api
from .oidc import SignInFailed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """One failure as a person reads it. `support`: whether to name whom to ask."""

    title: str
    text: str
    support: bool = False
    detail: str = ""

    def filled(self, **words: str) -> "Page":
        """Return the page with its blanks filled in; `detail` is somebody else's sentence."""
        return replace(self, text=self.text.format(**words), detail=words.get("detail", ""))


PAGES = {
    400: Page("That request was not complete", "Go back and try again; your text is still in the form."),
    404: Page("There is no such page", "The address may be mistyped, or the page belongs to somebody else."),
    405: Page("There is no such page", "This address cannot be used like that."),
    413: Page("That is too much text", "Go back and shorten your description; it is still in the form."),
    500: Page("Something broke on our side", "Please try again in a minute.", support=True),
    503: Page("The portal cannot answer right now", "Please try again in a minute.", support=True),
}
SIGN_IN_FIRST = Page("You are not signed in any more", "Your text is safe on this page.")
EXPIRED_PAGE = Page("This page had expired", "Nothing was sent. Go back, reload the page and try again.")


@dataclass(frozen=True)
class Refusal:
    """What Exec's failure becomes: the answer's status, the log's level, the words above the form."""

    status: int
    level: int
    page: Page


REFUSALS: dict[type[exec_api.ExecError], Refusal] = {
    exec_api.NotAMember: Refusal(
        422,
        logging.INFO,
        Page(
            "You are not a member of the Exec workspace yet",
            "Exec does not know {email}. Ask for an invitation to Exec for this address, "
            "then press Create scenario again.",
            support=True,
        ),
    ),
    exec_api.ExecRefusedRequest: Refusal(
        422,
        logging.INFO,
        Page("Exec did not accept this description", "Change it and press Create scenario again."),
    ),
    exec_api.ExecRefusedKey: Refusal(
        503,
        logging.ERROR,
        Page("The portal's access to Exec is not working", "Your text is safe here.", support=True),
    ),
    exec_api.ExecUntrusted: Refusal(
        503,
        logging.ERROR,
        Page(
            "Exec answered something we do not trust",
            "So you were not sent there. Your text is safe here.",
            support=True,
        ),
    ),
    exec_api.ExecBusy: Refusal(
        503,
        logging.WARNING,
        Page(
            "Exec is busy",
            "Too many scenarios are being created at this moment. Press Create scenario again {when}.",
        ),
    ),
    exec_api.ExecUnavailable: Refusal(
        503,
        logging.WARNING,
        Page("Exec does not answer right now", "Your text is safe here. Press Create scenario again {when}."),
    ),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(SignInFailed, sign_in_failed)
    app.register_error_handler(CSRFError, expired)
    app.register_error_handler(HTTPException, http_error)


def sign_in_failed(error: SignInFailed) -> tuple[str, int]:
    level = logging.INFO if error.status < 500 else logging.WARNING
    log.log(level, "sign-in failed: %s: %s", type(error).__name__, error)
    page = Page(error.title, error.explanation, support=error.needs_support)
    again = url_for("auth.sign_in", prompt=error.retry_prompt)
    return render_template("error.html", page=page, way_on=again, way_on_label=error.retry), error.status


def expired(_: CSRFError) -> tuple[str, int]:
    return _error_page(EXPIRED_PAGE), 400


def http_error(error: HTTPException) -> tuple[str, int] | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    if status >= 500 and not isinstance(error, InternalServerError):
        log.error("%s %s: %s", request.method, request.path, status)
    g.setdefault("user", None)
    return _error_page(PAGES.get(status, PAGES[400] if status < 500 else PAGES[500])), status


def _error_page(page: Page) -> str:
    return render_template(
        "error.html", page=page, way_on=url_for("launches.new"), way_on_label="To the form"
    )
