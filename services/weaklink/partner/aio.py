"""The client for asyncio: the same calls to await. Kafka's own work goes on in threads; the event loop never waits for it.

async with AsyncWeaklinkClient("router-a", kafka, tokeniser=tokeniser) as client:
    event = await client.build(ApiUsage, account="c-17", identifiers=[("IP", "192.0.2.7")], window_seconds=60, ...)
    await asyncio.gather(*(client.publish(one) for one in (event, *others)))
    async with client.actions() as actions:
        async for received in actions:
            await suspend(received.action.target_account)
            await received.done()
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from weaklink.kafka_options import KafkaConfig
from weaklink.parties import PartyKind
from weaklink.partner.actions import ActionSubscription
from weaklink.partner.builder import E
from weaklink.partner.client import Delivered, DeliveryError, WeaklinkClient
from weaklink.partner.config import PartnerConfig
from weaklink.partner.models import EnforcementAction, Event
from weaklink.partner.outside_lists import Classes
from weaklink.partner.received import ReceivedAction, handed_out
from weaklink.partner.symbols import ReceiptStatus
from weaklink.partner.tokens import Tokeniser

_CHUNK_EVENTS: Final = 256
"""Events handed to the sending thread at once: one hop between threads costs about as much as sending one event."""
P = ParamSpec("P")
R = TypeVar("R")


class AsyncWeaklinkClient:
    """One party's connection for asyncio; arguments as `WeaklinkClient`, or an existing one (`of`). Connects when entered.

    Calls may overlap. Events sent by one task stay in order. While too much is in flight, `send` and `publish` wait without holding the loop up.
    """

    def __init__(
        self,
        party: str,
        kafka: KafkaConfig | None = None,
        config: PartnerConfig | None = None,
        tokeniser: Tokeniser | None = None,
        *,
        kind: PartyKind | None = None,
        classes: Classes | None = None,
    ) -> None:
        self._make: Callable[[], WeaklinkClient] = lambda: WeaklinkClient(
            party, kafka, config, tokeniser, kind=kind, classes=classes
        )
        self._made: WeaklinkClient | None = None
        # One thread: what one task sends in order is sent in order.
        self._thread = ThreadPoolExecutor(1, "weaklink-publish")
        # Another one: the tokeniser may be asked over the network, and answers late when a party is over its limit.
        self._building = ThreadPoolExecutor(1, "weaklink-build")

    @classmethod
    def of(cls, client: WeaklinkClient) -> Self:
        """Over an existing client, such as a recorder's."""
        made = cls(client.party)
        made._make = lambda: client
        return made

    async def __aenter__(self) -> Self:
        self._made = await self._run(self._make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._run(self._client.close)
        finally:
            self._thread.shutdown(wait=False)
            self._building.shutdown(wait=False)

    async def build(self, model: type[E], /, **fields: Any) -> E:
        """An event of that model from raw values: see `WeaklinkClient.build`. Waits for the tokeniser, and nothing else waits meanwhile."""
        client = self._client
        return await asyncio.get_running_loop().run_in_executor(self._building, lambda: client.build(model, **fields))

    async def publish(self, event: Event) -> Delivered:
        """Publish one event and wait until every in-sync replica has it; many at once share batches. Raises DeliveryError otherwise."""
        loop = asyncio.get_running_loop()
        delivered: asyncio.Future[Any] = loop.create_future()

        def settle(settler: Callable[[Any], None]) -> Callable[[Any], None]:
            def later(outcome: Any) -> None:
                loop.call_soon_threadsafe(lambda: None if delivered.done() else settler(outcome))

            return later

        future = await self._run(self._client._send, event.record, event.values(), [])
        future.add_callback(settle(delivered.set_result))
        future.add_errback(settle(delivered.set_exception))
        try:
            metadata = await delivered
        except Exception as error:
            raise DeliveryError(self._client.events_topic, [error]) from error
        return Delivered(metadata.topic, metadata.partition, metadata.offset)

    async def send(self, event: Event) -> None:
        """Queue one event; waits while too much is in flight. `flush` waits for delivery and tells of failures."""
        await self._run(self._client.send, event)

    async def publish_many(self, events: Iterable[Event] | AsyncIterable[Event]) -> int:
        """Publish a stream in bounded memory and wait until all of it is delivered. Returns how many. Raises DeliveryError."""
        count, chunk = 0, list[Event]()
        async for event in _each(events):
            chunk.append(event)
            if len(chunk) >= _CHUNK_EVENTS:
                count += await self._send_all(chunk)
                chunk = []
        count += await self._send_all(chunk)
        await self.flush()
        return count

    async def publish_record(self, record: str, values: Mapping[str, Any]) -> None:
        """See `WeaklinkClient.publish_record`."""
        await self._run(self._client.publish_record, record, values)

    async def receipt(
        self, action_id: str, revision: int, status: ReceiptStatus, reason: str | None = None, note: str | None = None
    ) -> None:
        """See `WeaklinkClient.receipt`."""
        await self._run(self._client.receipt, action_id, revision, status, reason, note)

    async def flush(self) -> None:
        """Wait until everything queued is delivered. Raises DeliveryError with what was not, since the last flush."""
        await self._run(self._client.flush)

    def actions(self, *, idle_seconds: float | None = None, accept: bool = True) -> "AsyncActionSubscription":
        """The party's actions, each once, with automatic receipts: see `WeaklinkClient.actions`."""
        return AsyncActionSubscription(lambda: self._client.actions(idle_seconds=idle_seconds, accept=accept))

    @property
    def _client(self) -> WeaklinkClient:
        if self._made is None:
            raise RuntimeError("not connected: use it as `async with AsyncWeaklinkClient(...) as client:`")
        return self._made

    async def _send_all(self, events: list[Event]) -> int:
        def send() -> int:
            for event in events:
                self._client.send(event)
            return len(events)

        return await self._run(send)

    async def _run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))


