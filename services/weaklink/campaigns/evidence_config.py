"""Settings of evidence and belief, the method's starting points. Weights are in nats (natural log of a likelihood ratio) unless a field says otherwise."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from weaklink.records.identifiers import IdentifierKind

Kind: Final = IdentifierKind


class Section(BaseModel):
    """Settings that belong together: unknown names are refused, and nothing changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConductConfig(Section):
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


class StructureConfig(Section):
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
    """Nats that one foreign party's accounts can add, over all kinds together."""
    colluding_max: int = 2
    """Foreign parties that may lie together: an account has evidence of its own by what others show without these, the strongest."""
    person_accounts_max: int = 8
    """Accounts of one party that share an e-mail address count as one person, up to this many; more is no person."""


class ChainConfig(Section):
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


class PiecesConfig(Section):
    """Pieces of chains that are confirmed by their number and their sharing, whatever their accounts' conduct (`pieces`)."""

    holders_max: int = 3
    """Holders of a hard identifier up to which it counts: with more, offices and agencies whose holders are only partly seen look alike."""
    address_holders_max: int = 2
    """Accounts that have an address at a time, up to which it counts too, where addresses are looked at: with three, honest components grow
    to twenty people and more."""
    family_persons: int = 4
    """How the number of components falls is measured from so many persons to one more."""
    persons_min: int = 8
    """Persons from which a component is a piece."""
    address_persons_min: int = 12
    """And where addresses count too: as many as a campaign has at least."""
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


class BeliefConfig(Section):
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


class ReportersConfig(Section):
    """Track records: what a party's evidence counts at others, by what others said of the accounts that it spoke against."""

    prior_confirmed: float = 9.0
    """Pseudo-accounts: before anybody has judged it, nine in ten of a party's accusations are taken to hold."""
    prior_disputed: float = 1.0
    """Pseudo-accounts of which they are taken not to hold: beside `prior_confirmed`, one in ten."""
    accounts_per_judge_max: float = 10.0
    """Accounts that each judging party counts for at most, each way: one party alone can halve another's weight, and no more."""
    holders_max: int = 50
    """An identifier with more holders speaks against nobody. Of a hard kind, holders at the party that speaks are left out: else whoever invents many
    accounts on it is never proven wrong."""
    trusted_min: float = 0.6
    """A party below counts no more as an independent party that supports a finding."""
