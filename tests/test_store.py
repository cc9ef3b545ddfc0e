"""The store, the same on SQLite and on PostgreSQL; time passes by moving rows' times back."""

import contextlib
import math
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import ROOT, OpenStore, PostgreSQL, inherited, wait_until
from sqlalchemy import NullPool, event, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from webapp.store import Store
from webapp.store.database import MOST, POOL, Database, StoreUnavailable, begin, engine, now_in
from webapp.store.drafts import DRAFT_LIFETIME
from webapp.store.erasing import Erased, ErasedPerson
from webapp.store.launches import ERASED_TOKENS, PAGE, SAME_AGAIN
from webapp.store.links import Board
from webapp.store.migration import MIGRATIONS, migrate
from webapp.store.outages import crowded
from webapp.store.pace import Pacer
from webapp.store.sign_ins import EndedAlready, Replayed
from webapp.store.tables import (
    Base,
    Call,
    Draft,
    IdToken,
    Launch,
    Link,
    Logout,
    Pace,
    SignIn,
    launch_id,
    person_key,
)
from webapp.store.turn import Turn

DANA = person_key("https://idp.example", "acme|dana")
OMAR = person_key("https://idp.example", "acme|omar")
EMAIL = "Dana@acme.example"
HOUR, DAY = 3600, 24 * 3600
TOKEN = "token"

Result = TypeVar("Result")


def record(
    store: Store, prompt: str = "Talk to a client", token: str = TOKEN, person: str = DANA, **more: bool
) -> Launch:
    """Record an intention that nothing stands in the way of."""
    recorded = store.launches.record(person, EMAIL, token, prompt, **{"another": False, **more})
    assert recorded.launch
    return recorded.launch


def keep_draft(store: Store, key: str, **values: object) -> None:
    """Keep a stranger's text, or what `values` say."""
    usual = {"secret_hash": key, "form_token": key, "prompt": "A text", "send": False, "address_hash": key}
    assert store.drafts.keep(Draft(id=key, **{**usual, **values}))


def change(store: Store, launch: Launch, **values: object) -> None:
    """Set columns of a launch's row; a number that starts with the row's own moves its time."""
    with store.database.write() as db:
        db.execute(update(Launch).where(Launch.id == launch.id).values(**values))


def let_pass(store: Store, seconds: float) -> None:
    """Let this time pass for every launch: it was made so much earlier."""
    with store.database.write() as db:
        db.execute(update(Launch).values(created=Launch.created - seconds))


def row(store: Store, launch: Launch) -> Launch:
    with store.database.read() as db:
        return db.get_one(Launch, launch.id)


def make_ready(store: Store, launch: Launch) -> None:
    pacer = Pacer(store.database, 0, 0, "key")
    lease = pacer.begin(launch.id, EMAIL)
    assert lease
    pacer.created(lease, "https://acme.app.exec.com/chat/1")


def refuse(store: Store, launch: Launch) -> None:
    pacer = Pacer(store.database, 0, 0, "key")
    lease = pacer.begin(launch.id, EMAIL)
    assert lease
    pacer.refused(lease, "not_accepted", "Too long")


def all_at_once(count: int, work: Callable[[int], Result]) -> list[Result]:
    """Run `work(number)` in so many threads that start together; return what each returned."""
    together = threading.Barrier(count)

    def run(number: int) -> Result:
        together.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


@contextlib.contextmanager
def opened(url: str) -> Iterator[Store]:
    """A store of its own, closed with the block."""
    store = Store(url)
    try:
        yield store
    finally:
        store.database.engine.dispose()


# --- Migrations


def test_migrations_build_exactly_what_the_models_say(store: Store) -> None:
    with store.database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": Base.metadata}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_build_the_indexes_conditions(store: Store) -> None:
    """Alembic's comparison does not look at an index's condition."""
    dialect = store.database.engine.dialect.name
    for index in inspect(store.database.engine).get_indexes("launches"):
        [model] = [model for model in Launch.__table__.indexes if model.name == index["name"]]
        built = str(index["dialect_options"].get(f"{dialect}_where", ""))
        condition = model.dialect_options[dialect]["where"]
        declared = "" if condition is None else str(condition)
        assert re.sub(r"::text|[() ]", "", built) == declared.replace(" ", ""), index["name"]


def test_migrating_again_changes_nothing(store: Store) -> None:
    launch = record(store)

    migrate(store.database.url)

    assert store.launches.find(launch.id, DANA)


def test_a_start_imports_only_what_it_uses(store: Store) -> None:
    """Alembic is a sixth of a start's time, PostgreSQL's driver a fifteenth, and both stay in memory."""
    program = """import sys
import webapp
from webapp.store.migration import migrate
migrate(sys.argv[1])
print(*sorted({"alembic", "psycopg"} & sys.modules.keys()))"""
    command = [sys.executable, "-c", program, store.database.url]
    needed = "" if store.database.file else "psycopg"

    done = subprocess.run(command, cwd=ROOT, env=inherited(), capture_output=True, text=True, check=True)

    assert done.stdout.strip() == needed


def test_migrations_stand_in_files_of_their_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()

    names = [(script.revision, Path(script.path).stem.partition("_")[0]) for script in scripts]

    assert [revision for revision, _ in names] == sorted((name for _, name in names), reverse=True)


