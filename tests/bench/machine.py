"""What the figures were measured on, and how fast its disk says that something is safe."""

import os
import platform
import re
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("flask", "gunicorn", "requests", "sqlalchemy", "psycopg", "authlib")


def description(directory: Path, postgresql: str) -> list[str]:
    """Return lines about the processor, the disk under `directory` and what runs."""
    model = re.search(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{len(os.sched_getaffinity(0))} cores ({model[1] if model else platform.machine()})"
    return [
        f"{cores}, {memory:.0f} GiB; {file_system(directory)}; {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, PostgreSQL {postgresql}",
        ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        f"load of others when it began: {os.getloadavg()[0]:.1f}",
    ]


def file_system(directory: Path) -> str:
    """Return the kind of the file system that holds a directory: no disk is as fast as tmpfs."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if directory.resolve().is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2]


def fsync_seconds(directory: Path, times: int) -> list[float]:
    """Append a page to a file and wait until it is on the disk, as SQLite does at each commit."""
    path, taken = directory / "fsync", []
    with path.open("ab", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return taken
