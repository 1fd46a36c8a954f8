"""What kind of campaign it is: task mix, pipeline stage, target models, move to a new release, growth, how it came in."""

import math
from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.campaigns.profiles import TASK_COLUMNS, TASKS, US_PER_DAY, US_PER_HOUR, Profiles, opened_attributes

STAGE_SHARE: Final = 0.25
_ENTRY_SHARE: Final = 0.3
_HIDDEN_SHARE: Final = 0.5
_PIVOT_HOURS: Final = 24
_PIVOT_SHARE: Final = 0.3
_GAP_DAYS_MAX: Final = 3
_GROWTH_MIN: Final = 6
_REPLACED_DAYS: Final = 3
_REPLACED_MIN: Final = 0.5
_MODELS_MAX: Final = 20
_PIVOTS_MAX: Final = 20
"""Those of most accounts. A party names as many releases as it likes, and a campaign's record must stay a message."""
STAGES: Final = {
    "REASONING_ELICITATION": "reasoning-traces",
    "RUBRIC_GRADING": "reward-grading",
    "SYNTHETIC_DATA": "data-synthesis",
    "AGENTIC_CODING": "agentic-coding",
    "TOOL_USE": "tool-use",
    "VISION": "vision",
}


@dataclass(frozen=True, slots=True)
class Pivot:
    """The campaign's move to a model that was released: the share of its accounts of that time, where it is served, that moved within a day
    (`_pivots`), and how soon."""

    model: str
    released_at_us: int
    share: float
    hours_median: float


@dataclass(frozen=True, slots=True)
class Traits:
    """`traits`: words such as `reasoning-traces`, `pivot:<model>`, `growth:12/h`. `models`: most used first.

    `growth_per_hour`: accounts that it opened in the last hour. `replaced_share`: accounts that it opened within three days after its
    first loss, for each account that it lost; null: it has lost none. `severity`: 0 to 10.
    """

    traits: list[str]
    models: list[str]
    pivots: list[Pivot]
    growth_per_hour: float
    replaced_share: float | None
    severity: float


def traits(members: pl.DataFrame, profiles: Profiles, now_us: int, suspended: pl.DataFrame | None = None) -> Traits:
    """Of one campaign. `members`: its accounts (account, requests_per_day). `suspended`: [account, suspended_at_us], as parties reported."""
    accounts = profiles.accounts.of(members["account"])
    accounts = accounts.with_columns(opened_attributes())
    used = profiles.models.of(members["account"])
    models = used.group_by("model").agg(pl.col("requests").sum()).sort("requests", "model", descending=[True, False])
    found = [
        *_stages(accounts),
        *_entry(accounts),
        *_spread(accounts),
        *_shift(accounts),
    ]
    pivots = _pivots(accounts, used, profiles.releases.rows())
    found += [f"pivot:{pivot.model}" for pivot in pivots]
    recent = accounts.filter(pl.col("first_seen_us") > now_us - US_PER_HOUR).height
    if recent >= _GROWTH_MIN:
        found.append(f"growth:{recent}/h")
    replaced = _replaced(accounts, suspended)
    if replaced is not None and replaced >= _REPLACED_MIN:
        found.append("replaces-losses")
    daily = float(members["requests_per_day"].sum() or 0.0) if "requests_per_day" in members.columns else 0.0
    many = accounts["party"].n_unique()
    severity = _severity(daily, many, moving=bool(pivots), growing=recent >= _GROWTH_MIN or (replaced or 0) >= 1)
    return Traits(found, models["model"].head(_MODELS_MAX).to_list(), pivots, float(recent), replaced, severity)


def _severity(requests_per_day: float, parties: int, *, moving: bool, growing: bool) -> float:
    """0 to 10: 1.5 for each tenfold of daily requests, half a point for each further party (3 at most), 1 each if it moves with releases, or grows."""
    size = 1.5 * math.log10(1 + max(requests_per_day, 0.0))
    return round(min(size + min(0.5 * max(parties - 1, 0), 3.0) + moving + growing, 10.0), 2)


def _shift(accounts: pl.DataFrame) -> list[str]:
    """The stage that its later accounts work for, where it is another than that of its earlier ones: a pipeline that moved on."""
    used = accounts.filter(pl.col("first_usage_us").is_not_null()).sort("first_usage_us", "account")
    half = used.height // 2
    if half < _GROWTH_MIN:
        return []
    before, after = _stages(used[:half])[0], _stages(used[-half:])[0]
    return [f"stage-shift:{before}>{after}"] if before != after and {before, after} <= set(STAGES.values()) else []


