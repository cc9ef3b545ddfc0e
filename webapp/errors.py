"""What went wrong -> status, page and log level, in one place.

The words are for the one who reads them: what happened, and what to do next.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flask import Flask, abort, g, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import Gone, HTTPException, InternalServerError, NotFound
from werkzeug.wrappers import Response as BaseResponse

from .auth import way_in
from .bodies import REFUSED, CutOff
from .claims import GroupsLeftOut, NoEmail, NotAllowed, UnverifiedEmail, UnvouchedEmail
from .files import NoText
from .forms import PromptForm, prefill, slug_of
from .issuer import BadAnswer, ProviderUnavailable, ProviderUnfit, SignInFailed
from .oidc import Cancelled, Refused, Stale
from .pages import Page, form_page
from .store.database import StoreUnavailable
from .store.links import TooManyGuesses
from .store.tables import Launch, Reason

log = logging.getLogger(__name__)

PAGES = {
    400: Page("That request was not complete", "Go back and try again; your text is still in the form."),
    404: Page("There is no such page", "The address may be mistyped, or the page belongs to somebody else."),
    405: Page("There is no such page", "This address cannot be used like that."),
    413: Page("That is too much text", "Go back and shorten your description; it is still in the form."),
    414: Page(
        "That link is too long",
        "It holds more text than a link can carry. Open the form and paste the description there.",
    ),
    431: Page(
        "Your browser sent too much",
        "Most likely many cookies of this site have piled up. Delete this site's cookies and try again.",
    ),
    500: Page("Something broke on our side", "Please try again in a minute.", support=True),
    503: Page("The portal cannot answer right now", "Please try again in a minute.", support=True),
}
TEXT_KEPT = Page(
    "Something broke on our side",
    "Your text is still here: press Create scenario again in a minute. It makes one scenario only.",
    support=True,
)
BODY_CUT = Page(
    "Not everything arrived",
    "Your text is still here; what came after it was cut off. Try again; a file must be chosen again.",
)
FOREIGN_FORM = Page(
    "This came from another address",
    "Your text is still here, but it was not sent from the portal's own page. Copy it, open {home} and send "
    "it from there.",
    support=True,
)
STORE_AWAY = Page(
    "The portal cannot save your text right now",
    "Your text is still here: press Create scenario again in a moment. It makes one scenario only.",
    support=True,
)
TOO_MANY_DRAFTS = Page(
    "Too many texts are waiting for a sign-in",
    "Your text is still here. Wait a minute, then press Create scenario again.",
)
CANCELLED = Page("Cancelled: nothing was created", "Its text is back in the form.")
ERASED = Page(
    "This scenario was erased",
    "Its text and its link have left the portal for good. What is in Scenario Studio stays there.",
)
NO_DRAFT = Page(
    "This text is not here any more",
    "It waited for a sign-in for more than half an hour, or belongs to another browser or person.",
)
# What became of a file that somebody brought along.
FILE_ADDED = Page(
    "The text of your file is in the box", "It stands below what was there. Read it before you send it."
)
FILE_TOO_LONG = Page(
    "The text of your file is in the box, but there is too much of it",
    "With it the box holds {count} characters, {over} more than the {longest} that can be sent. Shorten "
    "it, or keep its beginning or its end.",
)
TEXT_TOO_LONG = Page(
    "There is too much text",
    "The box holds {count} characters, {over} more than the {longest} that can be sent. Shorten it, or "
    "keep its beginning or its end.",
)
TEXT_CUT = Page("The text fits now", "The box holds {count} characters; the rest was left out.")
NO_FILE_CHOSEN = Page(
    "No file was chosen", "Choose one first, then press Add its text. Your own text is as it was."
)
FILE_NOT_KEPT = Page("The file was not kept", "Files are not kept while you sign in. Choose it again.")
FILE_NEEDS_SIGN_IN = Page(
    "Sign in before you bring a file along",
    "You are not signed in any more, and files are not kept while you sign in. Open the form again, sign in, "
    "and choose the file there.",
)
ANOTHER_FILE = "Your text is still here. "
FILES: dict[str, Page] = {
    "unknown": Page(
        "Files of this kind cannot be read",
        ANOTHER_FILE + "What can be read ends in .ics, .vtt, .srt, .txt, .md, .eml, .docx or .pdf.",
    ),
    "too_large": Page(
        "The file is too large",
        ANOTHER_FILE
        + "A file may have 10 MB; a calendar or a transcript with time codes, 1 MB. Copy the part "
        "that matters into the box.",
    ),
    "too_much_text": Page(
        "The file holds too much text",
        ANOTHER_FILE + "It is more than the box can take. Copy the part that matters into the box.",
    ),
    "empty": Page("The file is empty", ANOTHER_FILE + "Choose another file."),
    "no_text": Page(
        "The file holds no text that can be read",
        ANOTHER_FILE + "It may be a scan or a picture. Choose another file, or type what matters.",
    ),
    "encrypted": Page(
        "The file is protected with a password",
        ANOTHER_FILE + "Save a copy without a password and choose that one.",
    ),
    "mislabelled": Page(
        "The file is not what its name says",
        ANOTHER_FILE
        + "Its name ends like one kind of file, and it holds another. Save it anew in the program "
        "that made it, and choose that one.",
    ),
    "broken": Page(
        "The file cannot be read",
        ANOTHER_FILE
        + "It is damaged or far too complicated. Save it anew, or copy the part that matters into the box.",
    ),
    "busy": Page(
        "Too many files are being read at this moment",
        ANOTHER_FILE + "Wait a few seconds, then choose the file again.",
    ),
}
SHARED_TEXT = (
    "Somebody shared this text with you. Change it as you like; nothing is sent before you press the button."
)
BLANK_LEFT = "Somebody shared this text with you. It has a blank for you to fill in: {}."
BLANKS_LEFT = "Somebody shared this text with you. It has {} blanks for you to fill in: {}."
TOO_MANY_LINKS = Page(
    "You cannot share more texts",
    "Your text is still here, and not shared. Withdraw one of your {most} shared texts first.",
)
NO_SUCH_LINK = Page(
    "There is no shared text at this address",
    "Compare it letter by letter with what you were given: it has ten letters and digits, and never an i, an "
    "l, an o, a 0 or a 1.",
)
LINK_WITHDRAWN = Page(
    "This text was withdrawn",
    "Whoever shared it took it back. Ask them for another one, or write your own.",
)
TOO_MANY_GUESSES = Page(
    "Too many wrong addresses",
    "Wait a minute, then open the address again. Compare it letter by letter with what you were given.",
)
LINK_NOT_KEPT = Page("Nothing is shared yet", "You were not signed in any more. Press Share this text again.")
EXPIRED_PAGE = Page("This page had expired", "Nothing was sent. Go back, reload the page and try again.")


# Why a launch waits, or was refused, by its `reason`.
REASONS: dict[Reason, Page] = {
    "not_a_member": Page(
        "You are not a member of the Exec workspace yet",
        "Exec does not know {email}. Ask for an invitation to Exec for this address, "
        "then press Create scenario again. Your text is kept.",
        support=True,
    ),
    "not_accepted": Page(
        "Exec did not accept this description", "Change it and press Create scenario again."
    ),
    "expired": Page("This scenario was never created", "It waited too long and was given up."),
    "cancelled": Page("You cancelled this scenario", "Nothing was created."),
    "no_access": Page(
        "The portal's access to Exec is not working",
        "Your text is safe; it goes through as soon as the access is repaired.",
        support=True,
    ),
    "untrusted": Page(
        "Exec answered something we do not trust",
        "So you were not sent there. Your text is safe; the portal tries again by itself.",
        support=True,
    ),
    "own_limit": Page(
        "You have made many scenarios in the last hour",
        "Each person has a certain number an hour, so that there is room for everybody.",
    ),
    "busy": Page(
        "Exec is busy", "Too many scenarios are being created at this moment. Yours keeps its place."
    ),
    "unavailable": Page("Exec does not answer right now", "The portal tries again by itself."),
}


def explain(launch: Launch) -> Page | None:
    """Return what to say of a launch's reason, if it has one."""
    if launch.reason is None:
        return None
    page = REASONS.get(launch.reason, REASONS["unavailable"])  # a newer release may know more reasons
    return replace(page, text=page.text.format(email=launch.email), detail=launch.detail or "")