@pytest.mark.slow
def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    program = """import sys
from webapp.store.migration import migrate
print("ready", flush=True)
sys.stdin.read(1)
migrate(sys.argv[1])"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", program, database_url]
    processes = [subprocess.Popen(command, cwd=ROOT, env=inherited(), text=True, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        assert process.stdin
        process.stdin.write("g")
        process.stdin.flush()
    complaints = [process.communicate(timeout=30)[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 3, complaints
    with opened(database_url) as store, store.database.read() as db:
        assert db.scalars(select(Pace.id)).all() == [1]


def test_migrating_gives_up_when_the_database_stays_away(postgresql: PostgreSQL) -> None:
    with pytest.raises(StoreUnavailable):
        migrate(postgresql.server.get_uri("never_made"), patience=0)


# --- Recording an intention


def test_the_same_intention_finds_its_row(store: Store) -> None:
    first, second = record(store), record(store)

    assert first.id == second.id == launch_id(DANA, "token", "Talk to a client")
    assert len(store.launches.newest(DANA, None)) == 1


def test_the_id_is_the_same_in_every_version_of_the_portal() -> None:
    """It is what Exec de-duplicates by: a release that changed it would make second sessions."""
    assert person_key("https://idp.example", "acme|dana") == DANA
    expected = UUID("f7c19256-b76e-5ddf-a7b5-2bede27aa8a6")
    assert launch_id("person", "token", "prompt") == expected


@pytest.mark.parametrize(
    ("person", "token", "prompt"),
    [(OMAR, "token", "Talk"), (DANA, "other", "Talk"), (DANA, "token", "Talk!")],
    ids=["person", "form", "text"],
)
def test_every_part_of_an_intention_makes_it_another(person: str, token: str, prompt: str) -> None:
    assert launch_id(person, token, prompt) != launch_id(DANA, "token", "Talk")


def test_the_request_id_fits_what_exec_takes(store: Store) -> None:
    launch = record(store)

    assert launch.request_id == f"portal-{launch.id}"


def test_the_issuer_and_the_subject_are_kept_apart() -> None:
    assert person_key("https://a", "b") != person_key("https://ab", "")


def test_a_changed_text_is_a_new_launch(store: Store) -> None:
    assert record(store, "Talk").id != record(store, "Talk to a client").id


def test_two_people_following_one_link_have_two_launches(store: Store) -> None:
    assert record(store).id != record(store, person=OMAR).id


def test_a_new_launch_waits_from_now_on(store: Store) -> None:
    launch = record(store)

    with store.database.read() as db:
        now = now_in(db)
    assert launch.state == "waiting"
    assert now - 5 < launch.created <= now
    assert launch.created == launch.queued == launch.not_before == launch.seen == launch.due
    assert (launch.email, launch.prompt, launch.attempt) == (EMAIL, "Talk to a client", 0)


def test_the_same_text_from_another_form_is_asked_about(store: Store) -> None:
    first = record(store)

    recorded = store.launches.record(DANA, EMAIL, "another form", "Talk to a client", another=False)

    assert recorded.launch is None
    assert recorded.earlier
    assert recorded.earlier.id == first.id


def test_the_newest_of_the_same_text_is_asked_about(store: Store) -> None:
    for number in range(2):
        newest = record(store, token=str(number), another=True)

    asked = store.launches.record(DANA, EMAIL, "third", "Talk to a client", another=False)

    assert asked.earlier
    assert asked.earlier.id == newest.id


def test_the_same_text_is_asked_about_for_ten_minutes_only(store: Store) -> None:
    record(store)
    let_pass(store, SAME_AGAIN - 5)
    assert store.launches.record(DANA, EMAIL, "second", "Talk to a client", another=False).earlier

    let_pass(store, 10)

    assert store.launches.record(DANA, EMAIL, "second", "Talk to a client", another=False).launch


def test_other_peoples_texts_are_not_asked_about(store: Store) -> None:
    record(store)

    assert record(store, token="second", person=OMAR)


def test_another_one_is_made_when_asked_for(store: Store) -> None:
    first = record(store)

    assert record(store, token="second", another=True).id != first.id


def test_a_refused_text_is_not_asked_about(store: Store) -> None:
    refuse(store, record(store))

    assert record(store, token="second")


def test_a_cancelled_text_is_not_asked_about(store: Store) -> None:
    store.erasing.launch(record(store).id, DANA)

    assert record(store, token="second")


def test_a_launch_being_created_that_was_cancelled_is_not_asked_about(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    store.erasing.launch(launch.id, DANA)

    assert record(store, token="second")


def test_a_refused_launch_sent_again_waits_again(store: Store) -> None:
    refuse(store, record(store))

    launch = record(store)

    assert (launch.state, launch.reason, launch.detail, launch.finished) == ("waiting", None, None, None)
    assert launch.queued == launch.not_before > launch.finished if launch.finished else True


def test_a_ready_launch_sent_again_stays_ready(store: Store) -> None:
    make_ready(store, record(store))

    launch = record(store)

    assert (launch.state, launch.url) == ("ready", "https://acme.app.exec.com/chat/1")


def test_a_waiting_launch_sent_again_keeps_its_place(store: Store) -> None:
    first = record(store)
    change(store, first, queued=Launch.queued - 60, not_before=Launch.not_before + 30)

    again = record(store)

    assert again.queued == pytest.approx(first.queued - 60)
    assert again.not_before == pytest.approx(first.not_before + 30)
    assert again.seen > first.seen


def test_an_erased_launch_sent_again_fills_its_row(store: Store) -> None:
    first = record(store)
    make_ready(store, first)
    store.erasing.launch(first.id, DANA)

    again = record(store)

    assert again.request_id == first.request_id
    assert (again.state, again.erased, again.url) == ("waiting", None, None)
    assert (again.prompt, again.email) == ("Talk to a client", EMAIL)
    assert again.prompt_hash == sha256(b"Talk to a client").hexdigest()
    assert store.launches.find(first.id, DANA)


def test_an_old_launch_sent_again_is_as_young_as_a_new_one(store: Store) -> None:
    """Or the next erasing, within the hour, would take a text that waits."""
    first = record(store)
    make_ready(store, first)
    let_pass(store, 40 * DAY)
    store.erasing.older_than(30)
    record(store)

    store.erasing.older_than(30)

    found = store.launches.find(first.id, DANA)
    assert found
    assert found.prompt == "Talk to a client"


def test_a_launch_sent_again_while_it_is_created_is_wanted_after_all(store: Store) -> None:
    launch = record(store)
    pacer = Pacer(store.database, 0, 0, "key")
    lease = pacer.begin(launch.id, EMAIL)
    assert lease
    store.erasing.launch(launch.id, DANA)

    record(store)
    pacer.created(lease, "https://acme.app.exec.com/chat/1")

    found = store.launches.find(launch.id, DANA)
    assert found
    assert found.state == "ready"


def test_the_same_text_from_many_forms_at_once_makes_one(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]

    recorded = all_at_once(
        12,
        lambda n: stores[n % 2].launches.record(DANA, EMAIL, f"form-{n}", "Talk to a client", another=False),
    )

    made = [one.launch.id for one in recorded if one.launch]
    assert len(made) == 1
    assert {one.earlier.id for one in recorded if one.earlier} == set(made)
    assert len(recorded) == 12


def test_one_form_sent_many_times_at_once_makes_one(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]

    launches = all_at_once(12, lambda n: record(stores[n % 2]))

    assert len({launch.id for launch in launches}) == 1
    assert len(stores[0].launches.newest(DANA, None)) == 1


def test_no_update_is_lost(open_store: OpenStore) -> None:
    """With SQLAlchemy's defaults on SQLite, 349 of 400 are, without an error."""
    store = open_store()

    def count_up(_: int) -> None:
        for _ in range(10):
            with store.database.write() as db:
                pace = db.get_one(Pace, 1, with_for_update=True)
                pace.floor = pace.floor + 1

    all_at_once(8, count_up)

    with store.database.read() as db:
        assert db.get_one(Pace, 1).floor == 80


