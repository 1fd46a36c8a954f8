"""Settings of detection. Every field has its unit in its name or its docstring."""

from typing import Final

from pydantic import Field

from weaklink.campaigns.cluster_config import AdherentsConfig, ClusterConfig, FastConfig, RingsConfig
from weaklink.campaigns.evidence_config import (
    BeliefConfig,
    ChainConfig,
    ConductConfig,
    PiecesConfig,
    ReportersConfig,
    Section,
    StructureConfig,
)
from weaklink.records.identifiers import IdentifierKind

Kind: Final = IdentifierKind


class TrackConfig(Section):
    """Lasting identities of campaigns, and hysteresis of membership. All times are of the stage's clock: how often it evaluates does not matter."""

    release_score: float = 0.3
    """Score below which an evaluation speaks for a member's release."""
    release_hours: float = 24.0
    """A member is released when evaluations have put it below `release_score` for so long on end."""
    rejoin_hours: float = 24.0
    """An account that was released is a member again when evaluations have confirmed it for so long on end; twice as long after each
    further release."""
    rejoin_days_max: float = 30.0
    """The longest that the wait of `rejoin_hours` becomes."""
    score_step: float = 0.02
    """A member's published score follows its belief in steps of at least so much."""
    split_hours: float = 168.0
    """Pieces of a campaign become campaigns of their own when they have lain apart for so long. A split issues every measure of the
    piece anew under its new id, so it must not come and go."""
    merge_hours: float = 24.0
    """Campaigns become one when their members have lain in one community for so long: one evaluation that puts two operators together
    must not make one campaign of them."""
    discredited_share: float = 0.33
    """When own parties have disputed this share of a campaign's members, those that no evaluation confirms leave it, whatever their score."""
    merge_share: float = 0.5
    """Share of a campaign's members that must lie in another's community for the two to become one."""
    split_accounts_min: int = 6
    """Active accounts, members for `split_hours`, that each piece must have to become a campaign of its own."""
    active_hours: float = 48.0
    """And only when both pieces have so many accounts of that standing that were seen within so long."""
    dormant_days: float = 14.0
    """A campaign none of whose members was seen for so long sleeps; an idle account's evidence that fades becomes a tombstone."""
    tombstone_days: float = 180.0
    """What a campaign's accounts held stays known for so long after their last use, also when it sleeps or has ended."""
    reissue_hours: float = 120.0
    """A measure that stands is issued again after so long, so that the action on it is renewed before it expires. Less than half of
    the shortest lifetime in `enforce.expires_after_hours`."""


class IncrementalConfig(Section):
    """How much is evaluated again, and when (see `incremental` and `evaluator`)."""

    news_min: float = Field(default=0.05, gt=0)
    """Nats: by so much must an identifier's word to its holders move for them to hear of it."""
    p_moved: float = Field(default=0.005, gt=0)
    """By so much must what an account hears, or its own conduct, be able to move its p for it to be evaluated again: certain ones need not be."""
    warm: float = 0.05
    """p from which whatever touches an account leads to its evaluation."""
    conduct_moved: float = 0.3
    """Nats by which the conduct of a cold account must have moved against it."""
    sweeps_max: int = Field(default=2, ge=1)
    """Rounds of passing such news on within one tick; what is left is passed on at the next."""
    chain_rounds_max: int = Field(default=6, ge=1)
    """Steps by which a component of rare identifiers is followed from a new link."""
    full_growth_share: float = 0.5
    """Everything is evaluated anew, against a population measured anew, when the accounts, or those of them with usage, have grown by this share."""
    full_used_share_min: float = 0.01
    """Of all accounts: the growth of fewer with usage than this leads to nothing, as each of the first ones would be a multiple of those before it."""
    full_speaking_accounts: int = Field(default=20, ge=1)
    """And when a party that had no usage at all has so many accounts with usage: it is no payment processor, and its accounts are judged by more
    than what they share."""
    full_hours: float = 120.0
    """And after so long."""
    full_after_dispute_hours: float = 1.0
    """Or so long, where parties have disputed evidence since: whoever spoke against their accounts loses its voice by it (`reporters`), which is
    worked out on everything."""
    full_after_snapshot_accounts_max: int = Field(default=50_000, ge=0)
    """And after a snapshot, up to so many accounts: whoever takes the snapshot up begins that way, and both say the same. With more it takes too
    long to be done as often as snapshots are taken: a stage that is restarted then differs from one that is not by what evaluations in
    parts may differ from the whole, until both next evaluate everything."""
    communities_change_share: float = 0.05
    """Communities are looked for when so many accounts, as a share of all hot ones, have become hot or cooled down, or are hot, in no
    campaign, and have new links."""
    communities_hours: float = 12.0
    """And after so long, if there is one. Between two searches newcomers on known infrastructure come in by the fast path, and hot accounts that
    hang on a campaign (`adherents`)."""


