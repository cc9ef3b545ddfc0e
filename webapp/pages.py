"""What every page shares: words for all templates."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from flask import Flask, g, render_template, url_for
from jinja2 import StrictUndefined
from jinja2.ext import Extension

from . import cookies
from .config import Settings
from .forms import PromptForm
from .portal import current_portal
from .starters import PARTS
from .store.tables import Draft, Launch

LONGEST_TITLE = 90
INDENTATION = re.compile(r"^ +", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One failure as a person reads it. `support`: whether to name whom to ask."""

    title: str
    text: str
    support: bool = False
    detail: str = ""  # somebody else's sentence


class Unindented(Extension):
    """Templates are indented for those who read them; what they send is not. No value is touched."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002
        return INDENTATION.sub("", source)


def init_app(app: Flask, settings: Settings) -> None:
    app.jinja_env.add_extension(Unindented)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    # A page asks for two dozen addresses, and each depends on nothing but what is asked.
    app.jinja_env.globals["url_for"] = lru_cache(maxsize=512)(url_for)
    app.jinja_env.globals["support_contact"] = settings.support_contact
    app.jinja_env.globals["admin_emails"] = settings.admin_emails
    app.jinja_env.globals["public_url"] = settings.public_url
    app.jinja_env.globals["portal_origin"] = settings.origin
    app.jinja_env.globals["recorded_cookie"] = cookies.name(settings.public_url, cookies.RECORDED)
    app.jinja_env.filters["first_line"] = first_line


def words(app: Flask) -> str:
    """Return what scripts say beside the form: the same for everybody."""
    return app.jinja_env.get_template("words.html").render(parts=PARTS)


def first_line(text: str) -> str:
    """Return what a text is called in a list."""
    line = text.lstrip().partition("\n")[0].rstrip()
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1].rstrip()}…"


def form_page(
    form: PromptForm,
    problem: Page | None = None,
    earlier: Launch | None = None,
    *,
    waiting: Sequence[Draft] = (),
    forget: Sequence[str] = (),
    send_now: bool = False,
    note: Page | None = None,
) -> str:
    """Return the form, filled, as every view shows it; `waiting` are other texts that it leads to.

    `forget`: tokens of forms whose text was erased; this browser's copies of what was sent there shall go.
    """
    user = g.get("user")  # not there yet when a request broke before anybody was known
    g.form_leads_to_studio = True
    return render_template(
        "new.html",
        form=form,
        problem=problem,
        earlier=earlier,
        waiting=waiting,
        forget=forget,
        send_now=send_now,
        note=note,
        parts=PARTS,
        starters=current_portal.starters,
        person_key=user.key[:16] if user else "",
    )
