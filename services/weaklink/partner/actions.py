"""A party's actions from `party.<id>.actions`, each handled once, with receipts.

What is handled is remembered in a small SQLite file. The order for each action is: ACCEPTED is delivered, the caller handles it,
its answer is delivered, it is remembered, the offset is committed. After a crash between any two of these the rest is done again:
receipts carry an event id that follows from their content, so that a repeated one counts once, and an action comes again only
if the crash came before it was remembered. So it does after a receipt that could not be delivered.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from weaklink.errors import BrokerError, RecordError
from weaklink.group_member import complete_joins
from weaklink.kafka_options import KafkaConfig
from weaklink.partner.models import EnforcementAction
from weaklink.partner.publisher import Failures
from weaklink.partner.received import ReceivedAction, handed_out
from weaklink.partner.symbols import ActionState, ReceiptStatus
from weaklink.records.codec import decode

if TYPE_CHECKING:
    from weaklink.partner.client import WeaklinkClient

_POLL_SECONDS: Final = 0.5
_REMEMBER_DAYS: Final = 60
"""Twice the retention of an actions topic: whatever can be read again is still remembered."""
_BUSY_SECONDS: Final = 30
_log = structlog.get_logger()


def _is_over(action: EnforcementAction, appended_at_ms: int) -> bool:
    """Whether it has lain on its topic for as long as it was to last. Not by `expires_at` and the clock: a replay issues actions of its own time."""
    lasts = action.expires_at - action.issued_at
    return action.state == ActionState.ACTIVE and time.time() - appended_at_ms / 1000 >= lasts.total_seconds()


class HandledActions:
    """The highest handled revision of every action: a SQLite file that outlives restarts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The journal's mode stays the default one: changing it is refused at once while another process opens the file, and waits for nothing.
        self._database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS handled (action_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, handled_at REAL NOT NULL) WITHOUT ROWID"
        )
        self._database.execute("DELETE FROM handled WHERE handled_at < ?", (time.time() - _REMEMBER_DAYS * 86_400,))

    def covers(self, action_id: str, revision: int) -> bool:
        """Whether this revision, or a later one that replaced it, has been handled."""
        with closing(self._database.execute("SELECT revision FROM handled WHERE action_id = ?", (action_id,))) as rows:
            row = rows.fetchone()
        return row is not None and int(row[0]) >= revision

    def remember(self, handled: list[tuple[str, int]]) -> None:
        """Note (action id, revision) pairs, all or none of them."""
        now = time.time()
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(
            "INSERT INTO handled VALUES (?, ?, ?) ON CONFLICT (action_id) DO UPDATE SET "
            "revision = max(revision, excluded.revision), handled_at = excluded.handled_at",
            [(action_id, revision, now) for action_id, revision in handled],
        )
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class ActionSubscription:
    """Iterate over it, or `poll()` it. One thread; use it as a context manager so that what was answered is committed at the end.

    `consumer` is what it reads with, where that is not to be a member of the party's group.
    """

    def __init__(
        self,
        client: "WeaklinkClient",
        kafka: KafkaConfig,
        state_file: Path,
        *,
        idle_seconds: float | None,
        accept: bool,
        consumer: Any = None,
    ) -> None:
        self._client = client
        self._accept = accept
        self._idle_seconds = idle_seconds
        self._open: list[ReceivedAction] = []  # read, and neither remembered nor another process's
        self._next_offsets: dict[TopicPartition, int] = {}
        self._handled = HandledActions(state_file)
        try:
            self._consumer = consumer or self._subscribe(client.actions_topic, kafka)
        except BaseException:
            self._handled.close()
            raise

    @staticmethod
    def _subscribe(topic: str, kafka: KafkaConfig) -> KafkaConsumer:
        try:
            consumer = KafkaConsumer(
                **kafka.client_options(),
                group_id=topic,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                session_timeout_ms=kafka.session_timeout_ms,
            )
            complete_joins(consumer)
            # Known before the group is joined: otherwise the first assignment may be empty, and stay so until the metadata ages.
            if not consumer.partitions_for_topic(topic):
                consumer.close()
                raise BrokerError(f"topic {topic} does not exist on {kafka.bootstrap_servers}: is the party added?")
            consumer.subscribe([topic])
        except KafkaError as error:
            raise BrokerError(f"Kafka at {kafka.bootstrap_servers} cannot be reached: {error}") from error
        return consumer

    def poll(self, timeout_seconds: float = _POLL_SECONDS) -> list[ReceivedAction]:
        """New actions, after settling those handed out before: they count as handled now, answered or not.

        Raises DeliveryError when a receipt could not be delivered, BrokerError when Kafka cannot be reached; then the actions that this
        is about are not handled: they come with the next poll, or to whoever subscribes next.
        """
        batch = self._read(timeout_seconds)
        for received in batch:
            received.handed_out = True
        return batch

    def __iter__(self) -> Iterator[ReceivedAction]:
        for batch in self.batches():
            yield from handed_out(batch)

    def batches(self) -> Iterator[list[ReceivedAction]]:
        """What each poll brings, which may be nothing; ends after `idle_seconds` without any. They are not handed out yet: see `handed_out`."""
        idle_since = time.monotonic()
        while True:
            batch = self._read(_POLL_SECONDS)
            yield batch
            if batch:
                idle_since = time.monotonic()
            elif self._idle_seconds is not None and time.monotonic() - idle_since >= self._idle_seconds:
                if self._caught_up():
                    self._settle()
                    return
                idle_since = time.monotonic()  # not idle: what waits has only not come yet

    def close(self) -> None:
        """Commit what was answered; the rest comes again to whoever subscribes next."""
        try:
            self._settle()
        finally:
            self._consumer.close()
            self._handled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _caught_up(self) -> bool:
        """Whether nothing waits in the topic. False while the group is joined, and when another process reads for this party."""
        try:
            own = self._consumer.assignment()
            ends = self._consumer.end_offsets(list(own)) if own else {}
            return bool(own) and all(self._consumer.position(source) >= end for source, end in ends.items())
        except KafkaError as error:
            raise BrokerError(f"{self._client.actions_topic} cannot be read: {error}") from error

    def _read(self, timeout_seconds: float) -> list[ReceivedAction]:
        """Settle what was handed out, and read on. Returns what is open, accepted if that is wanted."""
        for one in self._open:
            one.settled = one.settled or one.handed_out
        self._settle()
        try:
            fetched = self._consumer.poll(timeout_ms=0 if self._open else int(timeout_seconds * 1000))
        except KafkaError as error:
            raise BrokerError(f"{self._client.actions_topic} cannot be read: {error}") from error
        # What is open from before comes to another process of this party if that has taken its partition over.
        own = self._consumer.assignment()
        self._keep(lambda one: one.source in own)
        for source, records in fetched.items():
            for record in records:
                new = self._receive(source, record)
                if new is not None:
                    self._open.append(new)
                self._next_offsets[source] = record.offset + 1
        self._leave_out_replaced()
        if self._accept and self._open:
            for one in self._open:
                self._client._receipt(
                    one.action.action_id, one.action.revision, ReceiptStatus.ACCEPTED, failures=one.failures
                )
            self._client._tell(self._undelivered(self._open))
        return list(self._open)

    def _receive(self, source: TopicPartition, record: Any) -> ReceivedAction | None:
        """The action in a message, or None when it is handled already or cannot be read (which is logged: the topic is Weaklink's own)."""
        try:
            _, values = decode(record.value)
            action = EnforcementAction.model_validate(values)
        except (ValueError, RecordError) as error:
            _log.error("action_not_readable", topic=source.topic, partition=source.partition,
                       offset=record.offset, error=str(error), meaning="upgrade weaklink")  # fmt: skip
            return None
        waiting = any(
            other.action.action_id == action.action_id and other.action.revision >= action.revision
            for other in self._open
        )
        if waiting or self._handled.covers(action.action_id, action.revision):
            return None
        if _is_over(action, record.timestamp):
            _log.warning("action_expired", action_id=action.action_id, revision=action.revision, measure=action.measure.value,
                         expires_at=action.expires_at.isoformat(), meaning="it was read too late, and is not handed out")  # fmt: skip
            return None
        return ReceivedAction(action, source, record.offset, self._client)

    def _leave_out_replaced(self) -> None:
        """Nobody is to carry out what a later revision has changed or ended already."""
        newest: dict[str, int] = {}
        for one in self._open:
            newest[one.action.action_id] = max(one.action.revision, newest.get(one.action.action_id, 0))
        self._keep(lambda one: one.action.revision == newest[one.action.action_id])

    def _settle(self) -> None:
        """Remember the settled actions whose receipts are delivered, then commit up to the first that is open. Raises DeliveryError of the others."""
        settled = [one for one in self._open if one.settled]
        failures = self._undelivered(settled)
        if delivered := [(one.action.action_id, one.action.revision) for one in settled if one.settled]:
            self._handled.remember(delivered)
            # An earlier revision is over with a later one, whatever became of its receipts.
            self._keep(lambda one: not self._handled.covers(one.action.action_id, one.action.revision))
        self._commit()
        self._client._tell(failures)

    def _undelivered(self, answered: Sequence[ReceivedAction]) -> Failures:
        """Wait for the receipts of these actions. Those of which one failed are as if they had just been read."""
        if answered:
            self._client._publisher.flush()
        failures: Failures = []
        for one in answered:
            if one.failures:
                failures += one.failures
                one.failures, one.handed_out, one.settled = [], False, False
        return failures

    def _keep(self, wanted: Callable[[ReceivedAction], bool]) -> None:
        """Forget the other open actions. Who answers one of them later hears of a failure as of any other event's: from the client's `flush`."""
        for one in self._open:
            if not wanted(one):
                one.failures = self._client._failures
        self._open = [one for one in self._open if wanted(one)]

    def _commit(self) -> None:
        offsets = dict(self._next_offsets)
        for one in self._open:
            offsets[one.source] = min(offsets.get(one.source, one.offset), one.offset)
        if not offsets:
            return
        try:
            self._consumer.commit({source: OffsetAndMetadata(offset, "", -1) for source, offset in offsets.items()})
        except KafkaError as error:
            # Another process of this party has taken the partition over; what is remembered here will not be handed out here again.
            _log.warning("offsets_not_committed", party=self._client.party, error=str(error))
        self._next_offsets = {}