# --- Reading


def test_another_persons_launch_is_none(store: Store) -> None:
    assert store.launches.find(record(store).id, OMAR) is None


def test_an_unknown_launch_is_none(store: Store) -> None:
    assert store.launches.find(uuid4(), DANA) is None


def test_an_erased_launch_is_none(store: Store) -> None:
    launch = record(store)
    store.erasing.launch(launch.id, DANA)

    assert store.launches.find(launch.id, DANA) is None
    assert store.launches.newest(DANA, None) == []


def test_a_launch_to_be_erased_after_its_call_is_none(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    store.erasing.launch(launch.id, DANA)

    assert store.launches.find(launch.id, DANA) is None
    assert store.launches.newest(DANA, None) == []


def test_the_operator_sees_the_newest_of_some_people(store: Store) -> None:
    launches = [record(store, f"Text {number}", person=(DANA, OMAR)[number % 2]) for number in range(4)]
    record(store, person="somebody else")

    found = store.launches.of_people([DANA, OMAR], 3)

    assert [launch.id for launch in found] == [launch.id for launch in launches[:0:-1]]


def test_a_draft_is_unsent_though_another_person_sent_that_form(store: Store) -> None:
    """As with a link that carries a `request_id`, which all have who follow it."""
    keep_draft(store, "mine", form_token=TOKEN)
    record(store, person=OMAR)

    assert [draft.id for draft in store.drafts.unsent(["mine"], DANA)] == ["mine"]


def test_a_link_is_used_by_whoever_made_something_of_it(store: Store) -> None:
    launch = record(store, token="link")
    later = record(store, "Another text", token="link")
    change(store, launch, created=Launch.created - 60)

    used = store.launches.used(DANA, "link")

    assert used
    assert used.id == later.id
    assert store.launches.used(OMAR, "link") is None
    assert store.launches.used(DANA, "other") is None


def test_a_link_whose_launch_was_refused_is_not_used(store: Store) -> None:
    refuse(store, record(store, token="link"))

    assert store.launches.used(DANA, "link") is None


def test_a_link_whose_launch_is_to_be_erased_is_not_used(store: Store) -> None:
    launch = record(store, token="link")
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    store.erasing.launch(launch.id, DANA)

    assert store.launches.used(DANA, "link") is None


def many(store: Store, count: int, person: str = DANA, **values: object) -> list[UUID]:
    """Put so many launches of a person there at once."""
    with store.database.write() as db:
        now = now_in(db)
        times = dict.fromkeys(("created", "queued", "not_before", "seen", "due"), now)
        fixed = {"person": person, "form_token": "t", "prompt": "Talk", "email": EMAIL, "state": "waiting"}
        fixed |= times | {"attempt": 0, "held": False, "erase_after_call": False} | values
        keys = [uuid4() for _ in range(count)]
        db.execute(insert(Launch), [{"id": key, **fixed} for key in keys])
    return keys


def test_pages_hold_every_launch_once_at_equal_times(store: Store) -> None:
    keys = many(store, 2 * PAGE + 7)
    many(store, 3, OMAR)
    seen: list[UUID] = []

    before = None
    while page := store.launches.newest(DANA, before):
        shown = page[:PAGE]
        seen += [launch.id for launch in shown]
        before = (shown[-1].created, shown[-1].id)

    assert len(seen) == len(keys)
    assert set(seen) == set(keys)


def test_pages_go_from_new_to_old(store: Store) -> None:
    keys = many(store, 3)
    for age, key in enumerate(keys):
        with store.database.write() as db:
            db.execute(update(Launch).where(Launch.id == key).values(created=Launch.created - age * 60))

    assert [launch.id for launch in store.launches.newest(DANA, None)] == keys


def test_a_page_brings_one_more_to_say_that_there_is_more(store: Store) -> None:
    many(store, PAGE + 5)

    assert len(store.launches.newest(DANA, None)) == PAGE + 1


MILLIONS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
    "INSERT INTO launches ({columns}) SELECT {values} FROM n",
    "postgresql": "INSERT INTO launches ({columns}) SELECT {values} FROM generate_series(1, 100000) AS n(i)",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A hundred thousand launches of a thousand people over a year, a fifth of them erased."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('full') / 'store.sqlite'}"
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("postgresql").database())
        migrate(url)
        store = stack.enter_context(opened(url))
        fill(store)
        yield store


def fill(store: Store) -> None:
    postgresql = store.database.engine.dialect.name == "postgresql"
    columns = {
        "id": "lpad(to_hex(i), 32, '0')::uuid" if postgresql else "printf('%032x', i)",
        "person": "CASE WHEN i % 200 = 0 THEN 'bead' ELSE 'cafe' || (i % 997) END",
        "form_token": "'token-' || i",
        "state": "CASE WHEN i % 500 = 0 THEN 'waiting' ELSE 'ready' END",
        "held": "false",
        "attempt": "1",
        **dict.fromkeys(("created", "queued", "not_before", "seen", "due"), "1.7e9 + i * 300"),
        "erase_after_call": "false",
        "erased": "CASE WHEN i < 20000 THEN 1.8e9 END",
    }
    statement = MILLIONS[store.database.engine.dialect.name]
    names, values = ", ".join(columns), ", ".join(columns.values())
    filling = engine(store.database.url, limited=False, poolclass=NullPool)  # it takes longer than a page may
    for one in (statement.format(columns=names, values=values), "ANALYZE"):
        with filling.begin() as db:
            begin(db)
            db.execute(text(one))


