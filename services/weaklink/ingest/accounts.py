"""Names, models and tokens of a party's events as numbers: each distinct one is looked at once, not once for each event."""

import secrets
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute  # Polars imports it with the first Arrow array that it takes: not amid the first batch

from weaklink.account_keys import account_hash
from weaklink.ingest import text_loops
from weaklink.ingest.events import Events, Rows, strings
from weaklink.ingest.layout import Layout

_SECRET: Final = np.uint64(secrets.randbits(64) | 1)


@dataclass(frozen=True, slots=True)
class Numbered:
    """Distinct byte strings: `number` of each row's (-1: null), and where each of them stands."""

    number: Rows
    begins: Rows
    sizes: Rows
    events: Events

    @classmethod
    def of(cls, events: Events, layout: Layout, name: str, rows: Rows) -> "Numbered":
        """Those of a field."""
        slot, room = layout.slot(name), 1 << len(rows).bit_length()
        begins, sizes, number = (events.workspace.take(len(rows)) for _ in range(3))
        while True:
            slots = events.workspace.zeros(room)
            count = text_loops.number_texts(
                events.data, rows, events.values, events.sizes, slot, _SECRET, slots, begins, sizes, number
            )
            if count != text_loops.FULL:
                return cls(number, begins[:count], sizes[:count], events)
            room *= 4

    def series(self, name: str, dtype: Any) -> pl.Series:
        """The distinct strings, as String or Binary."""
        kind = pa.large_string() if dtype == pl.String else pa.large_binary()
        return pl.Series(name, pl.from_arrow(strings(self.events.data, self.begins, self.sizes, kind)), dtype=dtype)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts of some events: the number of each event's, and by number their names, hashes and parties."""

    number: Rows
    names: pl.Series
    hashes: pl.Series
    parties: pl.Series

    @classmethod
    def of(cls, events: Events, layout: Layout, party: str, rows: Rows) -> "Accounts":
        """Those of a party."""
        numbered = Numbered.of(events, layout, "account", rows)
        names = numbered.series("account", pl.String)
        hashes = names.to_frame().select(account_hash(party, "account")).to_series()
        return cls(numbered.number, names, hashes, pl.Series("party", [party]).new_from_index(0, len(names)))

    def hash_of_rows(self) -> Rows:
        """The hash of each event's account, its bits as Int64."""
        found: Rows = self.hashes.to_numpy().view(np.int64)[self.number]
        return found
