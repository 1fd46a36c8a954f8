"""An operator's stocks of identifiers: what it shares between its accounts, because each one costs money."""

from collections import deque

import numpy as np

from weaklink.records.identifiers import IdentifierKind
from weaklink.sim.vocabulary import Ids, Vocabulary


class SharedPool:
    """Hands out identifiers of one kind, each to a fixed number of accounts, `window` identifiers side by side.

    A wide window mixes: two accounts share one kind with each other and another kind with others. A window of 1 with few
    accounts each makes a chain. An identifier that is known to be blocked is thrown away with the uses that it had left.
    """

    def __init__(
        self, kind: IdentifierKind, accounts_each: int, window: int, vocabulary: Vocabulary, random: np.random.Generator
    ) -> None:
        self._kind, self._each, self._window = kind, max(1, accounts_each), max(1, window)
        self._vocabulary, self._random = vocabulary, random
        self._uses: deque[int] = deque()
        self._blocked: set[int] = set()
        # A chain's kinds are out of step with each other, so that no two accounts share all of them.
        self._stagger = int(random.integers(0, self._each)) if self._window == 1 else 0

    def block(self, identifiers: set[int]) -> None:
        """Never hand these out again."""
        self._blocked |= identifiers

    def peek(self, count: int) -> Ids:
        """Up to `count` different identifiers that will be handed out first."""
        if not self._uses:
            self._refill(self._window)
        return np.array(list(dict.fromkeys(self._uses))[:count], dtype=np.int32)

    def take(self, count: int, fresh_max: int | None = None) -> Ids:
        """Identifiers for up to `count` accounts; fewer when that takes more than `fresh_max` new identifiers."""
        taken: list[int] = []
        while len(taken) < count:
            if not self._uses:
                wanted = min(self._window, -(-(count - len(taken)) // self._each)) if self._window > 1 else 1
                wanted = max(wanted, 1) if fresh_max is None else min(max(wanted, 1), fresh_max)
                if wanted <= 0:
                    break
                fresh_max = None if fresh_max is None else fresh_max - wanted
                self._refill(wanted)
            identifier = self._uses.popleft()
            if identifier not in self._blocked:
                taken.append(identifier)
        return np.array(taken, dtype=np.int32)

    def _refill(self, count: int) -> None:
        uses = np.repeat(self._vocabulary.mint(self._kind, count), self._each)
        if self._window > 1:
            uses = self._random.permutation(uses)
        self._uses.extend(uses[self._stagger :].tolist())
        self._stagger = 0
