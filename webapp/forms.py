"""The form, and the one door that text comes in by. No I/O."""

import re
import secrets

from flask import request
from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField, ValidationError

LONGEST_PROMPT = 10_000  # code points; Exec documents this limit for prompts elsewhere in its API
SLUG = re.compile("[a-hjkmnp-z2-9]{10}")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

# The rule for texts. `static/portal.js` follows the same one; `tests/texts.json` holds both to it.
LINE_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")  # word processors paste the rarer ones
DROPPED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")  # nobody typed them, and nobody sees them
HALVES = re.compile("[\ud800-\udfff]")  # of a character: no encoding has them
# Anything but blanks, fillers, and what Unicode lists as default-ignorable.
VISIBLE = re.compile(
    "[^\\s\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800"
    "\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def clean(text: str | None) -> str:
    """Return the one form of a text whose length is checked, whose hash is taken, and which Exec gets.

    Empty if nothing of it can be seen.
    """
    kept = DROPPED.sub("", LINE_BREAKS.sub("\n", text or ""))
    lines = HALVES.sub("\ufffd", kept).rstrip()
    if not VISIBLE.search(lines):
        return ""
    indent = len(lines) - len(lines.lstrip())
    return lines[lines.rfind("\n", 0, indent) + 1 :]


def new_token() -> str:
    """Return a token for one rendered form: whatever is sent with it is one intention."""
    return secrets.token_urlsafe(16)


def slug_of(text: str | None) -> str:
    """Return the slug of a shared text, or nothing for what cannot be one."""
    return text if text and SLUG.fullmatch(text) else ""


class PromptForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF is not typed
    """What a person sends to create a scenario."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        def wrap_formdata(self, _form: FlaskForm, formdata: object) -> object:
            """Read what was typed alone: no file that is called like a field, and no JSON."""
            return None if formdata is None else request.form

    prompt = TextAreaField("Describe the meeting or the scenario", filters=[clean])
    form_token = HiddenField()
    link = HiddenField(filters=[slug_of])  # the shared text that this began with

    def validate_prompt(self, field: TextAreaField) -> None:
        text = field.data or ""
        if not text:
            raise ValidationError("Describe the meeting or the scenario first.")
        if over := max(len(text) - LONGEST_PROMPT, 0):
            what = "1 character" if over == 1 else f"{over:,} characters"
            raise ValidationError(f"The description is {what} too long.")

    def validate_form_token(self, field: HiddenField) -> None:
        if not TOKEN.fullmatch(field.data or ""):
            field.data = new_token()
            raise ValidationError(
                "This page was not complete. Your text is still here: please send it again."
            )


def prefill(prompt: str | None, request_id: str | None) -> dict[str, str]:
    """Return what a shared link puts into the form; what cannot stand there is left out."""
    token = request_id if request_id and TOKEN.fullmatch(request_id) else new_token()
    return {"prompt": clean(prompt), "form_token": token}
