"""What is waiting, taken together: a stream of events as a stream of small batches, none of which is ever held back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, TypeVar

Event = TypeVar("Event")

_MOMENT_SECONDS: Final = 0.001
"""How long a batch that is not full waits for an event that is there already, and only has to be handed over."""


async def batches(events: AsyncIterator[Event], at_once_max: int) -> AsyncIterator[list[Event]]:
    """Events in their order, one batch for what can be had without waiting, of `at_once_max` at most.

    Whether more is to come is found out by asking for it, never by looking into a queue: what lies in one may be skipped by the stream that
    reads it (its partition was revoked, or it was handled before a rebalance), and a batch that counted on it would be held until another came.
    """
    asked = _ask(events)
    try:
        while True:
            batch = [await asked]
            asked = _ask(events)
            while len(batch) < at_once_max:
                # The question stays open while the batch is handled: an iterator that is cancelled would be at its end.
                done, _ = await asyncio.wait({asked}, timeout=_MOMENT_SECONDS)
                if not done or asked.exception() is not None:
                    break
                batch.append(asked.result())
                asked = _ask(events)
            yield batch
    except StopAsyncIteration:
        return
    finally:
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asked


def _ask(events: AsyncIterator[Event]) -> "asyncio.Future[Event]":
    async def one() -> Event:
        return await anext(events)

    return asyncio.ensure_future(one())
