"""What is remembered of campaigns and of the accounts that are, or were, their members: plain values, no behaviour."""

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.taken import NOTHING_TAKEN

OPEN: Final = "OPEN"
DORMANT: Final = "DORMANT"
MERGED: Final = "MERGED"
DISSOLVED: Final = "DISSOLVED"
LIVE: Final = frozenset({OPEN, DORMANT})

MEMBERS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "campaign_id": pl.String,
        "since_us": pl.Int64,
        "missed_since_us": pl.Int64,  # since when evaluations find its evidence gone; null: they do not
        "fast": pl.Boolean,  # taken in by the fast path, not confirmed yet
        "flagged": pl.Boolean,  # False: a reseller by which the campaign comes in
        "party": pl.String,
        "account_name": pl.String,
        "grounds": pl.UInt8,  # what spoke for its measure when that was last decided (`planning.grounds`); null: not yet
        "score": pl.Float64,  # in steps of `track.score_step`, so that it is not written anew at every evaluation
    }
)
"""Accounts that are in a campaign, one row each, sorted by account."""

FADED: Final = "FADED"  # its evidence went
UNCONFIRMED: Final = "UNCONFIRMED"  # the fast path took it in, and no evaluation confirmed it
DISPUTED: Final = "DISPUTED"  # its own party vouched for it
DISCREDITED: Final = "DISCREDITED"  # its campaign fell when parties disputed too many members
ENDED: Final = "ENDED"  # its campaign was silent for as long as tombstones last
LEFT_BECAUSE: Final = (FADED, UNCONFIRMED, DISPUTED, DISCREDITED, ENDED)

FORMER: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "campaign_id": pl.String,
        "party": pl.String,
        "account_name": pl.String,
        "left_at_us": pl.Int64,
        "reason": pl.String,  # of LEFT_BECAUSE
        "tombstone": pl.Boolean,  # others who come on what it held inherit its evidence
        "releases": pl.Int32,  # how often confirmed membership ended: each time the way back takes longer
        "again_since_us": pl.Int64,  # since when evaluations confirm it again; null: they do not
    }
)
"""Accounts that once were in a campaign, one row each, sorted by account; also those that are in one again."""

NOTHING: Final[dict[str, Any]] = {
    "shared_identifiers": 0,
    "requests": 0,
    "output_tokens": 0,
    "requests_per_day": 0.0,
    "traits": [],
    "models": [],
    "pivots": [],
    "growth_per_hour": 0.0,
    "replaced_share": None,
    "severity": 0.0,
    "taken": NOTHING_TAKEN.record(),
    "evidence": [],
}
"""The facts of a campaign without members."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan depends on besides the links: when it changes enough, the campaign is planned again."""

    accounts: int
    grounds: tuple[int, ...]
    requests_per_day: float

    def differs(self, other: "Situation", config: CampaignsConfig) -> bool:
        """Whether members, what speaks for them, or their volume differ by more than the settings' shares."""
        many = config.plan_members_change_share * other.accounts
        moved = sum(abs(one - two) for one, two in zip(self.grounds, other.grounds, strict=True))
        if abs(self.accounts - other.accounts) > many or moved > many:
            return True
        larger = max(self.requests_per_day, other.requests_per_day)
        return abs(self.requests_per_day - other.requests_per_day) > config.plan_volume_change_share * larger


@dataclass(frozen=True, slots=True)
class Planned:
    """The last plan of a campaign: when, in which situation, and the volume of one account-equivalent."""

    at_us: int
    situation: Situation
    unit_requests_per_day: float

    def due(self, situation: Situation, now_us: int, config: CampaignsConfig) -> bool:
        """Whether a campaign that has changed is to be planned again."""
        late = now_us - self.at_us >= config.plan_every_hours * US_PER_HOUR
        return late or situation.differs(self.situation, config)


@dataclass(slots=True)
class Campaign:
    """One campaign's identity, what it last asked for, and what is told of it. Its members are rows of `Tracker.members`."""

    campaign_id: str
    state: str
    detected_at_us: int
    updated_at_us: int
    merged_into: str | None = None
    split_from: str | None = None
    evidence_at_us: int = 0
    confidence: float = 0.0
    measures: list[dict[str, Any]] = field(default_factory=list)
    """Measures that stand, as they were last issued (Avro ProposedMeasure, with `issued_at_us`)."""
    oldest_issue_us: int | None = None
    """Of those, when the one was issued that was issued first."""
    volume_cut_share: float = 0.0
    benign_accounts_touched: int = 0
    gap: float = 0.0
    solver: str = ""
    facts: dict[str, Any] = field(default_factory=lambda: dict(NOTHING))
    """The fields of its message that are worked out when it is planned (`facts.facts`)."""
    accounts: int = 0
    """Confirmed members."""
    parties: tuple[str, ...] = ()
    apart_since_us: int | None = None
    """Since when its members lie in several communities."""
    joins: str | None = None
    """The campaign in whose community its members lie."""
    joins_since_us: int | None = None
    disputed_accounts: int = 0
    """Members that their own parties disputed since an evaluation last confirmed any."""
    planned: Planned | None = None
    waits_since_us: int | None = None
    """It waits for a plan: append time of the evidence that called for it."""


@dataclass(slots=True)
class Clocks:
    """How far the stage has come, microseconds. What is said later depends on them, so they are remembered too."""

    ticked_us: int = 0
    """`now` of the last tick."""
    seen_us: int = 0
    """Newest append time that the last evaluation knew."""
    expired_us: int = 0
    """When old links and profiles were last dropped."""
