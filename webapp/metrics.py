"""Figures for Prometheus. What is logged is counted: no view knows of this file.

Counts of launches and what waits now come from the database at the scrape; only what happened in this or
another process comes from the files that prometheus_client shares between them.
"""

import logging
from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .config import version
from .health import Health
from .store import Store

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
WAITS = (1, 5, 15, 60, 180, 600, 3600)


class Metrics(logging.Handler):
    """Counts log records by their event, and answers a scrape."""

    def __init__(self, store: Store, health: Health) -> None:
        super().__init__()
        self.store = store
        self.health = health
        self.own = CollectorRegistry()
        self.events = Counter(
            "portal_events", "What was logged, by event and cause", ["event", "cause"], registry=self.own
        )
        self.requests = Histogram(
            "portal_request_seconds",
            "Time that requests took, by status",
            ["status"],
            buckets=SECONDS,
            registry=self.own,
        )
        self.exec = Histogram(
            "portal_exec_seconds",
            "Time that calls to Exec took, by what they came to",
            ["answer"],
            buckets=SECONDS,
            registry=self.own,
        )
        self.waits = Histogram(
            "portal_wait_seconds", "Time from the press to the studio", buckets=WAITS, registry=self.own
        )

    def emit(self, record: logging.LogRecord) -> None:
        told = record.__dict__
        event, ms = told.get("event"), told.get("ms")
        if event is None:
            return
        if event == "request":
            self.requests.labels(f"{told['status'] // 100}xx").observe((ms or 0) / 1000)
            return
        self.events.labels(event, told.get("cause") or "").inc()
        if event.startswith("launch.") and ms is not None:
            self.exec.labels(event.removeprefix("launch.")).observe(ms / 1000)
        if told.get("waited") is not None:
            self.waits.observe(told["waited"])

    def scrape(self) -> bytes:
        """Return everything in Prometheus's text form. Raises `StoreUnavailable`."""
        of_database, of_processes = CollectorRegistry(), self.own
        of_database.register(FromDatabase(self.store, self.health))
        if values.ValueClass is not values.MutexValue:  # gunicorn.conf.py made a directory to share them in
            of_processes = CollectorRegistry()
            MultiProcessCollector(of_processes)  # type: ignore[no-untyped-call]
        return generate_latest(of_processes) + generate_latest(of_database)


class FromDatabase(Collector):
    """What is the same whichever process is asked: take `max` of it over instances, never `sum`."""

    def __init__(self, store: Store, health: Health) -> None:
        self.store = store
        self.health = health

    def describe(self) -> list[Metric]:
        return []  # or registering would ask the database

    def collect(self) -> Iterator[Metric]:
        """Say that it is away as well: an alert that needs the database would not be heard then."""
        ready = not self.health.ask()
        yield GaugeMetricFamily("portal_ready", "Whether it can serve, as /readyz says", value=int(ready))
        built = GaugeMetricFamily("portal_build_info", "What runs", labels=["version"])
        built.add_metric([version()], 1)
        yield built
        pool = self.store.database.engine.pool
        in_use = pool.checkedout() if hasattr(pool, "checkedout") else 0
        yield GaugeMetricFamily("portal_database_connections", "In use by the process asked", value=in_use)
        if ready:
            yield from self._remembered()

    def _remembered(self) -> Iterator[Metric]:
        now, totals = self.store.figures.now(), self.store.figures.totals()
        launches = CounterMetricFamily("portal_launches", "Launches by outcome", labels=["outcome"])
        for outcome, count in self.store.figures.by_outcome().items():
            launches.add_metric([outcome], count)
        yield launches
        yield GaugeMetricFamily("portal_launches_waiting", "Launches that wait now", value=now.waiting)
        yield GaugeMetricFamily("portal_launches_held", "Held ones among them", value=now.held)
        yield GaugeMetricFamily("portal_drafts", "Texts that wait for a sign-in", value=totals["drafts"])
        yield GaugeMetricFamily("portal_sign_ins", "Sign-ins that nobody ended", value=totals["sign_ins"])
        yield GaugeMetricFamily("portal_calls_today", "Calls since midnight", value=now.calls_today)
        yield GaugeMetricFamily(
            "portal_stopped_until", "When Exec takes calls again; 0: now", value=now.floor
        )
