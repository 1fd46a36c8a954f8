"""What the verifier counts, and how it says where."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_SHOWN_MAX: Final = 40


@dataclass
class Findings:
    """Counts over all topics and the ledger; `sentences` names the first of what is wrong. `counted`: how much was looked at, by what."""

    lost: int = 0
    duplicate_effects: int = 0
    rejected_wrongly: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def loss(self, count: int, sentence: str) -> None:
        """So many effects that should be there and are not."""
        self.lost += count
        self._say(f"lost {count}: {sentence}")

    def duplicate(self, count: int, sentence: str) -> None:
        """So many effects that are there once too often."""
        self.duplicate_effects += count
        self._say(f"twice {count}: {sentence}")

    def wrong_reject(self, sentence: str) -> None:
        """A good event that came back, or one that came back for the wrong offset."""
        self.rejected_wrongly += 1
        self._say(f"rejected wrongly: {sentence}")

    def compare(self, where: str, name: object, expected: Iterable[int], found: Iterable[int]) -> None:
        """A count and the sums beside it. Fewer: lost; more: twice; as many with other sums: one lost, and another twice in its place."""
        (count, *sums), (found_count, *found_sums) = expected, found
        if found_count < count:
            self.loss(count - found_count, f"{where} {name}: {found_count} of {count}")
        elif found_count > count:
            self.duplicate(found_count - count, f"{where} {name}: {found_count}, not {count}")
        elif sums != found_sums:
            self.loss(1, f"{where} {name}: sums {found_sums}, not {sums}")
            self.duplicate(1, f"{where} {name}: sums {found_sums}, not {sums}")

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicate_effects or self.rejected_wrongly)

    def _say(self, sentence: str) -> None:
        if len(self.sentences) < _SHOWN_MAX:
            self.sentences.append(sentence)