def _replaced(accounts: pl.DataFrame, suspended: pl.DataFrame | None) -> float | None:
    """Accounts opened within `_REPLACED_DAYS` after the first loss, for each account lost by the end of that time."""
    if suspended is not None:
        accounts = accounts.join(suspended, on="account", how="left")
        lost_us = accounts.select(pl.min_horizontal("closed_at_us", "suspended_at_us")).to_series()
    else:
        lost_us = accounts["closed_at_us"]
    first_us = lost_us.min()
    if not isinstance(first_us, int):
        return None
    until_us = first_us + _REPLACED_DAYS * US_PER_DAY
    lost = int((lost_us <= until_us).sum())
    opened = pl.coalesce("opened_at_us", "first_seen_us")
    return round(accounts.filter((opened > first_us) & (opened <= until_us)).height / lost, 3)


def _stages(accounts: pl.DataFrame) -> list[str]:
    windows = [int(accounts[name].sum() or 0) for name in TASK_COLUMNS]
    total = sum(windows)
    if not total:
        return ["no-usage"]
    shares = {task: n / total for task, n in zip(TASKS, windows, strict=True) if task in STAGES}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return [STAGES[task] for task, share in ranked if share >= STAGE_SHARE] or ["mixed-tasks"]


def _entry(accounts: pl.DataFrame) -> list[str]:
    shares = accounts.select(
        (pl.col("plan") == "EDUCATION").mean().alias("education-programme"),
        (pl.col("plan") == "STARTUP").mean().alias("startup-programme"),
        (pl.col("plan") == "TRIAL").mean().alias("trial-credits"),
        (pl.col("mail_class") == "DISPOSABLE").mean().alias("disposable-mail"),
    ).row(0, named=True)
    return [name for name, share in shares.items() if (share or 0.0) >= _ENTRY_SHARE]


def _spread(accounts: pl.DataFrame) -> list[str]:
    found = ["cross-party"] if accounts["party"].n_unique() > 1 else []
    hidden, windows = int(accounts["hidden_windows"].sum() or 0), int(accounts["windows"].sum() or 0)
    if windows and hidden >= _HIDDEN_SHARE * windows:
        found.append("hidden-addresses")
    if int(accounts["payments_prepaid"].sum() or 0):
        found.append("prepaid-instruments")
    lived = (accounts["last_usage_us"] - accounts["first_usage_us"]).drop_nulls()
    if len(lived) and float(lived.median() or 0) < US_PER_DAY and windows and int(accounts["closed_at_us"].count()):  # type: ignore[arg-type]
        found.append("account-churn")
    return found


def _pivots(accounts: pl.DataFrame, used: pl.DataFrame, releases: pl.DataFrame) -> list[Pivot]:
    """Releases to which a good part of the accounts that could, and were there already, moved within 24 h.

    Those could whose party released the model, or serves it to others of the campaign. Whoever asks every other day cannot be seen to
    have moved at once: a typical gap between the campaign's windows is given as well.
    """
    if releases.height == 0:
        return []
    released = releases.group_by("model").agg(pl.col("released_at_us").min())
    offered = pl.concat(
        [releases.select("party", "model"), used.join(accounts, on="account").select("party", "model")]
    ).unique()
    first = accounts.select("account", "party", "first_usage_us", "last_usage_us")
    there = (
        first.join(offered, on="party")
        .join(released, on="model")
        .filter(
            (pl.col("first_usage_us") < pl.col("released_at_us"))
            & (pl.col("last_usage_us") >= pl.col("released_at_us"))
        )
    )
    after_us = pl.col("first_seen_us") - pl.col("released_at_us")
    soon = (after_us <= _PIVOT_HOURS * US_PER_HOUR + _gap_us(accounts)).fill_null(value=False)
    moved = there.join(used.select("account", "model", "first_seen_us"), on=["account", "model"], how="left")
    shares = moved.group_by("model", "released_at_us").agg(
        soon.mean().alias("share"), pl.len().alias("n"), after_us.filter(soon).median().alias("after_us")
    )
    found = shares.filter((pl.col("share") >= _PIVOT_SHARE) & (pl.col("n") >= _GROWTH_MIN))
    most = found.sort("n", "share", "model", descending=[True, True, False]).head(_PIVOTS_MAX).sort("model")
    return [
        Pivot(model, released_us, round(share, 4), round((after or 0.0) / US_PER_HOUR, 2))
        for model, released_us, share, _, after in most.iter_rows()
    ]


def _gap_us(accounts: pl.DataFrame) -> int:
    """Between two windows of an account, microseconds: the median over accounts with several, of at most `_GAP_DAYS_MAX`."""
    lived_us = pl.col("last_usage_us") - pl.col("first_usage_us")
    gaps = accounts.filter(pl.col("windows") > 1).select(lived_us / (pl.col("windows") - 1)).to_series()
    return int(min(gaps.median() or 0.0, _GAP_DAYS_MAX * US_PER_DAY))  # type: ignore[arg-type]  # Float64, or null