def plan_of(store: Store, ask: Callable[[Store], object]) -> str:
    """How the database carries out the last SELECT FROM launches of what is asked."""
    statements: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "FROM launches" in statement:
            statements.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", note)
    ask(store)
    event.remove(store.database.engine, "before_cursor_execute", note)
    statement, parameters = statements[-1]
    explain = "EXPLAIN QUERY PLAN " if store.database.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.database.engine.connect() as connection:
        lines = connection.exec_driver_sql(explain + statement, parameters).all()
    return "\n".join(str(line[-1]) for line in lines)


BUSY = "bead"


@pytest.mark.parametrize("before", [None, (1.72e9, UUID(int=66_007))], ids=["newest", "older"])
def test_my_scenarios_are_read_in_the_order_of_an_index(
    full_store: Store, before: tuple[float, UUID] | None
) -> None:
    plan = plan_of(full_store, lambda store: store.launches.newest(BUSY, before))

    assert "launches_of_person" in plan, plan
    assert not re.search(r"Seq Scan|^SCAN|TEMP B-TREE|\bSort\b", plan, re.MULTILINE), plan
    if before:
        assert re.search(r"(Index Cond|USING INDEX).*created ?<", plan), plan


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.launches.used(BUSY, "token-95000"),
        lambda store: store.launches.record(BUSY, EMAIL, "new", "A text", another=False),
    ],
    ids=["used", "record"],
)
def test_a_persons_launches_are_found_by_index(full_store: Store, ask: Callable[[Store], object]) -> None:
    plan = plan_of(full_store, ask)

    assert "launches_of_person" in plan, plan
    assert not re.search(r"Seq Scan|SCAN launches", plan), plan  # a row of constants may be


def test_a_full_table_hands_out_the_next_place_by_index(full_store: Store) -> None:
    launch = record(full_store)

    plan = plan_of(full_store, lambda store: Pacer(store.database, 10, 0, "key").begin(launch.id, EMAIL))

    assert "launches_queue" in plan, plan
    assert not re.search(r"Seq Scan|SCAN launches$", plan, re.MULTILINE), plan


def test_erasing_finds_what_is_old_by_index(full_store: Store) -> None:
    plan = plan_of(full_store, lambda store: store.erasing._erase_all(Launch.created < 1.7e9 + 20_100 * 300))

    assert "launches_to_erase" in plan, plan


# --- Erasing


def test_erasing_returns_the_text_and_keeps_no_trace_of_it(store: Store) -> None:
    launch = record(store)
    make_ready(store, launch)

    assert store.erasing.launch(launch.id, DANA) == Erased("Talk to a client", TOKEN)

    left = row(store, launch)
    assert left.erased
    assert (left.prompt, left.prompt_hash, left.email, left.url, left.detail) == (None,) * 5
    assert left.state == "ready"


def test_a_waiting_launch_that_is_erased_is_cancelled(store: Store) -> None:
    launch = record(store)

    store.erasing.launch(launch.id, DANA)

    left = row(store, launch)
    assert (left.state, left.reason) == ("refused", "cancelled")
    assert left.finished
    assert Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL) is None


def test_nobody_erases_anothers_launch(store: Store) -> None:
    launch = record(store)

    assert store.erasing.launch(launch.id, OMAR) is None

    assert store.launches.find(launch.id, DANA)


def test_the_newest_that_one_erased_are_named(store: Store) -> None:
    for number in range(ERASED_TOKENS + 1):
        store.erasing.launch(record(store, f"Text {number}", str(number)).id, DANA)
    store.erasing.launch(record(store, person=OMAR).id, OMAR)

    assert store.launches.erased_tokens(DANA) == [str(number) for number in range(ERASED_TOKENS, 0, -1)]


def test_erasing_twice_is_harmless(store: Store) -> None:
    launch = record(store)
    store.erasing.launch(launch.id, DANA)

    assert store.erasing.launch(launch.id, DANA) is None


def test_erasing_waits_for_the_call_under_way(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)

    assert store.erasing.launch(launch.id, DANA) == Erased("Talk to a client", TOKEN)

    left = row(store, launch)
    assert (left.state, left.erased, left.erase_after_call) == ("creating", None, True)


