"""What the Python peers share: the event's schema, pairs of an event, members of an identifier, and the lines that the benchmark follows."""

import io
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import fastavro

CAP = 1_000
SHARED_MIN = 5
FRAME_BYTES = 10
NAME_BYTES = 8
SCHEMA = fastavro.parse_schema(json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8")))


def pairs(value: bytes) -> Iterator[tuple[bytes, str]]:
    """(token, account) of an event in single-object encoding."""
    event = fastavro.schemaless_reader(io.BytesIO(value[FRAME_BYTES:]), SCHEMA)
    account = event["account"]
    for token in event["identifiers"]:
        yield token, account


def add(members: str, account: str) -> tuple[str, bool]:
    """Members (names of eight characters, one after another) with one more, and whether they are enough now and were not before."""
    known = len(members) // NAME_BYTES
    if known >= CAP or any(members[at : at + NAME_BYTES] == account for at in range(0, len(members), NAME_BYTES)):
        return members, False
    return members + account, known + 1 == SHARED_MIN


class Status:
    """Counts, and says them on standard output ten times a second."""

    def __init__(self) -> None:
        self.first_us = self.last_us = 0
        self.read = self.sent = self.folded = 0
        threading.Thread(target=self._report, daemon=True, name="status").start()

    def reading(self) -> None:
        """An event has arrived."""
        if not self.first_us:
            self.first_us = time.time_ns() // 1000

    def passed_on(self, count: int) -> None:
        """All pairs of an event have been sent to be folded."""
        self.sent += count
        self.read += 1

    def fold(self, count: int = 1) -> None:
        """So many pairs are in the state."""
        self.folded += count
        self.last_us = time.time_ns() // 1000

    def _report(self) -> None:
        while True:
            self.say()
            time.sleep(0.1)

    def say(self) -> None:
        """One line."""
        names: Iterable[str] = ("first_us", "last_us", "read", "sent", "folded")
        # One write, past whatever a framework puts in place of standard output.
        line = f"STATUS {json.dumps({name: getattr(self, name) for name in names})}\n"
        os.write(1, line.encode())
