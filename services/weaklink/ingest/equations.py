"""Equations: a value's tokens of two epochs, as an event of the overlap has them side by side."""

import secrets
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink.frames import EQUATIONS
from weaklink.ingest import equation_loops
from weaklink.ingest.fold import UNLINKED
from weaklink.ingest.outcome import Accepted

_SEEN_ROWS: Final = 1 << 17  # 3 MiB: what is said again costs a row on the topic, nothing else
_SECRET: Final = np.uint64(secrets.randbits(64) | 1)


class Equations:
    """Collects them over a transaction. What a party has said lately is not said again, unless the transaction was lost (`forget`)."""

    def __init__(self) -> None:
        self._seen = np.zeros((_SEEN_ROWS, equation_loops.SEEN_WORDS), dtype=np.int64)
        self._parties: dict[str, int] = {}
        self._found: list[pl.DataFrame] = []

    def forget(self) -> None:
        """What was said may never have been committed: say it again."""
        self._seen[:] = 0
        self._found.clear()

    def add(self, accepted: Accepted, party: str) -> None:
        """Look through events of one party and record."""
        layout, events = accepted.layout, accepted.events
        if layout.record in UNLINKED:
            return
        number = self._parties.setdefault(party, len(self._parties))
        slot, done = layout.slot("identifiers"), 0
        while done < len(accepted.rows):
            pairs = np.empty((max(1 << 10, equation_loops.PAIRS_MAX), equation_loops.PAIR_WORDS), dtype=np.int64)
            done, count = equation_loops.find_pairs(
                events.data, accepted.rows, events.values, events.sizes, slot, events.item_begins, done, number, _SECRET,
                self._seen, pairs, 0,
            )  # fmt: skip
            if count:
                self._found.append(_frame(pairs[:count], party))

    def take(self) -> pl.DataFrame | None:
        """EQUATIONS since the last call; None when there are none."""
        found, self._found = self._found, []
        return pl.concat(found) if found else None


def _frame(pairs: npt.NDArray[np.int64], party: str) -> pl.DataFrame:
    def word(column: int) -> npt.NDArray[np.uint64]:
        return np.ascontiguousarray(pairs[:, column]).view(np.uint64)

    traits = pairs[:, equation_loops.TRAITS]
    columns = {
        "identifier": word(equation_loops.IDENTIFIER),
        "former": word(equation_loops.FORMER),
        "party": pl.repeat(party, len(pairs), dtype=pl.String, eager=True),
        "kind": traits.astype(np.uint8),
        "tail": word(equation_loops.TAIL),
        "epoch": (traits >> 8).astype(np.uint8),
        "former_tail": word(equation_loops.FORMER_TAIL),
        "former_epoch": (traits >> 16).astype(np.uint8),
    }
    return pl.DataFrame(columns, schema=EQUATIONS)
