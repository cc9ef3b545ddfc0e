"""How the portal is served. Every setting can be overridden on gunicorn's command line."""

import ctypes
import logging
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

# gunicorn reads this file before it goes to `--chdir`.
sys.path.insert(0, str(Path(__file__).parent))

from webapp.config import log_format, wants_metrics

if wants_metrics():
    # Before prometheus_client is imported, which asks for it then: where the processes share their times.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="portal-metrics-")

from prometheus_client.multiprocess import mark_process_dead

from webapp import logs
from webapp.ops import start_erasing
from webapp.portal import portal_of

# glibc keeps what each thread has freed for that thread alone. One store for all, which Python's lock lets
# one thread at a time use anyway, is a fifteenth of the memory under load (mallopt(3)).
M_ARENA_MAX = -8
with suppress(AttributeError):  # another C library
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)

# A proxy on this machine is the usual way in; say otherwise with `--bind`.
bind = "127.0.0.1:8000"
wsgi_app = "wsgi:app"

# A request waits for Exec for seconds and costs milliseconds: threads, not processes, are what it holds.
# Two processes use two cores and survive the loss of one; each alone can hold 500 people. Threads start
# only when they are needed.
workers = 2
worker_class = "webapp.worker.Worker"  # gthread, with patience that ends
threads = 500
worker_connections = 1000
keepalive = 30

# One import before the fork: wrong settings stop the start once, and the processes share the memory.
preload_app = True

# A call to Exec ends within 20 s; a restart lets it finish.
graceful_timeout = 30
timeout = 60

# A prefilled link may be as long as gunicorn can read; a stranger's wanted address comes back in cookies.
limit_request_line = 8190
limit_request_field_size = 16380

# Files are written like pages, so that whoever does not read them is waited for no longer.
sendfile = False

# Scheme and path are those of `PUBLIC_URL`; no header changes them, whoever sends it.
forwarder_headers = ""
secure_scheme_headers = {}

# Signals do what the control socket does, and leave no file behind.
control_socket_disable = True

# One form for every line: the portal's, gunicorn's own, and one for each request.
accesslog = "-"
logger_class = logs.GunicornLogger
logs.configure(log_format())
logging.captureWarnings(True)


# A worker hears its end only once it has set up its own handlers. Before that it has those of the process
# that started it, which would take the signal and do nothing, and the end would wait for `graceful_timeout`.
# So these signals are held back from the fork until the worker is ready.
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def hear_ends() -> None:
    """Deliver the signals that end a process, those held back so far as well."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def on_starting(_server: Arbiter) -> None:
    os.register_at_fork(after_in_parent=hear_ends)


def on_reload(server: Arbiter) -> None:
    server.log.warning(
        "SIGHUP starts new workers with the settings and code of before: restart the portal to change them",
        extra={"event": "reloaded.nothing"},
    )


def child_exit(_server: Arbiter, worker: Worker) -> None:
    if wants_metrics():
        mark_process_dead(worker.pid)


def on_exit(server: Arbiter) -> None:
    if server.app.callable:  # after the workers' end, and not where there was no start
        portal_of(server.app.callable).store.database.close()
    if wants_metrics():
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def pre_fork(_server: Arbiter, _worker: Worker) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)


def post_worker_init(worker: Worker) -> None:
    hear_ends()
    start_erasing(worker.wsgi)
