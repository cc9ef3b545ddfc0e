"""One kept connection to a server on this machine, as light as it gets: it must not be what is measured."""

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Answer:
    """`seconds`: from the request's first byte to the answer's last; `size`: of head and body as sent."""

    status: int
    head: str
    body: bytes
    seconds: float
    size: int

    @property
    def location(self) -> str:
        found = re.search(r"(?im)^location: *(\S+)", self.head)
        return found[1] if found else ""

    @property
    def cookies(self) -> dict[str, str]:
        return dict(re.findall(r"(?im)^set-cookie: *([^=]+)=([^;\r]*)", self.head))


class Connection:
    """Speaks HTTP/1.1 to answers that have a Content-Length; keeps cookies."""

    def __init__(
        self, port: int, tls: ssl.SSLContext | None = None, cookies: dict[str, str] | None = None
    ) -> None:
        self.port = port
        self.tls = tls
        self.cookies = dict(cookies or {})

    async def __aenter__(self) -> Self:
        name = "localhost" if self.tls else None
        streams = asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, server_hostname=name)
        self.reader, self.writer = await streams
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Ask, and read the whole answer; `Content_Type` is written `Content-Type`."""
        lines = {
            "Host": f"localhost:{self.port}",
            **{name.replace("_", "-"): v for name, v in headers.items()},
        }
        if self.cookies:
            lines["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        began = time.perf_counter()
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await self._answer(began)
        self.cookies |= answer.cookies
        return answer

    async def _answer(self, began: float) -> Answer:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        seconds = time.perf_counter() - began
        return Answer(int(head[9:12]), head.decode("latin-1"), body, seconds, len(head) + len(body))
