"""Words under numbers, for columns that hold few distinct ones."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns.graph import Keys


class Words:
    """Words numbered from 0 in the order in which they came."""

    def __init__(self) -> None:
        self._number: Final[dict[str, int]] = {}

    def add(self, words: pl.Series) -> Keys:
        """Number of each of these, none of which is null."""
        some = words.unique(maintain_order=True)
        numbers = [self._number.setdefault(word, len(self._number)) for word in some]
        found: Keys = words.replace_strict(some, numbers, return_dtype=pl.UInt32).to_numpy()
        return found

    def of(self, numbers: Keys) -> pl.Series:
        """The words of these numbers."""
        return pl.Series(list(self._number), dtype=pl.String).gather(numbers)

    def places(self, numbers: Keys) -> Keys:
        """Place of the word of each number among all words in their order."""
        place = np.empty(len(self._number), np.uint32)
        place[pl.Series(list(self._number), dtype=pl.String).arg_sort().to_numpy()] = np.arange(len(place))
        found: Keys = place[numbers]
        return found
