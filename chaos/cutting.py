"""A TCP proxy before a database that cuts connections at the worst moment: around a COMMIT; or falls silent, as a host does that is gone."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, Self

Edge = Literal["before", "after"]
"""`before`: the server never sees the COMMIT. `after`: it has committed, and nobody is told."""

_CHUNK_BYTES: Final = 1 << 16
_QUERY: Final = b"Q"
_COMMIT: Final = b"COMMIT"
_START_SECONDS: Final = 10


class CuttingProxy:
    """`with CuttingProxy(port_of_the_server) as proxy:` listens on `proxy.port` in a thread of its own.

    It knows so much of PostgreSQL's protocol as that a simple query is one message that begins with Q, and that drivers write it at once.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cutting-proxy", daemon=True)
        self._listening = threading.Event()
        self._armed: list[Edge] = []
        self._silenced: set[asyncio.Task[None]] = set()
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0
        """Connections cut so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(_START_SECONDS):
            raise TimeoutError("the proxy does not listen")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def arm(self, edge: Edge) -> None:
        """Cut the next connection that commits."""
        self._loop.call_soon_threadsafe(self._armed.append, edge)

    def silence(self) -> None:
        """Present connections stay open and carry nothing any more; new ones are as they should be (the address has moved to another host)."""
        self._loop.call_soon_threadsafe(lambda: self._silenced.update(self._links))

    def cut_all(self) -> None:
        """Close every connection, whatever it is doing."""

        def cancel() -> None:
            for link in self._links:
                link.cancel()

        self._loop.call_soon_threadsafe(cancel)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._listening.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            self._links.discard(link)
            writer.close()
            return
        committing = False

        async def from_client(data: bytes) -> bool:
            nonlocal committing
            if data.startswith(_QUERY) and _COMMIT in data and self._armed:
                committing = True
                if self._armed[0] == "before":
                    self._armed.pop(0)
                    return False
            await self._pass(link, server_writer, data)
            return True

        async def from_server(data: bytes) -> bool:
            if committing and self._armed and self._armed[0] == "after":
                self._armed.pop(0)
                return False
            await self._pass(link, writer, data)
            return True

        pumps = [
            asyncio.ensure_future(_pump(reader, from_client)),
            asyncio.ensure_future(_pump(server_reader, from_server)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += any(pump.result() for pump in done)
        except asyncio.CancelledError:
            self.cuts += 1  # by cut_all; whoever listens would report a cancelled task as a fault of its own
        finally:
            for pump in pumps:
                pump.cancel()
            self._links.discard(link)
            self._silenced.discard(link)
            for end in (writer, server_writer):
                end.transport.abort()

    async def _pass(self, link: "asyncio.Task[None]", writer: asyncio.StreamWriter, data: bytes) -> None:
        if link not in self._silenced:
            writer.write(data)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, take: Callable[[bytes], Awaitable[bool]]) -> bool:
    """Whether it was cut; otherwise one end closed its connection."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            if not await take(data):
                return True
    return False
