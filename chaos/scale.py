"""How much of each fault: the full counts, a fifth of them, or as much as shows in seconds that the fault is survived; and in what time."""

import math
from dataclasses import dataclass
from typing import Final

_PATIENCE_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Scale:
    """`share` of the full counts; None: the short form, whose counts each fault names.

    `minutes_max`: a bar of a run of all faults; None: no bar. `seed`: of what faults draw by lot.
    """

    name: str
    share: float | None
    minutes_max: float | None = None
    seed: int = 1

    def count(self, full: int, short: int) -> int:
        """How many of something of which the full form has `full`, and the short one `short`. Never less than the share."""
        return short if self.share is None else math.ceil(full * self.share)

    @property
    def patience_times(self) -> float:
        """By how much longer than with a fifth of the counts may be waited for what grows with them."""
        return 1.0 if self.share is None else max(1.0, self.share / _PATIENCE_SHARE)

    @property
    def is_short(self) -> bool:
        """Whether this is the form for CI."""
        return self.share is None


SHORT: Final = Scale("short", None)
FIFTH: Final = Scale("fifth", 0.2, minutes_max=50)
FULL: Final = Scale("full", 1.0, minutes_max=150)
