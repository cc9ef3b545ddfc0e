"""Whose turn it is among the threads of one process, where the database takes so many at once."""

import threading
import time
from collections.abc import Callable

from .outages import StoreUnavailable


class Turn:
    """Lets as many threads in as there are `places`. Raises what `gave_up` makes.

    A thousand who press at once are waited for as long as one after the other gets through; a turn that
    failed is none, and after `patience` seconds without one nobody waits on.
    """

    def __init__(self, places: int, patience: float, gave_up: Callable[[], StoreUnavailable]) -> None:
        self._patience, self._gave_up = patience, gave_up
        self._places = threading.BoundedSemaphore(places)
        self._got_through = 0.0  # when somebody last did, by the monotonic clock

    def __enter__(self) -> None:
        while not self._places.acquire(timeout=self._patience):
            if time.monotonic() - self._got_through > self._patience:
                raise self._gave_up()

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if not failed:
            self._got_through = time.monotonic()
        self._places.release()
