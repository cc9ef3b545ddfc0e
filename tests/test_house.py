"""The house keeps its own rules: who imports whom, who gets in, and what is written down."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT, SignIn
from flask import Flask
from werkzeug.routing import Rule

from webapp import guard
from webapp.config import Settings

WEBAPP = ROOT / "webapp"
MODULES = sorted(WEBAPP.glob("*.py"))
STORE = sorted((WEBAPP / "store").glob("*.py"))
FILE_TEXT = sorted((WEBAPP / "file_text").glob("*.py"))
SANDBOX = sorted((WEBAPP / "sandbox").rglob("*.py"))
EVERYTHING = sorted({*WEBAPP.rglob("*.py"), ROOT / "wsgi.py", ROOT / "gunicorn.conf.py"})
LOCKS = [
    ROOT / "requirements.txt",
    ROOT / "requirements-dev.txt",
    ROOT / "tests" / "idp" / "requirements.txt",
    ROOT / "tests" / "idp" / "package-lock.json",
]
ID = "7d1c7c2e-5f0c-4d57-9a57-3f5a3f6f0a7e"

# What stands at the bottom imports no sibling but these.
BOTTOM = {
    "files": set(),
    "addresses": set(),
    "appearance": set(),
    "config": {"addresses", "appearance", "names", "starters"},
    "attempts": {"exec_api", "store"},
    "authorities": set(),
    "exec_api": {"transport"},
    "forms": set(),
    "headers": set(),
    "starters": set(),
    "transport": {"addresses"},
}
HOMES = {
    "alembic": {"env", "store", "versions"},
    "authlib": {"oidc"},
    "brotli": {"static_files"},
    "chardet": {"encoding"},
    "cryptography": {"authorities"},
    "docx": {"word"},
    "icalendar": {"calendar"},
    "idna": {"addresses"},
    "joserfc": {"issuer", "keys", "oidc"},
    "gunicorn": {"bodies", "gunicorn.conf", "logs", "worker"},
    "os": {"__main__", "gunicorn.conf"},  # a closed pipe, and forks; pydantic_settings reads the environment
    "prometheus_client": {"gunicorn.conf", "metrics"},
    "psycopg": {"config", "store"},  # which reads DATABASE_URL by the parsers that will use it
    "pydantic": {"config"},
    "pydantic_settings": {"config"},
    "pypdf": {"pdf"},
    "pythonjsonlogger": {"logs"},
    "requests": {"exec_api", "issuer", "oidc", "transport"},
    "segno": {"links"},
    "sqlalchemy": {"config", "store", "versions"},
    "urllib3": {"transport"},
    "webvtt": {"captions"},
    "wtforms": {"forms"},
}

# A stranger's text is kept as a draft, so these four ask for no token before there is a session.
WITHOUT_CSRF_TOKEN = {
    "auth.backchannel_logout",
    "launches.create",
    "texts.create",
    "links.create",
    "embed.create",
}


def imports(path: Path, within: ast.AST | None = None) -> Iterator[str]:
    """The full name of everything that a file of ours imports, wherever in the file or in a part of it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(within or ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *((node.module,) if node.module else ())))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def siblings(path: Path) -> set[str]:
    """The modules of `webapp` that a file imports."""
    names = {module.stem for module in MODULES} | {"file_text", "sandbox", "store"}
    parts = [name.split(".") for name in imports(path)]
    return {name[1] for name in parts if name[0] == "webapp" and len(name) > 1 and name[1] in names}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


# Who imports whom


@pytest.mark.parametrize("name", BOTTOM)
def test_what_stands_at_the_bottom_imports_no_sibling(name: str) -> None:
    assert siblings(WEBAPP / f"{name}.py") <= BOTTOM[name]


@pytest.mark.parametrize("path", [*STORE, *FILE_TEXT], ids=lambda path: path.stem)
def test_the_store_and_the_reader_of_files_import_nothing_but_themselves(path: Path) -> None:
    assert siblings(path) <= {path.parent.name}


@pytest.mark.parametrize("path", [p for p in EVERYTHING if p not in FILE_TEXT], ids=lambda path: path.stem)
def test_the_portal_never_loads_what_reads_files(path: Path) -> None:
    assert "file_text" not in siblings(path)


