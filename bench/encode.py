"""Events as the bytes that a party publishes: ApiUsage in Avro single-object encoding, keyed by account. By column, a million events in a few seconds."""

from pathlib import Path
from typing import Final

import numpy as np

from bench.world import IDENTIFIERS_MAX, NAME_BYTES, Bytes, Numbers, World, account_names, tokens
from weaklink.records.codec import SINGLE_OBJECT_MARKER
from weaklink.records.identifiers import TOKEN_BYTES
from weaklink.records.schemas import latest

RECORD: Final = "ApiUsage"
MODEL: Final = b"large-4"
PREFIX_BYTES: Final = 3
"""Before each event in the file: partition, length of the key, length of the value, a byte each."""
EVENT_ID_BYTES: Final = 16
_TIME_BYTES: Final = 8  # of a zigzag varint for times from 2004 to 3111
_CHUNK_EVENTS: Final = 200_000
_TASKS: Final = 7
_ADDRESS_CLASSES: Final = 6


def write_events(world: World, path: Path) -> int:
    """Write every event, with its prefix and key, one after another; returns the bytes of the values alone."""
    names, table = account_names(), tokens()
    value_bytes = 0
    with path.open("wb") as file:
        for begin in range(0, len(world), _CHUNK_EVENTS):
            rows = np.arange(begin, min(begin + _CHUNK_EVENTS, len(world)))
            matrix, present = _rows(world, rows, names, table)
            file.write(matrix[present].tobytes())
            value_bytes += int(matrix[:, 2].astype(np.int64).sum())
    return value_bytes


def _rows(world: World, rows: Numbers, names: Bytes, table: Bytes) -> tuple[Bytes, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:  # fmt: skip
    """The events as rows of equal width, and which of the bytes are there: those of a fourth token only where there is one."""
    count = (world.identifiers[rows] >= 0).sum(axis=1)
    accounts = names[world.accounts[rows]]
    parts: list[Bytes] = [
        np.stack([world.partitions[rows], np.full(len(rows), NAME_BYTES), np.zeros(len(rows))], axis=1).astype(
            np.uint8
        ),
        accounts,
        same(SINGLE_OBJECT_MARKER + latest(RECORD).fingerprint, len(rows)),
        same(one_byte(EVENT_ID_BYTES), len(rows)),
        np.stack([rows, rows ^ 0x5DEECE66D], axis=1).astype(">i8").view(np.uint8).reshape(-1, EVENT_ID_BYTES),
        times(world.occurred_us[rows]),
        same(one_byte(NAME_BYTES), len(rows)),
        accounts,
        (2 * count)[:, None].astype(np.uint8),
    ]
    for column in range(IDENTIFIERS_MAX):
        # Where there is none (-1) any token stands in: its bytes are left out.
        parts += [same(one_byte(TOKEN_BYTES), len(rows)), table[world.identifiers[rows, column]]]
    fourth_end = sum(part.shape[1] for part in parts)
    parts += [same(b"\x00", len(rows)), _usage(world.accounts[rows], rows)]
    matrix = np.concatenate(parts, axis=1)
    present = np.ones(matrix.shape, dtype=np.bool_)
    present[count < IDENTIFIERS_MAX, fourth_end - 1 - TOKEN_BYTES : fourth_end] = False
    matrix[:, 2] = present.sum(axis=1) - PREFIX_BYTES - NAME_BYTES
    return matrix, present


def _usage(accounts: Numbers, rows: Numbers) -> Bytes:
    """window_seconds, model, task, requests, input_tokens, output_tokens, end_user, address_class. Every number has a fixed width."""
    task = (2 * (accounts % _TASKS)).astype(np.uint8)[:, None]
    requests = (2 * (1 + rows % 60)).astype(np.uint8)[:, None]
    address_class = (2 * (accounts % _ADDRESS_CLASSES)).astype(np.uint8)[:, None]
    return np.concatenate(
        [
            same(one_byte(0) + one_byte(len(MODEL)) + MODEL, len(rows)),
            task,
            requests,
            two_bytes(64 + rows * 7 % 8000),
            two_bytes(64 + rows * 13 % 8000),
            same(one_byte(0), len(rows)),  # end_user: null
            address_class,
        ],
        axis=1,
    )


def same(value: bytes, rows: int) -> Bytes:
    """The same bytes in every row."""
    return np.broadcast_to(np.frombuffer(value, dtype=np.uint8), (rows, len(value)))


def two_bytes(values: Numbers) -> Bytes:
    """Zigzag varints of numbers from 64 to 8191."""
    zigzag = 2 * values
    return np.stack([zigzag & 0x7F | 0x80, zigzag >> 7], axis=1).astype(np.uint8)


def times(values: Numbers) -> Bytes:
    """Zigzag varints of times from 2004 to 3111, in microseconds."""
    zigzag = 2 * values
    parts = [zigzag >> 7 * place & 0x7F | (0x80 if place < _TIME_BYTES - 1 else 0) for place in range(_TIME_BYTES)]
    return np.stack(parts, axis=1).astype(np.uint8)


def one_byte(value: int) -> bytes:
    """Zigzag varint of a number below 64."""
    assert 0 <= value < 64, f"{value} takes more than a byte"
    return bytes((2 * value,))
