"""What a server's processes take: CPU time and memory, from the kernel's own books."""

import re
import time
from pathlib import Path


def tree(process: int) -> list[int]:
    """Return a process and all that it started."""
    found = [process]
    for one in found:
        found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def cpu_seconds(processes: list[int]) -> float:
    """Return how long all threads of these processes have run so far, to the nanosecond.

    The clock of another process: clock_getcpuclockid(3), whose number the kernel makes of the process id.
    """
    return sum(time.clock_gettime((~process << 3) | 2) for process in processes)


def memory(processes: list[int]) -> int:
    """Return the bytes in memory; what several processes share counts once (PSS)."""
    rollups = (Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes)
    return sum(int(line) * 1024 for text in rollups for line in re.findall(r"(?m)^Pss: +([0-9]+) kB", text))
