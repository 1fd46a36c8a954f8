"""Settings of detection. Every field has its unit in its name or its docstring.

The constants are the method's starting points. Weights are in nats (natural log of a likelihood ratio) unless a field says otherwise.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from weaklink.records.identifiers import IdentifierKind

Kind: Final = IdentifierKind


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ConductConfig(_Section):
    """What an account does by itself: each part is clipped, their sum is `b`."""

    campaign_task_shares: dict[str, float] = {
        "OTHER": 0.08,
        "REASONING_ELICITATION": 0.25,
        "RUBRIC_GRADING": 0.15,
        "SYNTHETIC_DATA": 0.12,
        "AGENTIC_CODING": 0.20,
        "TOOL_USE": 0.12,
        "VISION": 0.08,
    }
    """Task mix of extraction campaigns; the population's is measured."""
    population_prior_accounts: float = 50.0
    """Pseudo-accounts with a uniform task mix, so that a young stream's measured mix is not taken at its word."""
    task_weight: float = 0.6
    """By which the log-likelihood ratio of an account's task mix, campaign against population, is multiplied."""
    task_window_clip: float = 2.2
    """Nats: bounds, either way, of what one usage window of a task can say."""
    task_clip: tuple[float, float] = (-1.5, 3.0)
    """Nats: bounds of what the task mix can say in all."""
    regular_windows_min: int = 3
    """Usage windows from which the spread of an account's requests says anything."""
    regular_sigma: float = 0.45
    """Standard deviation of log requests of scripted traffic, against 1 for people's."""
    regular_weight: float = 0.6
    """By which the log-likelihood ratio of the spread of an account's requests is multiplied."""
    regular_clip: tuple[float, float] = (-0.7, 1.5)
    """Nats: bounds of what regularity can say."""
    output_weight: float = 0.9
    """Nats for each unit of ln(output/input) beyond `output_margin`."""
    output_margin: float = 0.4
    """How far ln(output/input) must lie above the population's median to count at all."""
    output_clip: tuple[float, float] = (-0.5, 1.0)
    """Nats: bounds of what long outputs can say."""
    camouflaged_share: float = 0.2
    """Share of campaign accounts taken to be driven so that their usage looks like anybody's: what usage says against a campaign is
    bounded by its logarithm, since whoever extracts can choose to look benign."""
    old_account_days: float = 10.0
    """From its opening (or first event) to its last: with so many an account is old."""
    old_account: float = -1.0
    """Nats for an old account."""
    new_account: float = 0.3
    """Nats for an account that is not old, and whose opening is known."""
    plan: dict[str, float] = {"FREE": -0.2, "TRIAL": 0.2, "EDUCATION": 0.3, "STARTUP": 0.3, "ENTERPRISE": -0.7}
    """Nats by the plan that the account was opened on; 0 for others."""
    verified: dict[str, float] = {"NONE": 0.2, "CARD": -0.1, "ORGANISATION": -0.7}
    """Nats by how its party verified the customer; 0 for others."""
    address_class: dict[str, float] = {"HOSTING": 0.5, "TOR": 0.5, "VPN": 0.1}
    """Where the account was opened from, as its party's own lists have it. Far below what it is worth against today's operators, who
    can move; for the same reason no class speaks for an account. Honest customers come by VPNs."""
    mail_class: dict[str, float] = {"DISPOSABLE": 0.4}
    """Nats by the class of the customer's mail address; 0 for others."""
    closed_distillation: float = 2.0
    """Nats for an account that its party closed as DISTILLATION."""
    closed_abuse: float = 0.8
    """Closed by its party as FRAUD or TERMS."""
    disputed: float = -8.0
    """Its own party says that the account is a good customer, or not its own."""
    declined: float = -1.0
    """A person declined an action on it."""


class StructureConfig(_Section):
    """How unusual an account's sharing of hard identifiers is, measured on the data itself."""

    log_share: float = 0.6
    """An account's sharing speaks against it when a smaller share of all accounts shares as much: ln(this / that share), in nats."""
    tail_floor: float = 0.002
    """Least share of accounts that sharing is taken to have, however rare it is."""
    kind_max: float = 2.5
    """Nats that one kind of identifier can bring."""
    total_max: float = 5.0
    """Nats that all kinds can bring together."""
    foreign_party_max: float = 1.0
    """Nats that one foreign party's accounts can add."""
    person_accounts_max: int = 8
    """Accounts of one party that share an e-mail address count as one person, up to this many; more is no person."""


