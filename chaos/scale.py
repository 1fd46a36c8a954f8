"""How much of each fault: the full counts, a fifth of them, or as much as shows in seconds that the fault is survived."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """`share` of the full counts; None: the short form, whose counts each fault names."""

    name: str
    share: float | None

    def count(self, full: int, short: int) -> int:
        """How many of something of which the full form has `full`, and the short one `short`. Never less than the share."""
        return short if self.share is None else math.ceil(full * self.share)

    @property
    def is_short(self) -> bool:
        """Whether this is the form for CI."""
        return self.share is None


SHORT: Final = Scale("short", None)
FIFTH: Final = Scale("fifth", 0.2)
FULL: Final = Scale("full", 1.0)
