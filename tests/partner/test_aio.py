"""The client for asyncio on a real broker: the same promises, to await."""

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.partner.conftest import TOKENISER, Member
from tests.waiting import PATIENCE_SECONDS

from weaklink.errors import BrokerError, PartyError, RecordError
from weaklink.ops.topics import Topic
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.parties import PartyKind
from weaklink.partner import (
    AddressLease,
    ApiUsage,
    AsyncWeaklinkClient,
    DeliveryError,
    Event,
    PartnerConfig,
    Recorder,
)
from weaklink.partner.aio import AsyncActionSubscription, AsyncReceivedAction
from weaklink.partner.symbols import Task
from weaklink.records.identifiers import IdentifierKind

pytestmark = pytest.mark.kafka


def some_usage(account: str = "a", model: str = "m", requests: int = 1) -> ApiUsage:
    return ApiUsage(
        account=account, window_seconds=0, model=model, task=Task.OTHER, requests=requests, input_tokens=1, output_tokens=2
    )  # fmt: skip


def client_of(member: Member, **config: int) -> AsyncWeaklinkClient:
    settings = member.config.model_copy(update=config)
    return AsyncWeaklinkClient(member.party.id, member.kafka, settings, TOKENISER, kind=member.party.kind)


async def test_many_publishes_at_once_are_each_told_where_their_event_lies(member: Member) -> None:
    async with client_of(member) as client:
        delivered = await asyncio.gather(*(client.publish(some_usage(f"u-{number}")) for number in range(200)))
    assert len({(one.partition, one.offset) for one in delivered}) == 200
    assert sorted(key for key, _, _ in member.published()) == sorted(f"u-{number}".encode() for number in range(200))


async def test_the_loop_and_what_is_published_go_on_while_the_tokeniser_is_asked() -> None:
    """It may be a service that tells a party over its limit to wait."""
    asked, answered = threading.Event(), threading.Event()

    class Slow:
        def tokens(self, kind: IdentifierKind, value: str) -> tuple[bytes, ...]:
            asked.set()
            assert answered.wait(PATIENCE_SECONDS)
            return TOKENISER.tokens(kind, value)

        newest = TOKENISER.newest

    with Recorder("slow-lab", PartyKind.LAB, tokeniser=Slow()) as recorder:
        async with AsyncWeaklinkClient.of(recorder.client()) as client:
            fields = {
                "window_seconds": 0,
                "model": "m",
                "task": "OTHER",
                "requests": 1,
                "input_tokens": 1,
                "output_tokens": 1,
            }
            building = asyncio.create_task(
                client.build(ApiUsage, account="late", identifiers=[("IP", "192.0.2.7")], **fields)
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not asked.is_set():
                    await asyncio.sleep(0.001)
                await client.send(some_usage("meanwhile"))
            assert not building.done()
            answered.set()
            await client.send(await building)
        accounts = [event.account for event in recorder.events(ApiUsage)]
    assert accounts == ["meanwhile", "late"]


async def test_a_stream_arrives_whole_and_in_order_while_the_loop_runs_on(member: Member) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async def stream() -> AsyncIterator[Event]:
        for number in range(5_000):
            yield some_usage(f"u-{number % 5}", requests=number)

    async with client_of(member, in_flight_bytes_max=1 << 20, batch_bytes=4096) as client:
        other = asyncio.create_task(tick())
        assert await client.publish_many(stream()) == 5_000
        other.cancel()
    assert ticks > 20
    by_account: dict[bytes, list[int]] = {}
    for key, _, values in member.published():
        by_account.setdefault(key, []).append(values["requests"])
    assert sum(map(len, by_account.values())) == 5_000
    assert all(numbers == sorted(numbers) for numbers in by_account.values())


async def test_actions_come_once_and_are_answered(member: Member) -> None:
    member.issue(("a1", 1), ("a2", 1))
    async with client_of(member) as client:
        for _ in range(2):
            async with client.actions(idle_seconds=0.5) as actions:
                async for received in actions:
                    if received.action.action_id == "a1":
                        await received.done()
                    else:
                        await received.dispute("ours")
    assert member.receipts() == [("a1", 1, "ACCEPTED"), ("a2", 1, "ACCEPTED"), ("a1", 1, "DONE"), ("a2", 1, "DISPUTED")]


async def test_a_task_that_waits_for_actions_can_be_cancelled(member: Member) -> None:
    """A service that stops must not hang until the next action comes, which may be never."""
    async with client_of(member) as client:
        actions = client.actions()
        task = asyncio.create_task(_collect(actions, []))
        while not (actions._subscription and actions._subscription._consumer.assignment()):
            await asyncio.sleep(0.05)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert time.monotonic() - began < 2


async def test_an_action_is_answered_from_another_task_while_the_next_is_waited_for(member: Member) -> None:
    """The answer must not wait for the next action: it would come after its deadline, and hang the task that gives it."""
    member.issue(("a1", 1))
    async with client_of(member) as client:
        seen: list[AsyncReceivedAction] = []
        task = asyncio.create_task(_collect(client.actions(), seen))
        while not seen:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            await seen[0].done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert member.receipts() == [("a1", 1, "ACCEPTED"), ("a1", 1, "DONE")]


async def test_whoever_gives_up_waiting_misses_no_action(member: Member) -> None:
    """What a poll brings to nobody is not handed out: it would count as handled, and never be carried out."""
    member.issue(("a1", 1), ("a2", 1), ("a3", 1))
    seen: list[str] = []
    async with client_of(member) as client, client.actions() as actions:
        while len(seen) < 3:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    async for received in actions:
                        seen.append(received.action.action_id)
                        break
    assert seen == ["a1", "a2", "a3"]


async def _collect(actions: AsyncActionSubscription, seen: list[AsyncReceivedAction]) -> None:
    async with actions:
        async for received in actions:
            seen.append(received)


async def test_errors_are_those_of_the_plain_client(member: Member) -> None:
    async with client_of(member) as client:
        with pytest.raises(PartyError, match="may not publish AddressLease"):
            await client.publish(AddressLease(account="vm"))
        with pytest.raises(RecordError, match="cannot be written"):
            await client.publish_record("ApiUsage", {"task": "GARDENING"})
    with pytest.raises(RuntimeError, match="async with"):
        await client_of(member).flush()


async def test_an_event_that_the_broker_refuses_is_told_by_its_own_publish(member: Member) -> None:
    small = Topic(member.party.events_topic, 2, member.kafka.replication_factor, {"max.message.bytes": "2000"})
    apply(member.kafka, plan_topics(member.kafka, [small]))
    # Past the models' own limit, and hard to compress.
    large = some_usage().model_copy(update={"model": "".join(uuid.uuid4().hex for _ in range(200))})
    async with client_of(member) as client:
        await client.publish(some_usage())
        with pytest.raises(DeliveryError, match=f"1 events were not delivered to {member.party.events_topic}"):
            await client.publish(large)
        await client.publish(some_usage())
    assert len(member.published()) == 2


async def test_no_broker_is_told_when_it_connects(member: Member) -> None:
    nowhere = member.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300})
    with pytest.raises(BrokerError, match="cannot be reached"):
        async with AsyncWeaklinkClient(member.party.id, nowhere, PartnerConfig()):
            pass
