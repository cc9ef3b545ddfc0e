"""A file's text, brought into the form: below what was typed, never instead of it. Nothing is stored."""

import logging
from dataclasses import replace

from flask import Blueprint, g, request

from . import drafts, errors, files, guard
from .bodies import Upload
from .files import TooLarge
from .forms import LONGEST_PROMPT, PromptForm, clean
from .pages import Page, form_page
from .portal import current_portal

bp = Blueprint("texts", __name__)
log = logging.getLogger(__name__)

LONGEST_IN_BOX = 500_000  # code points; browsers hold more, but nobody reads it
KEEP = {"beginning", "end"}


@bp.post("/texts")
def create() -> drafts.Answer:
    """Return the form again, with the file's text in it, or cut to what fits, or both."""
    if g.user is None:
        return drafts.keep_without_file()
    form = PromptForm()
    if not form.validate() and "csrf_token" in form.errors:
        return form_page(form), 422
    if not guard.from_our_own_page():
        return form_page(form, errors.foreign_form(current_portal.settings.public_url)), 422
    text, name, keep = clean(request.form.get("prompt")), "", request.args.get("keep", "")
    upload = request.files.get("file")
    if upload and upload.filename:
        name, brought = upload.filename, _text_of(upload.filename, upload.stream)
        text = clean(f"{text}\n\n{brought}")
    if keep in KEEP:
        text = cut(text, keep)
    if len(text) > LONGEST_IN_BOX:
        raise TooLarge("too_much_text")
    filled = PromptForm(formdata=None, data={**form.data, "prompt": text})
    return form_page(filled, note=_note(name, text, keep))


def cut(text: str, keep: str) -> str:
    """Return the beginning or the end of a text, as much as Exec takes, between two words if it has such."""
    if len(text) <= LONGEST_PROMPT:
        return text
    near = LONGEST_PROMPT // 50
    if keep == "beginning":
        kept = text[:LONGEST_PROMPT]
        at = max(kept.rfind(blank, LONGEST_PROMPT - near) for blank in " \n")
        return clean(kept[:at] if at > 0 and not text[LONGEST_PROMPT].isspace() else kept)
    kept = text[-LONGEST_PROMPT:]
    starts = [at for at in (kept.find(blank, 0, near) for blank in " \n") if at >= 0]
    return clean(kept[min(starts) + 1 :] if starts and not text[-LONGEST_PROMPT - 1].isspace() else kept)


def _text_of(name: str, stream: object) -> str:
    data = stream.getvalue() if isinstance(stream, Upload) else b""
    dropped = isinstance(stream, Upload) and stream.dropped
    # Never its name: it may be a customer's.
    told = {"event": "text.read", "bytes": len(data)}
    try:
        if dropped:
            raise TooLarge("too_large")
        text = files.text_of(data, name)
    except files.NoText as error:
        log.info("a file gave no text: %s", error.reason, extra=told | {"cause": error.reason})
        raise
    log.info("a file gave %d characters", len(text), extra=told)
    return text


def _note(name: str, text: str, keep: str) -> Page:
    """Return what was done; the length is said where it does not fit."""
    over = len(text) - LONGEST_PROMPT
    note = errors.FILE_ADDED if name else errors.TEXT_CUT if keep in KEEP else errors.NO_FILE_CHOSEN
    if over > 0:
        note = errors.FILE_TOO_LONG if name else errors.TEXT_TOO_LONG
    longest = f"{LONGEST_PROMPT:,}"
    said = note.text.format(count=f"{len(text):,}", over=f"{over:,}", longest=longest)
    return replace(note, text=said)
