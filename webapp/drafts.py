"""Text that nobody signed in has claimed yet: an expired sign-in's, or a link's that is too long to carry.

Keeping one touches no session. Who may read it: the browser that wrote it, and in it one person.
"""

import hmac
import logging
import secrets
from ipaddress import ip_address, ip_network

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from . import auth, cookies, errors
from .forms import TOKEN, PromptForm
from .keys import derived, digest
from .pages import form_page
from .portal import current_portal
from .store.drafts import DRAFT_LIFETIME
from .store.tables import Draft, launch_id

bp = Blueprint("drafts", __name__)
log = logging.getLogger(__name__)

Answer = BaseResponse | str | tuple[str, int]


def keep(*, review: bool = False, told: str | None = None) -> Answer:
    """Keep the text of a stranger's post and go where it waits for the sign-in.

    `review`: the person presses once more after the sign-in, even if the text was typed on a page of ours.
    `told`: what the page there shall say as well.
    """
    form = PromptForm(meta={"csrf": False})
    if not form.validate():
        return form_page(form), 422
    ours = request.headers.get("Origin") == current_portal.settings.origin
    secret = secrets.token_urlsafe(24)
    draft = Draft(
        id=secrets.token_urlsafe(16),
        secret_hash=digest(secret),
        form_token=form.form_token.data,
        prompt=form.prompt.data,
        send=ours and not review and "review" not in request.form,
        person=g.former,
        link=form.link.data or None,
        address_hash=_address_hash(),
    )
    if not current_portal.store.drafts.keep(draft):
        log.warning(
            "a stranger's text was refused: too many wait", extra={"event": "draft.refused", "every": 60}
        )
        return form_page(form, errors.TOO_MANY_DRAFTS), 429
    response = redirect(url_for("drafts.show", key=draft.id, told=told), 303)
    home = current_portal.settings.public_url
    cookies.keep_one_of(response, home, cookies.DRAFT, draft.id, secret, DRAFT_LIFETIME)
    return response


def keep_without_file() -> Answer:
    """Keep what was typed when a stranger brings a file: that itself is not kept, and the page says so."""
    typed = PromptForm(meta={"csrf": False})
    if not typed.prompt.data:
        return form_page(typed, errors.FILE_NEEDS_SIGN_IN), 422
    return keep(review=True, told="file")


@bp.get("/drafts/<key>")
def show(key: str) -> Answer:
    secret = cookies.one_of(current_portal.settings.public_url, cookies.DRAFT, key)
    # Not every path is one of ours, or even what a database takes for text.
    known = TOKEN.fullmatch(key) and secret
    draft = (
        current_portal.store.drafts.claim(key, digest(secret), g.user.key if g.user else None)
        if known
        else None
    )
    if draft and draft.erased:
        raise errors.Erased
    if draft is None:
        return errors.error_page(errors.NO_DRAFT), 404
    if g.user is None:
        # A page, not a redirect: the chain of redirects out of a form's post ends here.
        return render_template(
            "signing_in.html",
            text=None if draft.person else draft.prompt,
            file_lost=request.args.get("told") == "file",
            way_in=auth.way_in_from_page(),
        )
    made = current_portal.store.launches.find(
        launch_id(g.user.key, draft.form_token, draft.prompt), g.user.key
    )
    if made:
        return redirect(url_for("launches.show", key=made.id), 303)
    kept = {"prompt": draft.prompt, "form_token": draft.form_token, "link": draft.link}
    form = PromptForm(formdata=None, data=kept)
    # Sent already, with other words in it: whoever comes back here is asked.
    sent = current_portal.store.launches.used(g.user.key, draft.form_token)
    told = {"file": errors.FILE_NOT_KEPT, "link": errors.LINK_NOT_KEPT}
    note = told.get(request.args.get("told", ""))
    return form_page(form, send_now=draft.send and sent is None, note=note)


def unsent() -> list[Draft]:
    """Return this browser's texts that it has not sent: two tabs signed in at once, and one lost its way."""
    hashes = of_this_browser()
    return current_portal.store.drafts.unsent(hashes, g.user.key) if hashes else []


def of_this_browser() -> list[str]:
    """Return what stands for this browser in the drafts that it wrote."""
    return [digest(value) for value in cookies.all_of(current_portal.settings.public_url, cookies.DRAFT)]


def _address_hash() -> str:
    """Return what stands for where a stranger is: an address, or the /64 that one IPv6 customer has."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return digest("nowhere")
    network = ip_network((address, 64), strict=False) if address.version == 6 else address
    key = derived(current_portal.settings.secret_keys[0], "address")
    return hmac.digest(key, str(network).encode(), "sha256").hex()
