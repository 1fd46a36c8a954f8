"""Responses that are received in place: the same as the library's own, however the bytes come, and on a real broker."""

import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.parser import KafkaProtocol

from tests.topics import create_topics
from weaklink.kafka_options import KafkaConfig
from weaklink.stream import receive
from weaklink.stream.receive import receive_in_place

_FRAME_BYTES = st.sampled_from([1, 4, 100, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, (1 << 14) + 2, 70_000, 400_000])


class _Connection:
    """With as much of a connection as a transport uses: its parser, which here gives each frame as its bytes."""

    def __init__(self) -> None:
        self.parser = KafkaProtocol()
        self.parser._process_response = lambda frame: bytes(frame.read())
        self.frames: list[bytes] = []

    def take(self, data: bytes) -> None:
        self.frames += self.parser.receive_bytes(data)


class _Pieces:
    """A socket that gives what was sent in these pieces, with nothing there in between; then it is at its end."""

    def __init__(self, data: bytes, pieces: Iterator[int], nothing: type[OSError]) -> None:
        self._data, self._pieces, self._nothing = data, pieces, nothing
        self._ready = 0
        self.calls = 0

    def recv(self, size: int) -> bytes:
        room = bytearray(size)
        return bytes(room[: self.recv_into(room)])

    def recv_into(self, room: Any) -> int:
        self.calls += 1
        if not self._ready and self._data:
            self._ready = min(next(self._pieces), len(self._data))
            raise self._nothing
        size = min(self._ready, len(room))
        room[:size], self._data = self._data[:size], self._data[size:]
        self._ready -= size
        return size


def _transport(of: type, sock: Any) -> Any:
    transport: Any = object.__new__(of)
    transport._sock, transport._protocol = sock, _Connection()
    return transport


def _receive_all(transport: Any) -> tuple[list[bytes], Exception]:
    while True:
        data, error = transport._sock_recv()
        if error:
            return transport._protocol.frames, error
        transport._protocol.take(data)


@given(
    sizes=st.lists(_FRAME_BYTES, max_size=4),
    seed=st.integers(0, 1 << 32),
    piece_max=st.sampled_from([200, 5_000, 1 << 20]),
)
@pytest.mark.parametrize(
    ("of", "nothing"),
    [(receive._PlainInPlace, BlockingIOError), (receive._SslInPlace, ssl.SSLWantReadError), (receive._SslInPlace, ssl.SSLWantWriteError)],
)  # fmt: skip
def test_frames_come_whole_however_their_bytes_come(of: type, nothing: type[OSError], sizes: list[int], seed: int, piece_max: int) -> None:  # fmt: skip
    """Every frame with its own bytes, in order; then the end of the connection is an error."""
    generator = random.Random(seed)
    if piece_max < 1_000:
        sizes = [min(size, 18_000) for size in sizes]
    frames = [generator.randbytes(size) for size in sizes]
    data = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    pieces = iter(lambda: generator.randint(1, piece_max), 0)
    received, error = _receive_all(_transport(of, _Pieces(data, pieces, nothing)))
    assert received == frames
    assert isinstance(error, KafkaConnectionError)


def test_a_large_frame_takes_few_calls() -> None:
    """As many as the socket has pieces, not one for every 4 KiB."""
    frame = random.Random(1).randbytes(4 << 20)
    sock = _Pieces(len(frame).to_bytes(4, "big") + frame, iter(lambda: 1 << 20, 0), BlockingIOError)
    received, _ = _receive_all(_transport(receive._PlainInPlace, sock))
    assert received == [frame]
    assert sock.calls < 30


def test_a_connection_that_is_lost_within_a_frame_is_an_error() -> None:
    """Reset, and closed by ourselves."""
    ours, theirs = socket.socketpair()
    transport = _transport(receive._PlainInPlace, ours)
    with closing(ours), closing(theirs):
        ours.setblocking(False)
        theirs.sendall((1 << 20).to_bytes(4, "big") + bytes(50_000))
        for _ in range(3):
            data, error = transport._sock_recv()
            assert error is None
            transport._protocol.take(data)
        theirs.close()
        assert isinstance(transport._sock_recv()[1], KafkaConnectionError)
        transport._sock = None
        assert isinstance(transport._sock_recv()[1], KafkaConnectionError)


def test_the_library_has_what_is_relied_on(kafka: KafkaConfig) -> None:
    """A consumer's connections are the ones that receive in place, and what they give is what was sent."""
    assert set(receive._IN_PLACE) == {KafkaTCPTransport, KafkaSSLTransport}
    assert KafkaProtocol()._rbuffer is None
    assert KafkaProtocol()._receiving is False
    topic = f"receive-{uuid4().hex[:8]}"
    create_topics(kafka, [topic])
    values = [random.Random(number).randbytes(300_000) for number in range(8)]
    with closing(KafkaProducer(**kafka.client_options(), allow_auto_create_topics=False)) as producer:
        for value in values:
            producer.send(topic, value, partition=0)
        producer.flush()
    tp = TopicPartition(topic, 0)
    with closing(
        KafkaConsumer(**kafka.client_options(), group_id=None, max_partition_fetch_bytes=16 << 20)
    ) as consumer:
        receive_in_place(consumer)
        filled: list[int] = []
        fill = receive._InPlace._fill

        def noted(transport: receive._InPlace, parser: Any) -> None:
            filled.append(len(parser._rbuffer))
            fill(transport, parser)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(receive._InPlace, "_fill", noted)
            consumer.assign([tp])
            consumer.seek_to_beginning(tp)
            received: list[bytes] = []
            while len(received) < len(values):
                received += [record.value for record in consumer.poll(timeout_ms=500).get(tp, [])]
    assert received == values
    assert max(filled) > len(values[0]), "large responses did not come in place"