@dataclass(frozen=True)
class Refusal:
    """Why nobody is signed in, and the way on: `prompt` is what the provider is asked to show again."""

    page: Page
    retry: str = "Try again"
    prompt: str | None = None


ANOTHER = ("Use another account", "select_account")
REFUSALS: dict[type[BaseException], Refusal] = {
    SignInFailed: Refusal(Page("You are not signed in", "The sign-in did not work. Please try again.")),
    Cancelled: Refusal(
        Page("Sign-in was cancelled", "You turned back before the sign-in was finished. Nothing was sent."),
        "Sign in",
    ),
    Refused: Refusal(
        Page(
            "Sign-in was refused",
            "Your company's sign-in service did not let you in, or the sign-in was cancelled there. "
            "If you should have access, ask for it to be granted.",
            support=True,
        ),
        prompt="select_account",
    ),
    Stale: Refusal(
        Page(
            "This sign-in has expired",
            "It took too long, was already used, or began in another browser. Please sign in again.",
        ),
        "Sign in again",
    ),
    BadAnswer: Refusal(
        Page(
            "The sign-in could not be verified",
            "The answer of your company's sign-in service did not pass the checks. Please try again.",
            support=True,
        )
    ),
    ProviderUnavailable: Refusal(
        Page(
            "Sign-in is not available right now",
            "Your company's sign-in service does not answer. Please try again in a minute.",
            support=True,
        )
    ),
    ProviderUnfit: Refusal(
        Page(
            "Sign-in is not set up right",
            "Your company's sign-in service and the portal do not fit together. A setting has to be changed "
            "first.",
            support=True,
        )
    ),
    NoEmail: Refusal(
        Page(
            "Your account has no e-mail address",
            "Scenario Studio knows people by their e-mail address, and your company's sign-in did not "
            "pass one on for this account.",
            support=True,
        ),
        *ANOTHER,
    ),
    UnverifiedEmail: Refusal(
        Page(
            "Your e-mail address is not verified",
            "Your company's sign-in service has not confirmed the e-mail address of this account. "
            "Confirm it there, then sign in again.",
            support=True,
        ),
        *ANOTHER,
    ),
    UnvouchedEmail: Refusal(
        Page(
            "The portal cannot tell whether your e-mail address is yours",
            "Your company's sign-in service does not say whether it has confirmed the address. You can do "
            "nothing about it: your administrator has to change a setting.",
            support=True,
        ),
        *ANOTHER,
    ),
    NotAllowed: Refusal(
        Page(
            "This account may not use the portal",
            "It is open to certain accounts of your company only, and this one is not among them.",
            support=True,
        ),
        *ANOTHER,
    ),
    GroupsLeftOut: Refusal(
        Page(
            "The portal cannot see your groups",
            "You are in so many groups that your company's sign-in service leaves them out. You can do "
            "nothing about it: your administrator has to change a setting there.",
            support=True,
        ),
        *ANOTHER,
    ),
}