def test_nothing_imports_uphill() -> None:
    graph = {path.stem: siblings(path) for path in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.parametrize("folder", [STORE, FILE_TEXT], ids=["store", "file_text"])
def test_nothing_imports_uphill_in_a_folder(folder: list[Path]) -> None:
    inside = f"webapp.{folder[0].parent.name}."
    within = {
        path.stem: {
            name.split(".")[2] for name in imports(path) if name.startswith(inside) and name.count(".") > 2
        }
        for path in folder
    }
    assert len(list(TopologicalSorter(within).static_order())) >= len(within)


@pytest.mark.parametrize("path", [p for p in EVERYTHING if p not in SANDBOX], ids=lambda path: path.stem)
def test_nothing_of_production_names_the_sandbox(path: Path) -> None:
    assert "sandbox" not in siblings(path)


@pytest.mark.parametrize("path", SANDBOX, ids=lambda path: path.stem)
def test_the_sandbox_knows_nothing_of_the_portal(path: Path) -> None:
    ours = {name for name in imports(path) if name.split(".")[0] == "webapp"}
    assert all(name.startswith("webapp.sandbox") for name in ours), ours


@pytest.mark.parametrize("library", HOMES)
def test_each_library_has_its_home(library: str) -> None:
    users = {
        path.parent.name if path.parent.name in ("store", "versions") else path.stem
        for path in EVERYTHING
        if path not in SANDBOX and library in {name.split(".")[0] for name in imports(path)}
    }
    assert users <= HOMES[library]


# A process for one file of one kind: it loads that kind's library alone, under its limits.
AT_ONCE = [path for path in EVERYTHING if path not in FILE_TEXT]
# Most starts go without; at the top they would cost each a quarter of its time, and the memory for good.
ONLY_WHERE_USED = ("alembic", "psycopg", "webapp.store.postgresql")


@pytest.mark.parametrize("path", AT_ONCE, ids=lambda path: path.stem)
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    for function in functions(path):
        inside = [name for name in imports(path, function) if not name.startswith(ONLY_WHERE_USED)]
        assert not inside, f"{function.name} imports {inside}"


def test_an_attempt_knows_nothing_of_flask() -> None:
    assert "flask" not in {name.split(".")[0] for name in imports(WEBAPP / "attempts.py")}


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: path.stem)
def test_no_function_hides_a_module(path: Path) -> None:
    modules = {module.stem for module in path.parent.glob("*.py")} - {path.stem}
    assert not modules & {function.name for function in functions(path) if path.name == "__init__.py"}


def test_the_entry_is_two_imports_and_one_line() -> None:
    kinds = [type(node) for node in ast.parse((ROOT / "wsgi.py").read_text()).body]
    assert kinds == [ast.Expr, ast.ImportFrom, ast.ImportFrom, ast.Assign]


# Who gets in


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_decorator_stands_above_a_route(path: Path) -> None:
    for function in functions(path):
        routes = [_is_route(decorator) for decorator in function.decorator_list]
        assert routes == sorted(routes, reverse=True), f"{function.name}: a decorator protects nothing there"


def _is_route(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in {
        "get",
        "post",
        "put",
        "delete",
        "patch",
        "route",
    }


def rules(app: Flask) -> dict[str, tuple[Rule, str]]:
    """Every endpoint with its rule and an address of it."""
    values = {"key": ID, "filename": "portal.css", "slug": "abcdefghjk"}
    adapter = app.url_map.bind("localhost")
    return {
        rule.endpoint: (rule, adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments}))
        for rule in app.url_map.iter_rules()
    }


def test_what_is_open_to_strangers_exists(app: Flask) -> None:
    assert set(rules(app)) >= guard.OPEN_TO_STRANGERS


def test_little_is_open_to_strangers() -> None:
    assert {
        "auth.backchannel_logout",
        "auth.callback",
        "auth.sign_in",
        "auth.sign_out",
        "auth.signed_out",
        "embed.create",
        "drafts.show",
        "embed.diagnose",
        "embed.seen",
        "embed.show",
        "launches.create",
        "launches.new",
        "look.accent",
        "look.logo",
        "links.create",
        "links.open_shared",
        "ops.healthz",
        "ops.metrics",
        "ops.readyz",
        "static",
        "texts.create",
    } >= guard.OPEN_TO_STRANGERS


