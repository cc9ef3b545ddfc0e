"""The form, and what becomes of it: a launch that waits its turn, and a session in Scenario Studio."""

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from . import attempts, auth, cookies, drafts, errors, guard
from .auth import WantedTooLong
from .forms import TOKEN, PromptForm, clean, new_token, prefill
from .pages import form_page
from .portal import current_portal
from .store.launches import PAGE, Lease, Recorded
from .store.tables import Launch

bp = Blueprint("launches", __name__)
log = logging.getLogger(__name__)

LONGEST_SEARCH = 100
LONGEST_LOCATION = 2000  # bytes; nginx reads an answer's head into 4 KB
LONG_WAIT = 600  # seconds; nobody watches a countdown of hours
Answer = BaseResponse | str | tuple[str, int] | tuple[str, int, dict[str, str]]


@bp.get("/")
def new() -> Answer:
    if g.user is None:
        return _for_a_stranger()
    form, earlier = PromptForm(formdata=None, data=_prefill()), _link_used_before()
    if earlier:
        form.form_token.data = new_token()
    forget = current_portal.store.launches.erased_tokens(g.user.key)
    return form_page(form, earlier=earlier, waiting=drafts.unsent(), forget=forget)


@bp.post("/launches")
def create() -> Answer:
    if g.user is None:
        return drafts.keep()
    form = PromptForm()
    if not form.validate():
        return form_page(form), 422
    if not guard.from_our_own_page():
        return form_page(form, errors.foreign_form(current_portal.settings.public_url)), 422
    recorded = _record(form)
    if recorded.launch is None:
        return form_page(form, earlier=recorded.earlier), 422
    return _answer(_call(recorded.lease) if recorded.lease else recorded.launch, form)


@bp.get("/launches")
def index() -> Answer:
    words = clean(request.args.get("q"))[:LONGEST_SEARCH]
    shown, has_older, has_newer = _page(words)
    return render_template(
        "launches.html",
        launches=shown,
        words=words,
        explain=errors.explain,
        older=_link("before", shown[-1], words) if has_older else None,
        newer=_link("after", shown[0], words) if has_newer else None,
    )


@bp.get("/launches/<uuid:key>")
def show(key: UUID) -> Answer:
    launch = _own(key)
    if request.args.get("go") == "1" and _is_deliberate():
        launch = _attempt(launch)
        if _fits_a_head(launch):
            return redirect(launch.url or "", 303)
        if launch.erased:  # cancelled in another tab while Exec was asked
            return redirect(url_for("launches.index"), 303)
    return _launch_page(launch)


@bp.post("/launches/<uuid:key>/erase")
def erase(key: UUID) -> Answer:
    launch = _own(key)
    erased = current_portal.store.erasing.launch(key, g.user.key, drafts.of_this_browser())
    log.info("a person erased a scenario", extra={"event": "launch.erased", "launch": str(key)})
    if launch.state in ("waiting", "creating") and erased and erased.prompt:
        form = PromptForm(formdata=None, data=prefill(erased.prompt, None))
        return form_page(form, forget=[launch.form_token], note=errors.CANCELLED)
    flash(launch.form_token, "erased")
    return redirect(url_for("launches.index"), 303)


def _answer(launch: Launch, form: PromptForm) -> Answer:
    if launch.erased:  # cancelled in another tab while Exec was asked
        return redirect(url_for("launches.index"), 303)
    if launch.state == "refused":
        return form_page(form, errors.explain(launch)), 422
    page = url_for("launches.show", key=launch.id)
    response = redirect((launch.url or page) if _fits_a_head(launch) else page, 303)
    # The browser's own copy of the text is not needed any more; our script reads this and drops it.
    home = current_portal.settings.public_url
    recorded = cookies.name(home, cookies.RECORDED)
    cookies.keep(response, home, recorded, launch.form_token, 30 * 24 * 3600, readable=True)
    return response


def _fits_a_head(launch: Launch) -> bool:
    """Whether a redirect can lead to the studio; a longer address is a link on the launch's page."""
    return launch.state == "ready" and 0 < len(launch.url or "") <= LONGEST_LOCATION


