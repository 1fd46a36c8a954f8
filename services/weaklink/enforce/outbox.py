"""The relay: publishes the outbox and awaits delivery before it closes a row. A crash in between publishes again, under the same
action id and revision, which the SDK drops.

Several workers may run. A claim takes whole topics: while one worker has rows of a topic, no other takes that topic's next ones, so
that the revisions of an action reach its party in order. A claim lapses, so that a killed worker's rows do not stay behind; a worker
that slept past its claim writes nothing of it when it wakes (`weaklink.enforce.producer`).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
import structlog
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from sqlalchemy.exc import SQLAlchemyError

from weaklink import metrics
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, wall_us
from weaklink.enforce.membership import Unregistered, all_registered
from weaklink.enforce.producer import ClaimLapsedError, Lease, LeasedProducer
from weaklink.enforce.tables import PARTY_GONE, outbox
from weaklink.enforce.transport import aiokafka_options
from weaklink.errors import PartyError
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import party_of_topic

log = structlog.get_logger()

_CLAIM_LOCK: Final = "weaklink.ledger.outbox"
_REQUEST_TIMEOUT_MS: Final = 10_000  # also how long a missing topic is waited for; well below the lease
_MESSAGE_BYTES_MAX: Final = 2 << 20
_MARGIN_SHARE: Final = 0.2  # of a lease: what other workers' clocks may be ahead by, and the way to the broker
_RETRY_US: Final = 2_000_000
_SECOND_US: Final = 1_000_000
_NOT_THERE: Final = (UnknownTopicOrPartitionError, TopicAuthorizationFailedError)
DATABASE_TROUBLE: Final = (SQLAlchemyError, OSError, TimeoutError)
"""What the ledger's database raises when it cannot serve."""


@dataclass(frozen=True, slots=True)
class Row:
    """A claimed row."""

    id: int
    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    lease: Lease


class Outbox:
    """Claims and closes rows. `worker` names the claimant; a restarted worker of that name takes its own claims back at once."""

    def __init__(self, database: Database, config: EnforceConfig, worker: str) -> None:
        self._database = database
        self._config = config
        self._worker = worker

    async def claim(self) -> list[Row]:
        """The next rows, in order, of topics that nobody holds. They are this worker's until the lease ends."""
        async with self._database.read() as connection:  # idle relays should not take turns with writers
            if await connection.scalar(sa.select(sa.exists().where(_OPEN))) is not True:
                return []
        # As of before the transaction: whoever sleeps from here on finds, when it wakes, that what it claims is over.
        now_us, lease_seconds = wall_us(), self._config.outbox_lease_seconds
        lease = Lease(now_us + int(lease_seconds * _SECOND_US), time.monotonic() + lease_seconds)
        held = sa.select(outbox.c.topic).where(_OPEN, outbox.c.claimed_until_wall_us > now_us)
        free = sa.select(outbox).where(_OPEN, outbox.c.topic.not_in(held)).order_by(outbox.c.id)
        async with self._database.write(_CLAIM_LOCK) as connection:
            found = (await connection.execute(free.limit(self._config.outbox_batch_rows))).mappings().all()
            rows = [_row(one, lease) for one in found]
            await self._set(connection, rows, claimed_by=self._worker, claimed_until_wall_us=lease.until_wall_us)
        return rows

    async def close_rows(self, rows: Sequence[Row], error: str | None = None) -> None:
        """They are published; or, with an error, given up."""
        async with self._database.write() as connection:
            await self._set(connection, rows, closed_wall_us=wall_us(), error=error)

    async def put_back(self, rows: Sequence[Row]) -> None:
        """Rows of one claim, at least one, could not be published now: their topic is tried again after a pause, unless another has claimed them since."""
        until_us = rows[0].lease.until_wall_us
        mine = sa.and_(outbox.c.claimed_by == self._worker, outbox.c.claimed_until_wall_us == until_us)
        async with self._database.write() as connection:
            await self._set(connection, rows, mine, claimed_until_wall_us=wall_us() + _RETRY_US)

    async def release(self) -> None:
        """Give up what a worker of this name claimed before it was killed."""
        async with self._database.write() as connection:
            mine = sa.and_(_OPEN, outbox.c.claimed_by == self._worker)
            await connection.execute(sa.update(outbox).where(mine).values(claimed_until_wall_us=0))

    async def _set(self, connection: Any, rows: Sequence[Row], *only: sa.ColumnElement[bool], **values: Any) -> None:
        if rows:
            those = sa.and_(_OPEN, outbox.c.id.in_([row.id for row in rows]), *only)
            await connection.execute(sa.update(outbox).where(those).values(**values))


_OPEN: Final = outbox.c.closed_wall_us.is_(None)


