"""A file's text, read in a process of its own with limits. Knows no pages and no requests.

Never a fork: the child is a script run by path, with an empty environment, for ours holds the keys.
"""

import fcntl
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

SCRIPT = Path(__file__).parent / "file_text" / "__main__.py"
PATIENCE = 10  # seconds, by the clock
QUEUE = 15  # seconds that one waits for its turn
# Two at a time on a machine, however many processes serve: a file takes a core and up to 256 MiB. A turn is
# a lock on one of these, which leaves the disk alone and ends with its holder.
TURNS = (SCRIPT, Path(__file__))


class NoText(Exception):
    """The file gave no text; `reason` says why, in one of the names below."""

    status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKind(NoText):
    status = 415


class TooLarge(NoText):
    status = 413


class Busy(NoText):
    status = 503


REASONS: dict[str, type[NoText]] = {
    "unknown": UnknownKind,
    "too_large": TooLarge,
    "too_much_text": TooLarge,
    "empty": NoText,
    "no_text": NoText,
    "encrypted": NoText,
    "mislabelled": NoText,
    "broken": NoText,
    "busy": Busy,
}


def text_of(data: bytes, name: str) -> str:
    """Return what a file says, tidied, by its content and its name's ending. Raises `NoText`."""
    with _in_turn():
        answer = _ask(data, ending(name))
    reason = answer.get("refused")
    if reason is not None:
        raise REASONS.get(reason, NoText)(reason)
    return answer["text"]


def ending(name: str) -> str:
    """Return a name's ending, or `other` for what no command takes, such as a NUL or a megabyte."""
    found = PurePath(name.replace("\\", "/")).suffix.removeprefix(".").lower()
    return found if re.fullmatch("[a-z0-9]{0,8}", found) else "other"


@contextmanager
def _in_turn() -> Iterator[None]:
    give_up = time.monotonic() + QUEUE
    while True:
        for turn in TURNS:
            with turn.open("rb") as held:
                if _locked(held):
                    yield
                    return
        if time.monotonic() > give_up:
            raise Busy("busy")
        time.sleep(0.05)


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ask(data: bytes, kind: str) -> dict[str, str]:
    """Run the script. A child that was ended, or broke, wrote nothing of use: its file is to blame."""
    command = [sys.executable, "-I", "-B", "-X", "utf8", str(SCRIPT), kind]
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and nothing of a stranger in it but a short ending
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"refused": "broken"}
    if done.returncode != 0:
        return {"refused": "broken"}
    answer: dict[str, str] = json.loads(done.stdout)
    return answer
