"""Whether this process can serve people: one written probe in five seconds, however many ask. No Flask."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from .store.database import Database, StoreUnavailable

FRESH = 5  # seconds for which an answer serves all that ask
PATIENCE = 4.5  # seconds: monitors want an answer within five
ROOM = 50 * 1024 * 1024  # bytes that must be free beside a database in a file


class Health:
    """Probes the database by writing to it. `ask` returns what is wrong, in one line, or nothing."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.monotonic, patience: float = PATIENCE
    ) -> None:
        self.database = database
        self.clock = clock
        self.patience = patience
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._probe: Future[str] | None = None
        self._worker: ThreadPoolExecutor | None = None

    def ask(self) -> str:
        probe = self._current()
        try:
            return probe.result(self.patience)
        except TimeoutError:
            return f"the database did not answer within {self.patience} s"

    def _current(self) -> Future[str]:
        """Return the probe of the last seconds, or the one under way, or begin one."""
        with self._lock:
            is_old = self.clock() - self._began >= FRESH
            if self._probe is None or (is_old and self._probe.done()):
                # Here and not at the start: threads do not survive gunicorn's fork.
                self._worker = self._worker or ThreadPoolExecutor(1, "health")
                self._probe, self._began = self._worker.submit(self._look), self.clock()
            return self._probe

    def _look(self) -> str:
        try:
            free = self.database.free_bytes()
            if free is not None and free < ROOM:
                return f"the disk of the database is full: {free // 2**20} MB are free"
            self.database.probe()
        except StoreUnavailable as error:
            return f"the database cannot be written: {error}"
        return ""
