"""Whole batches from kafka-python: what it relies on, which batches it gives, and what it makes of those that inflate too far."""

import gzip
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import cramjam
import lz4.frame
import pytest
import zstandard
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.topics import create_topics
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream import inflate
from weaklink.stream.partitions import resume
from weaklink.stream.source import Source
from weaklink.stream.stage import Traits
from weaklink.stream.whole_batches import Limits, RecordBatch, read_whole_batches
from weaklink.topology import StageSpec

_UNTIL_FLUSHED_MS = 60_000
"""So that what is sent before a flush is one batch, however slow the machine."""
PLAIN = random.Random(1).randbytes(50_000) + bytes(100_000)


def xerial(data: bytes) -> bytes:
    """As Kafka's Java client writes snappy: a header, then blocks with their lengths."""
    blocks = [bytes(cramjam.snappy.compress_raw(data[begin : begin + 32_768])) for begin in range(0, len(data), 32_768)]
    return (
        b"\x82SNAPPY\x00"
        + (1).to_bytes(4, "big") * 2
        + b"".join(len(block).to_bytes(4, "big") + block for block in blocks)
    )


COMPRESSED = {
    "none": (inflate.NONE, PLAIN),
    "gzip": (inflate.GZIP, gzip.compress(PLAIN)),
    "snappy": (inflate.SNAPPY, bytes(cramjam.snappy.compress_raw(PLAIN))),
    "snappy of Java": (inflate.SNAPPY, xerial(PLAIN)),
    "lz4": (inflate.LZ4, lz4.frame.compress(PLAIN)),
    "zstd": (inflate.ZSTD, zstandard.compress(PLAIN)),
    "zstd streamed": (inflate.ZSTD, zstandard.ZstdCompressor(write_content_size=False).compress(PLAIN)),
}


@pytest.mark.parametrize(("codec", "data"), COMPRESSED.values(), ids=COMPRESSED.keys())
def test_every_compression_is_inflated_up_to_the_limit(codec: int, data: bytes) -> None:
    """Exactly at the limit it is read, one byte above it is not."""
    assert bytes(inflate.inflate(codec, memoryview(data), len(PLAIN))) == PLAIN
    with pytest.raises(inflate.BatchTooLarge):
        inflate.inflate(codec, memoryview(data), len(PLAIN) - 1)


@pytest.mark.parametrize("size", [1, 60_000, 1 << 16, 300_000, 3 << 20])
@pytest.mark.parametrize("entropy", [0.0, 0.5, 1.0])
def test_lz4_is_inflated_piece_by_piece_however_well_it_compresses(size: int, entropy: float) -> None:
    """The whole, up to the limit and not beyond it, and not when its end is missing."""
    noise = int(size * entropy)
    plain = random.Random(3).randbytes(noise) + bytes(size - noise)
    data = lz4.frame.compress(plain)
    assert bytes(inflate.inflate(inflate.LZ4, memoryview(data), size)) == plain
    with pytest.raises(inflate.BatchTooLarge):
        inflate.inflate(inflate.LZ4, memoryview(data), size - 1)
    with pytest.raises(inflate.BatchDamaged):
        inflate.inflate(inflate.LZ4, memoryview(data)[:-1], size)


@pytest.mark.parametrize(("codec", "data"), list(COMPRESSED.values())[1:], ids=list(COMPRESSED)[1:])
def test_damaged_bytes_are_told_from_large_ones(codec: int, data: bytes) -> None:
    """Whatever is cut off or changed, the answer is other bytes or BatchDamaged or BatchTooLarge, never another exception."""
    generator = random.Random(2)
    for _ in range(200):
        broken = bytearray(data[: generator.randrange(len(data))])
        if broken:
            broken[generator.randrange(len(broken))] ^= 0xFF
        with suppress(inflate.BatchDamaged, inflate.BatchTooLarge):
            assert bytes(inflate.inflate(codec, memoryview(bytes(broken)), 1 << 20)) != PLAIN


