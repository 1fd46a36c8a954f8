"""What is told of a campaign that changed: as it stands, with its members and the changes of its measures."""

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from weaklink.campaigns import calibration, standing
from weaklink.campaigns.identity import NOTHING, Campaign


@dataclass(frozen=True, slots=True)
class Update:
    """A campaign that changed: as it stands, its members (identity.MEMBERS), and the changes of its measures."""

    campaign: Campaign
    members: pl.DataFrame
    changes: list[dict[str, Any]]


def updated(campaign: Campaign, own: pl.DataFrame, changes: list[dict[str, Any]]) -> Update:
    """Of a campaign with its present members `own` (MEMBERS), and these changes of its measures."""
    flagged = own.filter("flagged")
    campaign.confidence = float(calibration.MEMBER.of(flagged["score"]).mean() or 0.0)  # type: ignore[arg-type]
    campaign.accounts, campaign.parties = flagged.height, tuple(own["party"].unique().sort().to_list())
    return Update(replace(campaign), own, changes)


def end(campaign: Campaign, members: pl.DataFrame, now_us: int) -> Update:
    """Of a campaign that merged or dissolved: everything that it asked for falls. `members`: MEMBERS, of any campaigns."""
    withdrawn = [{**measure, "op": standing.WITHDRAW} for measure in campaign.measures]
    campaign.measures, campaign.volume_cut_share, campaign.benign_accounts_touched = [], 0.0, 0
    campaign.updated_at_us = now_us
    campaign.planned = campaign.oldest_issue_us = None
    campaign.facts, campaign.accounts, campaign.parties = dict(NOTHING), 0, ()
    return Update(replace(campaign), members.clear(), withdrawn)
