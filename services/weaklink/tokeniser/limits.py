"""How much a party may ask for: a token bucket for the moment, and a count for the day. Pure: the time is passed in.

Whoever may ask without limit can enumerate what is enumerable (all of IPv4, all phone numbers) and read everybody's tokens.
"""

from dataclasses import dataclass, field
from typing import Final

from weaklink.tokeniser.config import TokeniserConfig

_DAY_SECONDS: Final = 86_400


@dataclass
class _Budget:
    left: float
    at: float
    day: int = -1
    today: int = 0


@dataclass
class Limits:
    """Budgets by party. They live in memory: a restart fills them."""

    config: TokeniserConfig
    _budgets: dict[str, _Budget] = field(default_factory=dict)

    def take(self, party: str, values: int, now: float) -> float:
        """Take so many values from the party's budget at `now` (seconds since 1970). Returns 0, or seconds to wait; then nothing is taken."""
        config = self.config
        budget = self._budgets.setdefault(party, _Budget(config.values_burst_max, now))
        budget.left = min(
            config.values_burst_max, budget.left + max(now - budget.at, 0.0) * config.values_per_second_max
        )
        budget.at = max(now, budget.at)
        day = int(now // _DAY_SECONDS)
        if day > budget.day:
            budget.day, budget.today = day, 0
        if budget.today + values > config.values_per_day_max:
            return max((budget.day + 1) * _DAY_SECONDS - now, 1.0)
        # A call larger than the burst may go alone, once the bucket is full; it then stays in debt.
        if budget.left < min(values, config.values_burst_max):
            return (min(values, config.values_burst_max) - budget.left) / config.values_per_second_max
        budget.left -= values
        budget.today += values
        return 0.0
