"""One run of the evaluation, by what it depends on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

FULL: Final = "full"
LOOP: Final = "loop"
"""The whole method in a closed loop with enforcement. A run of its own, since it takes long, and so may be of another size."""
REAL: Final = ("rings", "rings_with_hubs", "ssh")
"""Runs on the real data of `DataFiles`; every other world is simulated."""
REAL_TICK_SECONDS_MIN: Final = 86_400
"""They span nine months, and without usage everything is looked for in each tick, a second each."""
MONTH: Final = "month"
"""The base world with about the 100,000 accounts that the backtest's time is promised for."""
Family = Literal["testing", "tuning"]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A world (or real data), a seed, and a variant of the method: `full`, `loop`, or the name of an ablation."""

    world: str
    seed: int = 1
    size: float = 0.25
    tick_seconds: int = 3600
    family: Family = "testing"
    variant: str = FULL
    baselines: bool = False
    """Also judge the simple rules on the same data."""
    cuts: int = 0
    """Times at which the future is cut off, to compare what was said before."""

    @property
    def name(self) -> str:
        """A file name for the run's result."""
        return f"{self.world}-{self.variant}-{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The folder of real data (`rings_events.parquet` and so on). What is missing there is skipped by name."""

    folder: Path

    def missing(self, world: str) -> list[str]:
        """Files that a run on real data needs and that are not there."""
        return [name for name in _NEEDED[world] if not (self.folder / name).exists()]


_NEEDED: Final = {
    "rings": ("rings_events.parquet", "rings_labels.parquet"),
    "rings_with_hubs": ("rings_events.parquet", "rings_labels.parquet", "rings_hubs.parquet"),
    "ssh": ("ssh_events.parquet",),
}
