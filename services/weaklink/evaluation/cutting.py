"""What measures would have cut, and at whose expense, by the truth (`reach`)."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.evaluation.figures import Figures, mean, most, share, total, weighted
from weaklink.evaluation.judged import Verdicts
from weaklink.evaluation.reach import Reached
from weaklink.weaklinks.curve import at_measures_per_account

_BUDGET_ACCOUNTS: Final = 20
"""The small budget: one measure for so many campaign accounts."""
_CURVE: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
"""Measures for each campaign account at which `cut_curve` looks."""


def cutting(verdicts: Verdicts, reached: Reached, curves: pl.DataFrame) -> Figures:
    """Volume that measures reach.

    cut_after_measure: of each campaign's requests after its first measure, the share that a measure reaches, averaged.
    collateral_volume: share of benign requests that a measure reaches. cut_at_small_budget: share of all campaign requests
    reached by the best choice (greedy) of one issued measure per 20 campaign accounts; suspend_at_small_budget: by suspensions alone.
    plan_cut, plan_gap: what the plans say of themselves (mean weighted by accounts; worst). plan_*_small_budget: `small_budget`.
    """
    blunt, pairs = reached.measures, reached.pairs
    guilty = pairs.drop_nulls("operator")
    benign = total(verdicts.usage.filter(pl.col("operator").is_null())["requests"])
    touched = total(pairs.filter(pl.col("operator").is_null()).unique("usage_number")["requests"])
    members = verdicts.accounts["operator"].count()
    volume = total(verdicts.usage.filter(pl.col("operator").is_not_null())["requests"])
    budget = members // _BUDGET_ACCOUNTS
    suspensions = blunt.filter(measure="SUSPEND").select("measure_number")
    plans = verdicts.campaigns
    figures: Figures = {
        "measures": blunt.height,
        "measures_per_account": share(blunt.height, members),
        "cut_after_measure": _after_first(guilty, blunt, verdicts),
        "collateral_volume": share(touched, benign),
        "cut_at_small_budget": share(max(best_choices(guilty, budget), default=0), volume),
        "suspend_at_small_budget": share(
            max(best_choices(guilty.join(suspensions, on="measure_number", how="semi"), budget), default=0), volume
        ),
        "plan_cut": weighted(plans["volume_cut_share"], plans["accounts"]),
        "plan_gap": most(plans["gap"]),
    }
    return figures | small_budget(curves)


def small_budget(curves: pl.DataFrame) -> Figures:
    """The plans' own curves at one measure per 20 accounts, mean weighted by accounts. curves: `findings.CURVES`.

    plan_reach_small_budget: what flows through the targets of the measures; plan_cut_small_budget: what stays cut of it when the
    operator has replaced what it lost. plan_accounts_only_*: the same by measures on accounts alone.
    """
    parts = [part.sort("measures") for _, part in curves.group_by("campaign_id")]
    accounts = pl.Series([part["accounts"][0] for part in parts], dtype=pl.Int64)
    figures: Figures = {}
    for name, share_name in (("cut", "cut_share"), ("reach", "reached_share")):
        found = [at_measures_per_account(part, 1 / _BUDGET_ACCOUNTS, share_name) for part in parts]
        for place, prefix in enumerate(("plan_", "plan_accounts_only_")):
            shares = pl.Series([one[place] for one in found], dtype=pl.Float64)
            figures[f"{prefix}{name}_small_budget"] = weighted(shares, accounts)
    return figures


def best_choices(pairs: pl.DataFrame, most: int) -> list[int]:
    """Requests reached by 1, 2 and up to `most` measures, taken greedily by what each adds (within 1 - 1/e of the best choice: a coverage).

    Ends where nothing more is reached.
    """
    numbers = (pairs[name].rank("dense").to_numpy().astype(np.int64) - 1 for name in ("measure_number", "usage_number"))
    measure, usage = numbers
    requests, reached = pairs["requests"].to_numpy().astype(np.float64), [0]
    done = np.zeros(int(usage.max(initial=-1)) + 1, bool)
    for _ in range(most):
        left = ~done[usage]
        gains = np.bincount(measure[left], requests[left])
        if not gains.any():
            break
        best = int(gains.argmax())
        done[usage[measure == best]] = True
        reached.append(reached[-1] + int(gains[best]))
    return reached[1:]


def cut_curve(verdicts: Verdicts, of: Reached) -> dict[str, list[float]]:
    """measures_per_account, and the share of all campaign requests that the best so many measures reach: of any kind (`any`), and `suspend` alone."""
    blunt, pairs = of.measures, of.pairs.drop_nulls("operator")
    members = verdicts.accounts["operator"].count()
    volume = total(verdicts.usage.filter(pl.col("operator").is_not_null())["requests"])
    budgets = sorted({round(share_of * members) for share_of in _CURVE} - {0}) if volume else []
    found = {"measures_per_account": [budget / members for budget in budgets]}
    suspensions = blunt.filter(measure="SUSPEND").select("measure_number")
    for name, some in (("any", pairs), ("suspend", pairs.join(suspensions, on="measure_number", how="semi"))):
        reached = best_choices(some, max(budgets, default=0)) or [0]
        found[name] = [reached[min(budget, len(reached)) - 1] / volume for budget in budgets]
    return found


def _after_first(pairs: pl.DataFrame, measures: pl.DataFrame, verdicts: Verdicts) -> float | None:
    """Mean over campaigns with a measure of: requests reached / requests after the first measure that reaches the campaign."""
    first = (
        pairs.join(measures.select("measure_number", "issued_at"), on="measure_number")
        .group_by("operator")
        .agg(pl.col("issued_at").min())
    )
    later = (
        verdicts.usage.join(first, on="operator")
        .filter(pl.col("occurred_at") > pl.col("issued_at"))
        .group_by("operator")
        .agg(pl.col("requests").sum().alias("later"))
    )
    reached = pairs.unique("usage_number").group_by("operator").agg(pl.col("requests").sum().alias("reached"))
    return mean(later.join(reached, on="operator").select(pl.col("reached") / pl.col("later")).to_series())
