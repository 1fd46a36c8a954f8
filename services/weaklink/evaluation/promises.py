"""What measures say of themselves (`expected_cut`, `benign_accounts_touched`), beside what the truth says of them."""

from datetime import timedelta
from typing import Final

import polars as pl

from weaklink.evaluation.figures import Figures, share, total
from weaklink.evaluation.judged import ACCOUNT, Verdicts
from weaklink.evaluation.reach import Reached

_DAY: Final = timedelta(days=1)
_ON_TOKENS: Final = ("BLOCK_IDENTIFIER", "REVOKE_LEASE", "CHALLENGE", "THROTTLE")


def promises(reached: Reached, verdicts: Verdicts, events: pl.DataFrame) -> Figures:
    """Of the measures that take volume away.

    expected_cut_ratio: requests a day that measures say they cut / the campaigns' requests that came by their targets in the day after. A request
    that several standing measures reach is shared among them, as a plan shares it. Measures of the last day are left out. The ratio is
    below 1 where measures are not expected to stop all that comes by a target. Nobody replaces anything in these worlds.
    benign_holders_expected, benign_holders: accounts that measures on identifiers say they touch beside members, and benign
    accounts (not those that a lying member invented) that had shown the identifier when the measure was issued. Pairs of a measure and an account.
    """
    measures = reached.measures
    usage = verdicts.usage.with_row_index("usage_number").select("usage_number", "occurred_at")
    whole = measures.filter(pl.col("issued_at") + _DAY <= usage["occurred_at"].max())
    day = (
        reached.pairs.drop_nulls("operator")
        .with_columns((pl.col("requests") / pl.len().over("usage_number")).alias("shared"))
        .join(usage, on="usage_number")
        .join(whole.select("measure_number", "issued_at"), on="measure_number")
        .filter(pl.col("occurred_at") <= pl.col("issued_at") + _DAY)
    )
    tokens = measures.filter(
        pl.col("target_account").is_null() & pl.col("measure").cast(pl.String).is_in(_ON_TOKENS)
    ).select("measure_number", "issued_at", "benign_accounts_touched", kind="target_kind", value="target_value")
    held = _benign_holders(tokens, verdicts, events)
    return {
        "expected_cut_ratio": share(float(whole["expected_cut"].fill_null(0).sum()), float(day["shared"].sum())),
        "benign_holders_expected": total(tokens["benign_accounts_touched"]),
        "benign_holders": held.height,
    }


def _benign_holders(tokens: pl.DataFrame, verdicts: Verdicts, events: pl.DataFrame) -> pl.DataFrame:
    """[measure_number, party, account], a row for each benign account that had shown the measure's identifier before it was issued."""
    benign = verdicts.accounts.filter(pl.col("operator").is_null() & ~pl.col("invented")).select(ACCOUNT)
    shown = (
        events.filter(pl.col("account").is_not_null())
        .join(benign, on=ACCOUNT, how="semi")
        .select(*ACCOUNT, "occurred_at", "identifiers")
        .explode("identifiers")
        .drop_nulls("identifiers")
        .unnest("identifiers")
        .join(tokens.select("kind", "value").unique(), on=["kind", "value"], how="semi")
        .group_by(*ACCOUNT, "kind", "value")
        .agg(pl.col("occurred_at").min())
    )
    held = tokens.join(shown, on=["kind", "value"]).filter(pl.col("occurred_at") <= pl.col("issued_at"))
    return held.select("measure_number", *ACCOUNT).unique()
