"""A row of results: what a fault cost, and which bars it missed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

COLUMNAR_STALL_SECONDS: Final = 15.0
"""A columnar stage resumes within this of a worker's kill, with a snapshot in place."""
ENFORCE_STALL_SECONDS: Final = 25.0
BROKER_STALL_SECONDS: Final = 30.0
"""Everything resumes within this of a broker's kill."""
MEMORY_GROWTH_MIB: Final = 256.0


@dataclass
class Row:
    """One fault. `extra`: further figures; `missed`: sentences, each a bar of this fault that was missed; `timing`: those of them that are of seconds,
    which a machine that is busy with other things misses, too."""

    fault: str
    trials: int
    events: int
    lost: int
    duplicate_effects: int
    rejected_wrongly: int
    stall_seconds_max: float
    memory_growth_mib: float
    extra: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    timing: list[str] = field(default_factory=list)

    def bar(self, ok: bool, sentence: str, *, timing: bool = False) -> None:
        """Note a missed bar of this fault's own. timing: it is of seconds."""
        if not ok:
            self.missed.append(sentence)
            if timing:
                self.timing.append(sentence)

    def failures(self) -> list[str]:
        """Every bar that was missed: the three that all rows have, and the fault's own."""
        common = {
            "lost": self.lost,
            "duplicate_effects": self.duplicate_effects,
            "rejected_wrongly": self.rejected_wrongly,
        }
        return [f"{name} is {value}" for name, value in common.items() if value] + self.missed

    def to_json(self) -> dict[str, Any]:
        """As one object of results.json."""
        return {
            "fault": self.fault,
            "trials": self.trials,
            "events": self.events,
            "lost": self.lost,
            "duplicate_effects": self.duplicate_effects,
            "rejected_wrongly": self.rejected_wrongly,
            "stall_seconds_max": round(self.stall_seconds_max, 1),
            "memory_growth_mib": round(self.memory_growth_mib, 1),
            **self.extra,
            "missed": self.failures(),
        }


def write_results(path: Path, rows: list[Mapping[str, Any]], order: tuple[str, ...]) -> None:
    """Replace these faults' rows in the file; those of other faults stay."""
    known = {one["fault"]: one for one in json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}
    known |= {row["fault"]: row for row in rows}
    ranked = sorted(known.values(), key=lambda row: (order.index(row["fault"]) if row["fault"] in order else len(order), row["fault"]))  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ranked, indent=1) + "\n", encoding="utf-8")
