"""A real PgBouncer in front of the tests' PostgreSQL, with its own defaults and one user."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from conftest import PostgreSQL, end, free_port, inherited, wait_until

USER, PASSWORD = "portal", "right-password"
PROGRAM = "/usr/sbin/pgbouncer"


@contextlib.contextmanager
def pooled(postgresql: PostgreSQL, mode: str) -> Iterator[str]:
    """Yield the `DATABASE_URL` of a new, empty database behind PgBouncer in this pooling mode."""
    if not Path(PROGRAM).exists():
        not_run = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        not_run("NOT RUN: PgBouncer is not installed (apt-get install pgbouncer)")
    with postgresql.database() as url:
        name, port = urlsplit(url).path.removeprefix("/"), free_port()
        settings = _configured(postgresql, mode, name, port)
        log = settings.with_suffix(".log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PROGRAM, str(settings)],
                env=inherited(),
                user=postgresql.server.system_user,  # root is refused
                stdout=output,
                stderr=output,
            )
        try:
            address = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{name}"
            wait_until(lambda: _answers(address), "PgBouncer")
            yield address
        finally:
            end(process)


def _configured(postgresql: PostgreSQL, mode: str, name: str, port: int) -> Path:
    """Write the configuration where the server's user can read it."""
    users = postgresql.data.with_name("users.txt")
    users.write_text(f'"{USER}" "{PASSWORD}"\n')
    # In transactions people take turns; a session keeps its server, so its pool must be as large as ours.
    few = " pool_size=4" if mode == "transaction" else ""
    settings = postgresql.data.with_name(f"pgbouncer-{port}.ini")
    settings.write_text(
        f"""[databases]
{name} = host={postgresql.data} user=postgres{few}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
"""
    )
    return settings


def _answers(address: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=4).close()
        return True
    return False
