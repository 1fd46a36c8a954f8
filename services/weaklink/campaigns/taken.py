"""What a campaign took: exchanges and output tokens of its members, with the interval that their probabilities leave open."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

_NORMAL_95: Final = 1.96


@dataclass(frozen=True, slots=True)
class Taken:
    """Expected values, with 95 % bounds."""

    requests: int
    requests_low: int
    requests_high: int
    output_tokens: int
    output_tokens_low: int
    output_tokens_high: int

    def record(self) -> dict[str, Any]:
        """As Avro Taken."""
        return asdict(self)


NOTHING_TAKEN: Final = Taken(0, 0, 0, 0, 0, 0)


def taken(members: pl.DataFrame) -> Taken:
    """Of one campaign's confirmed members: [score Float64 (their probability), requests Int64, output_tokens Int64].

    The sum over members of p times volume. Whether one member is the operator's says much about the next, since they were found by what
    they share; so the bounds are the wider of two: members independent of each other (normal, variance sum of p (1 - p) v^2),
    and all of them right or wrong together, weighed by their mean doubt. Never more than everything that they made.
    """
    p = members["score"].fill_null(0.0).to_numpy().clip(0, 1)
    return Taken(*_bounds(p, members["requests"]), *_bounds(p, members["output_tokens"]))


def _bounds(p: Any, volumes: pl.Series) -> tuple[int, int, int]:
    """(expected, low, high)."""
    v = volumes.fill_null(0).to_numpy().astype(np.float64)
    total, expected = float(v.sum()), float((p * v).sum())
    alone = _NORMAL_95 * float(np.sqrt((p * (1 - p) * v * v).sum()))
    together = total - expected
    spread = max(alone, together)
    return round(expected), round(max(expected - spread, 0.0)), round(min(expected + spread, total))
