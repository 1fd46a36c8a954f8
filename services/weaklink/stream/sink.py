"""The output side of the runner, and the one place of the columnar stages that commits: messages and offsets in one Kafka transaction."""

import contextlib
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from kafka import KafkaProducer, TopicPartition
from kafka.errors import (
    FencedInstanceIdError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
)
from kafka.structs import OffsetAndMetadata

from weaklink import topology
from weaklink.errors import BrokerError
from weaklink.settings import Settings
from weaklink.stream.blocks import send_block
from weaklink.stream.stage import MessageBlock, Output

_FENCED_MAX: Final = 5
_UNKNOWN_EPOCH: Final = -1
_RETRY_BACKOFF_MS: Final = 20
_log = structlog.get_logger()


class TransactionAborted(Exception):
    """The transaction did not commit, or it is unknown whether it did: the state must be rebuilt from the committed offsets."""


def transactional_id(stage: str, slot: str | None) -> str:
    """Stable for a slot, so that a restart aborts at once what its predecessor left open; else one for each process.

    Two live workers must never share a slot: the second takes the first one's place, which ends (`slot_taken`).
    """
    return f"weaklink.{stage}.{slot or f'{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}'}"


def slot_taken(stage: str) -> BrokerError:
    """The error of a worker whose place in the group another process has taken, under the same slot."""
    return BrokerError(
        f"another process runs {stage} with the same --slot, and has this one's partitions: give each its own"
    )


def _never_begin_anew(producer: Any) -> None:
    """Have a batch that the broker refuses as of an epoch gone by end the producer, and with it the commit.

    By itself the library takes a new epoch within the transaction, which drops all that was sent in it; a commit that waits for these records is then
    told that it succeeded, as one of nothing. So it was after the sleep of a worker in a commit beyond the transaction's timeout.
    """
    producer._transaction_manager._supports_epoch_bump = lambda: False


def _outputs(stage: str) -> list[str]:
    """Topics that every worker of a stage writes to. The library asks for them when they are first sent to, and waits .1 s for each: they are
    asked for at the start, so that the first commit mostly finds them known."""
    return [topic for spec in topology.STAGES if spec.name == stage for topic in spec.writes if "<id>" not in topic]


class TransactionalSink:
    """A transactional producer that is replaced when it is fenced or fails for good."""

    def __init__(self, stage: str, slot: str | None, settings: Settings) -> None:
        self._stage = stage
        self._transactional_id = transactional_id(stage, slot)
        self._settings = settings
        self._fenced = 0
        self._producer: Any = self._open()  # None: closed, and no other could be opened yet

    def commit(self, messages: Sequence[Output], offsets: Mapping[TopicPartition, int], group_metadata: Any) -> None:
        """Send and commit as one. Raises TransactionAborted; then nothing of it is visible to a reader of committed messages. BrokerError: for good.

        KIP-447: the group's metadata lets the broker refuse the offsets of a member that the group has given up on.
        """
        try:
            # Of a closed producer nothing but an endless wait may be expected.
            self._producer = self._producer or self._open()
            self._producer.begin_transaction()
            for message in messages:
                if isinstance(message, MessageBlock):
                    send_block(self._producer, message)
                    continue
                self._producer.send(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    partition=message.partition,
                    headers=list(message.headers),
                )
            if offsets:
                positions = {tp: OffsetAndMetadata(offset, "", _UNKNOWN_EPOCH) for tp, offset in offsets.items()}
                self._await("send_offsets_to_transaction", positions, group_metadata)
            self._await("begin_commit")
        except FencedInstanceIdError as error:
            raise slot_taken(self._stage) from error
        except MessageSizeTooLargeError as error:
            # It would be too large with every further attempt.
            raise BrokerError(
                f"{self._stage} cannot write what it has: {error}; do the topics have the limits of these settings (`weaklink provision`)?"
            ) from error
        except KafkaError as error:
            self._give_up(error)
            raise TransactionAborted(str(error)) from error
        self._fenced = 0

    def close(self) -> None:
        """Close the producer; nothing is pending between commits."""
        if self._producer is not None:
            self._producer.close(timeout=5)

    def _open(self) -> Any:
        kafka, topics = self._settings.kafka, self._settings.topics
        producer = KafkaProducer(
            **kafka.client_options(),
            transactional_id=self._transactional_id,
            transaction_timeout_ms=kafka.transaction_timeout_ms,
            acks="all",
            linger_ms=2,
            # A transaction that begins while the broker still writes the markers of the one before is told to try again.
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            max_request_size=max(topics.chunk_bytes_max, topics.rejects_message_bytes_max) + (1 << 20),
            allow_auto_create_topics=False,
        )
        _never_begin_anew(producer)
        for topic in _outputs(self._stage):
            producer._sender.add_topic(topic)
        try:
            producer.init_transactions()
        except KafkaError:
            producer.close(timeout=1)
            raise
        return producer

    def _await(self, request: str, *arguments: Any) -> None:
        """A step of the transaction. Raises KafkaTimeoutError when its answer does not come while the broker would keep the transaction open.

        The library waits without a limit: a request under way to a coordinator that dies may be forgotten, and the stage stood for ever.
        """
        limit_ms = self._settings.kafka.transaction_timeout_ms
        result = getattr(self._producer._transaction_manager, request)(*arguments)
        self._producer._sender.wakeup()
        if not result.wait(limit_ms):
            raise KafkaTimeoutError(f"{request} was not answered within {limit_ms} ms")

    def _give_up(self, error: KafkaError) -> None:
        """Abort what is open. A producer in error, whether fenced or not, is not worth mending: a new one aborts what the old one left."""
        _log.warning("transaction_aborted", stage=self._stage, error=f"{type(error).__name__}: {error}")
        if isinstance(error, ProducerFencedError):
            self._fenced += 1
            if self._fenced >= _FENCED_MAX:
                raise BrokerError(
                    f"transactional id {self._transactional_id} was fenced {self._fenced} times in a row: another process runs with the same --slot"
                ) from error
        if self._producer is None:
            return
        try:
            if not isinstance(error, KafkaTimeoutError):  # else what it would wait for is what did not come
                self._await("begin_abort")
        except KafkaError as second:
            _log.warning(
                "abort_failed", stage=self._stage, error=f"{type(second).__name__}: {second}", next="new producer"
            )
        given_up, self._producer = self._producer, None
        given_up._sender.force_close()  # else closing waits for what is not sent yet, and gives up with the thread still alive
        with contextlib.suppress(KafkaError):
            given_up.close(timeout=1)
        self._producer = self._open()