class ChainConfig(_Section):
    """Components of accounts over hard identifiers of few holders: what a chain shows as a whole and no pair of its accounts does."""

    holders_max: int = 8
    """Persons on an identifier up to which it counts: an agency's one card makes no chain."""
    persons_min: int = 4
    """Persons of a component up to which it says nothing: households."""
    persons_full: int = 12
    """Persons of a component from which it counts in full; from `persons_min` up to here in proportion."""
    log_share: float = 0.6
    """As in `structure`: ln(this / share of accounts in components as large), in nats."""
    tail_floor: float = 0.002
    """As in `structure`: least share that a component's size is taken to have."""
    chain_max: float = 2.5
    """Nats that a chain can bring."""
    foreign_party_max: float = 1.0
    """Nats that what one foreign party's accounts join can add."""


class PiecesConfig(_Section):
    """Pieces of chains that are confirmed by their number and their sharing, whatever their accounts' conduct (`pieces`)."""

    holders_max: int = 3
    """Holders of a hard identifier up to which it counts: with more, offices and agencies whose holders are only partly seen look alike."""
    family_persons: int = 4
    """How the number of components falls is measured from so many persons to one more."""
    persons_min: int = 8
    """Persons from which a component is a piece."""
    sharing_kind_max: float = 1.0
    """Bits of sharing that one kind of identifier can bring."""
    sharing_min: float = 1.5
    """E, bits, of which each kind can bring `sharing_kind_max`: rooms of shared computers, however many, are one kind."""
    score_min: float = 0.5
    """Score of a cluster; honest components of that size have at most 0, pieces of chains with benign-looking conduct 2."""
    tied_share: float = 0.25
    """Share of the accounts that hang together by threes without any two parties' accounts."""
    false_share_max: float = 0.05
    """Honest components expected, as a share of those that pass, up to which they are believed."""
    pieces_min: int = 5
    """Pieces that must pass, however few are expected: one alone is an oddity."""
    confidence: float = 0.8
    """Least score of an account so confirmed: too little for a suspension."""


class BeliefConfig(_Section):
    """Belief at first hand (own party only), then across parties."""

    prior_logit: float = -5.0
    """Log-odds that an account is a campaign's, before anything is known of it."""
    rounds: int = Field(default=7, ge=1)
    """Rounds in which belief is passed on among an own party's accounts."""
    damping: float = 0.5
    """Share of the new belief that each round takes over; the rest is the old one."""
    leave_one_out: bool = True
    """An account's own belief does not come back to it through what it shares. Off only to measure what that is worth."""
    kind_floor: float = -0.3
    """Nats: least that one kind of identifier can say, so that honest holders hardly speak for an account."""
    pi_floor: float = 0.01
    """Least mean belief of a kind's holders that others are compared with."""
    kind_caps: dict[int, float] = {
        Kind.DEVICE: 2.0,
        Kind.CARD: 2.0,
        Kind.PHONE: 2.0,
        Kind.BANK_ACCOUNT: 2.0,
        Kind.API_KEY: 2.0,
        Kind.PROMPT: 2.0,
        Kind.IP: 1.5,
        Kind.ORGANISATION: 1.2,
        Kind.EMAIL: 1.0,
        Kind.REFERRAL: 0.8,
    }
    """Nats: most that each kind of identifier (by number) can say; one that is not here says nothing."""
    foreign_clip: tuple[float, float] = (-0.15, 1.0)
    """Bounds of what one foreign party's accounts can add: this is what makes framing by one party harmless."""
    foreign_soft_max: float = 1.5
    """Nats that kinds which are not hard can add over all foreign parties together."""