class Erased(NotFound):
    """One's own launch or draft that is not there any more, and why."""


class NoSuchLink(NotFound):
    """The address of a shared text that is none."""


class LinkWithdrawn(Gone):
    """The address of a shared text that its maker took back."""


def too_many_links(most: int) -> Page:
    return replace(TOO_MANY_LINKS, text=TOO_MANY_LINKS.text.format(most=most))


def blanks_left(blanks: Sequence[str], title: str) -> Page:
    """Return what to say above a shared text."""
    if not blanks:
        return Page(title, SHARED_TEXT)
    named = ", ".join(f"[{blank}]" for blank in blanks[:10])
    return Page(
        title, BLANK_LEFT.format(named) if len(blanks) == 1 else BLANKS_LEFT.format(len(blanks), named)
    )


def foreign_form(home: str) -> Page:
    return replace(FOREIGN_FORM, text=FOREIGN_FORM.text.format(home=home))


def init_app(app: Flask) -> None:
    app.register_error_handler(SignInFailed, sign_in_failed)
    app.register_error_handler(TooManyGuesses, too_many_guesses)
    app.register_error_handler(NoText, no_text)
    app.register_error_handler(CSRFError, expired)
    app.register_error_handler(CutOff, cut_off)
    app.register_error_handler(StoreUnavailable, store_unavailable)
    app.register_error_handler(HTTPException, http_error)
    app.before_request(refused_unread)


