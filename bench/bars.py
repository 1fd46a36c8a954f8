"""Weaklink beside each engine, round by round, and what was to be reached, from what `results.json` says of each round.

Only rounds count in which both ended with right output: where one fails in a round, the others are not compared across rounds because of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

Results = Sequence[Mapping[str, Any]]
WITHOUT_ROUNDS: Final = "These results do not say which round a figure is of (as an earlier version wrote them): so nothing is compared, no bars are reckoned."
_OWN: Final = "weaklink"
_MICROSECONDS: Final = 1_000_000
_WHOLE_FROM: Final = 10


@dataclass(frozen=True)
class Bar:
    """`own` to `other`, in medians, is to be at least `least`, or at most `most`."""

    what: str
    other: str
    own: str = _OWN
    least: float | None = None
    most: float | None = None

    def is_reached(self, ratio: float) -> bool:
        """Whether it is."""
        return (self.least is None or ratio >= self.least) and (self.most is None or ratio <= self.most)


BARS: Final = (
    Bar("of plain reception by librdkafka in Python", "raw-librdkafka-python", least=0.6),
    Bar("ingest alone, of plain reception by librdkafka in Python", "raw-librdkafka-python", "weaklink-ingest", least=0.7),
    Bar("times Flink, heap state", "flink-heap", least=1.5),
    Bar("times Kafka Streams tuned, in memory", "kafka-streams-tuned-memory", least=2.5),
    Bar("times Kafka Streams tuned, RocksDB", "kafka-streams-tuned-rocksdb", least=4.0),
    Bar("times Quix Streams", "quix", least=40.0),
    Bar("of the processor time an event of Flink, heap state, broker included", "flink-heap", most=1 / 3),
)  # fmt: skip


def have_rounds(results: Results) -> bool:
    """Whether every round says which one it was."""
    return all("round" in each for one in results for each in one["rounds"])


def beside(results: Results, engine: str) -> str:
    """Weaklink's events/s to this engine's, round by round; a dash where one of them did not end, or ended wrong."""
    own, other = _named(results, _OWN), _named(results, engine)
    if own is None or other is None or engine.startswith(_OWN):
        return ""
    return _by_round(results, _rates(own), _rates(other))


def table(results: Results) -> str:
    """A line for each bar: what was to be, whether it was reached in medians of the rounds that both have, and the ratio in each round."""
    lines = ["| what was to be reached | bar | reached, in medians | by round |", "|---|--:|---|---|"]
    for bar in BARS:
        wanted = f"at least {_said(bar.least)}" if bar.least is not None else f"at most {_said(bar.most or 0.0)}"
        lines.append(f"| {bar.what} | {wanted} | {' | '.join(_reached(results, bar))} |")
    return "\n".join(lines)


def _reached(results: Results, bar: Bar) -> tuple[str, str]:
    own, other = _named(results, bar.own), _named(results, bar.other)
    if own is None or other is None:
        return "not measured", ""
    figures = _rates if bar.most is None else _processor_us
    mine, theirs = figures(own), figures(other)
    both = mine.keys() & theirs.keys()
    if not both:
        return "not measured: no round in which both ended right", ""
    ratio = median(mine[one] for one in both) / median(theirs[one] for one in both)
    return f"{'**yes**' if bar.is_reached(ratio) else 'no'}: {_said(ratio)}", _by_round(results, mine, theirs)


def _by_round(results: Results, own: Mapping[int, float], other: Mapping[int, float]) -> str:
    rounds = sorted({each["round"] for one in results for each in one["rounds"]})
    return ", ".join(_said(own[one] / other[one]) if one in own and one in other else "-" for one in rounds)


def _rates(one: Mapping[str, Any]) -> dict[int, float]:
    return {each["round"]: one["events"] / each["seconds"] for each in one["rounds"] if not each["wrong"]}


def _processor_us(one: Mapping[str, Any]) -> dict[int, float]:
    return {
        each["round"]: (each["cpu_seconds"] + each["broker_cpu_seconds"]) / one["events"] * _MICROSECONDS
        for each in one["rounds"]
        if not each["wrong"]
    }


def _named(results: Results, engine: str) -> Mapping[str, Any] | None:
    return next((one for one in results if one["engine"] == engine), None)


def _said(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= _WHOLE_FROM else f"{ratio:.2f}".removeprefix("0")
