"""Values of events through the compiled reader, for tests that look at nothing but what it makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from weaklink.ingest.decode import Bad, decode
from weaklink.ingest.events import Events, Values
from weaklink.ingest.layout import Layout, Rule


@dataclass(frozen=True)
class Read:
    """`frame`: the good events, `row` among their columns. `bad`: what the others are rejected for."""

    frame: pl.DataFrame
    bad: list[Bad]

    def reasons(self) -> dict[int, tuple[str, str]]:
        """(reason, field) by row."""
        return {int(row): (one.reason, one.field) for one in self.bad for row in one.rows}


def values_of(bodies: Sequence[bytes]) -> Values:
    """These byte strings, one after another."""
    ends = np.cumsum([len(body) for body in bodies], dtype=np.int64)
    begins = ends - np.array([len(body) for body in bodies], dtype=np.int64)
    zeros = np.zeros(len(bodies), dtype=np.int64)
    return Values(np.frombuffer(b"".join(bodies), dtype=np.uint8), begins, ends, zeros, zeros)


def read(bodies: Sequence[bytes], layout: Layout, frame_bytes: int = 0, rules: Sequence[Rule] = ()) -> Read:
    """Decode values of one schema, and judge them by the layout's rules and these."""
    events = Events(values_of(bodies), np.zeros(len(bodies), dtype=np.int64))
    found = decode(events, np.arange(len(bodies)), frame_bytes, layout, (*layout.rules, *rules))
    frame = events.to_frame(layout, found.good).drop("appended_at_us").with_columns(row=pl.Series(found.good))
    return Read(frame, found.bad)
