"""Static files: read and compressed once, when the portal starts, and served from memory.

Nothing else is ever compressed: a page holds tokens beside what its address says (BREACH). Style sheets and
scripts are sent without indentation and comments, which were a fifth of them, compressed.
"""

import gzip
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import brotli  # type: ignore[import-untyped]
from flask import Flask, Response, abort, request

KEPT_FOR_GOOD = "public, max-age=31536000, immutable"
COMMENT = re.compile(r"(^|\s+)// .*|^/\*.*\*/$")  # on a line of its own, or at the end of one


@dataclass(frozen=True)
class StaticFile:
    """One file: `version` stands in its address, `bodies` are what is sent, by content coding."""

    type: str
    version: str
    bodies: dict[str, bytes]


def init_app(app: Flask, folder: Path, made: dict[str, str]) -> None:
    """Serve what is in `folder`, and what is `made`, at addresses that change with the content."""
    files = read(folder) | {name: _packed(name, content.encode()) for name, content in made.items()}

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, str]) -> None:
        if endpoint == "static" and values["filename"] in files:
            values["v"] = files[values["filename"]].version

    @app.get("/static/<path:filename>", endpoint="static")
    def serve(filename: str) -> Response:
        return _answer(files.get(filename) or abort(404))


@cache
def read(folder: Path) -> dict[str, StaticFile]:
    return {str(path.relative_to(folder)): _packed(path.name, path.read_bytes()) for path in folder.iterdir()}


def _packed(name: str, content: bytes) -> StaticFile:
    if name.endswith((".css", ".js")):
        content = without_comments(content.decode()).encode()
    bodies = {  # the best first
        "br": brotli.compress(content, mode=brotli.MODE_TEXT, quality=11),
        "gzip": gzip.compress(content, mtime=0),
        "identity": content,
    }
    shorter = {coding: body for coding, body in bodies.items() if len(body) < len(content)}
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return StaticFile(kind, sha256(content).hexdigest()[:12], {**shorter, "identity": content})


def without_comments(source: str) -> str:
    """Return a sheet or script for browsers. No string of ours goes over a line's end or holds ` // `."""
    lines = (COMMENT.sub("", line.strip()) for line in source.splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def _answer(file: StaticFile) -> Response:
    coding = request.accept_encodings.best_match(file.bodies, default="identity")
    response = Response(file.bodies[coding], mimetype=file.type)
    response.vary.add("Accept-Encoding")
    if coding != "identity":
        response.content_encoding = coding
    response.set_etag(f"{file.version}-{coding}")
    # Only this version's own address; a module that imports another leaves the version out.
    own = request.args.get("v") == file.version
    response.headers["Cache-Control"] = KEPT_FOR_GOOD if own else "no-cache"
    response.make_conditional(request)
    return response
