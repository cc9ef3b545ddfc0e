"""Bodies of requests: half of one, or a malformed one, is none, whatever the server says of it.

A file in one stays in memory, and is dropped beyond its limit; the fields before it are read all the same.
"""

import io
import sys
from typing import IO, TYPE_CHECKING, cast

import flask
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, ClientDisconnected
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.datastructures import FileStorage


REFUSED = "portal.refused"  # in the environ: the status with which a request was refused before it was read
TAKES_FILES = frozenset({"texts.create"})
LARGEST_FILE = 10 * 1024 * 1024  # bytes
READ_AWAY = 100 * 1024 * 1024  # bytes; a browser that is answered before shows no page
BEGINNING = 1024 * 1024  # bytes; where a multipart body's fields stand, before its file


class Bodies:
    """Lets no body that ended early pass for a whole one: Werkzeug makes reading it a 400."""

    def __init__(self, app: "WSGIApplication") -> None:
        self.app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        if environ.get("HTTP_TRANSFER_ENCODING"):
            environ["wsgi.input"] = Chunks(environ["wsgi.input"])
        else:
            # gunicorn promises to end each body, and Werkzeug then compares it with no `Content-Length`.
            environ.pop("wsgi.input_terminated", None)
        return self.app(environ, start_response)


class Chunks(io.RawIOBase):
    """A chunked body whose faults are a broken connection's, not a server's; gunicorn's texts quote it."""

    def __init__(self, stream: "InputStream") -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # as Werkzeug calls it
        try:
            data = self.stream.read(len(buffer))
        except ParseException:
            raise OSError("malformed chunks") from None
        buffer[: len(data)] = data
        return len(data)


class CutOff(BadRequest):
    """A form that ended early or cannot be read; `fields` are what can be given back, and nothing else."""

    def __init__(self, fields: "MultiDict[str, str]") -> None:
        super().__init__()
        self.fields = fields


class Arriving(io.RawIOBase):
    """A body whose beginning is remembered while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.beginning = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # as Werkzeug calls it
        data = self.stream.read(len(buffer))
        self.beginning += data[: BEGINNING - len(self.beginning)]
        buffer[: len(data)] = data
        return len(data)


class StrictParser(FormDataParser):
    """Refuses a form that cannot be read; Werkzeug would take it for an empty one, and the text be lost."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> "tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]":
        self.silent = False
        arriving = Arriving(stream)
        body = cast("IO[bytes]", arriving) if mimetype == "multipart/form-data" else stream
        try:
            return super().parse(body, mimetype, content_length, options)
        except (ValueError, ClientDisconnected):
            raise CutOff(self._whole_fields(arriving.beginning, options or {})) from None

    def _whole_fields(self, beginning: bytes, options: dict[str, str]) -> "MultiDict[str, str]":
        """Return what stands before the last boundary that arrived, since no content holds one."""
        boundary = f"\r\n--{options.get('boundary', '')}".encode("latin-1", "replace")
        parts, found, _ = beginning.rpartition(boundary)
        if not found:
            return MultiDict()
        whole = io.BytesIO(parts + boundary + b"--\r\n")
        try:
            return super().parse(whole, "multipart/form-data", None, options)[1]
        except ValueError:
            return MultiDict()


class Upload(io.BytesIO):
    """A file in memory, never on the disk; what is over the limit is dropped, and `dropped` says so."""

    dropped = False

    def write(self, data: "ReadableBuffer") -> int:
        size = memoryview(data).nbytes
        if self.tell() + size > LARGEST_FILE:
            self.dropped = True
            self.seek(0)
            self.truncate()
        return size if self.dropped else super().write(data)


class Ending(io.RawIOBase):
    """A multipart body of which only so much is read; then it ends as if it were whole."""

    def __init__(self, stream: IO[bytes], boundary: str, most: int) -> None:
        self.stream = stream
        self.left = most
        self.end = f"\r\n--{boundary}--\r\n".encode("latin-1", "replace")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # as Werkzeug calls it
        if self.left > 0:
            data = self.stream.read(min(len(buffer), self.left))
            self.left -= len(data)
        else:
            data, self.end = self.end[: len(buffer)], self.end[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class Request(flask.Request):
    form_data_parser_class = StrictParser

    def _get_file_stream(self, *_: object, **__: object) -> Upload:
        return Upload()

    def _get_stream_for_parsing(self) -> IO[bytes]:
        if not self._brings_a_file:
            return super()._get_stream_for_parsing()
        # With a limit, however high, Werkzeug takes what breaks a chunked body for the client's fault.
        whole = get_input_stream(self.environ, max_content_length=sys.maxsize)
        return cast("IO[bytes]", Ending(whole, self.mimetype_params.get("boundary", ""), READ_AWAY))

    @property
    def max_form_memory_size(self) -> int | None:
        """How long one field may be: where a file is brought along, the box holds what one brought before."""
        return LARGEST_FILE if self._brings_a_file else super().max_form_memory_size

    @max_form_memory_size.setter
    def max_form_memory_size(self, value: int | None) -> None:
        self._max_form_memory_size = value

    @property
    def _brings_a_file(self) -> bool:
        return self.endpoint in TAKES_FILES and self.mimetype == "multipart/form-data"
