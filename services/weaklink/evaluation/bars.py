"""The bars that detection must hold on worlds it was not fitted on: one table, checked by `weaklink evaluate` and in the tests.

Medians over seeds are held against a bar; a bar that says `every_seed` must hold on each (every zero on every seed). On fewer seeds than
`seeds_min`, or when a run of its world failed, a bar is not reached, whatever the others say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Bar:
    """`metric` of `world` must be at least (or at most) `value`, on `seeds_min` seeds or more."""

    world: str
    metric: str
    direction: Literal["at least", "at most"]
    value: float
    every_seed: bool = False
    seeds_min: int = 10

    def holds(self, value: float) -> bool:
        """Whether a value reaches the bar."""
        return value >= self.value if self.direction == "at least" else value <= self.value

    def missing(self, value: float) -> float:
        """By how much a value misses the bar; 0 when it does not."""
        return max(0.0, self.value - value if self.direction == "at least" else value - self.value)


def _detection(worlds: Iterable[str], precision: float, recall_worst: float, prevented: float | None) -> list[Bar]:
    bars = []
    for world in worlds:
        bars += [
            Bar(world, "precision", "at least", precision),
            Bar(world, "recall_worst", "at least", recall_worst),
        ]
        if prevented is not None:
            bars.append(Bar(world, "prevented", "at least", prevented))
    return bars


WORLDS: Final = (
    "base",
    "pivot",
    "small",
    "paraphrase",
    "slow_drip",
    "carrier_nat",
    "churn",
    "chain",
    "benign_conduct",
    "benign_chain",
    "resellers",
    "framing_one",
    "framing_two",
    "card_flood",
    "member_flood",
    "no_campaign",
    "programmes",
    "omission",
    "replay",
    "backdating",
    "hydra",
    "giant",
)
"""Worlds that have bars, in the order of the tables."""

BARS: Final[tuple[Bar, ...]] = (
    *_detection(("base", "pivot", "small", "paraphrase", "slow_drip", "carrier_nat"), 0.99, 0.98, 0.90),
    *_detection(("churn",), 0.99, 0.98, 0.60),
    *_detection(("chain",), 0.99, 0.95, 0.50),
    *_detection(("benign_conduct",), 0.99, 0.90, 0.60),
    *_detection(("benign_chain",), 0.95, 0.50, None),
    *_detection(("resellers",), 0.995, 0.98, 0.85),
    Bar("resellers", "resellers_suspended", "at most", 0, every_seed=True),
    *_detection(("framing_one",), 0.99, 0.98, 0.85),
    *_detection(("framing_two",), 0.98, 0.98, 0.85),
    Bar("framing_one", "victims_suspended", "at most", 0, every_seed=True),
    Bar("framing_two", "victims_suspended", "at most", 0, every_seed=True),
    *_detection(("card_flood", "member_flood"), 0.99, 0.98, 0.85),
    Bar("no_campaign", "flagged", "at most", 0, every_seed=True),
    *(Bar(world, "benign_suspended", "at most", 0, every_seed=True) for world in WORLDS),
    Bar("base", "suspended_volume_share", "at least", 0.60),
    *(
        Bar(world, "purity", "at least", 0.95)
        for world in WORLDS
        if world not in ("benign_chain", "no_campaign", "hydra")
    ),
    *(Bar(world, "causal_agreement", "at least", 0.99, seeds_min=1) for world in WORLDS if world != "no_campaign"),
    Bar("base", "plan_gap", "at most", 0.02),
    Bar("base", "loop_cut_after_measure", "at least", 0.90, seeds_min=1),
    Bar("base", "loop_honest_lost", "at most", 0.001, seeds_min=1),
    Bar("base", "collateral_volume", "at most", 0.001),
    Bar("base", "cut_at_small_budget", "at least", 0.60),
    Bar("base", "plan_reach_small_budget", "at least", 0.60),
    Bar("base", "plan_cut_small_budget", "at least", 0.60),
    Bar("month", "backtest_seconds", "at most", 30, seeds_min=1),
    Bar("rings", "error_against_degree_cap", "at most", 0.5, seeds_min=1),
    Bar("rings", "largest_cluster", "at most", 199, seeds_min=1),
    Bar("rings_with_hubs", "error_against_degree_cap", "at most", 0.5, seeds_min=1),
    Bar("rings_with_hubs", "largest_cluster", "at most", 199, seeds_min=1),
)

SHORT_SIZE: Final = 0.03
SHORT_TICK_SECONDS: Final = 24 * 3600
SHORT_BARS: Final[tuple[Bar, ...]] = (
    Bar("base", "precision", "at least", 0.99),
    Bar("base", "recall", "at least", 0.80),
    Bar("base", "recall_volume", "at least", 0.90),
    Bar("base", "prevented", "at least", 0.50),
    Bar("base", "purity", "at least", 0.95),
    Bar("base", "benign_suspended", "at most", 0),
    Bar("base", "suspended_volume_share", "at least", 0.60),
    Bar("base", "causal_agreement", "at least", 0.99),
    Bar("base", "plan_gap", "at most", 0.02),
    Bar("base", "collateral_volume", "at most", 0.001),
    *(
        bar
        for world, recall in (
            ("paraphrase", 0.95),
            ("churn", 0.95),
            ("slow_drip", 0.88),
            ("chain", 0.86),
            ("benign_conduct", 0.45),  # campaigns of 16 accounts that behave as customers do
        )
        for bar in (
            Bar(world, "precision", "at least", 0.98),
            Bar(world, "recall", "at least", recall),
            Bar(world, "benign_suspended", "at most", 0),
        )
    ),
    Bar("framing_two", "precision", "at least", 0.98),
    Bar("framing_two", "victims_suspended", "at most", 0),
    Bar("framing_two", "benign_suspended", "at most", 0),
    Bar("framing_one", "victims_suspended", "at most", 0),
    Bar("framing_one", "benign_suspended", "at most", 0),
    *(
        bar
        for world in ("card_flood", "member_flood", "omission")  # whose authors want that less is found
        for bar in (
            Bar(world, "precision", "at least", 0.98),
            Bar(world, "recall", "at least", 0.95),
            Bar(world, "recall_volume", "at least", 0.98),
            Bar(world, "benign_suspended", "at most", 0),
        )
    ),
    Bar("replay", "benign_suspended", "at most", 0),
    Bar("backdating", "benign_suspended", "at most", 0),
    Bar("resellers", "precision", "at least", 0.99),
    Bar("resellers", "resellers_suspended", "at most", 0),
    Bar("resellers", "benign_suspended", "at most", 0),
    Bar("no_campaign", "flagged", "at most", 0),
)
"""Bars of the short form that the tests run, one seed of each world: far smaller worlds than `BARS` are for (campaigns of 16 accounts
and up) and a tick of a day, so that what rests on size and speed has lower bars here. What must be zero is zero at any size."""
