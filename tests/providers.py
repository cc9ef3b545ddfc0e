"""Identity providers of other people's making, and a person's browser that finds its way through their pages.

`tests/idp/` holds them; `make test` installs what they are made with into environments of their own.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import requests
from conftest import ROOT, inherited
from not_run import not_run
from reading import Page

HERE = ROOT / "tests" / "idp"
PROGRAMS = HERE / ".venv" / "bin"
# Legal, and different in a header that nobody has percent-encoded (RFC 6749, section 2.3.1).
SECRET = "100% secret: a+b/c=&d"
PASSWORD = "right-password"


class Browser:
    """A person's browser: it follows redirects, and stops at the door of `portal` if that is only a name."""

    def __init__(self, portal: str = "") -> None:
        self.portal = portal
        self.http = requests.Session()
        self.http.trust_env = False
        self.address = ""
        self.page = Page("")

    @property
    def is_back(self) -> bool:
        """Whether the provider has sent it on to the portal: `address` is how."""
        return f"{self.address}/".startswith(f"{self.portal}/")

    def open(self, address: str, form: dict[str, str] | None = None) -> None:
        method = "GET" if form is None else "POST"
        while not address.startswith(f"{self.portal}/"):
            answer = self.http.request(method, address, data=form, allow_redirects=False, timeout=30)
            if not answer.is_redirect:
                assert answer.status_code < 500, answer.text
                self.page = Page(answer.text)
                break
            method, form = "GET", None
            address = urljoin(address, answer.headers["Location"])
        self.address = address

    def send(self, **typed: str) -> None:
        """Fill in the page's form and send it."""
        form = self.page.one("form", method="post")
        hidden = {one.attrs["name"]: one.attrs.get("value", "") for one in form.find("input", type="hidden")}
        self.open(urljoin(self.address, form.attrs.get("action", "")), {**hidden, **typed})

    def click(self, words: str) -> None:
        self.open(urljoin(self.address, self.page.link(words)))


@dataclass(frozen=True)
class Foreign:
    """A program that serves providers, and their issuers by the name of how they are set up."""

    issuers: dict[str, str]
    process: "subprocess.Popen[str]"

    def change_keys(self, name: str) -> None:
        """Start one of them anew, with other keys under the same names."""
        assert self.process.stdin
        assert self.process.stdout
        print(name, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline().strip() == name


@contextlib.contextmanager
def run(*command: str | Path, log: Path, **told: object) -> Iterator[Foreign]:
    """A program of `tests/idp/`; it ends with its input."""
    if not (HERE / ".venv" / "stamp").exists():
        not_run("the providers are not installed (sh .ci/setup.sh providers)")
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*command, json.dumps({"secret": SECRET, "password": PASSWORD, **told})],
            cwd=HERE,
            env=inherited(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout
        line = process.stdout.readline()
        assert line, log.read_text()
        yield Foreign(json.loads(line), process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0
