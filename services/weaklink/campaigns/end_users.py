"""Which customers of a reseller a campaign comes by: the conduct of each END_USER that the reseller names."""

import numpy as np
import polars as pl
from scipy.special import expit

from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evidence import conduct
from weaklink.campaigns.population import TypicalConduct
from weaklink.weaklinks.candidates import SLICES


def end_user_slices(
    resellers: pl.DataFrame, end_users: pl.DataFrame, typical: TypicalConduct, config: CampaignsConfig
) -> pl.DataFrame:
    """SLICES by END_USER of these resellers; none of one that names nobody, or none whose customers behave like the campaign.

    resellers: [account, requests_per_day], members of a campaign. end_users: profiles.END_USERS. That the campaign comes by the
    reseller is known already, but not by whom: before looking at conduct any of its n end users is as likely, so that the
    belief in one is expit(b - ln n) with b the usage parts of conduct (DETECTION: step 2), and it must be more likely than not.
    """
    own = end_users.join(resellers.select("account", "requests_per_day"), on="account").sort("account", "end_user")
    if own.is_empty():
        return pl.DataFrame(schema=SLICES)
    # An end user has no opening, plan or verification of its own, and its age is unknown: those parts of conduct are 0.
    blank = own.with_columns(
        pl.lit(None, pl.Int64).alias("opened_at_us"),
        pl.col("last_seen_us").alias("first_seen_us"),
        *(pl.lit(None, pl.String).alias(name) for name in ("plan", "verified", "address_class", "mail_class")),
        *(pl.lit(0).alias(name) for name in ("closed_distillation", "closed_abuse")),
        *(pl.lit(value=False).alias(name) for name in ("disputed", "declined")),
    )
    b = conduct(blank, typical, config.conduct)["b"].to_numpy()
    many = own.select(pl.len().over("account")).to_series().to_numpy()
    share = pl.col("requests") / pl.col("requests").sum().over("account")
    return (
        own.with_columns((share * pl.col("requests_per_day")).fill_nan(0.0).alias("requests_per_day"))
        .filter(pl.Series(expit(b - np.log(many)) > config.end_user_belief_above))
        .select(
            "account",
            pl.lit(None, pl.String).alias("slice_model"),
            pl.col("end_user").alias("slice_end_user"),
            "requests_per_day",
        )
        .match_to_schema(SLICES)
    )
