"""What was done to people who did nothing: suspensions, flags, and whether the customers of carrier NAT fare worse than others."""

from typing import Final

import polars as pl

from weaklink.evaluation.figures import Figures, share, total
from weaklink.evaluation.judged import ACCOUNT, Verdicts

MEASURES: Final = ("CHALLENGE", "THROTTLE", "SUSPEND", "REVOKE_LEASE", "REQUIRE_END_USER_IDS")
_BENIGN: Final = pl.col("operator").is_null()
_SUSPENDING: Final = ("SUSPEND", "REVOKE_LEASE")
"""On an account: to a customer of a cloud, that all leases are taken from it is a suspension."""


def harm(verdicts: Verdicts) -> Figures:
    """Benign accounts by what was done to them. An action that was withdrawn later was done all the same, and counts.

    What a lying member invented counts as benign here too (there is no campaign), and is told apart as `invented_*`.
    `disparity` is the false-flag rate of accounts behind crowded addresses less that of all other benign accounts.
    """
    benign = verdicts.accounts.filter(_BENIGN)
    flagged = benign.filter(pl.col("flagged_at").is_not_null())
    targets = verdicts.actions.filter(pl.col("target_account").is_not_null()).select(
        "party", pl.col("target_account").alias("account"), pl.col("measure").cast(pl.String)
    )
    done = targets.join(benign, on=ACCOUNT).unique(["party", "account", "measure"])
    suspended = done.filter(pl.col("measure").is_in(_SUSPENDING)).unique(ACCOUNT)
    figures: Figures = {f"benign_{name.lower()}": done.filter(measure=name).height for name in MEASURES}
    figures |= {
        "benign_suspended": suspended.height,
        "invented_flagged": total(flagged["invented"]),
        "invented_suspended": total(suspended["invented"]),
        "victims_flagged": total(flagged["victim"]),
        "victims_suspended": total(suspended["victim"]),
        "resellers_flagged": total(flagged["reseller"]),
        "resellers_suspended": total(suspended["reseller"]),
        "false_flag_rate": share(flagged.height, benign.height),
        "disparity": _disparity(benign),
    }
    del figures["benign_suspend"]  # `benign_suspended` says it
    return figures


def _disparity(benign: pl.DataFrame) -> float | None:
    crowded, others = benign.filter("crowded"), benign.filter(~pl.col("crowded"))
    if crowded.is_empty() or others.is_empty():
        return None
    rates = [float(part["flagged_at"].count()) / part.height for part in (crowded, others)]
    return rates[0] - rates[1]
