"""A long way to a server: what goes through arrives half a round trip later, and round trips are counted."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Far:
    """A relay on a port of its own. `trips`: new connections, and flights that had to wait for an answer.

    So a cold request over TLS 1.3 counts 3 and one on a kept connection 1.
    """

    def __init__(self, port: int, round_trip: float) -> None:
        self.target = port
        self.round_trip = round_trip
        self.trips = 0
        self.port = 0
        self.ready = threading.Event()

    def run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.serving = asyncio.get_running_loop(), asyncio.current_task()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await server.serve_forever()

    def stop(self) -> None:
        assert self.serving
        self.loop.call_soon_threadsafe(self.serving.cancel)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trips += 1
        await asyncio.sleep(self.round_trip)  # the kernel on loopback greeted at once
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.target)
        answered = asyncio.Event()
        answered.set()
        with contextlib.closing(writer), contextlib.closing(onward):
            await asyncio.gather(
                self._carry(reader, onward, answered, outward=True),
                self._carry(onward_reader, writer, answered, outward=False),
            )

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answered: asyncio.Event,
        *,
        outward: bool,
    ) -> None:
        """Hand on each piece at its time; what follows a flight before it is answered is part of it."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(_deliver(pieces, writer, None if outward else answered))
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                if outward and answered.is_set():
                    self.trips += 1
                    answered.clear()
                pieces.put_nowait((self.loop.time() + self.round_trip / 2, piece))
        pieces.put_nowait((0, b""))
        await delivering


async def _deliver(
    pieces: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter, answered: asyncio.Event | None
) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                break
            writer.write(piece)
            if answered:
                answered.set()
    writer.close()


@contextmanager
def far_away(port: int, round_trip: float) -> Iterator[Far]:
    """Relay to this port, from so many seconds away."""
    relay = Far(port, round_trip)
    thread = threading.Thread(target=relay.run)
    thread.start()
    assert relay.ready.wait(10)
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(10)
        assert not thread.is_alive()
