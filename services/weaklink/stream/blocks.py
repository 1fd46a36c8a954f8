"""Whole blocks of records into kafka-python's producer, which knows only single records: like `whole_batches`, a place that relies on private names.

A block becomes one record batch in the accumulator, as if its records had been appended one by one; producer id, sequence, transaction,
retries and checksum stay the library's. One by one a record costs some 30 us, and a party may send nothing but events that are rejected.
kafka-python is pinned for this, and `tests/stream/test_sink.py` fails loudly when a new version changes what is relied on.
"""

import time
from typing import Any, Final

from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder

from weaklink.stream.stage import MessageBlock

_MAGIC_V2: Final = 2
_UNCOMPRESSED: Final = 0


def send_block(producer: Any, block: MessageBlock) -> None:
    """Queue a block within the transaction that is open. That it was not delivered shows when the transaction is committed. Raises kafka's errors."""
    tp = TopicPartition(block.topic, block.partition)
    if producer._metadata.partitions_for_topic(block.topic) is None:
        producer._wait_on_metadata(block.topic, producer.config["max_block_ms"])
    producer._transaction_manager.maybe_add_partition_to_transaction(tp)
    accumulator = producer._accumulator
    if accumulator._closed:
        raise KafkaError(f"the producer was closed before a block for {block.topic} was sent")
    batch = ProducerBatch(tp, _records(block))
    with accumulator._tp_lock(tp):
        accumulator._batches[tp].append(batch)
        accumulator._incomplete.add(batch)
    producer._sender.wakeup()


def _records(block: MessageBlock) -> MemoryRecordsBuilder:
    # A batch size of 0: nothing is ever appended to it.
    records = MemoryRecordsBuilder(_MAGIC_V2, _UNCOMPRESSED, 0)
    builder = records._builder
    builder._buffer += block.records
    builder._num_records, builder._last_offset = block.count, block.count - 1
    builder._first_timestamp = builder._max_timestamp = time.time_ns() // 1_000_000
    records._next_offset = block.count
    return records
