"""An Exec API over TLS that costs next to nothing, a round trip away.

The sandbox's is for what can go wrong; under load it would be measured instead of the portal.
A process of its own: `python -m bench.fake_exec CERTIFICATE SECONDS`, which says its port in one line.
"""

import asyncio
import json
import re
import secrets
import ssl
import sys

SLOW = re.compile(r"\[\[after ([0-9.]+) s\]\]")  # in a prompt: how long the API works on it
HANDSHAKES = 2  # round trips of a new connection before its first request: TCP's, TLS 1.3's


class FakeExec:
    def __init__(self, certificate: str, round_trip: float) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.round_trip = round_trip
        self.port = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, ssl=self.tls, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        print(self.port, flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        owed = HANDSHAKES
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
                asked = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                await asyncio.sleep((1 + owed) * self.round_trip + worked(asked["prompt"]))
                owed = 0
                writer.write(self.answer())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self) -> bytes:
        session = secrets.token_hex(6)
        url = f"https://localhost:{self.port}/chat/{session}"
        body = json.dumps({"id": session, "url": url, "is_new": True}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def worked(prompt: str) -> float:
    """Return how long this prompt takes, in seconds, beside the way there and back."""
    found = SLOW.search(prompt)
    return float(found[1]) if found else 0


if __name__ == "__main__":
    asyncio.run(FakeExec(sys.argv[1], float(sys.argv[2])).serve())
