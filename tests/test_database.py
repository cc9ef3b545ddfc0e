"""What the database side tells operators, and that it waits neither in vain nor for ever."""

import contextlib
import logging
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import trustme
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from conftest import ROOT, PostgreSQL, StartPortal, answers, free_port, wait_until
from not_run import not_run
from pgbouncer import pooled
from psycopg import sql
from sqlalchemy import MetaData, Table, delete, event, insert, make_url, select, text, update

from webapp.store import Store
from webapp.store.database import Database, StoreUnavailable, begin
from webapp.store.migration import LOCK as MIGRATION_LOCK
from webapp.store.migration import MIGRATIONS, migrate
from webapp.store.outages import cleaned
from webapp.store.pace import Pacer

WAITING = "waiting for the database"


def complaint(url: str) -> StoreUnavailable:
    """What stops a start on this database."""
    with pytest.raises(StoreUnavailable) as caught:
        migrate(url)
    return caught.value


@contextlib.contextmanager
def opened(url: str) -> Iterator[Store]:
    store = Store(url)
    try:
        yield store
    finally:
        store.database.close()


@contextlib.contextmanager
def role(postgresql: PostgreSQL, name: str, password: str = "") -> Iterator[None]:
    """A role without privileges, which must give a password if it has one."""
    rules = postgresql.data / "pg_hba.conf"
    before = rules.read_text()
    create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
    with psycopg.connect(postgresql.server.get_uri(), autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Literal(password or None)))
    if password:
        rules.write_text(f"local all {name} scram-sha-256\n{before}")
        postgresql.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        rules.write_text(before)
        with psycopg.connect(postgresql.server.get_uri(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


# --- The cause is told, and only what waiting may cure is waited for


def test_an_unknown_database_is_told_at_once(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    told = str(complaint(postgresql.server.get_uri("never_made")))

    assert "database never_made: " in told
    assert 'database "never_made" does not exist' in told
    assert WAITING not in caplog.text


def test_a_wrong_password_is_told_at_once_and_never_shown(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql.database() as url, role(postgresql, "portal", "right-password"):

        def allowed() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(url.replace("postgres:@", "portal:@")).close()
                return False
            return True

        wait_until(allowed, "the password rule")
        told = str(complaint(url.replace("postgres:@", "portal:wrong-password@")))
        migrate(url.replace("postgres:@", "postgres:@"))

    assert 'password authentication failed for user "portal"' in told
    assert "wrong-password" not in told + caplog.text
    assert WAITING not in caplog.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:pa.ss@no-such-host.invalid/x", "no-such-host.invalid"),
        ("postgresql://u:pa.ss@localhost/x?sslmode=sometimes", 'invalid sslmode value: "sometimes"'),
        ("postgresql://u:pa.ss@localhost/x?foo=bar", 'invalid connection option "foo"'),
    ],
)
def test_an_address_that_cannot_be_right_is_told_at_once(
    address: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = str(complaint(address))

    assert said in told
    assert "pa.ss" not in told
    assert WAITING not in caplog.text


def test_a_role_that_cannot_create_is_told_what_it_needs(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url, role(postgresql, "weak"):
        told = complaint(url.replace("postgres:@", "weak:@"))

    assert told.code == "42501"
    assert "permission denied for schema public (42501)" in str(told)
    assert "GRANT USAGE, CREATE ON SCHEMA public" in str(told)


def test_a_server_that_only_reads_stops_the_start(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql.database() as url:
        migrate(url)
        told = complaint(url + "&options=-c%20default_transaction_read_only=on")

    assert told.code == "25006"
    assert "DATABASE_URL must name the primary" in str(told)
    assert WAITING not in caplog.text


def test_too_many_connections_are_told(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url, role(postgresql, "crowd"):
        postgresql.execute("ALTER ROLE crowd CONNECTION LIMIT 0")
        told = str(complaint(url.replace("postgres:@", "crowd:@")))

    assert "too many connections" in told


def test_too_many_connections_are_told_while_it_runs(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url, role(postgresql, "throng"), contextlib.ExitStack() as stack:
        migrate(url)
        postgresql.execute("ALTER ROLE throng CONNECTION LIMIT 1")
        held, more = (stack.enter_context(opened(url.replace("postgres:@", "throng:@"))) for _ in range(2))
        with held.database.read() as db:
            db.scalar(text("SELECT 1"))
            with pytest.raises(StoreUnavailable, match="too many connections"):
                more.database.probe()


def test_a_server_that_only_reads_from_now_on_is_told(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url, opened(url) as store:
        migrate(url)
        with store.database.write() as db:
            name = db.scalar(text("SELECT quote_ident(current_database())"))
            db.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        store.database.engine.dispose()  # as a failover does

        with pytest.raises(StoreUnavailable, match=r"\(25006\); it only reads: DATABASE_URL must name"):
            store.database.probe()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_holds_not_all_letters_stops_the_start(postgresql: PostgreSQL, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    postgresql.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        told = complaint(postgresql.server.get_uri(name))
    finally:
        postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert str(told).endswith(
        f"its encoding is {encoding}: make it anew with ENCODING 'UTF8' TEMPLATE template0"
    )


@contextlib.contextmanager
def disk(directory: Path, size: str) -> Iterator[None]:
    """A disk of this size is mounted there inside the block."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        not_run(f"mounting a small disk needs root: {mounted.stderr!r}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextlib.contextmanager
def small_disk(postgresql: PostgreSQL, directory: Path) -> Iterator[str]:
    """An empty database on a disk of its own, of 24 MB."""
    with disk(directory, "24m"):
        shutil.chown(directory, postgresql.server.system_user)
        with psycopg.connect(postgresql.server.get_uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(directory)))
            connection.execute("CREATE DATABASE on_small_disk TABLESPACE small")
            try:
                yield postgresql.server.get_uri("on_small_disk")
            finally:
                connection.execute("DROP DATABASE on_small_disk WITH (FORCE)")
                connection.execute("DROP TABLESPACE small")


def test_a_full_disk_of_the_server_is_told_and_room_is_all_it_needs(postgresql: PostgreSQL) -> None:
    # Where the server's user may go.
    directory = Path(tempfile.mkdtemp(prefix="small-disk-", dir=postgresql.data.parent))
    with small_disk(postgresql, directory) as url, opened(url) as store:
        migrate(url)
        everything = directory / "everything"
        with contextlib.suppress(OSError):
            everything.write_bytes(b"x" * 24 * 2**20)

        def typed() -> None:
            """More than fits into what PostgreSQL keeps free in its files."""
            for number in range(500):
                words = secrets.token_hex(40_000)
                store.launches.record(str(number), "dana@acme.example", "token", words, another=False)

        with pytest.raises(StoreUnavailable, match=r"\(53100\); its disk is full: make room"):
            typed()
        everything.unlink()

        assert create(store, 1) == "ready"


def test_a_server_that_is_away_is_waited_for(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql.database() as url, ThreadPoolExecutor(1) as operator:
        with postgresql.stopped():
            start = operator.submit(migrate, url, 60)
            wait_until(lambda: WAITING in caplog.text, "the word that it waits")
        start.result(60)
        assert caplog.text.count(WAITING) == 1
        with opened(url) as store:
            store.database.probe()


def test_nobody_there_is_told_after_the_patience() -> None:
    with pytest.raises(StoreUnavailable, match="refused"):
        migrate(f"postgresql://u:secret@127.0.0.1:{free_port()}/x", patience=0)


@pytest.mark.parametrize("password", ["planted", "pl@nted/with:all", "pl%40nted"])
def test_no_piece_of_a_password_is_told(password: str) -> None:
    url = make_url("postgresql://portal@db/portal").set(password=password)

    said = cleaned(f"could not translate {password!r}, {password.rpartition('@')[2]}\n\tat all\x00", url)

    assert not any(piece in said for piece in ("planted", "nted", "with", "pl@", "all"))


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "portal.db"
    migrate(f"sqlite:///{path}")

    told = complaint(f"sqlite:///file:{path}?mode=ro&uri=true")

    assert (told.code or "").startswith("SQLITE_READONLY")
    assert "let the portal's user write the file" in str(told)


def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"Not a database. " * 200)

    assert complaint(f"sqlite:///{tmp_path / 'notes.txt'}").code == "SQLITE_NOTADB"


def test_a_connection_that_the_server_ended_is_not_used_again(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url, opened(url) as store:
        with store.database.read_rows() as db:
            server = db.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(url, autocommit=True) as operator:
            operator.execute("SELECT pg_terminate_backend(%s)", [server])
            there = "SELECT FROM pg_stat_activity WHERE pid = %s"
            wait_until(lambda: not operator.execute(there, [server]).fetchall(), "its end")

        with store.database.read_rows() as db:
            assert db.execute(text("SELECT pg_backend_pid()")).scalar_one() != server


# --- PgBouncer, and the limits that it refuses


@pytest.fixture(params=["session", "transaction"])
def pgbouncer(request: pytest.FixtureRequest, postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database behind PgBouncer, in session and in transaction pooling."""
    with pooled(postgresql, request.param) as url:
        yield url


def shown(store: Store, name: str, *, writing: bool) -> str:
    """A setting of the server's, as a transaction of the portal's sees it."""
    with store.database.write() if writing else store.database.read() as db:
        return str(db.scalar(text(f"SHOW {name}")))


def create(store: Store, number: int) -> str:
    """One person's creation, from the press to the answer."""
    person, pacer = f"person-{number}", Pacer(store.database, 0, 0, "key")
    launch = store.launches.record(person, f"{person}@acme.example", "token", "Talk", another=False).launch
    assert launch
    lease = pacer.begin(launch.id, launch.email or "")
    assert lease
    return pacer.created(lease, "https://acme.app.exec.com/chat/1").state


def test_forty_people_create_through_pgbouncer(pgbouncer: str) -> None:
    migrate(pgbouncer)

    with opened(pgbouncer) as store, ThreadPoolExecutor(12) as people:
        states = list(people.map(lambda number: create(store, number), range(40)))

    assert states == ["ready"] * 40


def test_limits_that_pgbouncer_refuses_are_set_in_writing_transactions(pgbouncer: str) -> None:
    migrate(pgbouncer)

    with opened(pgbouncer) as store:
        assert shown(store, "statement_timeout", writing=True) == "5s"
        assert shown(store, "lock_timeout", writing=True) == "4s"
        assert shown(store, "statement_timeout", writing=False) == "0", "nothing stays behind"


def test_what_pgbouncer_refuses_is_told_at_once(pgbouncer: str, caplog: pytest.LogCaptureFixture) -> None:
    wrong = complaint(pgbouncer.replace("right-password", "wrong-password"))
    unknown = complaint(f"{pgbouncer}x")
    own_options = complaint(f"{pgbouncer}?options=-c%20search_path=x")
    encrypted = complaint(f"{pgbouncer}?sslmode=require")

    assert "SASL authentication failed" in str(wrong)
    assert "no such database" in str(unknown)
    assert "unsupported startup parameter: options" in str(own_options)
    assert "does not support SSL" in str(encrypted)
    assert WAITING not in caplog.text


def test_limits_are_options_of_the_connection_beside_those_of_the_address(postgresql: PostgreSQL) -> None:
    with postgresql.database() as url:
        with opened(url) as store:
            assert shown(store, "statement_timeout", writing=False) == "5s"
        with opened(f"{url}&options=-c%20search_path=ours%20-c%20lock_timeout=1s") as store:
            assert shown(store, "search_path", writing=False) == "ours"
            assert shown(store, "lock_timeout", writing=False) == "1s"
            assert shown(store, "statement_timeout", writing=False) == "5s"


# --- TLS, which PgBouncer speaks here: the PostgreSQL of the tests is built without it

HOST = "127.0.0.1"
AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


def issued(host: str = HOST, **validity: datetime) -> trustme.LeafCert:
    return AUTHORITY.issue_cert(host, **validity)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the CA that signs here, one that does not, and what is none."""
    directory = tmp_path_factory.mktemp("authorities")
    AUTHORITY.cert_pem.write_to_path(directory / "ours.pem")
    STRANGER.cert_pem.write_to_path(directory / "stranger.pem")
    (directory / "empty.pem").write_bytes(b"")
    return directory


def test_it_serves_over_tls_that_is_checked(postgresql: PostgreSQL, authorities: Path) -> None:
    with pooled(postgresql, "transaction", issued()) as url:
        modes = "require", f"verify-full&sslrootcert={authorities}/ours.pem"
        for number, mode in enumerate(modes):
            migrate(f"{url}?sslmode={mode}")
            with opened(f"{url}?sslmode={mode}") as store:
                assert create(store, number) == "ready"
                with store.database.read() as db:
                    assert db.connection().connection.driver_connection.pgconn.ssl_in_use


NO_TLS, NO_CA = "switch TLS on at the server", "sslrootcert must name a file with the CA's certificate"
OTHER_CA = "is of no CA in {}/stranger.pem: sslrootcert in DATABASE_URL must name its CA's"


@pytest.mark.parametrize(
    ("certificate", "mode", "file", "cure"),
    [
        (None, "require", "ours", NO_TLS),
        (None, "verify-full", "ours", NO_TLS),
        (issued(), "verify-full", "stranger", OTHER_CA),
        (issued(), "verify-ca", "stranger", OTHER_CA),
        (issued(), "verify-full", "nowhere", NO_CA),
        (issued(), "verify-full", "empty", NO_CA),
        (
            issued("db.acme.example"),
            "verify-full",
            "ours",
            f"is not for {HOST}: DATABASE_URL must",
        ),
        (issued("192.0.2.1"), "verify-full", "ours", f"is not for {HOST}: DATABASE_URL must"),
        (
            issued(not_before=LONG_AGO, not_after=LONG_AGO),
            "verify-full",
            "ours",
            "has expired: renew it",
        ),
        (issued(not_before=LATER, not_after=LATER), "verify-ca", "ours", "is not valid yet: set the clock"),
    ],
)
def test_why_there_is_no_tls_is_told_at_once(
    postgresql: PostgreSQL,
    authorities: Path,
    caplog: pytest.LogCaptureFixture,
    certificate: trustme.LeafCert | None,
    mode: str,
    file: str,
    cure: str,
) -> None:
    """At the start, and by what the log says while it runs."""
    with pooled(postgresql, "transaction", certificate) as url:
        address = f"{url}?sslmode={mode}&sslrootcert={authorities}/{file}.pem"
        told = complaint(address)
        with opened(address) as store, pytest.raises(StoreUnavailable) as later:
            store.database.probe()

    assert cure.format(authorities) in str(told)
    assert str(later.value) == str(told)
    assert WAITING not in caplog.text


def test_a_server_that_insists_on_tls_is_told(postgresql: PostgreSQL) -> None:
    with pooled(postgresql, "transaction", issued()) as url:
        told = str(complaint(f"{url}?sslmode=disable"))

    assert "SSL required" in told


# --- A server that says nothing


def test_a_frozen_server_is_told_to_everybody_within_15_seconds(postgresql: PostgreSQL) -> None:
    """More people than connections; one of them in the middle of a transaction."""
    with postgresql.database() as url, opened(url) as store, ThreadPoolExecutor(40) as people:
        migrate(url)
        begun, went_on = threading.Event(), threading.Event()

        def in_the_middle() -> None:
            with store.database.write() as db:
                db.scalar(text("SELECT 1"))
                begun.set()
                went_on.wait()
                db.scalar(text("SELECT 1"))

        asked = [people.submit(in_the_middle)]
        begun.wait()
        with postgresql.frozen():
            went_on.set()
            asked += [people.submit(store.database.probe) for _ in range(39)]
            told = [str(one.exception(timeout=15)) for one in asked]
        assert all("no answer" in sentence for sentence in told), told
        wait_until(lambda: is_up(store), "the server's return")


def is_up(store: Store) -> bool:
    try:
        store.database.probe()
    except StoreUnavailable:
        return False
    return True


def test_a_frozen_server_stops_the_start(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("webapp.store.postgresql.CONNECT", 2)
    with postgresql.database() as url, postgresql.frozen():
        assert str(complaint(url)).endswith("no answer within 2 s")
    assert WAITING not in caplog.text


def test_a_frozen_server_behind_pgbouncer_is_told(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.store.postgresql.DEADLINE", 1)
    with pooled(postgresql, "transaction") as url, opened(url) as store:
        migrate(url)
        with postgresql.frozen(), pytest.raises(StoreUnavailable, match="no answer within 1 s"):
            store.database.probe()


def test_name_servers_that_say_nothing_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()
    monkeypatch.setattr("webapp.store.postgresql.CONNECT", 0.2)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait() and [])

    told = str(complaint("postgresql://u:secret@db.acme.example/x"))
    over.set()

    assert "its name was not resolved within 0.2 s" in told
    assert WAITING not in caplog.text


def test_migrations_have_no_time_limit(postgresql: PostgreSQL) -> None:
    """Another process migrates for longer than any page may wait."""
    limits = "&options=-c%20statement_timeout=100%20-c%20lock_timeout=100"
    with postgresql.database() as url, ThreadPoolExecutor(1) as operator:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
            start = operator.submit(migrate, url + limits, 0)
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            wait_until(lambda: other.execute(waits).fetchone() == (1,), "the second process")
            with pytest.raises(TimeoutError):
                start.result(0.5)
        start.result(60)


# --- SQLite as a file


def beside(path: Path) -> set[str]:
    """What stands beside a database, and it."""
    return {found.name for found in path.parent.glob(f"{path.name}*")}


def test_a_portal_that_ends_leaves_one_file_that_holds_everything(
    portal: StartPortal, tmp_path: Path
) -> None:
    path = tmp_path / "portal.sqlite"
    running = portal()
    assert answers(f"{running.url}/readyz")  # which writes
    assert beside(path) == {"portal.sqlite", "portal.sqlite-wal", "portal.sqlite-shm"}
    for name in beside(path):
        assert path.with_name(name).stat().st_mode & 0o777 == 0o600, name

    running.stop()

    assert beside(path) == {"portal.sqlite"}
    shutil.copy(path, tmp_path / "copy.sqlite")
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
        assert copy.execute("SELECT count(*) FROM probe").fetchone() == (1,)


def test_a_directory_of_our_own_is_private_and_files_of_before_become_so(tmp_path: Path) -> None:
    path = tmp_path / "new" / "portal.db"
    migrate(f"sqlite:///{path}")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    left_behind = path.with_name("portal.db-wal")  # by a process that was killed
    left_behind.write_bytes(b"something")  # of an empty one SQLite itself changes the mode
    for file in (path, left_behind):
        file.chmod(0o644)

    with opened(f"sqlite:///{path}") as store:
        store.database.probe()
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'portal.db'}"
    migrate(url)
    with opened(url) as store:
        event.listen(
            store.database.engine, "connect", lambda one, _: one.execute("PRAGMA max_page_count = 1")
        )
        with pytest.raises(StoreUnavailable, match=r"\(SQLITE_FULL\); the disk is full: make room"):
            store.launches.record("dana", "dana@acme.example", "token", "Talk. " * 9999, another=False)


def test_a_restore_brings_back_what_was_there(tmp_path: Path) -> None:
    """As the guide says: the portal was killed, and its `-wal` stands there still."""
    path, copy, crashed = tmp_path / "portal.db", tmp_path / "backup.db", tmp_path / "crashed"
    migrate(f"sqlite:///{path}")
    crashed.mkdir()
    with opened(f"sqlite:///{path}") as store:
        create(store, 1)
        store.database.backup(copy)
        create(store, 2)
        for name in beside(path):
            shutil.copy(path.with_name(name), crashed)
    assert (crashed / "portal.db-wal").stat().st_size

    for ending in ("-wal", "-shm"):
        (crashed / f"portal.db{ending}").unlink()
    shutil.copy(copy, crashed / "portal.db")

    restored = f"sqlite:///{crashed / 'portal.db'}"
    migrate(restored)
    with opened(restored) as store:
        assert len(store.launches.newest("person-1", None)) == 1
        assert store.launches.newest("person-2", None) == []


def test_a_backup_is_one_file_that_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "portal.db"
    migrate(f"sqlite:///{path}")
    with opened(f"sqlite:///{path}") as store:
        store.database.backup(tmp_path / "copy.db")
        with pytest.raises(StoreUnavailable, match="there is no such file"):
            Database(f"sqlite:///{tmp_path / 'mistyped.db'}").backup(tmp_path / "other.db")
        path.write_bytes(b"Not a database. " * 999)
        with pytest.raises(StoreUnavailable, match="SQLITE_"):
            store.database.backup(tmp_path / "broken.db")

    assert sorted(beside(tmp_path / "copy.db")) == ["copy.db"]
    assert not (tmp_path / "mistyped.db").exists()
    assert not beside(tmp_path / "broken.db")


def test_a_backup_to_a_full_disk_blames_that_one(tmp_path: Path) -> None:
    url, full = f"sqlite:///{tmp_path / 'portal.db'}", tmp_path / "full"
    migrate(url)
    full.mkdir()
    with disk(full, "16k"), pytest.raises(OSError, match="no room on its disk"):
        Database(url).backup(full / "copy.db")


# --- PostgreSQL's own backup


def test_a_dump_brings_back_what_was_there(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """By the commands that the guide names, with the server's own programs."""
    guide = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    (dump,), (restore,) = (
        re.findall(rf"^({name} .*)$", guide, re.MULTILINE) for name in ("pg_dump", "pg_restore")
    )

    def run(command: str, url: str) -> None:
        path = f"{postgresql.server.bin_path}:{os.environ['PATH']}"
        subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={"PATH": path, "DATABASE_URL": url},
            check=True,
            timeout=60,
        )

    with postgresql.database() as url, postgresql.database() as empty:
        migrate(url)
        with opened(url) as store:
            create(store, 1)
            run(dump, url)
            create(store, 2)
        run(restore, empty)

        migrate(empty)
        with opened(empty) as restored:
            assert len(restored.launches.newest("person-1", None)) == 1
            assert restored.launches.newest("person-2", None) == []
            assert create(restored, 2) == "ready"


# --- An older release on a newer database


def test_an_older_release_serves_what_a_newer_one_has_migrated(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    migrate(database_url)
    with opened(database_url) as store:
        with store.database.write() as db:
            db.execute(text("ALTER TABLE launches ADD COLUMN of_tomorrow VARCHAR"))
            db.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        migrate(database_url)

        assert store.launches.record("dana", "dana@acme.example", "token", "Talk", another=False).launch
    assert "a newer release has migrated it (to 9999)" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_another_applications_database_stops_the_start(database_url: str) -> None:
    with opened(database_url) as store, store.database.write() as db:
        db.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        db.execute(text("INSERT INTO alembic_version VALUES ('ab12')"))

    told = str(complaint(database_url))

    assert "alembic_version ab12 is not of this release" in told
    assert "Give the portal one of its own" in told


def test_a_missing_column_stops_the_start(database_url: str) -> None:
    migrate(database_url)
    with opened(database_url) as store, store.database.write() as db:
        db.execute(text("ALTER TABLE launches DROP COLUMN detail"))
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert "launches.detail is missing" in str(complaint(database_url))


REVISIONS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
SAMPLES: dict[type, object] = {str: "x", int: 7, float: 7.0, bool: True, UUID: UUID(int=7)}


def upgrade(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.begin() as connection:
        begin(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def needed(table: Table) -> dict[str, object]:
    """The values without which a release with these columns writes no row."""
    return {
        column.name: SAMPLES[column.type.python_type]
        for column in table.columns
        if column.primary_key or not (column.nullable or column.server_default)
    }


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_every_release_before_serves_through_the_newest_tables(database_url: str, revision: str) -> None:
    """With the columns that it knew it writes, reads and erases: migrations add, and ask nothing of it."""
    with opened(database_url) as store:
        upgrade(store.database, revision)
        known = MetaData()
        known.reflect(store.database.engine)
        upgrade(store.database, "head")

        for table in known.sorted_tables:
            if table.name == "alembic_version":
                continue
            row = needed(table)
            with store.database.write() as db:
                db.execute(delete(table))
                db.execute(insert(table).values(row))
                db.execute(update(table).values(row))
                assert db.execute(select(table)).one()
                db.execute(delete(table))
