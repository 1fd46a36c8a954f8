"""Record batches that no honest client writes, put on a topic through kafka-python's producer: compressed bytes as they are, with a header that fits them."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import cramjam
import lz4.frame
import zstandard
from kafka import KafkaProducer, TopicPartition
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder

from weaklink.kafka_options import KafkaConfig

_MAGIC: Final = 2
_STEP_BYTES: Final = 1 << 20
VALUE_BYTES_MAX: Final = (1 << 31) - (1 << 20)
_SNAPPY_BLOCK_BYTES: Final = 32 << 10
CODECS: Final = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def _varint(number: int) -> bytes:
    number = number << 1 ^ number >> 63
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def zeros(*values_bytes: int) -> Iterator[bytes]:
    """Records whose values are so many zeros each, in pieces. Raises ValueError where one would be longer than a record's length, an int, can say."""
    for number, value_bytes in enumerate(values_bytes):
        if value_bytes > VALUE_BYTES_MAX:
            raise ValueError(f"a value of {value_bytes} bytes fits no record, {VALUE_BYTES_MAX} is the most")
        head = b"\x00\x00" + _varint(number) + _varint(-1) + _varint(value_bytes)
        yield _varint(len(head) + value_bytes + 1) + head
        for begin in range(0, value_bytes, _STEP_BYTES):
            yield bytes(min(_STEP_BYTES, value_bytes - begin))
        yield b"\x00"


def records(values: Iterable[bytes]) -> Iterator[bytes]:
    """A record of each of these values, without key and headers."""
    for number, value in enumerate(values):
        body = b"\x00\x00" + _varint(number) + _varint(-1) + _varint(len(value)) + value + b"\x00"
        yield _varint(len(body)) + body


def empty_records(count: int) -> Iterator[bytes]:
    """So many records without key, value and headers: some eight bytes each, and a few once compressed."""
    pieces = bytearray()
    for number in range(count):
        body = b"\x00\x00" + _varint(number) + b"\x01\x01\x00"
        pieces += _varint(len(body)) + body
        if len(pieces) > _STEP_BYTES:
            yield bytes(pieces)
            pieces.clear()
    yield bytes(pieces)


def compress(codec: str, pieces: Iterator[bytes]) -> bytes:
    """As Kafka's clients do, never holding what it inflates to."""
    make: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
        "gzip": _gzip,
        "lz4": _lz4,
        "zstd": _zstd,
        "snappy": _snappy,
    }
    return b"".join(make[codec](pieces))


def _gzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, wbits=31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _lz4(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = lz4.frame.LZ4FrameCompressor(block_linked=False)  # Kafka reads no others
    yield compressor.begin()
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _snappy(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """In the framing of Kafka's Java client."""
    yield b"\x82SNAPPY\x00" + (1).to_bytes(4, "big") * 2
    for piece in pieces:
        for begin in range(0, len(piece), _SNAPPY_BLOCK_BYTES):
            block = bytes(cramjam.snappy.compress_raw(piece[begin : begin + _SNAPPY_BLOCK_BYTES]))
            yield len(block).to_bytes(4, "big") + block


class Crafter:
    """Sends batches as they are. Raises kafka's errors where the broker refuses one."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._producer = KafkaProducer(
            **kafka.client_options(), acks="all", enable_idempotence=False, max_request_size=15 << 20, max_block_ms=120_000,
            request_timeout_ms=110_000, retries=0,
        )  # fmt: skip

    def send(self, topic: str, partition: int, codec: str, compressed: bytes, records: int) -> int:
        """Put a batch on the topic; its first offset, when the broker has taken it."""
        builder = DefaultRecordBatchBuilder(_MAGIC, CODECS[codec], False, -1, -1, -1, 1 << 30)
        fields: Any = builder
        fields._buffer += compressed
        fields._num_records, fields._last_offset = records, records - 1
        builder.write_header()
        sealed: Any = MemoryRecordsBuilder(_MAGIC, CODECS[codec], 1 << 30)
        sealed._buffer, sealed._builder, sealed._closed, sealed._next_offset = fields._buffer, None, True, records
        sealed._bytes_written = len(fields._buffer)
        tp = TopicPartition(topic, partition)
        batch = ProducerBatch(tp, sealed)
        assert self._producer.partitions_for(topic)
        accumulator: Any = self._producer._accumulator
        with accumulator._tp_lock(tp):
            accumulator._batches[tp].append(batch)
            accumulator._incomplete.add(batch)
        self._producer._sender.wakeup()
        told = FutureRecordMetadata(batch.produce_future, 0, 0, None, -1, -1, -1).get(120)
        return int(told.offset)

    def send_value(self, topic: str, partition: int, value: bytes) -> int:
        """One message by itself; its offset."""
        return int(self._producer.send(topic, value=value, partition=partition).get(120).offset)

    def close(self) -> None:
        """Close the connection."""
        self._producer.close()
