"""Waiting that ends when the process is told to stop, so that no pretended slowness delays its end."""

import threading

STOPPING = threading.Event()


def pause(seconds: float) -> bool:
    """Wait this long; return whether the process is being stopped meanwhile."""
    return STOPPING.wait(seconds)