def test_every_other_page_sends_strangers_to_the_sign_in(app: Flask) -> None:
    closed = {name: both for name, both in rules(app).items() if name not in guard.OPEN_TO_STRANGERS}
    assert closed
    for name, (rule, path) in closed.items():
        for method in {"GET", "HEAD"} & (rule.methods or set()):
            answer = app.test_client().open(path, method=method)
            assert answer.status_code == 303, name
            assert answer.location.startswith("http://localhost:8000/sign-in?to="), name


def test_no_other_post_does_anything_for_strangers(app: Flask) -> None:
    for name, (rule, path) in rules(app).items():
        if "POST" in (rule.methods or set()) and name not in guard.OPEN_TO_STRANGERS:
            answer = app.test_client().post(path)
            assert answer.status_code == 400 or answer.location == "http://localhost:8000/sign-in", name


def test_every_post_of_a_person_wants_the_pages_token(app: Flask, sign_in: SignIn) -> None:
    client = app.test_client()
    sign_in(client)
    posts = {name: path for name, (rule, path) in rules(app).items() if "POST" in (rule.methods or set())}
    assert set(posts) > WITHOUT_CSRF_TOKEN
    for name in posts.keys() - WITHOUT_CSRF_TOKEN:
        assert client.post(posts[name]).status_code == 400, name


def test_every_post_of_a_person_wants_our_own_origin(app: Flask, sign_in: SignIn) -> None:
    client = app.test_client()
    sign_in(client)
    page = client.get("/").get_data(as_text=True)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token
    posts = {name: path for name, (rule, path) in rules(app).items() if "POST" in (rule.methods or set())}
    for name in posts.keys() - WITHOUT_CSRF_TOKEN:
        answer = client.post(
            posts[name], data={"csrf_token": token[1]}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 400, name


def test_nothing_but_reading_answers_to_get(app: Flask) -> None:
    for name, (rule, _) in rules(app).items():
        assert not {"PUT", "DELETE", "PATCH"} & (rule.methods or set()), name
        assert {"GET", "POST"} & (rule.methods or set()) in ({"GET"}, {"POST"}), name


# What is written down

# Lines for each time: of people who are signed in, of operators, of the process itself.
EACH_TIME = {
    "database.away",  # at the start, and when old texts are erased
    "database.newer",
    "erased",
    "launch.created",
    "launch.erased",
    "launch.known",
    "launch.not_recorded",
    "reloaded.nothing",
    "request",
    "request.broke",
    "setting.unknown",
    "sign_in",
    "sign_in.ended",
    "sign_in.ended_by_provider",
    "sign_out",
    "started",
    "text.read",
}


def test_lines_that_strangers_can_cause_are_written_now_and_then() -> None:
    """Every other event says how often (`every`), so that nobody fills the log."""
    each_time = set()
    for path in (path for path in EVERYTHING if path not in SANDBOX):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            told = _constants(node) if isinstance(node, ast.Dict) else {}
            if isinstance(told.get("event"), str) and "every" not in told:
                each_time.add(told["event"])
    assert each_time == EACH_TIME


def _constants(node: ast.Dict) -> dict[object, object]:
    pairs = zip(node.keys, node.values, strict=True)
    return {getattr(name, "value", None): getattr(value, "value", None) for name, value in pairs}


NAMES = {name.upper() for name in Settings.model_fields}


def test_every_setting_is_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| setting |")[2].partition("\n\n")[0]
    described = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    assert sorted(described) == sorted(NAMES)


def test_every_setting_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_what_is_locked_comes_from_whichever_registry_one_has(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"sha(256|512)[:-]", text)
    assert not re.search(r'"resolved"|://|--(extra-)?index-url|--find-links| @ ', text)


@pytest.mark.parametrize("path", sorted((ROOT / "templates").glob("*.html")), ids=lambda path: path.stem)
def test_no_template_prints_what_it_did_not_escape(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)


def test_every_cookie_is_named_and_flagged_in_one_place() -> None:
    setting = re.compile(r"\.(set_cookie|delete_cookie)\(")
    assert [path.name for path in MODULES if setting.search(path.read_text(encoding="utf-8"))] == [
        "cookies.py",
    ]
