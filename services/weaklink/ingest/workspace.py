"""Memory that one transaction after another writes to: fresh pages from the system cost more than what is written to them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_WORDS_MIN: Final = 1 << 16


class Workspace:
    """Arrays that hold until `clear`. What does not fit comes from a larger piece of memory, which is kept in place of the one before."""

    def __init__(self) -> None:
        self._words: npt.NDArray[np.int64] = np.empty(_WORDS_MIN, dtype=np.int64)
        self._used = 0

    def take(self, *shape: int) -> npt.NDArray[np.int64]:
        """An array of numbers, whatever they are."""
        words = int(np.prod(shape))
        if self._used + words > len(self._words):
            # Arrays taken before keep the old piece alive for as long as they are needed.
            self._words, self._used = np.empty(max(2 * len(self._words), words), dtype=np.int64), 0
        taken = self._words[self._used : self._used + words].reshape(shape)
        self._used += words
        return taken

    def zeros(self, words: int) -> npt.NDArray[np.uint64]:
        """So many words, all 0."""
        taken: Any = self.take(words)
        taken[:] = 0
        return taken.view(np.uint64)  # type: ignore[no-any-return]

    def joined(self, parts: Sequence[bytes | memoryview]) -> npt.NDArray[np.uint8]:
        """The bytes of all parts, one after another."""
        size = sum(map(len, parts))
        taken: npt.NDArray[np.uint8] = self.take(-(-size // 8)).view(np.uint8)[:size]
        end = 0
        for part in parts:
            begin, end = end, end + len(part)
            taken[begin:end] = np.frombuffer(part, dtype=np.uint8)
        return taken

    def clear(self) -> None:
        """Nobody uses any of it any more."""
        self._used = 0
