"""What PostgreSQL was asked for one request, by its own log: statements, BEGIN and COMMIT among them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conftest import PostgreSQL

STATEMENT = re.compile(r"LOG: +(?:statement|execute [^:]*): ")


@contextmanager
def counting(postgresql: PostgreSQL) -> Iterator[Callable[[], int]]:
    """Let the server log all it is asked; what is yielded returns how much that was since its last call."""
    postgresql.execute("ALTER SYSTEM SET log_statement = 'all'")
    postgresql.execute("SELECT pg_reload_conf()")
    with postgresql.server.log.open(encoding="utf-8", errors="replace") as log:
        try:
            yield lambda: len(STATEMENT.findall(log.read()))
        finally:
            postgresql.execute("ALTER SYSTEM RESET log_statement")
            postgresql.execute("SELECT pg_reload_conf()")