class Relay:
    """Publishes what the outbox holds, at once when woken, otherwise at every poll."""

    def __init__(
        self, outbox: Outbox, kafka: KafkaConfig, config: EnforceConfig, unregistered: Unregistered = all_registered
    ) -> None:
        self._outbox = outbox
        self._kafka = kafka
        self._config = config
        self._unregistered = unregistered
        self._woken = asyncio.Event()
        self._publishing: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There are new rows."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled; whatever is then under way is given a moment to finish."""
        # Not idempotent: aiokafka has one request a partition under way, so order holds, and repeats are dropped by (action, revision).
        producer = LeasedProducer(
            margin_seconds=_MARGIN_SHARE * self._config.outbox_lease_seconds,
            **aiokafka_options(self._kafka),
            acks="all",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            max_request_size=_MESSAGE_BYTES_MAX,
            client_id="weaklink-enforce-relay",
        )
        await self._start(producer)
        try:
            await self._relay(producer)
        finally:
            if self._publishing:
                await asyncio.wait(self._publishing, timeout=_REQUEST_TIMEOUT_MS / 1000)
            await producer.stop()

    async def _start(self, producer: LeasedProducer) -> None:
        while True:
            try:
                await producer.start()
                return
            except (KafkaError, OSError) as error:
                log.warning("broker_trouble", error=str(error), next="retry")
                await asyncio.sleep(self._config.retry_seconds_max)

    async def _relay(self, producer: LeasedProducer) -> None:
        released = False
        while True:
            self._woken.clear()
            try:
                if not released:
                    await self._outbox.release()
                    released = True
                rows = await self._outbox.claim()
            except DATABASE_TROUBLE as error:
                log.warning("ledger_unavailable", error=str(error), next="retry")
                await asyncio.sleep(self._config.outbox_poll_seconds)
                continue
            # One task a topic: a party whose topic is missing, or a broker that is away, holds nobody else up.
            by_topic = groupby(sorted(rows, key=lambda row: (row.topic, row.id)), key=lambda row: row.topic)
            for _, some in by_topic:
                task = asyncio.create_task(self._publish(producer, list(some)))
                self._publishing.add(task)
                task.add_done_callback(self._done)
            if not rows:
                await self._wait()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), self._config.outbox_poll_seconds)
        except TimeoutError:
            return

    def _done(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        self._woken.set()  # the topic may have got new rows meanwhile
        if not task.cancelled() and (error := task.exception()):
            # The claim lapses and the rows are published then.
            log.error("publishing_cut_short", error=repr(error), next="when the claim lapses")

    async def _publish(self, producer: LeasedProducer, rows: Sequence[Row]) -> None:
        results = await self._deliver(producer, rows)
        done = [row for row, error in zip(rows, results, strict=True) if error is None]
        too_large = [
            row for row, error in zip(rows, results, strict=True) if isinstance(error, MessageSizeTooLargeError)
        ]
        later = [row for row in rows if row not in done and row not in too_large]
        try:
            await self._outbox.close_rows(done)
            await self._give_up(too_large, "larger than the topic's max.message.bytes")
            if later:
                first = next(
                    error for row, error in zip(rows, results, strict=True) if error is not None and row in later
                )
                if await self._is_of_nobody(rows[0].topic, first):
                    await self._give_up(later, PARTY_GONE)
                    return
                log.warning("not_published", topic=rows[0].topic, rows=len(later), error=repr(first), next="retry")
                await self._outbox.put_back(later)
        except DATABASE_TROUBLE as error:
            log.warning("published_not_noted", error=str(error), next="published again when the claim lapses")

    async def _give_up(self, rows: Sequence[Row], why: str) -> None:
        if rows:
            log.error("messages_given_up", topic=rows[0].topic, rows=len(rows), error=why)
            await self._outbox.close_rows(rows, error=why)
            metrics.OUTBOX_GIVEN_UP.labels(rows[0].topic).inc(len(rows))

    async def _is_of_nobody(self, topic: str, error: BaseException) -> bool:
        """Whether the topic is not there, or closed, because its party was removed: it would be tried for ever."""
        if not isinstance(error, _NOT_THERE):
            return False
        try:
            party = party_of_topic(topic)
        except PartyError:
            return False
        return party in await self._unregistered({party})

    async def _deliver(self, producer: LeasedProducer, rows: Sequence[Row]) -> list[BaseException | None]:
        """Per row: None when the broker has it, else why not. After a row that cannot be queued none of the following is tried."""
        topic = rows[0].topic
        if topic in producer.leases:
            # What was handed over under an earlier claim, now lapsed, is not settled: it must not go out under this one.
            return [ClaimLapsedError(f"rows of an earlier claim for {topic} are under way")] * len(rows)
        producer.leases[topic] = rows[0].lease
        try:
            return await self._send(producer, rows)
        finally:
            del producer.leases[topic]

    async def _send(self, producer: LeasedProducer, rows: Sequence[Row]) -> list[BaseException | None]:
        deliveries: list[Any] = []
        stopped: BaseException | None = None
        for row in rows:
            if stopped is None:
                try:
                    deliveries.append(await producer.send(row.topic, row.value, row.key, headers=list(row.headers)))
                    continue
                except MessageSizeTooLargeError as error:
                    deliveries.append(_failed(error))
                    continue
                except (KafkaError, OSError) as error:
                    stopped = error
            deliveries.append(_failed(stopped))
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        return [result if isinstance(result, BaseException) else None for result in results]


def _failed(error: BaseException) -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def _row(found: Any, lease: Lease) -> Row:
    headers = tuple((name, text.encode()) for name, text in found["headers"].items())
    return Row(found["id"], found["topic"], found["key"], found["value"], headers, lease)
