"""`python -m bench.load.sender HOST:PORT SCRIPT OUT START_US`: sends a script's requests when they are due, as a process of its own.

Due times do not move when the broker is slow, so that what waits to be sent counts as waiting. OUT (.npz) gets, by number of request, when it was sent and
answered, and the broker's append time; `failed`: requests with an error; `cpu_seconds` of this process from the start. Of each batch: `batch_request`,
`batch_partition`, `batch_offset` (of its first event) and `batch_ms` (append time).
"""

import mmap
import selectors
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from bench.load.script import HEAD, Request, heads
from bench.load.wire import produce_response

_ANSWER_SECONDS_MAX: Final = 60.0
_SLEEP_SECONDS_MAX: Final = 0.02


class Connection:
    """One socket: requests go out in order, answers come back in order."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def answers(self) -> list[bytes]:
        """Whole answers that have come, after the socket became readable. Raises ConnectionError when the broker has hung up."""
        more = self.socket.recv(1 << 16)
        if not more:
            raise ConnectionError("the broker closed the connection: its log says why")
        self._received += more
        found = []
        while len(self._received) >= 4:
            (length,) = struct.unpack_from(">i", self._received)
            if len(self._received) < 4 + length:
                break
            found.append(bytes(self._received[4 : 4 + length]))
            del self._received[: 4 + length]
        return found


class Sender:
    """Sends one script. Times are microseconds since 1970."""

    def __init__(self, address: str, script: Path) -> None:
        self._script, self._requests = script, list(heads(script))
        host, port = address.rsplit(":", 1)
        connections = 1 + max((one.connection for one in self._requests), default=-1)
        self._connections = [Connection(host, int(port)) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for one in self._connections:
            self._selector.register(one.socket, selectors.EVENT_READ, one)
        self.sent_us, self.answered_us, self.appended_ms = (np.zeros(len(self._requests), np.int64) for _ in range(3))
        self.failed: list[str] = []
        self.written: list[tuple[int, int, int, int]] = []
        self._open = 0

    def run(self, start_us: int) -> None:
        """Until everything is answered. Raises TimeoutError when it is not, in a minute."""
        with self._script.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:  # fmt: skip
            at = 0
            for number, request in enumerate(self._requests):
                self._await(start_us + request.due_us)
                at = self._send(number, request, view, at)
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while self._open:
            self._read(_SLEEP_SECONDS_MAX)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._open} of {len(self._requests)} requests got no answer")

    def _send(self, number: int, request: Request, view: memoryview, at: int) -> int:
        begin = at + HEAD.size
        with view[begin : begin + request.bytes] as part:
            self._connections[request.connection].socket.sendall(part)
        self.sent_us[number] = time.time_ns() // 1000
        self._open += 1
        return begin + request.bytes

    def _await(self, moment_us: int) -> None:
        while (left := (moment_us - time.time_ns() // 1000) / 1e6) > 0:
            self._read(min(left, _SLEEP_SECONDS_MAX))
        self._read(0)

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            for answer in key.data.answers():
                number, written = produce_response(answer)
                self.answered_us[number] = time.time_ns() // 1000
                self.appended_ms[number] = max((one.appended_ms for one in written), default=0)
                self.failed += [f"request {number}, partition {one.partition}: error {one.error}" for one in written if one.error]  # fmt: skip
                self.written += [(number, one.partition, one.base_offset, one.appended_ms) for one in written]
                self._open -= 1


def main(address: str, script: str, out: str, start_us: str) -> int:
    """1: some requests were refused."""
    sender = Sender(address, Path(script))
    begun = time.process_time()
    sender.run(int(start_us))
    batches = np.array(sender.written, np.int64).reshape(-1, 4)
    np.savez(
        out, sent_us=sender.sent_us, answered_us=sender.answered_us, appended_ms=sender.appended_ms,
        cpu_seconds=time.process_time() - begun, failed=len(sender.failed), batch_request=batches[:, 0],
        batch_partition=batches[:, 1], batch_offset=batches[:, 2], batch_ms=batches[:, 3],
    )  # fmt: skip
    if sender.failed:
        print(f"{len(sender.failed)} failed: {'; '.join(sender.failed[:3])}", file=sys.stderr)
    return 1 if sender.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
