"""Shared texts: a short address for one, its maker's page and board, and what opens there.

A stranger learns nothing of which addresses exist: the page before the sign-in is one and the same.
"""

import io
import re
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

import segno
from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, url_for

from . import auth, drafts, errors, guard
from .embed import HEIGHT
from .forms import PromptForm, clean, new_token, slug_of
from .pages import form_page
from .portal import current_portal
from .store.links import MOST_LINKS, TooManyLinks
from .store.tables import Link

bp = Blueprint("links", __name__)

LONGEST_TITLE = 100
BLANK = re.compile(r"\[(?![ xX]\])([^\[\]\n]{1,60})\](?!\()")  # no tick box, no link of Markdown's


@bp.get("/links")
def index() -> str:
    links = current_portal.store.links.of_person(g.user.key)
    return render_template("links.html", links=links, most=MOST_LINKS)


@bp.post("/links")
def create() -> drafts.Answer:
    """Keep a text under a short address, once its maker has given it a title."""
    if g.user is None:
        return drafts.keep(review=True, told="link")
    form = PromptForm()
    if not form.validate():
        return form_page(form), 422
    if not guard.from_our_own_page():
        return form_page(form, errors.foreign_form(current_portal.settings.public_url)), 422
    title = " ".join(clean(request.form.get("title")).split())
    if not title or len(title) > LONGEST_TITLE:
        asked = "title" in request.form
        return _ask_for_title(form, title, wrong=asked), 422 if asked else 200
    try:
        link = current_portal.store.links.make(_link(form, title), form.form_token.data or "")
    except TooManyLinks:
        return form_page(form, errors.too_many_links(MOST_LINKS)), 422
    flash("It is shared. Give others the address, or let them scan the code.", "shared")
    return redirect(url_for("links.show", key=link.id), 303)


@bp.get("/links/<uuid:key>")
def show(key: UUID) -> str:
    link = _own(key)
    return render_template(
        "link.html",
        link=link,
        address=address(link.slug),
        host_and_path=address(link.slug).partition("://")[2],
        long_address=long_address(link.prompt),
        height=HEIGHT // 4,
        blanks=blanks(link.prompt),
        **_board(link),
    )


@bp.get("/links/<uuid:key>/wall")
def wall(key: UUID) -> str:
    """Return what is projected in a workshop: code, address, title and board, large."""
    link = _own(key)
    if link.withdrawn is not None:
        abort(404)
    shown = address(link.slug).partition("://")[2]
    return render_template("wall.html", link=link, host_and_path=shown, **_board(link))


@bp.get("/links/<uuid:key>/qr.svg")
def code(key: UUID) -> Response:
    link = _own(key)
    drawn = io.BytesIO()
    made = segno.make(address(link.slug), micro=False, error="m")
    made.save(drawn, kind="svg", omitsize=True, xmldecl=False, svgclass=None, lineclass=None, light="#fff")
    return Response(drawn.getvalue(), mimetype="image/svg+xml")


@bp.post("/links/<uuid:key>/withdraw")
def withdraw(key: UUID) -> drafts.Answer:
    if not current_portal.store.links.withdraw(key, g.user.key):
        abort(404)
    return redirect(url_for("links.show", key=key), 303)


@bp.get("/s/<slug>")
def open_shared(slug: str) -> drafts.Answer:
    """Return the shared text in the form; it waits for a press."""
    if g.user is None:
        return _for_a_stranger()
    called = slug_of(slug.lower())
    link = current_portal.store.links.open(called, g.user.key)
    if link is None:
        raise errors.NoSuchLink
    if link.withdrawn is not None:
        raise errors.LinkWithdrawn
    token = f"s-{called}" if link.ask else new_token()
    earlier = current_portal.store.launches.used(g.user.key, token) if link.ask else None
    kept = {"prompt": link.prompt, "form_token": new_token() if earlier else token, "link": called}
    note = errors.blanks_left(blanks(link.prompt), link.title)
    return form_page(PromptForm(formdata=None, data=kept), earlier=earlier, note=note)


def _for_a_stranger() -> drafts.Answer:
    try:
        return auth.arriving()
    except auth.WantedTooLong:  # so it is no address of ours; but that is not for a stranger to know
        return render_template("arriving.html", way_in=auth.way_in())


def address(of_slug: str) -> str:
    return f"{current_portal.settings.public_url}/s/{of_slug}"


def long_address(text: str) -> str:
    """Return the address that holds a text in itself: nothing is stored, and no server sees it."""
    return f"{current_portal.settings.public_url}/#p={quote(text, safe='')}"


def blanks(text: str) -> list[str]:
    """Return what stands in square brackets, once each: to be filled in by whoever follows the link."""
    return list(dict.fromkeys(BLANK.findall(text)))


def _ask_for_title(form: PromptForm, title: str, *, wrong: bool) -> str:
    text = form.prompt.data or ""
    return render_template(
        "share.html",
        form=form,
        title=title if wrong else text.partition("\n")[0][:LONGEST_TITLE].strip(),
        wrong=wrong,
        ask=bool(request.form.get("ask")),
        longest=LONGEST_TITLE,
        blanks=blanks(text),
        long_address=long_address(text),
    )


def _link(form: PromptForm, title: str) -> Link:
    asks = bool(request.form.get("ask"))
    return Link(person=g.user.key, email=g.user.email, title=title, prompt=form.prompt.data, ask=asks)


def _own(key: UUID) -> Link:
    return current_portal.store.links.find(key, g.user.key) or abort(404)


def _board(link: Link) -> dict[str, object]:
    board = current_portal.store.links.board(link.id)
    return {"board": board, "last": datetime.fromtimestamp(board.last, UTC) if board.last else None}
