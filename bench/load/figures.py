"""Figures of a run from what was sampled: latencies, growth, fairness, and what the machine was like. Pure."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from bench.load.pipeline import Sample

BARS: Final = {"p50_seconds": 1.5, "p99_seconds": 4.0}
"""What the pipeline is to keep to, under load."""
_QUANTILES: Final = {"p50_seconds": 0.5, "p90_seconds": 0.9, "p99_seconds": 0.99}
_GROWN_SHARE: Final = 1.1
_GROWN_MIB: Final = 30.0


def latency(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """Count, quantiles, least and greatest. None where nothing was measured."""
    values = np.asarray(seconds, np.float64)
    quantiles = {name: round(float(np.quantile(values, share)), 3) if len(values) else None for name, share in _QUANTILES.items()}  # fmt: skip
    ends = {"min_seconds": np.min, "max_seconds": np.max}
    return {"count": len(values)} | quantiles | {name: round(float(end(values)), 3) if len(values) else None for name, end in ends.items()}  # fmt: skip


def within_bars(figures: Mapping[str, Any]) -> bool:
    """Whether the bars are kept; not without a single measurement."""
    return all(figures[name] is not None and figures[name] <= bar for name, bar in BARS.items())


def jain(shares: Sequence[float]) -> float | None:
    """Jain's index of fairness: (sum x)^2 / (n sum x^2), 1 when all get the same, 1/n when one gets everything.

    Jain, Chiu, Hawe: A quantitative measure of fairness and discrimination for resource allocation in shared computer systems, DEC TR-301, 1984.
    """
    values = np.asarray(shares, np.float64)
    squares = float((values**2).sum())
    return round(float(values.sum()) ** 2 / (len(values) * squares), 4) if squares else None


def growth(at: Sequence[float], values: Sequence[float]) -> dict[str, float]:
    """Means of the second and of the last quarter of a run, and the slope between (least squares over both halves' rest), a minute."""
    times, series = np.asarray(at, np.float64), np.asarray(values, np.float64)
    quarter = max(1, len(series) // 4)
    later = slice(quarter, None)
    slope = float(np.polyfit(times[later], series[later], 1)[0]) * 60 if len(series[later]) > 2 else 0.0
    return {
        "second_quarter": round(float(series[quarter : 2 * quarter].mean()), 1) if len(series) else 0.0,
        "last_quarter": round(float(series[-quarter:].mean()), 1) if len(series) else 0.0,
        "most": round(float(series.max(initial=0.0)), 1),
        "per_minute": round(slope, 2),
    }


def lag_grew(one: Mapping[str, float], *, batches: float) -> bool:
    """Whether a stage fell behind: by more than half again, and by more than so many of its transactions' worth."""
    return one["last_quarter"] > 1.5 * one["second_quarter"] + batches


def memory_grew(one: Mapping[str, float], allowed_mib: float = 0.0) -> bool:
    """Whether memory went up from the second to the last quarter by more than a tenth, more than 30 MiB, and more than is `allowed_mib`."""
    second = one["second_quarter"]
    return one["last_quarter"] - second > max((_GROWN_SHARE - 1) * second, _GROWN_MIB) + allowed_mib


def resources(samples: Sequence[Sample]) -> dict[str, Any]:
    """By process its memory's growth and the share of a core that it took; by stage its lag's growth; what ingest's tables of event ids hold of its memory."""
    if len(samples) < 2:
        return {"memory_mib": {}, "cores": {}, "behind_messages": {}, "event_ids_mib": growth([], [])}
    at, first, last = [one.at for one in samples], samples[0], samples[-1]
    everywhere = [name for name in first.resident_mib if all(name in one.resident_mib for one in samples)]
    return {
        "memory_mib": {name: growth(at, [one.resident_mib[name] for one in samples]) for name in everywhere},
        "cores": {name: round((last.cpu_seconds[name] - first.cpu_seconds[name]) / (last.at - first.at), 3) for name in everywhere},
        "behind_messages": {name: growth(at, [float(one.behind[name]) for one in samples]) for name in first.behind},
        "event_ids_mib": growth(at, [one.event_ids_mib for one in samples]),
    }  # fmt: skip


def machine(samples: Sequence[Sample]) -> dict[str, Any]:
    """Cores, and the load average while it was measured: the run's own processes are part of it."""
    loads = [one.load for one in samples]
    return {"cores": os.cpu_count(), "load_mean": round(float(np.mean(loads)), 2) if loads else None}
