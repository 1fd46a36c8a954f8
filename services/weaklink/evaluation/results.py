"""`results.json`: every run, medians with intervals over seeds, and the bars, reached or not.

schema      2; raised when a field changes its meaning
weaklink    version of the package
runs        [spec, figures, campaigns, baselines, curves, cost] of every run, as `one_run.run` gives them
summary     [world, variant, metric, median, low, high, least, most, seeds]; variant `full`, an ablation, or `baseline:<name>`
code        what the runs are of (`provenance.code`): several where runs of several versions were gathered
bars        [world, metric, direction, bar, every_seed, value, low, high, seeds, reached, missing, why_not]; value: the median, or with
            `every_seed` the worst seed; null (and not reached) when no run has the metric. why_not: `missed`, `too few seeds`,
            `a run failed`, `not the testing family`, `not measured`; empty when it is reached
failed      [world, variant, seed, error]
skipped     [world, reason]
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from weaklink import __version__
from weaklink.errors import ConfigurationError
from weaklink.evaluation.bars import BARS, Bar
from weaklink.evaluation.spec import FULL, LOOP, REAL
from weaklink.evaluation.statistics import Interval, median_interval

SCHEMA: Final = 2
_ALIKE: Final = ("size", "tick_seconds", "family")
Key = tuple[str, str, str]
"""(world, variant, metric)."""


def collect(
    runs: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]], skipped: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The document of these runs."""
    _alike(runs)
    ordered = sorted(runs, key=lambda one: (one["spec"]["world"], one["spec"]["variant"], one["spec"]["seed"]))
    table = summarise(ordered)
    return {
        "schema": SCHEMA,
        "weaklink": __version__,
        "code": sorted({one.get("code", "unknown") for one in ordered}),
        "runs": ordered,
        "summary": [_row(key, interval) for key, interval in table.items()],
        "bars": _bars(ordered, table, failed),
        "failed": list(failed),
        "skipped": list(skipped),
    }


def summarise(runs: Iterable[dict[str, Any]]) -> dict[Key, Interval]:
    """Medians and intervals over seeds, of every figure, cost and baseline that at least one seed defines."""
    values: dict[Key, list[float]] = defaultdict(list)
    for run in runs:
        world, variant = run["spec"]["world"], run["spec"]["variant"]
        groups = [(variant, run["figures"] | run["cost"])]
        groups += [(f"baseline:{name}", figures) for name, figures in run["baselines"].items()]
        for of, figures in groups:
            for metric, value in figures.items():
                if value is not None:
                    values[world, of, metric].append(float(value))
    return {key: interval for key, found in values.items() if (interval := median_interval(found))}


def _alike(runs: Iterable[dict[str, Any]]) -> None:
    """Raises ConfigurationError where runs of one world and variant differ in what no median may be taken over."""
    seen: dict[tuple[str, str], dict[tuple[Any, ...], str]] = defaultdict(dict)
    for run in runs:
        spec = run["spec"]
        name = f"{spec['world']}-{spec['variant']}-{spec['seed']}"
        seen[spec["world"], spec["variant"]].setdefault(tuple(spec[field] for field in _ALIKE), name)
    for found in seen.values():
        if len(found) > 1:
            told = "; ".join(
                f"{name}: {', '.join(map('{} {}'.format, _ALIKE, values))}" for values, name in found.items()
            )
            raise ConfigurationError(
                f"runs of one world and variant are not alike ({told}): keep them in folders of their own"
            )


def _bars(
    runs: Iterable[dict[str, Any]], table: dict[Key, Interval], failed: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    tuned = {run["spec"]["world"] for run in runs if run["spec"]["family"] != "testing"} - {*REAL}
    broken = {one["world"] for one in failed}
    return [judge_bar(bar, table, failed=bar.world in broken, tuned=bar.world in tuned) for bar in BARS]


def judge_bar(bar: Bar, table: dict[Key, Interval], *, failed: bool = False, tuned: bool = False) -> dict[str, Any]:
    """A row of `bars`. A bar without a value, or on too few seeds, is not reached: what was not measured is not claimed. `failed`: a run of its world;
    `tuned`: the worlds are of the family that constants may be fitted on."""
    found = table.get((bar.world, LOOP if bar.metric.startswith("loop_") else FULL, bar.metric))
    row: dict[str, Any] = {
        "world": bar.world,
        "metric": bar.metric,
        "direction": bar.direction,
        "bar": bar.value,
        "every_seed": bar.every_seed,
        "value": None,
        "low": None,
        "high": None,
        "seeds": 0,
        "reached": False,
        "missing": None,
        "why_not": "not measured",
    }
    if found is None:
        return row
    worst = found.least if bar.direction == "at least" else found.most
    value = worst if bar.every_seed else found.median
    why = "" if bar.holds(value) else "missed"
    why = why or ("not the testing family" if tuned else "")
    why = why or ("a run failed" if failed else "too few seeds" if found.seeds < bar.seeds_min else "")
    return row | {
        "value": value,
        "low": found.low,
        "high": found.high,
        "seeds": found.seeds,
        "reached": not why,
        "why_not": why,
        "missing": bar.missing(value),
    }


def write(document: dict[str, Any], path: Path) -> None:
    """As JSON, readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Raises ConfigurationError when there is none, or it is of another schema."""
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; `weaklink evaluate` writes it")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document.get("schema") != SCHEMA:
        raise ConfigurationError(
            f"{path} has schema {document.get('schema')}, this version reads {SCHEMA}: run `weaklink evaluate` again"
        )
    return document


def _row(key: Key, interval: Interval) -> dict[str, Any]:
    world, variant, metric = key
    return {
        "world": world,
        "variant": variant,
        "metric": metric,
        "median": interval.median,
        "low": interval.low,
        "high": interval.high,
        "least": interval.least,
        "most": interval.most,
        "seeds": interval.seeds,
    }