class TemplatesConfig(_Section):
    """Pieces that templates of their own join (see `templates`)."""

    sharing_min: float = 1.0
    """Bits of sharing E that a piece must have by itself."""
    holders_min: int = 6
    """Accounts in such pieces that must hold a template."""
    holders_share: float = 0.5
    """Share of a template's holders that must be in pieces of any kind: a published one has others."""
    sharing_share: float = 0.3
    """And the share of these that must be in pieces that share by themselves."""
    accounts_share: float = 0.3
    """Share of a piece's accounts that must hold such templates."""
    pieces_min: int = 3
    """Pieces that must hang on a template: two may be two operators'."""
    bands: int = 2
    """Bands of PROMPT from which an account is said to hold a template."""
    members_share: float = 0.3
    """Share of a template's holders that must be confirmed members of one community for hot accounts to join it by the template."""
    suspects_share: float = 0.6
    """And the share that must be such members or hot."""


class ClusterConfig(_Section):
    """Communities, and the tests of members and of clusters."""

    hot: float = 0.5
    """Belief (p) above which an account is hot: communities are looked for among hot accounts."""
    resolution: float = 2.0
    """Resolution of modularity in the search for communities (Leiden): higher finds smaller ones."""
    resolution_accounts: int = 1500
    """Hot accounts from which `resolution` holds; with fewer it falls in proportion, since modularity splits small graphs too finely."""
    iterations: int = 1
    """Rounds of Leiden. What further ones would put together the merging of fragments puts together, at a third of the time."""
    seed: int = 20260401
    """Of the search's random numbers: the same accounts give the same communities."""
    prompt_edge_factor: float = 0.5
    """By which edges to prompt templates are multiplied in that search."""
    merge_accounts_share: float = 0.3
    """Share of a fragment's accounts that must be linked into another for the two to be one."""
    merge_outside_share: float = 0.3
    """Share of an identifier's holders that must be in the other fragment for it to link."""
    merge_weight: float = 1.5
    """Weight (`link_*`) from which an account is linked into the other fragment."""
    merge_rounds: int = 4
    """Rounds of merging fragments, at most."""
    bridges_min: int = 2
    """Hard identifiers that two fragments must have in common to be one: so many, whatever their size."""
    bridges_share: float = 0.08
    """And as many as this share of the smaller fragment's accounts."""
    bridge_holders_share: float = 0.8
    """Share of such an identifier's holders that must be in fragments."""
    bridge_pieces_max: int = 8
    """Fragments on one identifier up to which it joins any."""
    evidenced: float = 1.0
    """b + structure from which an account's own evidence can carry others."""
    independent_parties: int = 3
    """Other parties whose evidence stands in for the own party's."""
    link_hard: float = 1.0
    """Weight of a kind of hard identifier that an account has in common with a fragment: kinds count, not values."""
    link_prompt: float = 0.5
    """Weight of each band of PROMPT in common."""
    link_prompt_max: float = 1.5
    """Weight of PROMPT at most."""
    link_ip: float = 0.5
    """Weight of addresses in common."""
    link_organisation: float = 0.5
    """Weight of an organisation in common."""
    member_kinds: int = 2
    """Kinds of identifier in common with others of its community that are tie enough for a member."""
    member_identifiers: int = 3
    """Identifiers in common, of any kind, that are tie enough, too."""
    member_conduct: float = 2.5
    """Conduct b, in nats, from which an account needs no other's evidence to be a member."""
    member_hard_conduct: float = 0.8
    """Conduct from which one hard identifier in common is tie enough and nobody else need vouch: what its own party sees of it."""
    lone_holders_max: dict[int, int] = {
        Kind.CARD: 3,
        Kind.BANK_ACCOUNT: 3,
        Kind.API_KEY: 3,
        Kind.DEVICE: 12,
        Kind.PHONE: 12,
    }
    """Holders of a hard identifier beyond which it alone ties nobody to a community. What is a number can be given away or stolen, and is
    then held by strangers who share nothing else with its owner; of a thing that must be in one's hands so many cannot make use who
    are not together. A chain's identifiers, with fewer holders, are all that it shows."""
    addresses_share_min: float = 0.5
    """Share of the accounts that hard identifiers join which addresses must tie to others for them all to be tied by addresses."""
    member_template_share: float = 0.2
    """Share of a template's holders that must be in a community for it to tie an account to it: a published one ties nobody."""
    member_rounds: int = 3
    """Rounds of the test of members, at most: each one that goes may have been another's tie."""
    templates: TemplatesConfig = TemplatesConfig()
    accounts_min: int = 12
    """Persons that a campaign has at least."""
    sharing_min: float = 2.4
    """Bits of sharing E that a campaign has at least."""
    sharing_alone_max: float = 2.0
    """Bits that one kind counts for in `sharing_min`, below it so that none is enough alone: a room of computers is no operator's means."""
    covered_min: float = 0.5
    """Share of a campaign's accounts, at least, that are joined as `covered_persons_min` says."""
    covered_persons_min: int = 3
    """Share of a cluster's accounts that hard identifiers must join, inside it, to at least so many persons. Addresses and templates alone
    tie strangers too, and couples who share a device."""
    suspend_persons_min: int = 12
    """Persons of its cluster that hard identifiers must join an account to, directly or by others, before they count as the tie that a
    suspension needs: as many as a cluster needs at all (`accounts_min`). A household or a team that a template or an address hangs
    on a campaign is tied to itself. And no identifier is to tie so many on its own: those of more persons do not count, since a card that
    is given away is held by strangers."""
    sharing_kind_max: float = 2.5
    """Bits of sharing that one kind can bring: a university's computers, however many, are one kind; an operator's means are several."""
    sharing_weight: float = 0.6
    """Of each bit of E in a cluster's score, which is in nats."""
    organisation_weight: float = 1.5
    """Nats that a cluster's score loses for its share of verified organisations."""
    pass_min: float = 2.4
    """Score from which a cluster is a campaign."""
    party_min: float = 0.0
    """Score that the part of a community at one party must have to stay in it."""
    fragment_party_min: float = -1.4
    """Score that the part of a fragment at one party must have to stay in it, before fragments are merged."""
    conduct_accounts_min: int = 6
    """Members with usage from which mean conduct is taken over those alone."""


