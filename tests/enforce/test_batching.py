"""Batches of what waits: none is held back, none loses an event, whatever the stream does with what is queued."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from weaklink.enforce import app
from weaklink.enforce.batching import batches


class Stream:
    """Hands out what is queued, as Faust's stream does, but for events that it skips; acknowledges what it is told to."""

    def __init__(self, *queued: int, skipped: set[int] | None = None) -> None:
        self.channel = SimpleNamespace(queue=asyncio.Queue[int]())
        for number in queued:
            self.channel.queue.put_nowait(number)
        self._skipped = skipped or set()
        self.acked: list[int] = []

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        while True:
            number = await self.channel.queue.get()
            if number not in self._skipped:
                message = SimpleNamespace(partition=0, offset=number, key=b"k", value=b"v")
                yield SimpleNamespace(number=number, message=message)

    async def ack(self, event: Any) -> None:
        self.acked.append(event.number)


async def agent_on(stream: Stream, handled: list[list[int]], at_once_max: int) -> "asyncio.Task[None]":
    """The agent that the service makes, at work on this stream."""
    made: list[Any] = []

    class Handling:
        async def handle_all(self, some: list[Any]) -> None:
            handled.append([one.offset for one in some])

    faust = SimpleNamespace(topic=lambda *_, **__: None, agent=lambda *_, **__: made.append)
    app._agent(faust, "weaklink.receipts", Handling(), at_once_max=at_once_max)  # type: ignore[arg-type]
    return asyncio.create_task(made[0](stream))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)


async def test_what_waits_is_handled_though_the_event_after_it_is_skipped() -> None:
    """Event 3 lies in the queue and is never handed out: 1 and 2 must not wait for a fourth."""
    stream, handled = Stream(1, 2, 3, skipped={3}), list[list[int]]()
    task = await agent_on(stream, handled, at_once_max=10)
    await settle()
    assert (handled, stream.acked) == ([[1, 2]], [1, 2])
    stream.channel.queue.put_nowait(4)
    await settle()
    assert (handled, stream.acked) == ([[1, 2], [4]], [1, 2, 4])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_batches_are_full_and_in_order_while_much_waits() -> None:
    """Never more than the limit, nothing twice, nothing left out."""
    stream, handled = Stream(*range(25)), list[list[int]]()
    task = await agent_on(stream, handled, at_once_max=10)
    await settle()
    assert [len(one) for one in handled] == [10, 10, 5]
    assert [number for one in handled for number in one] == stream.acked == list(range(25))
    task.cancel()


async def test_a_stream_that_ends_or_fails_ends_its_batches_with_what_it_gave() -> None:
    """What was handed out before comes out; the error follows."""

    async def numbers(error: Exception | None) -> AsyncIterator[int]:
        for number in range(3):
            yield number
        if error:
            raise error

    assert [batch async for batch in batches(numbers(None), 2)] == [[0, 1], [2]]
    got: list[list[int]] = []

    async def read() -> None:
        async for batch in batches(numbers(OSError("gone")), 5):
            got.append(batch)

    with pytest.raises(OSError, match="gone"):
        await read()
    assert got == [[0, 1, 2]]
