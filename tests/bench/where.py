"""Where a visit's time goes in the portal: `PYTHONPATH=.:tests .venv/bin/python -m bench.where`.

In one process and one thread, by the profiler, which makes small functions look dearer than they are.
"""

import contextlib
import cProfile
import os
import pstats
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from conftest import portal_values
from faults_people import cookie_of
from flask import Flask

from webapp import create_app
from webapp.config import Settings
from webapp.portal import portal_of

from .load import hidden_fields
from .rig import Rig, rig

WEBAPP = str(Path(sys.modules["webapp"].__file__ or "").parent)
STORE = f"{WEBAPP}/store"
EACH = 10  # visits of one person: fewer than a person's own limit
REST = "Flask, guards, form, cookies, heads"
OTHERS = {
    "create_scenario_studio_session": "Exec's API: client, TLS, JSON",
    "render_template": "page: templates",
}
Function = tuple[str, int, str]


def visits(app: Flask, issuer: str, times: int) -> dict[str, cProfile.Profile]:
    """Let people open the form and press the button so many times; return what was called for each."""
    form, create = cProfile.Profile(time.process_time), cProfile.Profile(time.process_time)
    for number in range(times):
        if number % EACH == 0:
            browser, store = app.test_client(), portal_of(app).store
            session = cookie_of(f"p{number}", issuer, store)
            browser.set_cookie(app.config["SESSION_COOKIE_NAME"], session)
        page = form.runcall(browser.get, "/").get_data(as_text=True)
        fields = {**hidden_fields(page), "prompt": f"Where the time goes, {time.time_ns()}"}
        answer = create.runcall(browser.post, "/launches", data=fields)
        assert answer.status_code == 303, answer.text
    return {"form": form, "create": create}


def parts(profile: cProfile.Profile) -> dict[str, float]:
    """Return the seconds spent in what views ask for, by the name of what they call; the last is the rest."""
    called: dict[Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    found: Counter[str] = Counter()
    whole = 0.0
    for function, (_, _, _, seconds, callers) in called.items():
        if function[2] == "wsgi_app" and function[0].endswith("flask/app.py"):
            whole = seconds
        elif name := _part(function):
            found[name] += sum(times[3] for caller, times in callers.items() if _asks(caller))
    shown = {name: seconds for name, seconds in found.most_common() if seconds}
    return shown | {REST: whole - sum(shown.values())}


def _part(function: Function) -> str | None:
    """Return what a function is called in the table; None for what is part of the rest."""
    file, _, name = function
    if file.startswith(STORE):
        return f"store: {Path(file).stem}.{name}"
    return OTHERS.get(name) if file.startswith(WEBAPP) or "/flask/" in file else None


def _asks(caller: Function) -> bool:
    """Whether it is a view or what stands between it and the store, not the store itself or a library."""
    return caller[0].startswith(WEBAPP) and not caller[0].startswith(STORE)


def portal(running: Rig, database_url: str) -> Flask:
    """A portal in this process, set up as the benchmark's."""
    values = portal_values(running.sandbox, 8000, database_url) | running.settings
    named = {name.lower(): value for name, value in values.items() if name.lower() in Settings.model_fields}
    return create_app(Settings(_env_file=None, **named))


def table(profiles: dict[str, cProfile.Profile]) -> str:
    """Return each part's share of the CPU time of a form and of a creation."""
    found = {what: parts(profile) for what, profile in profiles.items()}
    names = dict.fromkeys(name for what in ("create", "form") for name in found[what] if name != REST)
    lines = ["| CPU spent in | form | create |", "| --- | ---: | ---: |"]
    for name in (*names, REST):
        shares = (one.get(name, 0) / sum(one.values()) for one in found.values())
        lines.append(f"| {name} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return "\n".join(lines)


def main() -> None:
    # The log's lines cost what they cost; nobody wants to read them here.
    with rig() as running, Path(os.devnull).open("w") as nothing, contextlib.redirect_stderr(nothing):
        app = portal(running, f"sqlite:///{running.directory / 'where.sqlite'}")
        visits(app, running.sandbox.issuer, 20)  # connections and caches are there
        profiles = visits(app, running.sandbox.issuer, 200)
    print(table(profiles))


if __name__ == "__main__":
    main()
