"""What a test does without a program that only root can install."""

import os
from typing import NoReturn

import pytest


def not_run(why: str) -> NoReturn:
    """Skip, as pytest's summary will repeat; with CI=true, fail: there nothing may be missing."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"NOT RUN: {why}")