class FastConfig(_Section):
    """New accounts on known infrastructure, flagged before the cluster test can see them."""

    new_account_days: float = 10.0
    """Days since its first event up to which an account is new."""
    flagged_holders_min: int = 2
    """Members that must hold an identifier for it to count."""
    flagged_share_min: float = 0.6
    """Share of an identifier's other holders that must be members for it to count."""
    weight_min: float = 2.0
    """Weight of ties from which a newcomer joins; `hard` to `organisation` are what ties weigh."""
    hard: float = 1.0
    """Weight of each kind of hard identifier."""
    prompt_bands: int = 2
    """Bands of PROMPT in common from which it counts."""
    prompt: float = 1.0
    """Weight of PROMPT, with `prompt_bands` in common."""
    ip: float = 0.6
    """Weight of each address."""
    ip_max: float = 1.2
    """Weight of addresses at most."""
    organisation: float = 0.5
    """Weight of an organisation."""
    unconfirmed_hours: float = 1.0
    """A newcomer that evaluations do not confirm leaves after so long."""
    independent_parties: int = 3
    """Other parties whose evidence stands in for the own party's."""


class AdherentsConfig(_Section):
    """Accounts that hang on a confirmed community, whatever is known of themselves. Ties weigh as on the fast path."""

    rounds: int = 4
    """How far from a confirmed community they are followed."""
    only_members_min: int = 2
    """Members, and nobody else, on an account's hard identifiers, from which it joins by these alone."""
    parties_min: int = 2
    """Parties with evidence that stand in for the account's own."""
    hard_kinds_min: int = 2
    """Kinds of hard identifier in common with members that stand in for it, too."""
    conduct_min: float = -0.5
    """b below which only members of the account's own party can take it in."""
    believed_weight_min: float = 1.0
    """Weight of ties from which a hot account joins."""
    addresses_min: int = 3
    """Shared addresses of an account that is known by these alone, at least."""
    addresses_members_share: float = 0.9
    """Share of the others on them that must be members."""


