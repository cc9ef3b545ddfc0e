"""The process: `files.py` runs this by path. Reads the file from stdin, writes one JSON object to stdout.

Whatever else ends it is the file's fault. The limits stand before the first byte is read.
"""

import json
import resource
import sys
from importlib import import_module
from pathlib import Path

MEMORY = 256 * 1024 * 1024  # bytes of address space
CPU = 5  # seconds


def main() -> None:
    limit()
    # By its own name, not as a part of `webapp`, which would load the portal; last, so that it hides no library.
    sys.path.append(str(Path(__file__).parents[1]))
    file_text, reading = import_module("file_text"), import_module("file_text.reading")
    try:
        answer = {"text": reading.text_of(sys.stdin.buffer.read(), sys.argv[1])}
    except file_text.Refused as refused:
        answer = {"refused": str(refused)}
    sys.stdout.write(json.dumps(answer))


def limit() -> None:
    """Take away what a hostile file could use: memory, time, files, further processes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))


if __name__ == "__main__":
    main()
