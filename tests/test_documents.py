"""What is written for operators and developers is held to what there is."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from webapp.__main__ import _parser
from webapp.config import Settings

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")])
FOR_OPERATORS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "webapp").glob("*.py"))
# Settings of others that the documents name, and words in capitals that are none.
OTHERS = {
    "CREATE",
    "GRANT",
    "PYTHONPATH",
    "SIGHUP",
    "SIGTERM",
    "FAIL",
    "PORT",
    "SANDBOX_PORT",
    "NAME_FILE",
    "OIDC_RP_INITIATED_LOGOUT_ENABLED",
    "QUICK",
    "CI",
}
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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_heading_that_a_document_links_to_exists(path: Path) -> None:
    for file, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", path.read_text(encoding="utf-8")):
        there = (path.parent / file if file else path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_make_help_names_every_command_a_person_runs() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    rules = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert rules
    assert [line.split()[1] for line in said.splitlines()] == rules[1].split()


def test_every_check_is_described() -> None:
    named = set(re.findall(r'Check\(\s*"([a-z_]+)"', CODE)) | {"provider_clock"}
    table = OPERATING.partition("| check | what FAIL means")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == named


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_exists(path: Path) -> None:
    known = set(re.findall(r"[a-z-]+", _parser().format_usage().partition("{")[2].partition("}")[0]))
    named = set(re.findall(r"-m webapp ([a-z-]+)", path.read_text(encoding="utf-8")))
    assert known
    assert named <= known


def test_every_event_that_wakes_somebody_is_logged() -> None:
    table = OPERATING.partition("| event | level |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    named = {event for row in rows for event in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", row)}
    assert named
    assert {event for event in named if f'"{event}"' not in CODE} == set()


@pytest.mark.parametrize("path", FOR_OPERATORS, ids=lambda path: path.name)
def test_every_setting_named_in_the_documents_exists(path: Path) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`", path.read_text(encoding="utf-8")))
    unknown = {name for name in named if not {name, name.removesuffix("_FILE")} & settings}
    assert unknown <= OTHERS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_test_that_a_document_names_exists(path: Path) -> None:
    tests = "\n".join(one.read_text(encoding="utf-8") for one in (ROOT / "tests").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8")))
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_compose_file_sets_what_there_is() -> None:
    portal = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"][
        "portal"
    ]
    settings = {name.upper() for name in Settings.model_fields}
    given = set(portal["environment"])
    assert {name for name in given if not {name, name.removesuffix("_FILE")} & settings} == set()
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= {name.removesuffix("_FILE") for name in given} | given
    files = {Path(path).name for path in portal["environment"].values() if "/run/secrets/" in path}
    assert files == set(portal["secrets"])


def test_the_image_holds_what_the_portal_needs() -> None:
    copied = set(
        re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "deploy" / "Containerfile").read_text(), re.MULTILINE)
    )
    named = {name for line in copied for name in line.split()}
    assert {"pyproject.toml", "wsgi.py", "gunicorn.conf.py", "templates", "static", "webapp"} <= named
    assert all((ROOT / name).exists() for name in named)
