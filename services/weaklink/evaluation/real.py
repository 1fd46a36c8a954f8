"""Runs on real data: rings that people confirmed, and a honeypot's sessions."""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.errors import ConfigurationError
from weaklink.evaluation.baselines import Holdings, components, large
from weaklink.evaluation.figures import Figures, most, share, total
from weaklink.evaluation.spec import DataFiles, RunSpec
from weaklink.settings import Settings

_CAPS: Final = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1_000_000)
_RING_ACCOUNTS_MIN: Final = 8


def run_real(spec: RunSpec, data: DataFiles, settings: Settings, folder: Path) -> dict[str, Any]:
    """A run on `data`, in the form of a world's. Raises ConfigurationError when a file is not there."""
    from weaklink.evaluation.one_run import backtested, cost_of

    if missing := data.missing(spec.world):
        raise ConfigurationError(
            f"{spec.world}: {', '.join(missing)} not in {data.folder}; give the folder with --data"
        )
    path = data.folder / ("ssh_events.parquet" if spec.world == "ssh" else "rings_events.parquet")
    hubs = [data.folder / "rings_hubs.parquet"] if spec.world == "rings_with_hubs" else []
    cpu = time.process_time()
    summary, said = backtested(path, folder / "out", spec.tick_seconds, settings, benign=hubs)
    cost = cost_of(summary, time.process_time() - cpu)
    if spec.world == "ssh":
        figures, found = flagged_only(said["accounts"]), list[dict[str, Any]]()
    else:
        labels = pl.read_parquet(data.folder / "rings_labels.parquet")
        events = pl.read_parquet(path)
        for table in hubs:  # the simple rule is given the same table
            events = without(events, pl.read_parquet(table)["identifier"])
        figures, found = rings(said["accounts"], labels, events)
    return {
        "figures": figures,
        "campaigns": [],
        "baselines": {},
        "curves": {"degree_cap": found},
        "cost": cost,
    }


def without(events: pl.DataFrame, identifiers: pl.Series) -> pl.DataFrame:
    """The events without identifiers of these values."""
    numbered = events.with_row_index("row")
    kept = (
        numbered.select("row", "identifiers")
        .explode("identifiers")
        .filter(~pl.col("identifiers").struct.field("value").is_in(identifiers.implode()))
        .group_by("row", maintain_order=True)
        .agg("identifiers")
    )
    joined = numbered.drop("identifiers").join(kept, on="row", how="left", maintain_order="left")
    return joined.with_columns(pl.col("identifiers").fill_null([])).select(events.columns)


def flagged_only(said: pl.DataFrame) -> Figures:
    """What can be said without truth: how many were flagged, in how many clusters, the largest of them."""
    sizes = said.drop_nulls("campaign_id").group_by("campaign_id").len()["len"]
    return {
        "accounts": said.height,
        "flagged": said["flagged_at"].count(),
        "clusters": len(sizes),
        "largest_cluster": most(sizes) or 0,
    }


def rings(said: pl.DataFrame, labels: pl.DataFrame, events: pl.DataFrame) -> tuple[Figures, list[dict[str, Any]]]:
    """Figures of the run, and the degree-cap rule's curve: [cap, precision, recall, flagged, largest_cluster].

    labels: [account, label (1: in a ring), ring_id]. rings_found: rings of which one cluster has at least half.
    error_against_degree_cap: (1 - precision) / (1 - precision of the degree-cap rule that finds at least as much and errs least).
    """
    truth = labels.select("account", pl.col("label") == 1, "ring_id").unique("account")
    judged = said.select("party", "account", "campaign_id", "flagged_at").join(truth, on="account", how="left")
    judged = judged.with_columns(pl.col("label").fill_null(value=False))
    in_ring, flagged = judged["label"], judged["flagged_at"].is_not_null()
    precision = share(total(in_ring & flagged), total(flagged))
    recall = share(total(in_ring & flagged), total(in_ring))
    curve = degree_caps(events, judged)
    ring = judged.filter("label")
    largest = (
        ring.drop_nulls("campaign_id")
        .group_by("ring_id", "campaign_id")
        .len()
        .group_by("ring_id")
        .agg(pl.col("len").max().alias("most"))
        .join(ring.group_by("ring_id").len(), on="ring_id")
    )
    figures = flagged_only(said) | {
        "precision": precision,
        "recall": recall,
        "rings": ring["ring_id"].n_unique(),
        "rings_found": largest.filter(2 * pl.col("most") >= pl.col("len")).height,
        "error_against_degree_cap": error_ratio(precision, recall, curve),
        "degree_cap_precision": rule_precision(recall, curve),
    }
    return figures, curve


def degree_caps(events: pl.DataFrame, judged: pl.DataFrame) -> list[dict[str, Any]]:
    """The rule "accounts joined by identifiers of at most so many holders, eight or more together" at every cap."""
    holdings = Holdings(events, judged)
    truth = judged["label"].to_numpy()
    curve = []
    for cap in _CAPS:
        label = components(holdings.capped(cap))
        flagged = large(label, _RING_ACCOUNTS_MIN)
        hits = int((flagged & truth).sum())
        curve.append(
            {
                "cap": cap,
                "precision": hits / max(int(flagged.sum()), 1),
                "recall": hits / max(int(truth.sum()), 1),
                "flagged": int(flagged.sum()),
                "largest_cluster": int(np.bincount(label).max(initial=0)),
            }
        )
    return curve


def rule_precision(recall: float | None, curve: list[dict[str, Any]]) -> float | None:
    """The best precision of the rule among caps that find at least as much; null when none does."""
    if recall is None:
        return None
    return max((point["precision"] for point in curve if point["recall"] >= recall), default=None)


def error_ratio(precision: float | None, recall: float | None, curve: list[dict[str, Any]]) -> float | None:
    """The method's error by the rule's at no less recall; null when nothing was flagged, or the rule cannot find as much or never errs."""
    rule = rule_precision(recall, curve)
    if precision is None or rule is None:
        return None
    return (1 - precision) / (1 - rule) if rule < 1 else None
