"""Which schema a value was written with, by its first bytes: Avro single-object encoding or the Confluent wire format."""

import secrets
from itertools import pairwise
from typing import Final

import numpy as np

from weaklink.ingest import record_loops
from weaklink.ingest.config import SchemaRegistryConfig
from weaklink.ingest.events import Rows, Values
from weaklink.ingest.layout import Layout, compile_layout
from weaklink.ingest.schema_registry import SchemaRegistry
from weaklink.records.codec import (
    CONFLUENT_FRAME_BYTES,
    CONFLUENT_MARKER,
    SINGLE_OBJECT_FRAME_BYTES,
    SINGLE_OBJECT_MARKER,
)
from weaklink.records.schemas import EVENT_RECORDS, all_schemas

_SECRET: Final = np.uint64(secrets.randbits(64) | 1)


def by_frame(values: Values) -> tuple[Rows, list[tuple[Rows, bytes]]]:
    """(number of the frame of each value, or what `record_loops` says of one without; rows of each frame, and its 10 or 5 bytes)."""
    count = len(values)
    slots, keys = np.zeros(_table_size(count), dtype=np.int64), np.empty(count, dtype=np.uint64)
    firsts, groups = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    frames = record_loops.group_frames(values.data, values.begins, values.ends, _SECRET, slots, keys, firsts, groups)
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(frames + 1))
    if frames == 1 and bounds[0] == 0:
        order = np.arange(count)
    found: list[tuple[Rows, bytes]] = []
    for first, (begin, end) in zip(firsts[:frames].tolist(), pairwise(bounds.tolist()), strict=True):
        at = int(values.begins[first])
        single = values.data[at] != CONFLUENT_MARKER[0]
        size = SINGLE_OBJECT_FRAME_BYTES if single else CONFLUENT_FRAME_BYTES
        found.append((order[begin:end], values.data[at : at + size].tobytes()))
    return groups, found


def _table_size(entries: int) -> int:
    return 1 << max(2 * entries - 1, 1).bit_length()


class Frames:
    """Frame -> layout of the schema it names; None: not known, not allowed, or not readable."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        self._layouts: dict[bytes, Layout] = {
            SINGLE_OBJECT_MARKER + schema.fingerprint: compile_layout(schema)
            for schema in all_schemas().values()
            if schema.record in EVENT_RECORDS
        }
        self._registry = SchemaRegistry(config) if config.url else None

    def layout(self, frame: bytes) -> Layout | None:
        """Raises RegistryUnavailable when only the registry could say what the frame is, and it does not answer."""
        if frame[:1] == CONFLUENT_MARKER:
            return self._registry.layout(int.from_bytes(frame[1:], "big")) if self._registry else None
        return self._layouts.get(frame)

    def registry_answers(self) -> bool:
        """Whether there is anything to wait for: asks a registry that did not answer again, when its pause is over."""
        return self._registry is None or self._registry.answers()
