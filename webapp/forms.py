"""The form, and the one door that text comes in by. No I/O."""

import re
import secrets

from flask import request
from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField, ValidationError

LONGEST_PROMPT = 10_000  # code points; Exec documents this limit for prompts elsewhere in its API
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Word processors paste these as line breaks.
LINE_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


def clean(text: str | None) -> str:
    """Return the one form of a text whose length is checked, whose hash is taken, and which Exec gets."""
    lines = LINE_BREAKS.sub("\n", text or "").rstrip()
    indent = len(lines) - len(lines.lstrip())
    return lines[lines.rfind("\n", 0, indent) + 1 :]


def new_token() -> str:
    """Return a token for one rendered form: whatever is sent with it is one intention."""
    return secrets.token_urlsafe(16)


class PromptForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF is not typed
    """What a person sends to create a scenario."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        def wrap_formdata(self, _form: FlaskForm, formdata: object) -> object:
            """Read what was typed alone: no file that is called like a field, and no JSON."""
            return None if formdata is None else request.form

    prompt = TextAreaField("Describe the meeting or the scenario", filters=[clean])
    form_token = HiddenField()

    def validate_prompt(self, field: TextAreaField) -> None:
        text = field.data or ""
        if not text.strip():
            raise ValidationError("Describe the meeting or the scenario first.")
        if len(text) > LONGEST_PROMPT:
            raise ValidationError(
                f"The description is {len(text) - LONGEST_PROMPT:,} characters too long. "
                f"Shorten it to {LONGEST_PROMPT:,} characters."
            )
        if CONTROL_CHARACTERS.search(text):
            raise ValidationError(
                "The description holds characters that cannot be sent. "
                "Type the passage again instead of pasting it."
            )

    def validate_form_token(self, field: HiddenField) -> None:
        if not TOKEN.fullmatch(field.data or ""):
            field.data = new_token()
            raise ValidationError(
                "This page was not complete. Your text is still here: please send it again."
            )


def prefill(prompt: str | None, request_id: str | None) -> dict[str, str]:
    """Return what a shared link puts into the form; what cannot stand there is left out."""
    text = CONTROL_CHARACTERS.sub("", clean(prompt))
    token = request_id if request_id and TOKEN.fullmatch(request_id) else new_token()
    return {"prompt": text, "form_token": token}
