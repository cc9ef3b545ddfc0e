"""Serving the sandbox by gunicorn: one process, many threads, and an end at once when it is told to stop."""

import socket
from types import FrameType

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from .app import create_app
from .options import Options
from .waiting import STOPPING

THREADS = 256


class PromptWorker(ThreadWorker):  # type: ignore[misc]
    """A worker that ends at once: pretended slowness is woken, nothing else is waited for."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.handle_quit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        STOPPING.set()
        super().handle_quit(sig, frame)


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with these settings and no others: neither a file nor the environment adds any."""

    def __init__(self, options: Options) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"127.0.0.1:{self._options.port}",
            "worker_class": PromptWorker,
            "workers": 1,
            "threads": THREADS,
            "keepalive": 60,
            "timeout": 0,
            "graceful_timeout": 1,
            "limit_request_line": 8190,
            # On localhost the portal's cookies come along: cookies ignore ports.
            "limit_request_field_size": 65_536,
            "loglevel": "warning",
            "proc_name": "sandbox",
            "control_socket_disable": True,
            "certfile": self._options.certificate,
            "keyfile": self._options.key,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self._options)


def is_taken(port: int) -> bool:
    """Whether something already answers to this port on loopback, by IPv4 or IPv6."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return any(_answers(host, port) for host in ("127.0.0.1", "::1"))


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True
