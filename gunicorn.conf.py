"""How the portal is served. Every setting can be overridden on gunicorn's command line."""

import logging
import re

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from webapp.ops import start_erasing

bind = "0.0.0.0:8000"
wsgi_app = "wsgi:app"

# A request waits for Exec for seconds and costs milliseconds: threads, not processes, are what it holds.
# Two processes use two cores and survive the loss of one; each alone can hold 500 people. Threads start
# only when they are needed.
workers = 2
worker_class = "gthread"
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

# Signals do what the control socket does, and leave no file behind.
control_socket_disable = True

# Neither query nor referrer: both may hold a prompt.
accesslog = "-"
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s %(M)sms"


class WithoutRequestLines(logging.Filter):
    """Takes what a client sent out of gunicorn's complaints about it: the line may hold a prompt."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Invalid request"):
            record.msg, record.args = re.sub(r":.*", "", message, flags=re.DOTALL), ()
        return True


def on_starting(server: Arbiter) -> None:
    server.log.error_log.addFilter(WithoutRequestLines())


def post_worker_init(worker: Worker) -> None:
    start_erasing(worker.wsgi)
