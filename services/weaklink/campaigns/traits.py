"""What kind of campaign it is: task mix, pipeline stage, target models, move to a new release, growth, how it came in."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.campaigns.profiles import TASK_COLUMNS, TASKS, US_PER_DAY, US_PER_HOUR, Profiles, opened_attributes

_STAGE_SHARE: Final = 0.25
_ENTRY_SHARE: Final = 0.3
_HIDDEN_SHARE: Final = 0.5
_PIVOT_HOURS: Final = 24
_PIVOT_SHARE: Final = 0.3
_GROWTH_MIN: Final = 6
_STAGES: Final = {
    "REASONING_ELICITATION": "reasoning-traces",
    "RUBRIC_GRADING": "reward-grading",
    "SYNTHETIC_DATA": "data-synthesis",
    "AGENTIC_CODING": "agentic-coding",
    "TOOL_USE": "tool-use",
    "VISION": "vision",
}


@dataclass(frozen=True, slots=True)
class Traits:
    """`traits`: words such as `reasoning-traces`, `pivot:<model>`, `growth:12/h`. `models`: most used first."""

    traits: list[str]
    models: list[str]


def traits(members: pl.DataFrame, profiles: Profiles, now_us: int) -> Traits:
    """Of one campaign. `members`: its accounts (column account)."""
    accounts = profiles.accounts.rows().join(members.select("account"), on="account", how="semi")
    accounts = accounts.with_columns(opened_attributes())
    used = profiles.models.rows().join(members.select("account"), on="account", how="semi")
    models = used.group_by("model").agg(pl.col("requests").sum()).sort("requests", "model", descending=[True, False])
    found = [
        *_stages(accounts),
        *_entry(accounts),
        *_spread(accounts),
        *_pivots(accounts, used, profiles.releases.rows()),
    ]
    recent = accounts.filter(pl.col("first_seen_us") > now_us - US_PER_HOUR).height
    if recent >= _GROWTH_MIN:
        found.append(f"growth:{recent}/h")
    return Traits(found, models["model"].to_list())


def _stages(accounts: pl.DataFrame) -> list[str]:
    windows = [int(accounts[name].sum() or 0) for name in TASK_COLUMNS]
    total = sum(windows)
    if not total:
        return ["no-usage"]
    shares = {task: n / total for task, n in zip(TASKS, windows, strict=True) if task in _STAGES}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return [_STAGES[task] for task, share in ranked if share >= _STAGE_SHARE] or ["mixed-tasks"]


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


def _pivots(accounts: pl.DataFrame, used: pl.DataFrame, releases: pl.DataFrame) -> list[str]:
    """Releases within 24 h of which a good part of the accounts that were there already moved to the new model."""
    if releases.height == 0:
        return []
    released = releases.group_by("model").agg(pl.col("released_at_us").min())
    first = accounts.select("account", "first_usage_us", "last_usage_us")
    there = first.join(released, how="cross").filter(
        (pl.col("first_usage_us") < pl.col("released_at_us")) & (pl.col("last_usage_us") >= pl.col("released_at_us"))
    )
    soon = pl.col("first_seen_us") <= pl.col("released_at_us") + _PIVOT_HOURS * US_PER_HOUR
    moved = there.join(used.select("account", "model", "first_seen_us"), on=["account", "model"], how="left")
    shares = moved.group_by("model").agg(soon.fill_null(value=False).mean().alias("share"), pl.len().alias("n"))
    return [
        f"pivot:{model}"
        for model in shares.filter((pl.col("share") >= _PIVOT_SHARE) & (pl.col("n") >= _GROWTH_MIN))["model"].sort()
    ]