@contextmanager
def reading(kafka: KafkaConfig, topic: str, inflated_bytes_max: int = 1 << 20) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        **kafka.client_options(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    read_whole_batches(consumer, Limits(inflated_bytes_max))
    consumer.assign([TopicPartition(topic, 0)])
    try:
        yield consumer
    finally:
        consumer.close()


def read_to_end(consumer: KafkaConsumer, topic: str) -> list[RecordBatch]:
    tp = TopicPartition(topic, 0)
    end = consumer.end_offsets([tp])[tp]
    batches: list[RecordBatch] = []
    while consumer.position(tp) < end:
        for found in consumer.poll(timeout_ms=200).values():
            batches += found
    return batches


@pytest.fixture
def topic(kafka: KafkaConfig) -> str:
    name = f"whole-{uuid4().hex[:8]}"
    create_topics(kafka, [name], partitions=1)
    return name


@pytest.mark.kafka
def test_batches_come_whole_without_markers_and_aborted_ones(kafka: KafkaConfig, topic: str) -> None:
    """Committed batches only, each once, with the offsets and counts that the broker gave them."""
    producer = KafkaProducer(**kafka.client_options(), transactional_id=topic, linger_ms=_UNTIL_FLUSHED_MS)
    producer.init_transactions()
    for number, commit in enumerate((True, False, True, False)):
        producer.begin_transaction()
        for one in range(3):
            producer.send(topic, f"{number} {one}".encode())
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    with reading(kafka, topic) as consumer:
        batches = read_to_end(consumer, topic)
        assert consumer.position(TopicPartition(topic, 0)) == 16
    assert [(batch.base_offset, batch.last_offset, batch.records_count) for batch in batches] == [(0, 2, 3), (8, 10, 3)]
    assert b"0 2" in bytes(batches[0].payload)
    assert b"2 0" in bytes(batches[1].payload)
    assert all(batch.max_timestamp_ms > 1_600_000_000_000 for batch in batches)


@pytest.mark.kafka
def test_a_seek_into_a_batch_clips_it(kafka: KafkaConfig, topic: str) -> None:
    """The batch comes whole, and says from which offset it is the reader's."""
    producer = KafkaProducer(**kafka.client_options(), linger_ms=_UNTIL_FLUSHED_MS)
    for number in range(10):
        producer.send(topic, str(number).encode())
    producer.flush()
    producer.close()
    with reading(kafka, topic) as consumer:
        consumer.seek(TopicPartition(topic, 0), 4)
        (batch,) = read_to_end(consumer, topic)
    assert (batch.base_offset, batch.begin, batch.end, batch.is_clipped) == (0, 4, 10, True)


@pytest.mark.kafka
@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_a_batch_beyond_the_limit_is_named_and_not_lost(kafka: KafkaConfig, topic: str, compression: str) -> None:
    """It comes without payload, with its size and hash; its neighbours come as ever."""
    for size in (10, 2 << 20, 10):
        producer = KafkaProducer(
            **kafka.client_options(), compression_type=compression, max_request_size=8 << 20, batch_size=4 << 20
        )
        producer.send(topic, bytes(size))
        producer.close()
    with reading(kafka, topic) as consumer:
        batches = read_to_end(consumer, topic)
    assert [batch.refusal is not None for batch in batches] == [False, True, False]
    refusal = batches[1].refusal
    assert refusal is not None
    assert refusal.too_large
    assert len(refusal.sha256) == 64
    assert batches[1].payload == b""
    assert (batches[1].base_offset, batches[1].records_count) == (1, 1)


@pytest.mark.kafka
def test_a_poll_holds_a_batch_more_than_its_share_at_most(kafka: KafkaConfig, tmp_path: Path) -> None:
    """Small on the wire, 3 MiB each inflated: what comes too early is fetched again, and everything comes once and in order."""
    party = f"postponed-{uuid4().hex[:8]}"
    create_topics(kafka, [f"party.{party}.events"], partitions=2)
    producer = KafkaProducer(**kafka.client_options(), compression_type="zstd", max_request_size=8 << 20, batch_size=0)
    for number in range(24):
        producer.send(f"party.{party}.events", number.to_bytes(4, "big") * (3 << 18), partition=number % 2)
    producer.close()
    spec = StageSpec(
        name=party,
        runtime="columnar",
        group=f"weaklink.{party}",
        reads=(f"party.{party}.events",),
        writes=(),
        summary="",
    )
    source = Source(spec, Traits(whole_batches=True), Settings(kafka=kafka, data_folder=tmp_path))
    held: list[int] = []
    found: dict[int, list[int]] = {0: [], 1: []}
    while sum(map(len, found.values())) < 24:
        polled = source.poll(500, 16)
        assert all(isinstance(batch, RecordBatch) and not batch.postponed for batch in polled)
        held.append(sum(len(batch.payload) for batch in polled if isinstance(batch, RecordBatch)))
        for batch in polled:
            found[batch.source.partition].append(batch.offset)
    source.close()
    assert found == {0: list(range(12)), 1: list(range(12))}
    assert max(held) <= (16 << 20) + (4 << 20)
    assert len([size for size in held if size]) >= 4


@pytest.mark.kafka
def test_a_partition_paused_half_read_goes_on_when_resumed(kafka: KafkaConfig) -> None:
    """Records that were fetched and not handed out when it was paused are not lost, and the partition does not stand still."""
    name = f"paused-{uuid4().hex[:8]}"
    create_topics(kafka, [name], partitions=2)
    producer = KafkaProducer(**kafka.client_options())
    for number in range(20):
        producer.send(name, str(number).encode(), partition=number % 2)
    producer.close()
    consumer = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        both = [TopicPartition(name, 0), TopicPartition(name, 1)]
        consumer.assign(both)
        first: dict[TopicPartition, list[object]] = {}
        while not first:
            first = consumer.poll(timeout_ms=500, max_records=1)
        (half_read,) = first
        (other,) = set(both) - {half_read}
        consumer.pause(half_read)
        while consumer.position(other) < 10:
            consumer.poll(timeout_ms=500)
        resume(consumer, [half_read])
        for _ in range(20):
            consumer.poll(timeout_ms=500)
            if consumer.position(half_read) == 10:
                break
        assert consumer.position(half_read) == 10
    finally:
        consumer.close()