def _launch_page(launch: Launch) -> str:
    waits = launch.state in ("waiting", "creating")
    outlook = current_portal.pacer.outlook(launch) if waits else None
    seconds = math.ceil(outlook.seconds) if outlook else 0
    return render_template(
        "launch.html",
        launch=launch,
        problem=errors.explain(launch),
        place=outlook.place if outlook else None,
        seconds=seconds,
        long_wait=seconds > LONG_WAIT,
        goes_on_at=datetime.now(UTC) + timedelta(seconds=seconds),
        own_limit=current_portal.settings.creations_per_person_per_hour,
        refresh_in=min(max(seconds, 1), 10),
    )


def _call(lease: Lease) -> Launch:
    return attempts.call(current_portal.pacer, current_portal.exec, lease)


def _attempt(launch: Launch) -> Launch:
    """Call Exec if it is this launch's turn, for the address that the person has now."""
    portal = current_portal
    return attempts.attempt(portal.pacer, portal.exec, launch, g.user.email) or _own(launch.id)


def _record(form: PromptForm) -> Recorded:
    another = bool(request.form.get("another"))
    token, prompt = form.form_token.data or "", form.prompt.data or ""
    store, person, begin = current_portal.store, g.user, current_portal.pacer.lease
    link = store.links.key_of(form.link.data) if form.link.data else None
    return store.launches.record(
        person.key, person.email, token, prompt, another=another, link=link, begin=begin
    )


def _for_a_stranger() -> Answer:
    try:
        return auth.arriving()
    except WantedTooLong:
        form = PromptForm(formdata=None, data=_prefill(), meta={"csrf": False})
        g.form_leads_home = True
        # By itself the page goes on without the text, which then waits in the browser's tab.
        token = request.args.get("request_id", "")
        way_in = auth.way_in(f"/?request_id={token}" if TOKEN.fullmatch(token) else "/")
        return render_template("keep_draft.html", form=form, way_in=way_in)


def _prefill() -> dict[str, str]:
    """Return what the address asks to stand in the form: one's own earlier text, a link's, or a starter."""
    args = request.args
    text = args.get("prompt")
    starter = current_portal.starters.get(args.get("starter", ""))
    if text is None and starter:
        text = starter.text
    if g.user and "launch" in args:
        text = _own(args.get("launch", type=UUID) or abort(404)).prompt
    return prefill(text, args.get("request_id"))


def _link_used_before() -> Launch | None:
    token = request.args.get("request_id", "")
    return current_portal.store.launches.used(g.user.key, token) if TOKEN.fullmatch(token) else None


def _own(key: UUID) -> Launch:
    launches = current_portal.store.launches
    launch = launches.find(key, g.user.key)
    return launch or _refuse(key)


def _refuse(key: UUID) -> NoReturn:
    """Say that one's own launch was erased; of another's, say nothing but write down who asked."""
    owner = current_portal.store.launches.owner(key)
    if owner == g.user.key:
        raise errors.Erased
    if owner is not None:
        current_portal.store.events.note("access.refused", key)
    abort(404)


def _page(words: str) -> tuple[list[Launch], bool, bool]:
    """Return the launches that the address asks for, and whether there are older and newer ones."""
    launches = current_portal.store.launches
    after, before = (_cursor(request.args.get(name, "")) for name in ("after", "before"))
    if after and (newer := launches.newer(g.user.key, after, words)):
        return newer, True, True
    found = launches.newest(g.user.key, None if after else before, words)
    return found[:PAGE], len(found) > PAGE, bool(found and before and not after)


def _link(way: str, launch: Launch, words: str) -> str:
    query = {way: f"{launch.created!r}_{launch.id}"} | ({"q": words} if words else {})
    return f"{url_for('launches.index')}?{urlencode(query)}"


def _cursor(text: str) -> tuple[float, UUID] | None:
    created, _, key = text.partition("_")
    try:
        return float(created), UUID(key)
    except ValueError:
        return None


def _is_deliberate() -> bool:
    """Whether this request is a person's or their page's own, not a browser's or a mail scanner's guess."""
    said = request.headers
    purpose = "".join(said.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"))
    # An image or a frame on somebody's page is not the person; a browser that says nothing is believed.
    asked_for = said.get("Sec-Fetch-Dest", "document") in ("document", "empty")
    from_here = said.get("Sec-Fetch-Site", "none") in ("none", "same-origin", "same-site")
    return request.method == "GET" and "prefetch" not in purpose and asked_for and from_here
