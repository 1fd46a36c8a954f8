"""Run by `test_decode`: feeds the compiled loops bytes whose end is the end of readable memory, so that any look beyond is a fault of the processor."""

import ctypes
import mmap
import random
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from weaklink.ingest import record_loops
from weaklink.ingest.accounts import Numbered
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.decode import decode
from weaklink.ingest.events import Events, Values
from weaklink.ingest.framing import by_frame
from weaklink.ingest.layout import compile_layout
from weaklink.ingest.links import LinkTable
from weaklink.ingest.outcome import Accepted
from weaklink.ingest.validate import rules_of
from weaklink.records.codec import encode
from weaklink.records.examples import examples
from weaklink.records.schemas import EVENT_RECORDS, latest

_PAGE = mmap.PAGESIZE
_ROUNDS = 400
_FRAME_BYTES = 10


class Edge:
    """One page of memory, with one after it that nobody may read."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, 2 * _PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address + _PAGE), ctypes.c_size_t(_PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        self._memory = np.frombuffer(self._pages, dtype=np.uint8, count=_PAGE)

    def put(self, data: bytes) -> npt.NDArray[np.uint8]:
        """These bytes at the very end."""
        place = self._memory[_PAGE - len(data) :]
        place[:] = np.frombuffer(data, dtype=np.uint8)
        return place


def mutated(value: bytes, generator: random.Random) -> bytes:
    body = bytearray(value)
    for _ in range(generator.randint(0, 3)):
        if body:
            body[generator.randrange(len(body))] = generator.choice([0, 1, 0x22, 0x7E, 0x80, 0xFF, generator.randrange(256)])  # fmt: skip
    return bytes(body[: generator.choice([len(body), len(body), generator.randrange(len(body) + 1)])])


def run_event(edge: Edge, record: str, value: bytes) -> None:
    layout = compile_layout(latest(record))
    data = edge.put(value)
    one, zero = np.array([len(value)], dtype=np.int64), np.zeros(1, dtype=np.int64)
    values = Values(data, zero, one, zero, zero)
    by_frame(values)
    if len(value) < _FRAME_BYTES:
        return
    rules = (*layout.rules, *rules_of(layout, IngestConfig(), age_limits=False))
    events = Events(values, zero)
    good = decode(events, zero.copy(), _FRAME_BYTES, layout, rules).good
    if len(good) and "account" in layout.columns:
        Numbered.of(events, layout, "account", good)
        events.ids(good)
        item_links = events.workspace.take(events.items)
        LinkTable(IngestConfig()).add(Accepted(layout, events, good, zero, zero), zero, item_links)
        events.to_frame(layout, good)


def main() -> None:
    generator, edge = random.Random(7), Edge()
    found = [one for one in examples() if one.schema.record in EVENT_RECORDS]
    for number in range(_ROUNDS):
        example = found[number % len(found)]
        value = mutated(encode(example.schema.record, example.values), generator)
        run_event(edge, example.schema.record, value)
        records = b"".join(record(value[: generator.randrange(60)]) for _ in range(3))
        data = edge.put(mutated(records, generator))
        begins, ends, deltas = (np.empty(3, dtype=np.int64) for _ in range(3))
        record_loops.walk(data, 0, len(data), 3, begins, ends, deltas)
    sys.stdout.write(f"{_ROUNDS} rounds, none looked beyond\n")


def record(value: bytes) -> bytes:
    body = bytes((0, 0, 0, 2)) + b"k" + bytes((2 * len(value),)) + value + b"\x00"
    return (
        bytes((2 * len(body) & 0x7F | 0x80, 2 * len(body) >> 7)) + body
        if len(body) > 63
        else bytes((2 * len(body),)) + body
    )


if __name__ == "__main__":
    main()