class RingsConfig(_Section):
    """Streams without conduct: parties none of whose accounts have usage, and which hardly share with parties that do."""

    connected_share_max: float = 0.01
    """Share of a party's identifiers that parties with usage hold, too, up to which it counts as a stream without conduct."""
    party_accounts_min: int = 1000
    """Accounts from which a party is judged at all."""
    window_days: float = 90.0
    """Only links used within these days tie accounts: `link_days_default`, for members too."""
    degree_max: int = 100
    """Identifiers with more holders tie nobody."""
    tie_min: float = 0.7
    """Probability from which two accounts are tied."""
    trust_rounds: int = 2
    """Times that ties are weighed anew by how far their identifiers are trusted."""
    trust_prior_pairs: float = 10.0
    """Pairs by which an identifier's trust is shrunk to what is usual among identifiers of its degree."""
    null_margin: float = 1.0
    """Standard errors by which the share of pairs that chance explains is taken higher than it was measured."""
    coherent_degree_max: int = 30
    """Holders of an identifier up to which `coherent_min` looks at it."""
    coherent_min: float = 0.8
    """Two common identifiers tie two accounts when this share of the other pairs of holders of each has a second one in common too."""
    accounts_min: int = 8
    """Accounts that a ring has at least."""
    accounts_max: int = 150
    """Larger rings are cut where they hang together least."""
    iterations: int = 3
    """Rounds of Leiden on such a ring."""
    resolution_max: float = 8.0
    """A ring that Leiden leaves whole at this resolution stays whole."""
    sharing_bits_min: float = 1.0
    """log2 of the effective number of identifiers that must hold a ring together: one card that all share is an organisation's."""
    pairs_max: int = 4_000_000
    """A guard on memory: identifiers of the highest degree are left out until their pairs fit."""


class ReportersConfig(_Section):
    """Track records: what a party's evidence counts at others, by what others said of the accounts that it spoke against."""

    prior_confirmed: float = 9.0
    """Pseudo-accounts: before anybody has judged it, nine in ten of a party's accusations are taken to hold."""
    prior_disputed: float = 1.0
    """Pseudo-accounts of which they are taken not to hold: beside `prior_confirmed`, one in ten."""
    accounts_per_judge_max: float = 10.0
    """Accounts that each judging party counts for at most, each way: one party alone can halve another's weight, and no more."""
    holders_max: int = 50
    """An identifier with more holders speaks against nobody."""
    trusted_min: float = 0.6
    """A party below counts no more as an independent party that supports a finding."""


class TrackConfig(_Section):
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


class IncrementalConfig(_Section):
    """How much is evaluated again, and when (see `incremental` and `evaluator`)."""

    news_min: float = Field(default=0.05, gt=0)
    """Nats: by so much must an identifier's word to its holders move for them to be evaluated again."""
    warm: float = 0.05
    """p from which whatever touches an account leads to its evaluation."""
    conduct_moved: float = 0.3
    """Nats by which the conduct of a cold account must have moved against it."""
    sweeps_max: int = Field(default=2, ge=1)
    """Rounds of passing such news on within one tick; what is left is passed on at the next."""
    chain_rounds_max: int = Field(default=6, ge=1)
    """Steps by which a component of rare identifiers is followed from a new link."""
    full_growth_share: float = 0.5
    """Everything is evaluated anew, against a population measured anew, when the accounts have grown by this share."""
    full_hours: float = 120.0
    """And after so long."""
    full_after_snapshot_accounts_max: int = Field(default=50_000, ge=0)
    """And after a snapshot, up to so many accounts: whoever takes the snapshot up begins that way, and both say the same. With more it takes too
    long to be done as often as snapshots are taken: a stage that is restarted then differs from one that is not by what evaluations in
    parts may differ from the whole, until both next evaluate everything."""
    communities_change_share: float = 0.05
    """Communities are looked for when so many accounts, as a share of all hot ones, have become hot or cooled down, or are hot, in no
    campaign, and have new links."""
    communities_hours: float = 6.0
    """And after so long, if there is one. Between two searches newcomers on known infrastructure come in by the fast path."""


class CampaignsConfig(_Section):
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
    link_days: dict[int, float] = {Kind.IP: 7.0, Kind.PROMPT: 14.0, Kind.TLS: 7.0}
    """Links of these kinds of identifier (by number) stay in the graph this long after their last use."""
    link_days_default: float = 90.0
    """Links stay in the graph this long after their last use. Links of campaigns' members stay for `track.tombstone_days`."""
    feedback_days: float = 365.0
    """What a party or a person said of an account, or refused, counts this long after it was last said: no word protects for ever."""
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
