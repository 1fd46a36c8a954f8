"""Figures of all rounds as one line per engine: `build/bench/results.json`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.job import Engine, Outcome

_MICROSECONDS: Final = 1_000_000


@dataclass
class Result:
    """An engine over its rounds. Processor seconds and events/s are per round; `unavailable` says why a peer was not measured."""

    engine: str
    guarantee: str
    configured: str
    events: int
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unavailable: str | None = None

    @classmethod
    def of(cls, engine: Engine, events: int) -> "Result":
        """Nothing measured yet."""
        return cls(engine.name, engine.guarantee, engine.configured, events)

    @property
    def events_per_second(self) -> list[float]:
        """Of each round that came to its end."""
        return [round(self.events / one.seconds, 1) for one in self.outcomes]

    @property
    def cpu_us_per_event(self) -> float | None:
        """Median over the rounds, broker included."""
        if not self.outcomes:
            return None
        return median((one.cpu_seconds + one.broker_cpu_seconds) / self.events * _MICROSECONDS for one in self.outcomes)

    @property
    def correct(self) -> bool | None:
        """Whether every round ended with exactly the right output; None: no round was begun."""
        if self.unavailable or not (self.outcomes or self.failures):
            return None
        return not self.failures and not any(one.wrong for one in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Medians of processor seconds, the largest peak, and every round on its own."""
        return {
            "engine": self.engine,
            "guarantee": self.guarantee,
            "events": self.events,
            "events_per_second": self.events_per_second,
            "cpu_seconds": _median([one.cpu_seconds for one in self.outcomes]),
            "broker_cpu_seconds": _median([one.broker_cpu_seconds for one in self.outcomes]),
            "cpu_us_per_event": None if self.cpu_us_per_event is None else round(self.cpu_us_per_event, 3),
            "peak_mib": round(max((one.peak_mib for one in self.outcomes), default=0.0), 1) or None,
            "correct": self.correct,
            "unavailable": self.unavailable,
            "failures": self.failures,
            "configured": self.configured,
            "rounds": [asdict(one) | {"seconds": one.seconds} for one in self.outcomes],
        }


def write(results: list[Result], folder: Path) -> Path:
    """Write `results.json`; returns where."""
    path = folder / "results.json"
    path.write_text(json.dumps([one.to_json() for one in results], indent=1) + "\n", encoding="utf-8")
    return path


def _median(values: list[float]) -> float | None:
    return round(median(values), 3) if values else None
