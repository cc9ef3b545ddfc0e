"""Bodies of requests: half of one, or a malformed one, is none, whatever the server says of it."""

import io
from typing import IO, TYPE_CHECKING

import flask
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.datastructures import FileStorage, MultiDict


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
        try:
            return super().parse(stream, mimetype, content_length, options)
        except ValueError:
            raise BadRequest from None


class Request(flask.Request):
    form_data_parser_class = StrictParser
