"""Large responses straight into their place, out of kafka-python, which reads 4 KiB at a time: like `whole_batches`, a place that relies on private names.

A fetched megabyte takes the library 256 calls of the system, in a thread that must get the global lock back after each of them while the stage
computes; and four copies. Here the rest of a frame is received where the frame is to be, in as few calls as there is data for, and read from
there. All but its last byte, that is: with the last one the library takes over, and finds a frame like any other. Requests, connections,
logins, timeouts and errors stay the library's. kafka-python is pinned for this, and `tests/stream/test_receive.py` fails loudly when a new
version changes what is relied on.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

from weaklink.errors import BrokerError

_LARGE_BYTES: Final = 1 << 14
"""What is left of a frame, from which on it is received in place: less is a call or two for the library."""
_PIECE_BYTES: Final = 1 << 14
_NOTHING_YET: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Frame(KafkaBytes):  # type: ignore[misc]  # kafka-python ships no types
    """A frame whose rest is read as a view. Nobody writes to a frame that is whole."""

    def read(self, nbytes: int | None = None) -> bytes | memoryview:
        """The next so many bytes; all that follow as they lie."""
        if nbytes is not None:
            found: bytes = super().read(nbytes)
            return found
        rest = memoryview(self)[self.tell() :]
        self.seek(len(self))
        return rest


class _InPlace:
    """What both transports do differently."""

    _protocol: Any
    _sock: Any

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        """What the library is to parse, if anything, and why the connection is lost, if it is. One piece: whoever asks waits for the next."""
        if self._sock is None:  # closed meanwhile
            return b"", KafkaConnectionError("the connection was closed")
        parser = self._protocol.parser if self._protocol else None
        try:
            if parser is not None and parser._receiving and _left(parser._rbuffer) >= _LARGE_BYTES:
                self._fill(parser)
            received = self._sock.recv(_PIECE_BYTES)
        except _NOTHING_YET:
            return b"", None
        except OSError as error:
            return b"", KafkaConnectionError(error)
        return received, None if received else KafkaConnectionError("socket disconnected")

    def _fill(self, parser: Any) -> None:
        """Receive all but the last byte of the frame. Raises what the socket raises, also when there is nothing more yet, and OSError at its end."""
        frame = parser._rbuffer
        if not isinstance(frame, _Frame):
            begun, frame = frame, _Frame(len(frame))
            frame.write(memoryview(begun)[: begun.tell()])
            parser._rbuffer = frame
        with memoryview(frame) as room:
            while left := _left(frame):
                count = self._sock.recv_into(room[frame.tell() : frame.tell() + left])
                if not count:
                    raise OSError("socket disconnected")
                frame.seek(frame.tell() + count)


class _PlainInPlace(_InPlace, KafkaTCPTransport):  # type: ignore[misc]
    pass


class _SslInPlace(_InPlace, KafkaSSLTransport):  # type: ignore[misc]
    pass


_IN_PLACE: Final = {KafkaTCPTransport: _PlainInPlace, KafkaSSLTransport: _SslInPlace}


def receive_in_place(consumer: KafkaConsumer) -> None:
    """Have this consumer's connections, those that it opens from now on, receive large responses in place.

    Raises BrokerError when the library is not the one this was written for.
    """
    manager = getattr(getattr(consumer, "_client", None), "_manager", None)
    build: Callable[..., Awaitable[Any]] | None = getattr(manager, "_build_transport", None)
    if manager is None or build is None or not hasattr(KafkaTCPTransport, "_sock_recv"):
        raise BrokerError(
            "this kafka-python has another transport than 3.0.12, which Weaklink is pinned to: install from requirements.lock"
        )

    async def build_in_place(*arguments: Any, **options: Any) -> Any:
        transport = await build(*arguments, **options)
        transport.__class__ = _IN_PLACE[type(transport)]
        return transport

    manager._build_transport = build_in_place


def _left(frame: Any) -> int:
    """What is still to come of a frame, without its last byte."""
    left: int = len(frame) - frame.tell() - 1
    return left
