"""What is written for operators and developers is held to what there is."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")])
OURS = r"(?:webapp|tests|docs|deploy|static|templates|\.ci)/[\w./-]*\w/?"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(rf"`({OURS})`", text)
    linked = [path.parent / link for link in re.findall(r"\]\(([\w./-]+)\)", text)]
    missing = [name for name in named if not (ROOT / name).exists()] + [
        one for one in linked if not one.exists()
    ]
    assert missing == []


def test_make_help_names_every_command_a_person_runs() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rules = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert rules
    assert [line.split()[1] for line in said.splitlines()] == rules[1].split()