def refused_unread() -> None:
    """Answer for the server, which could not give us the request: it names the status."""
    if REFUSED in request.environ:
        abort(request.environ[REFUSED])


def sign_in_failed(error: SignInFailed) -> tuple[str, int]:
    is_operators = error.for_operator or error.status >= 500
    level = logging.WARNING if is_operators else logging.INFO
    told = {"event": "sign_in.failed", "cause": type(error).__name__, "about": error.about, "every": 60}
    log.log(level, "a sign-in failed: %s: %s", type(error).__name__, error, extra=told)
    refusal = next(REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS)
    page = refusal.page
    if error.account:
        page = replace(page, text=f"{page.text} You signed in there as {error.account}.")
    # What the address itself says is the browser's word, and no failure of ours or of the provider's.
    is_theirs = error.status >= 500 and "error" in request.args
    status = 400 if is_theirs else error.status
    return error_page(page, way_in(g.get("wanted", "/"), refusal.prompt), refusal.retry), status


def too_many_guesses(_: TooManyGuesses) -> tuple[str, int, dict[str, str]]:
    return error_page(TOO_MANY_GUESSES), 429, {"Retry-After": "60"}


def no_text(error: NoText) -> tuple[str, int]:
    page = FILES[error.reason]
    return _form_with_text(page) or error_page(page), error.status


def expired(error: CSRFError) -> tuple[str, int]:
    told = {"event": "post.refused", "every": 60, "about": error.description}
    log.info("a post was refused: %s", error.description, extra=told)
    return error_page(EXPIRED_PAGE), 400


def cut_off(error: CutOff) -> tuple[str, int]:
    """Give back a text that had arrived whole; whatever else the form said counts for nothing."""
    if "prompt" not in error.fields:
        return error_page(PAGES[400]), 400
    kept = prefill(error.fields["prompt"], error.fields.get("form_token"))
    kept["link"] = slug_of(error.fields.get("link"))
    return form_page(PromptForm(formdata=None, data=kept, meta=_csrf()), BODY_CUT), 400


def store_unavailable(error: StoreUnavailable) -> tuple[str, int, dict[str, str]]:
    told = {"event": "database.away", "every": 60, "about": str(error)}
    log.error("the database does not answer: %s", error, extra=told)
    headers = {"Retry-After": "5"}
    if request.endpoint == "launches.show":
        headers["Refresh"] = "5"  # a page that waits goes on by itself, without a script too
    return _form_with_text(STORE_AWAY) or error_page(PAGES[503]), 503, headers


def http_error(error: HTTPException) -> BaseResponse | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    if status >= 500 and not isinstance(error, InternalServerError):
        told = {"event": "request.failed", "status": status, "every": 60, "about": str(status)}
        log.error("a request failed with %s", status, extra=told)
    response = error.get_response()  # with what the status asks for, such as Allow
    page = error_page(OF_EXCEPTIONS.get(type(error)) or _page_of(status))
    response.set_data((_form_with_text(TEXT_KEPT) if status >= 500 else None) or page)
    return response


OF_EXCEPTIONS: dict[type[HTTPException], Page] = {
    Erased: ERASED,
    NoSuchLink: NO_SUCH_LINK,
    LinkWithdrawn: LINK_WITHDRAWN,
}


def _page_of(status: int) -> Page:
    return PAGES.get(status, PAGES[400] if status < 500 else PAGES[500])


def _form_with_text(problem: Page) -> str | None:
    """Return the form with the text that a failed post carried, if it carried one that can be read."""
    if request.method != "POST" or request.endpoint is None:
        return None
    try:
        carried = "prompt" in request.form
    except HTTPException:  # cut off, or too large
        return None
    return form_page(PromptForm(meta=_csrf()), problem) if carried else None


def _csrf() -> dict[str, bool]:
    """Return what keeps a form from writing a session that was not there."""
    return {} if "csrf_token" in session else {"csrf": False}


def error_page(page: Page, way_on: str = "", label: str = "To the form") -> str:
    """Return the page; one that names whom to ask names the request as well, as the log does."""
    return render_template(
        "error.html",
        page=page,
        way_on=way_on or url_for("launches.new"),
        way_on_label=label,
        request_id=g.get("request_id") if page.support else None,
    )
