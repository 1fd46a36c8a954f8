"""What campaigns, which proposes measures, and enforce, which grants them, must know alike."""

from collections.abc import Mapping
from typing import Final

UPSTREAM: Final = frozenset({"BLOCK_IDENTIFIER", "REVOKE_LEASE", "REQUIRE_END_USER_IDS"})
"""Measures at what feeds a campaign rather than at its accounts: only the weak-link plan may ask for them."""
SEVERITY: Final[Mapping[str, int]] = {"OBSERVE": 0, "CHALLENGE": 1, "THROTTLE": 1, "SUSPEND": 2} | dict.fromkeys(UPSTREAM, 2)  # fmt: skip
"""Of every measure: on one target the more severe counts."""
