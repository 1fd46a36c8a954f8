"""One run: make the world, backtest it as `weaklink backtest` does, and measure what was said by the truth."""

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from weaklink.backtest.run import OUTPUTS, Summary, backtest
from weaklink.evaluation import baselines
from weaklink.evaluation.ablations import ablated
from weaklink.evaluation.calibration import calibration, reliability
from weaklink.evaluation.causality import causal
from weaklink.evaluation.cutting import cut_curve, cutting
from weaklink.evaluation.detection import campaigns, detection, precision_recall
from weaklink.evaluation.harm import harm
from weaklink.evaluation.identity import identity
from weaklink.evaluation.judged import Verdicts, judge, usage_of
from weaklink.evaluation.loop import looped
from weaklink.evaluation.promises import promises
from weaklink.evaluation.provenance import code
from weaklink.evaluation.reach import Reached, reached
from weaklink.evaluation.real import run_real
from weaklink.evaluation.spec import LOOP, MONTH, REAL, DataFiles, RunSpec
from weaklink.evaluation.timing import campaign_times, timing
from weaklink.evaluation.traits import traits
from weaklink.evaluation.worlds import make_world
from weaklink.settings import Settings, load_settings

_WHO: Final = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def run(spec: RunSpec, data: DataFiles) -> dict[str, Any]:
    """Result of a run, as `results.json` has it under `runs` (docs/detection.md). Seconds are process time, MiB the peak of a process."""
    of = code()  # before anything else: what is changed while this runs is not what it ran
    settings = ablated(load_settings(), spec.variant)
    cpu, wall = _cpu_seconds(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weaklink-evaluate-") as folder:
        place = Path(folder)
        if spec.variant == LOOP:
            result = _run_loop(spec, settings)
        elif spec.world in REAL:
            result = run_real(spec, data, settings, place)
        else:
            result = _run_world(spec, settings, place)
    result["cost"] |= {
        "run_cpu_seconds": round(_cpu_seconds() - cpu, 2),
        "run_seconds": round(time.monotonic() - wall, 2),
        "threads": pl.thread_pool_size(),
        "memory_mib": round(max(resource.getrusage(who).ru_maxrss for who in _WHO) / 1024, 1),
    }
    return {"spec": spec.to_json(), "code": of} | result


def _cpu_seconds() -> float:
    """Of this process and of those that it waited for: the month is read in one of its own."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, _WHO))


def _run_loop(spec: RunSpec, settings: Settings) -> dict[str, Any]:
    figures, curve = looped(spec, usage_of(*make_world(spec)), settings)
    return {"figures": figures, "campaigns": [], "baselines": {}, "curves": {"loop": curve}, "cost": {}}


def _run_world(spec: RunSpec, settings: Settings, folder: Path) -> dict[str, Any]:
    events, truth = make_world(spec)
    path = folder / "events.parquet"
    events.write_parquet(path)
    cpu = _cpu_seconds()
    summary, said = backtested(path, folder / "out", spec.tick_seconds, settings, ahead=spec.world == MONTH)
    cost = cost_of(summary, _cpu_seconds() - cpu)
    verdicts = judge(events, truth, said["accounts"], said["campaigns"], said["actions"])
    touched = reached(verdicts, events)
    figures = figures_of(verdicts, touched, events, said["curves"], spec.tick_seconds)
    if spec.cuts:
        figures |= causal(path, said, spec, settings, folder)
    found: dict[str, dict[str, Any]] = {}
    if spec.baselines:
        false_flags = int(figures["false_flags"] or 0)
        found = baselines.judged(events, truth, baselines.conduct_of(path, settings), false_flags)
    return {
        "figures": figures,
        "campaigns": campaigns(verdicts)
        .join(campaign_times(verdicts).drop("began_at"), on="operator", how="left")
        .to_dicts(),
        "baselines": found,
        "curves": {
            "precision_recall": precision_recall(verdicts),
            "reliability": reliability(verdicts.accounts),
            "cut": cut_curve(verdicts, touched),
        },
        "cost": cost,
    }


def figures_of(
    verdicts: Verdicts, touched: Reached, events: pl.DataFrame, curves: pl.DataFrame, tick_seconds: int
) -> dict[str, float | int | None]:
    """Every metric of a run by name."""
    return (
        detection(verdicts, tick_seconds)
        | harm(verdicts)
        | timing(verdicts)
        | identity(verdicts.accounts)
        | calibration(verdicts.accounts)
        | traits(verdicts, events)
        | cutting(verdicts, touched, curves)
        | promises(touched, verdicts, events)
    )


def backtested(
    path: Path, out: Path, tick_seconds: int, settings: Settings, benign: Sequence[Path] = (), *, ahead: bool = False
) -> tuple[Summary, dict[str, pl.DataFrame]]:
    """The backtest's summary and its outputs by name. benign: benign lists that it is given. ahead: as the command does it."""
    summary = backtest([path], out, tick_seconds, settings, benign=benign, ahead=ahead)
    return summary, {name: pl.read_parquet(out / f"{name}.parquet") for name in OUTPUTS}


def cost_of(summary: Summary, cpu_seconds: float) -> dict[str, float]:
    """What the backtest alone took."""
    return {
        "events": summary.events,
        "accounts": summary.accounts,
        "ticks": summary.ticks,
        "backtest_cpu_seconds": round(cpu_seconds, 2),
        "backtest_seconds": round(summary.seconds, 2),
    }
