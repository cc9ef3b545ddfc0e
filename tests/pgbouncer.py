"""A real PgBouncer in front of the tests' PostgreSQL, with its own defaults and one user."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import trustme
from conftest import PostgreSQL, end, free_port, inherited, wait_until
from not_run import not_run

USER, PASSWORD = "portal", "right-password"
PROGRAM = "/usr/sbin/pgbouncer"


@contextlib.contextmanager
def pooled(
    postgresql: PostgreSQL, mode: str, certificate: trustme.LeafCert | None = None, servers: int | None = None
) -> Iterator[str]:
    """Yield the `DATABASE_URL` of a new, empty database behind PgBouncer in this pooling mode.

    `servers`: as many, and not as many as suit the mode. With a certificate it takes connections over TLS
    alone.
    """
    if not Path(PROGRAM).exists():
        not_run("PgBouncer is not installed (apt-get install pgbouncer)")
    with postgresql.database() as url:
        name, port = urlsplit(url).path.removeprefix("/"), free_port()
        # In transactions people take turns; a session keeps its server, so its pool must be as large as ours.
        servers = servers or (4 if mode == "transaction" else 20)
        settings = _configured(postgresql, f"pool_mode = {mode}\ndefault_pool_size = {servers}", name, port)
        if certificate:
            _encrypt(settings, certificate, postgresql.server.system_user)
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


def _configured(postgresql: PostgreSQL, pool: str, name: str, port: int) -> Path:
    """Write the configuration where the server's user can read it."""
    users = postgresql.data.with_name("users.txt")
    users.write_text(f'"{USER}" "{PASSWORD}"\n')
    settings = postgresql.data.with_name(f"pgbouncer-{port}.ini")
    settings.write_text(
        f"""[databases]
{name} = host={postgresql.data} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
{pool}
"""
    )
    return settings


def _encrypt(settings: Path, certificate: trustme.LeafCert, user: str | None) -> None:
    pem = settings.with_suffix(".pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(pem)
    if user:
        shutil.chown(pem, user)
    with settings.open("a") as more:
        more.write(
            f"client_tls_sslmode = require\nclient_tls_key_file = {pem}\nclient_tls_cert_file = {pem}\n"
        )


def _answers(address: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=4).close()
        return True
    return False