@dataclass(frozen=True, slots=True)
class AsyncReceivedAction:
    """An action and the means to answer it; not answered by the time the next is asked for, ACCEPTED stands as the answer for now."""

    _received: ReceivedAction
    _thread: ThreadPoolExecutor

    @property
    def action(self) -> EnforcementAction:
        """What is asked for."""
        return self._received.action

    async def answer(self, status: ReceiptStatus, reason: str | None = None, note: str | None = None) -> None:
        """Queue the receipt. It is awaited before the action counts as handled."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._received.answer, status, reason, note)

    async def done(self, note: str | None = None) -> None:
        """It has been carried out."""
        await self.answer(ReceiptStatus.DONE, note=note)

    async def refuse(self, reason: str, note: str | None = None) -> None:
        """It will not be carried out."""
        await self.answer(ReceiptStatus.REFUSED, reason, note)

    async def dispute(self, reason: str, note: str | None = None) -> None:
        """The evidence must be wrong: this lowers it, and withdraws what rested on it."""
        await self.answer(ReceiptStatus.DISPUTED, reason, note)


class AsyncActionSubscription:
    """`async for` over it inside `async with`. A thread of its own reads: its database and its consumer belong to one thread."""

    def __init__(self, make: Callable[[], ActionSubscription]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, "weaklink-actions")
        self._subscription: ActionSubscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._run(self._make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._subscription is not None:
                await self._run(self._subscription.close)
        finally:
            self._thread.shutdown(wait=False)

    async def __aiter__(self) -> AsyncIterator[AsyncReceivedAction]:
        if self._subscription is None:
            raise RuntimeError("not subscribed: use it as `async with client.actions() as actions:`")
        batches = self._subscription.batches()
        # One poll at a time: between two the thread is free for answers, and for closing when the task was cancelled. What a poll brings that nobody
        # waits for any more is not handed out. StopIteration may not cross a future: None stands for the end.
        while (batch := await self._run(next, batches, None)) is not None:
            for received in handed_out(batch):
                yield AsyncReceivedAction(received, self._thread)

    async def _run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))


async def _each(events: Iterable[Event] | AsyncIterable[Event]) -> AsyncIterator[Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event