class CampaignsConfig(Section):
    """Environment: WEAKLINK_CAMPAIGNS__<NAME>."""

    conduct: ConductConfig = ConductConfig()
    structure: StructureConfig = StructureConfig()
    chains: ChainConfig = ChainConfig()
    pieces: PiecesConfig = PiecesConfig()
    belief: BeliefConfig = BeliefConfig()
    cluster: ClusterConfig = ClusterConfig()
    fast: FastConfig = FastConfig()
    adherents: AdherentsConfig = AdherentsConfig()
    rings: RingsConfig = RingsConfig()
    reporters: ReportersConfig = ReportersConfig()
    track: TrackConfig = TrackConfig()
    incremental: IncrementalConfig = IncrementalConfig()

    volume_days: float = 3.0
    """Present volume is the mean of these last days (or of the account's life, when that is shorter)."""
    usage_days: int = 35
    """Daily usage is kept for this many days."""
    profile_days: float = 120.0
    """Profiles idle for longer are dropped, members of campaigns excepted."""
    link_days: dict[int, float] = Field(default={Kind.IP: 7.0, Kind.PROMPT: 14.0, Kind.TLS: 7.0})
    """Links of these kinds of identifier (by number) stay in the graph this long after their last use."""
    link_days_default: float = 90.0
    """Links stay in the graph this long after their last use. Links of campaigns' members stay for `track.tombstone_days`."""
    feedback_days: float = 365.0
    """What a party or a person said of an account, or refused, counts this long after it was last said: no word protects for ever."""
    equation_parties_min: int = Field(default=2, ge=1)
    """Parties that must say that tokens of two epochs of keys are one value's before it holds for others' accounts, too; for a party's own its
    word is enough."""
    reseller_end_users_min: int = 5
    """End users that an account must name to be taken for a reseller."""
    reseller_end_user_share_min: float = 0.5
    """Share of an account's usage windows that must name an end user."""
    reseller_benign_holders_min: int = 20
    """Accounts outside campaigns on an account's own devices, cards, bank accounts and keys from which it is taken for a reseller."""
    end_user_belief_above: float = Field(default=0.5, ge=0, le=1)
    """A reseller's customer is throttled by itself when the belief that the campaign comes by it is above this."""
    organisation_established: bool = True
    """Whether a customer that its party verified as an organisation counts as known to that party."""
    plans_per_tick_max: int = 12
    """Campaigns that are planned anew in one evaluation; the others wait for the next."""
    plan_seconds_max: float = 10.0
    """Time limit of the solver for one campaign's plan."""
    plan_members_change_share: float = 0.25
    """A campaign is planned again when this share of its members has changed, or of what speaks for them; until then each new
    member gets its own account's measure."""
    plan_volume_change_share: float = 0.5
    """And when its volume has changed by more than this share."""
    plan_every_hours: float = 72.0
    """And after so long, if it has changed at all."""
    expire_every_hours: float = 24.0
    """How often what is over is dropped from the graph."""
