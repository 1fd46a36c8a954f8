"""Identifier tokens of a frame of events as one byte matrix: the fastest way to their parts, without a Python object each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink.records.identifiers import TOKEN_BYTES


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of some events in order: `row` numbers the event of each, `matrix` holds its 17 bytes."""

    row: npt.NDArray[np.int64]
    matrix: npt.NDArray[np.uint8]

    @property
    def kind(self) -> npt.NDArray[np.uint8]:
        """First byte."""
        return self.matrix[:, 0]

    @property
    def epoch(self) -> npt.NDArray[np.uint8]:
        """Second byte: the key's epoch."""
        return self.matrix[:, 1]

    @property
    def identifier(self) -> npt.NDArray[np.uint64]:
        """Bytes 2..10, little-endian."""
        return np.ascontiguousarray(self.matrix[:, 2:10]).view("<u8")[:, 0]

    @property
    def tail(self) -> npt.NDArray[np.uint64]:
        """Bytes 9..17, little-endian."""
        return np.ascontiguousarray(self.matrix[:, 9:17]).view("<u8")[:, 0]

    def take(self, keep: npt.NDArray[np.bool_]) -> "Tokens":
        """Only the tokens under the mask."""
        return Tokens(self.row[keep], self.matrix[keep])


def explode(identifiers: pl.Series) -> Tokens:
    """The tokens in a List(Binary) column. Raises ValueError unless every one has 17 bytes (`validate` sees to that)."""
    lists: Any = identifiers.to_arrow()
    items: Any = lists.flatten()
    count = len(items)
    lengths = np.diff(np.asarray(lists.offsets))
    row = np.repeat(np.arange(len(identifiers), dtype=np.int64), lengths)
    if count == 0:
        return Tokens(row, np.empty((0, TOKEN_BYTES), np.uint8))
    ends = np.frombuffer(items.buffers()[1], dtype=np.int64)[items.offset : items.offset + count + 1]
    if not (np.diff(ends) == TOKEN_BYTES).all():
        raise ValueError(f"a token does not have {TOKEN_BYTES} bytes: events must be validated first")
    data = np.frombuffer(items.buffers()[2], dtype=np.uint8)[ends[0] : ends[-1]]
    return Tokens(row, data.reshape(count, TOKEN_BYTES))


def first_mentions(tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Mask that drops the second and later mention of a token within one event, so that counts are of events."""
    keep = np.ones(len(tokens.row), dtype=np.bool_)
    if len(tokens.row) < 2:
        return keep
    identifier, tail = tokens.identifier, tokens.tail
    # Tokens of one event lie side by side, at most 32 of them: compare each with the one `lag` places before.
    # Nearly always there are few and all differ, which costs a few nanoseconds each where a hash table costs a hundred.
    longest = int(np.bincount(tokens.row).max())
    for lag in range(1, longest):
        same = (tokens.row[lag:] == tokens.row[:-lag]) & (identifier[lag:] == identifier[:-lag])
        if same.any():
            same &= (tail[lag:] == tail[:-lag]) & (tokens.kind[lag:] == tokens.kind[:-lag])
            same &= tokens.epoch[lag:] == tokens.epoch[:-lag]
            keep[lag:] &= ~same
    return keep
