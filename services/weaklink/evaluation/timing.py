"""How soon: hours and exchanges until the first measure and until a campaign is contained, and how much of it ends suspended."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from weaklink.evaluation.figures import Figures, mean, share, total
from weaklink.evaluation.identity import owners
from weaklink.evaluation.judged import ACCOUNT, Verdicts

CONTAINED_SHARE: Final = 0.95
_AFTER: Final = timedelta(hours=24)
_ENDING: Final = ("SUSPEND", "REVOKE_LEASE")
_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "operator": pl.String,
    "began_at": pl.Datetime("us", "UTC"),
    "hours_to_first_flag": pl.Float64,
    "hours_to_first_measure": pl.Float64,
    "requests_before_measure": pl.Int64,
    "hours_to_containment": pl.Float64,
    "suspended_volume_share": pl.Float64,
}
_TIMES: Final = pl.Schema(_COLUMNS)


def timing(verdicts: Verdicts) -> Figures:
    """Means over campaigns of what `campaign_times` gives; hours are null where no campaign has them."""
    table = campaign_times(verdicts)
    names = ("hours_to_first_flag", "hours_to_first_measure", "hours_to_containment", "suspended_volume_share")
    figures: Figures = {name: mean(table[name]) for name in names}
    figures["campaigns_contained"] = table["hours_to_containment"].count()
    figures["campaigns_measured"] = table["hours_to_first_measure"].count()
    return figures


def campaign_times(verdicts: Verdicts) -> pl.DataFrame:
    """A row per true campaign with usage: when it began (its first request), and hours from there on.

    [operator, began_at, hours_to_first_flag, hours_to_first_measure, requests_before_measure, hours_to_containment,
    suspended_volume_share]. Contained: of the requests of the 24 h that follow, 95 % come from accounts that are flagged
    by then. Suspended at the end: the account has a suspension (or a revoked lease) that was not withdrawn.
    """
    usage = verdicts.usage.filter(pl.col("operator").is_not_null())
    first = first_measures(verdicts)
    rows = []
    for (operator,), part in usage.sort("occurred_at").group_by("operator", maintain_order=True):
        began = part["occurred_at"][0]
        measured = first.get(str(operator))
        flagged = min(part["flagged_at"].drop_nulls().to_list(), default=None)
        contained = containment(part)
        before = part if measured is None else part.filter(pl.col("occurred_at") <= measured)
        rows.append(
            {
                "operator": operator,
                "began_at": began,
                "hours_to_first_flag": None if flagged is None else _hours(flagged - began),
                "hours_to_first_measure": None if measured is None else _hours(measured - began),
                "requests_before_measure": total(before["requests"]),
                "hours_to_containment": None if contained is None else _hours(contained - began),
                "suspended_volume_share": _suspended_share(part, verdicts.actions),
            }
        )
    return pl.DataFrame(rows, schema=_TIMES).sort("operator")


def containment(usage: pl.DataFrame) -> datetime | None:
    """The first moment at which an account was flagged and 95 % of the next 24 hours' requests came from flagged accounts.

    usage: USAGE of one campaign. Null when there is none, or when no request follows.
    """
    moments: list[datetime] = sorted(set(usage["flagged_at"].drop_nulls().to_list()))
    for moment in moments:
        later = usage.filter(pl.col("occurred_at") > moment, pl.col("occurred_at") <= moment + _AFTER)
        every = total(later["requests"])
        if every and total(later.filter(pl.col("flagged_at") <= moment)["requests"]) >= CONTAINED_SHARE * every:
            return moment
    return None


def first_measures(verdicts: Verdicts) -> dict[str, datetime]:
    """When the first action on each true campaign was issued: on one of its accounts, or under an id that is mostly its own."""
    guilty = verdicts.accounts.filter(pl.col("operator").is_not_null()).select(*ACCOUNT, "operator")
    acting = verdicts.actions.filter(pl.col("measure").cast(pl.String) != "OBSERVE")
    on_accounts = acting.rename({"target_account": "account"}).join(guilty, on=ACCOUNT)
    of = owners(verdicts.accounts)
    by_id = acting.join(of.drop_nulls("operator"), on="campaign_id")
    both = pl.concat([frame.select("operator", "issued_at") for frame in (on_accounts, by_id)])
    return dict(both.group_by("operator").agg(pl.col("issued_at").min()).iter_rows())


def _suspended_share(usage: pl.DataFrame, actions: pl.DataFrame) -> float | None:
    standing = actions.filter(pl.col("measure").cast(pl.String).is_in(_ENDING))
    if "withdrawn_at" in standing.columns:
        standing = standing.filter(pl.col("withdrawn_at").is_null())
    targets = standing.select("party", pl.col("target_account").alias("account")).drop_nulls().unique()
    return share(total(usage.join(targets, on=ACCOUNT, how="semi")["requests"]), total(usage["requests"]))


def _hours(length: timedelta) -> float:
    return length / timedelta(hours=1)