def test_erasing_does_not_wait_for_a_call_whose_process_died(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    change(store, launch, lease_until=Launch.lease_until - 60)

    store.erasing.launch(launch.id, DANA)

    assert row(store, launch).erased


def test_what_was_to_be_erased_after_its_call_is_erased_though_the_process_died(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    store.erasing.launch(launch.id, DANA)
    store.erasing.older_than(30)
    assert row(store, launch).erased is None

    change(store, launch, lease_until=Launch.lease_until - 60)
    store.erasing.older_than(30)

    assert row(store, launch).prompt is None


@pytest.mark.parametrize("state", ["waiting", "ready", "refused"])
def test_what_is_old_is_erased_whatever_its_state(store: Store, state: str) -> None:
    [key] = many(store, 1, state=state)
    let_pass(store, 30 * DAY + 60)

    assert store.erasing.older_than(30) == 1

    with store.database.read() as db:
        left = db.get_one(Launch, key)
    assert left.prompt is None
    assert left.state == ("ready" if state == "ready" else "refused")
    assert store.erasing.older_than(30) == 0


def test_what_is_not_old_yet_stays(store: Store) -> None:
    launch = record(store)
    let_pass(store, 30 * DAY - 60)

    assert store.erasing.older_than(30) == 0

    assert store.launches.find(launch.id, DANA)


def test_an_old_launch_whose_call_is_under_way_is_erased_later(store: Store) -> None:
    launch = record(store)
    Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
    let_pass(store, 31 * DAY)
    assert store.erasing.older_than(30) == 0

    change(store, launch, lease_until=Launch.lease_until - 60)

    assert store.erasing.older_than(30) == 1


def test_much_is_erased_in_small_transactions(store: Store) -> None:
    """Whoever creates a scenario meanwhile must not wait for all of it."""
    many(store, 1201, state="ready")
    let_pass(store, 31 * DAY)
    largest, erased_now = 0, 0

    @event.listens_for(store.database.engine, "before_cursor_execute")
    def count(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        nonlocal largest, erased_now
        if statement.startswith("UPDATE launches"):
            erased_now += len(parameters) if isinstance(parameters, list) else 1
            largest = max(largest, erased_now)

    @event.listens_for(store.database.engine, "commit")
    def begin_anew(_: object) -> None:
        nonlocal erased_now
        erased_now = 0

    assert store.erasing.older_than(30) == 1201

    assert 1 <= largest <= 500


def test_erasing_passes_over_what_another_is_working_on(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store:
            busy, _ = many(store, 2, state="ready")
            let_pass(store, 31 * DAY)
            with store.database.write() as db:
                db.get_one(Launch, busy, with_for_update=True)
                assert store.erasing.older_than(30) == 1
            assert store.erasing.older_than(30) == 1


def test_erasing_drops_calls_and_drafts_without_further_use(store: Store) -> None:
    with store.database.write() as db:
        now = now_in(db)
        for age in (DAY - 60, DAY + 60):
            db.add(Call(launch_id=uuid4(), person=DANA, began=now - age))
        for age in (DRAFT_LIFETIME - 60, DRAFT_LIFETIME + 60):
            draft = Draft(id=str(age), secret_hash="", form_token="", prompt="", send=False)
            draft.address_hash, draft.created = "", now - age
            db.add(draft)

    store.erasing.older_than(30)

    with store.database.read() as db:
        assert [round(now - began) for began in db.scalars(select(Call.began))] == [DAY - 60]
        assert list(db.scalars(select(Draft.id))) == [str(DRAFT_LIFETIME - 60)]


def test_one_persons_launches_are_erased_whatever_the_case_of_the_address(store: Store) -> None:
    record(store)
    others = many(store, 1, OMAR, email="omar@acme.example")

    assert store.erasing.person("dANA@acme.example").launches == 1

    assert store.launches.newest(DANA, None) == []
    assert [launch.id for launch in store.launches.newest(OMAR, None)] == others


def test_a_persons_launches_of_an_earlier_address_are_erased_as_well(store: Store) -> None:
    many(store, 1, email="dana.before@acme.example")
    many(store, 1, email=EMAIL)

    assert store.erasing.person("dana.before@acme.example").launches == 2


def test_erasing_a_person_takes_the_drafts_that_they_claimed(store: Store) -> None:
    record(store)
    keep_draft(store, "theirs", person=DANA)
    keep_draft(store, "anothers", person=OMAR)

    assert store.erasing.person(EMAIL).drafts == 1

    with store.database.read() as db:
        assert list(db.scalars(select(Draft.id))) == ["anothers"]


def test_erasing_a_person_waits_for_a_page_that_holds_the_row(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store, ThreadPoolExecutor(1) as operator:
            launch = record(store)
            with store.database.write() as db:
                db.get_one(Launch, launch.id, with_for_update=True)
                erased = operator.submit(store.erasing.person, EMAIL)
                with pytest.raises(TimeoutError):
                    erased.result(0.5)
            assert erased.result(30) == ErasedPerson(launches=1, under_way=0, drafts=0, links=0)
            assert row(store, launch).prompt is None


def test_erasing_sees_what_came_while_it_waited(postgresql: PostgreSQL) -> None:
    """Or the address of a session that was made in the meantime would stay behind."""
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store, ThreadPoolExecutor(1) as person:
            launch = record(store)
            with store.database.write() as db:
                held = db.get_one(Launch, launch.id, with_for_update=True)
                held.state, held.url = "ready", "https://acme.app.exec.com/chat/1"
                erased = person.submit(store.erasing.launch, launch.id, DANA)
                with pytest.raises(TimeoutError):
                    erased.result(0.5)
            assert erased.result(30)
            assert row(store, launch).url is None


def test_erasing_a_person_takes_their_sign_ins(store: Store) -> None:
    sign_in(store, "one", DANA, EMAIL)
    sign_in(store, "another", OMAR, "omar@acme.example")

    assert store.erasing.person(EMAIL.lower()) == ErasedPerson(launches=0, under_way=0, drafts=0, links=0)

    assert store.sign_ins.find("one") is None
    assert store.sign_ins.find("another")


def test_former_sign_ins_are_kept_for_seven_days(store: Store) -> None:
    for key, days, ended in [("ended", 8, 8), ("former", 7, 6), ("lapsed", 8, None), ("recent", 7, None)]:
        sign_in(store, key, DANA, EMAIL)
        with store.database.write() as db:
            aged = update(SignIn).where(SignIn.id == key)
            at = {"created": SignIn.created - days * DAY}
            db.execute(aged.values(at | ({"ended": SignIn.created - ended * DAY} if ended else {})))

    store.sign_ins.purge(8, 4)

    assert [key for key in ("ended", "former", "lapsed", "recent") if store.sign_ins.find(key)] == [
        "former",
        "recent",
    ]


def sign_in(store: Store, key: str, person: str, email: str, instead_of: str | None = None) -> None:
    row = SignIn(id=key, person=person, issuer="https://idp.example", sub="dana", email=email, claim="email")
    row.name, row.groups, row.proved, row.browser = "Dana", "[]", False, "Firefox"
    row.sid = f"s-{key}"
    store.sign_ins.begin(row, f"sealed-{key}", instead_of)


def test_a_sign_out_of_the_providers_counts_once(open_store: OpenStore) -> None:
    """However many processes are told it at once."""
    stores = [open_store(), open_store()]
    sign_in(stores[0], "one", DANA, EMAIL)

    def tell(number: int) -> int | None:
        try:
            return stores[number % 2].sign_ins.end_by_provider(Logout(id="x", person=DANA, sid=None, at=1))
        except Replayed:
            return None

    counted = all_at_once(8, tell)

    assert sorted(counted, key=str) == [1, *[None] * 7]


def test_a_sign_out_of_the_providers_is_forgotten(store: Store) -> None:
    def kept() -> list[str]:
        with store.database.read() as db:
            return list(db.scalars(select(Logout.id)).all())

    store.sign_ins.end_by_provider(Logout(id="x", person=DANA, sid=None, at=1))
    store.sign_ins.purge(8, 4)
    assert kept() == ["x"]

    with store.database.write() as db:
        db.execute(update(Logout).values(until=Logout.until - 601))
    store.sign_ins.purge(8, 4)
    assert kept() == []


def test_no_sign_in_slips_past_its_end(open_store: OpenStore) -> None:
    """The provider ends a session in the very moment in which it comes back from there."""
    stores = [open_store(), open_store()]

    def meet(key: str, number: int) -> None:
        if number:
            stores[1].sign_ins.end_by_provider(Logout(id=key, person=None, sid=f"s-{key}", at=1))
        else:
            with contextlib.suppress(EndedAlready):
                sign_in(stores[0], key, DANA, EMAIL)

    keys = [str(number) for number in range(50)]
    for key in keys:
        all_at_once(2, partial(meet, key))
    found = [stores[0].sign_ins.find(key) for key in keys]
    assert [one[0].id for one in found if one and one[0].ended is None] == []


def id_tokens(store: Store) -> list[str]:
    """Whose ID tokens are kept."""
    with store.database.read() as db:
        return sorted(db.scalars(select(IdToken.sealed)).all())


def test_signing_out_hands_the_id_token_over_once(store: Store) -> None:
    sign_in(store, "one", DANA, EMAIL)

    assert store.sign_ins.sign_out("one", DANA) == "sealed-one"
    assert store.sign_ins.sign_out("one", DANA) is None
    assert id_tokens(store) == []


ENDS: dict[str, Callable[[Store], object]] = {
    "by its person": lambda store: store.sign_ins.end("one", DANA),
    "by the operator": lambda store: store.sign_ins.end_of(EMAIL),
    "by the provider, its session": lambda store: store.sign_ins.end_by_provider(
        Logout(id="x", person=None, sid="s-one", at=1)
    ),
    "by the provider, its person": lambda store: store.sign_ins.end_by_provider(
        Logout(id="x", person=DANA, sid=None, at=1)
    ),
    "by signing in again": lambda store: sign_in(store, "one-more", DANA, EMAIL, instead_of="one"),
    "erased": lambda store: store.erasing.person(EMAIL),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_id_token_goes_with_its_sign_in(store: Store, end: Callable[[Store], object]) -> None:
    sign_in(store, "one", DANA, EMAIL)
    sign_in(store, "other", OMAR, "omar@acme.example")

    end(store)

    assert [one for one in id_tokens(store) if one != "sealed-one-more"] == ["sealed-other"]


def test_the_end_of_all_sign_ins_is_the_end_of_all_id_tokens(store: Store) -> None:
    sign_in(store, "one", DANA, EMAIL)
    sign_in(store, "other", OMAR, "omar@acme.example")

    store.sign_ins.end_all()

    assert id_tokens(store) == []


def test_id_tokens_of_what_is_over_are_dropped(store: Store) -> None:
    """What lapsed unseen, and what a release before ended or erased without a word to them."""
    for key, aged in {
        "lives": {"created": SignIn.created - 7 * HOUR, "used": SignIn.used - 3 * HOUR},
        "lapsed": {"created": SignIn.created - 8 * HOUR},
        "unused": {"used": SignIn.used - 4 * HOUR},
        "ended": {"ended": SignIn.created},
    }.items():
        sign_in(store, key, DANA, EMAIL)
        with store.database.write() as db:
            db.execute(update(SignIn).where(SignIn.id == key).values(aged))
    with store.database.write() as db:
        db.add(IdToken(sign_in="nobody's", sealed="sealed-nobody's"))

    store.sign_ins.purge(8, 4)

    assert id_tokens(store) == ["sealed-lives"]


def test_a_marked_launch_cannot_begin_a_call_any_more(store: Store) -> None:
    launch = record(store)
    change(store, launch, erase_after_call=True)

    assert Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL) is None


def test_erasing_takes_the_drafts_that_led_to_the_launch(store: Store) -> None:
    launch = record(store, "Talk to a client", "my-form")
    keep_draft(store, "claimed", person=DANA, form_token="my-form", prompt="Other words")
    keep_draft(store, "same-text", person=DANA, form_token="other", prompt="Talk to a client")
    keep_draft(store, "this-browsers", secret_hash="mine", form_token="my-form", prompt="Talk to a client")
    keep_draft(store, "anothers", person=OMAR, form_token="my-form", prompt="Talk to a client")
    keep_draft(store, "a-strangers", secret_hash="other", form_token="my-form", prompt="Talk to a client")
    keep_draft(store, "another-text", person=DANA, form_token="other", prompt="Talk to a supplier")

    store.erasing.launch(launch.id, DANA, ["mine"])

    with store.database.read() as db:
        left = set(db.scalars(select(Draft.id).where(Draft.erased.is_(None))))
        texts = set(db.scalars(select(Draft.prompt).where(Draft.erased.is_not(None))))
    assert left == {"anothers", "a-strangers", "another-text"}
    assert texts == {""}


def test_an_address_beyond_ascii_is_erased(store: Store) -> None:
    many(store, 1, email="Ärger@acme.example")

    assert store.erasing.person("Ärger@acme.example").launches == 1


def test_erasing_a_person_reaches_the_call_under_way(store: Store) -> None:
    launch = record(store)
    pacer = Pacer(store.database, 0, 0, "key")
    lease = pacer.begin(launch.id, EMAIL)
    assert lease

    assert store.erasing.person(EMAIL) == ErasedPerson(launches=0, under_way=1, drafts=0, links=0)
    pacer.created(lease, "https://acme.app.exec.com/chat/1")

    assert row(store, launch).url is None
    assert row(store, launch).prompt is None
    with store.database.read() as db:
        assert db.scalars(select(Call.person)).all() == [""]


# --- When the database does not answer


def test_a_stopped_server_is_unavailable_until_it_is_back(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store:
            record(store)
            with postgresql.stopped():
                for ask in (
                    store.database.probe,
                    lambda: record(store),
                    lambda: store.launches.newest(DANA, None),
                ):
                    with pytest.raises(StoreUnavailable):
                        ask()
            store.database.probe()
            assert record(store)


def test_a_server_that_was_restarted_is_connected_to_anew(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store:
            launch = record(store)
            with postgresql.stopped():
                pass
            assert store.launches.find(launch.id, DANA)


def test_the_clock_goes_on_within_a_transaction(store: Store) -> None:
    """Or who waited for a lock would be dated before whoever held it."""
    with store.database.write() as db:
        before = now_in(db)
        time.sleep(0.02)
        assert now_in(db) - before >= 0.01


def test_a_server_that_only_reads_is_unavailable(postgresql: PostgreSQL) -> None:
    """What a primary is for a while after another has taken its place."""
    with postgresql.database() as url:
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with opened(url) as store, pytest.raises(StoreUnavailable):
            record(store)


def test_two_processes_write_their_first_probe_at_once(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        migrate(url)
        with opened(url) as store, ThreadPoolExecutor(1) as threads, psycopg.connect(url) as other:
            other.execute("DELETE FROM probe")
            other.commit()
            other.execute("INSERT INTO probe (id, at) VALUES (1, 0)")
            probing = threads.submit(store.database.probe)
            with psycopg.connect(url, autocommit=True) as watching:
                waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                waits += " AND wait_event_type = 'Lock'"
                wait_until(lambda: watching.execute(waits).fetchone() is not None, "the second probe")
            other.commit()
            probing.result()


def short_of_patience(store: Store) -> None:
    """Let SQLite wait for a lock for a moment only, instead of 8 s."""
    event.listen(
        store.database.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 50")
    )


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'here.sqlite'}"
    migrate(url)
    with opened(url) as store:
        short_of_patience(store)
        yield store


WAITS_FOR_THE_DISK = {
    "sqlite": ("PRAGMA synchronous", 2, 1),
    "postgresql": ("SHOW synchronous_commit", "on", "off"),
}


def test_only_what_follows_the_call_does_not_wait_for_the_disk(store: Store) -> None:
    ask, safe, unsafe = WAITS_FOR_THE_DISK[store.database.engine.dialect.name]

    def asked(*, is_safe: bool) -> object:
        with store.database.write_rows(safe=is_safe) as db:
            return db.scalar(text(ask))

    assert [asked(is_safe=one) for one in (True, False, True)] == [safe, unsafe, safe]
    with store.database.write() as db:
        assert db.scalar(text(ask)) == safe


@pytest.mark.parametrize("tail", [b"", b"\0" * 5000, bytes(range(256)) * 20], ids=["cut", "zeros", "garbage"])
def test_a_power_cut_takes_back_a_session_at_most_and_its_id_finds_it_again(
    sqlite_store: Store, tmp_path: Path, tail: bytes
) -> None:
    """What was not yet on the disk is gone, or nonsense: the file as it was when the call began."""
    pacer, path = Pacer(sqlite_store.database, 0, 0, "key"), sqlite_store.database.file
    assert path
    make_ready(sqlite_store, record(sqlite_store, "An earlier one"))
    launch = record(sqlite_store)
    lease = pacer.begin(launch.id, EMAIL)
    assert lease
    on_disk = path.with_name(f"{path.name}-wal").stat().st_size
    pacer.created(lease, "https://acme.app.exec.com/chat/2")

    after = tmp_path / "after.sqlite"
    shutil.copy(path, after)
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    assert len(wal) > on_disk
    after.with_name(f"{after.name}-wal").write_bytes(wal[:on_disk] + tail)

    with opened(f"sqlite:///{after}") as store:
        with store.database.read() as db:
            assert db.scalar(text("PRAGMA integrity_check")) == "ok"
            states = db.execute(select(Launch.prompt, Launch.state)).all()
        assert sorted(states) == [("An earlier one", "ready"), ("Talk to a client", "creating")]
        change(store, launch, lease_until=0)
        again = Pacer(store.database, 0, 0, "key").begin(launch.id, EMAIL)
        assert again
        assert again.launch.request_id == launch.request_id


def test_threads_of_one_process_queue_and_never_find_the_file_locked(sqlite_store: Store) -> None:
    said: list[str] = []
    event.listen(
        sqlite_store.database.engine,
        "connect",
        lambda connection, _: connection.set_trace_callback(said.append),
    )

    all_at_once(12, lambda n: [record(sqlite_store, f"{n} {again}") for again in range(3)])

    assert said.count("BEGIN IMMEDIATE") == said.count("COMMIT") == 36


def test_a_thread_that_waits_for_long_gives_up(sqlite_store: Store) -> None:
    turn = Turn(1, 0.01, partial(crowded, sqlite_store.database.engine.url))
    with turn:
        with pytest.raises(StoreUnavailable, match="other threads") as told, turn:
            pass
        assert told.value.may_pass
    with turn:
        pass


def test_a_thread_waits_on_while_others_get_through(sqlite_store: Store) -> None:
    turn = Turn(1, 0.01, partial(crowded, sqlite_store.database.engine.url))
    turn._got_through = math.inf
    with ThreadPoolExecutor() as threads:
        with turn:
            waiting = threads.submit(turn.__enter__)
            wait([waiting], timeout=0.2)
            assert not waiting.done()
        waiting.result()


def test_a_turn_that_failed_lets_nobody_wait_on(sqlite_store: Store) -> None:
    turn = Turn(1, 6, partial(crowded, sqlite_store.database.engine.url))
    with contextlib.suppress(ValueError), turn:
        raise ValueError

    assert not turn._got_through
    with turn:
        pass
    assert turn._got_through


def test_as_many_threads_go_to_postgresql_as_there_are_connections(shared_database: str) -> None:
    """The pool itself would give up on whoever waits, though all before are served."""
    database = Database(shared_database, **POOL | {"pool_timeout": 0.01})

    def read() -> None:
        with database.read_rows():
            pass

    with ThreadPoolExecutor() as threads:
        with contextlib.ExitStack() as held:
            for _ in range(MOST):
                held.enter_context(database.read_rows())
            waiting = threads.submit(read)
            wait([waiting], timeout=0.2)
            assert not waiting.done()
        waiting.result()
    database.close()


def test_a_locked_file_is_unavailable_until_it_is_free(sqlite_store: Store) -> None:
    with contextlib.closing(
        sqlite3.connect(sqlite_store.database.engine.url.database or "", isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable):
            record(sqlite_store)
        other.execute("ROLLBACK")

    assert record(sqlite_store)


def test_each_write_waits_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    migrate(f"sqlite:///{path}")
    with (
        opened(f"sqlite:///{path}") as store,
        contextlib.closing(sqlite3.connect(path)) as other,
        ThreadPoolExecutor(1) as here,
    ):
        launch = record(store)
        other.execute("BEGIN IMMEDIATE")
        erased = here.submit(store.erasing.launch, launch.id, DANA)
        with pytest.raises(TimeoutError):
            erased.result(0.5)
        other.rollback()
        assert erased.result(30)


def test_a_damaged_file_is_unavailable(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.database.engine.dispose()
    (tmp_path / "here.sqlite").write_bytes(b"This is no database." * 500)

    with pytest.raises(StoreUnavailable):
        sqlite_store.database.probe()


def test_a_full_disk_is_unavailable(sqlite_store: Store) -> None:
    full = "PRAGMA max_page_count = 1"
    event.listen(sqlite_store.database.engine, "connect", lambda connection, _: connection.execute(full))

    with pytest.raises(StoreUnavailable):
        record(sqlite_store, "Talk to a client. " * 5000)


def test_too_many_at_once_are_unavailable(store: Store) -> None:
    """All connections of the pool are taken: the next one waits, but not for ever."""
    store.database.engine.pool._timeout = 0.05
    held = [store.database.engine.connect() for _ in range(15)]
    try:
        with pytest.raises(StoreUnavailable):
            store.database.probe()
    finally:
        for connection in held:
            connection.close()


def test_the_reason_says_nothing_of_what_was_to_be_stored(sqlite_store: Store) -> None:
    with contextlib.closing(
        sqlite3.connect(sqlite_store.database.engine.url.database or "", isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable) as caught:
            record(sqlite_store, "A secret")

    assert "database is locked (SQLITE_BUSY)" in str(caught.value)
    assert "A secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_mistake_in_a_statement_is_not_taken_for_an_absent_database(store: Store) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught, store.database.read() as db:
        db.execute(text("SELECT * FROM no_such_table"))

    assert not isinstance(caught.value, StoreUnavailable)


def test_a_row_twice_is_not_taken_for_an_absent_database(store: Store) -> None:
    with pytest.raises(IntegrityError), store.database.write() as db:
        db.add(Pace(id=1))


def test_a_wrong_type_is_not_taken_for_an_absent_database(store: Store) -> None:
    with pytest.raises(StatementError), store.database.write() as db:
        db.add(Call(launch_id="no uuid", person=DANA, began=0))


def test_a_mistake_of_ours_is_not_taken_for_an_absent_database(store: Store) -> None:
    def fail(store: Store) -> None:
        with store.database.write() as db:
            db.add(Pace(id=2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(store)

    with store.database.read() as db:
        assert db.scalars(select(Pace.id)).all() == [1]


# --- Links


def shared(number: int = 0) -> Link:
    return Link(person=DANA, email=EMAIL, title=f"Renewal {number}", prompt="Goal: renew.", ask=False)


def test_a_form_sent_many_times_at_once_makes_one_link(store: Store) -> None:
    made = all_at_once(6, lambda _: store.links.make(shared(), "token").id)
    assert len(set(made)) == 1
    assert [link.id for link in store.links.of_person(DANA)] == made[:1]


def test_the_board_counts_what_began_with_a_link(store: Store) -> None:
    link = store.links.make(shared(), "token")
    assert store.links.board(link.id) == Board(ready=0, waiting=0, refused=0, last=None, ever=0)
    launches = [
        store.launches.record(
            OMAR, EMAIL, f"t{n}", "Goal", another=True, link=store.links.key_of(link.slug)
        ).launch
        for n in range(4)
    ]
    record(store)
    made, refused, waiting, cancelled = (launch for launch in launches if launch)
    make_ready(store, made)
    refuse(store, refused)
    store.erasing.launch(cancelled.id, OMAR)
    with store.database.write() as db:
        db.execute(update(Launch).where(Launch.id == waiting.id).values(due=2e9))
    assert store.links.board(link.id) == Board(ready=1, waiting=1, refused=1, last=2e9, ever=3)
    assert store.links.board(store.links.make(shared(1), "other").id).ever == 0
    with store.database.write() as db:
        db.execute(update(Launch).where(Launch.id == waiting.id).values(held=True))
    assert store.links.board(link.id).last is None


def test_a_text_shared_again_after_its_withdrawal_has_another_address(store: Store) -> None:
    first = store.links.make(shared(), "token")
    store.links.withdraw(first.id, DANA)

    again = store.links.make(shared(), "token")

    assert (again.id, again.slug) != (first.id, first.slug)
    assert [link.id for link in store.links.of_person(DANA)] == [again.id]


def test_a_link_is_found_withdrawn_and_erased(store: Store) -> None:
    link = store.links.make(shared(), "token")
    opened_link = store.links.open(link.slug, OMAR)
    assert opened_link
    assert opened_link.prompt == "Goal: renew."
    assert not store.links.withdraw(link.id, OMAR)
    assert store.links.withdraw(link.id, DANA)
    assert store.links.key_of(link.slug) is None
    gone = store.links.open(link.slug, OMAR)
    assert gone
    assert (gone.title, gone.prompt) == ("", "")
    assert store.erasing.person(EMAIL).links == 1
    assert store.links.open(link.slug, OMAR) is None
