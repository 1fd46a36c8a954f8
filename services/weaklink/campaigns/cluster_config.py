"""Settings of communities: how they are found, tested, and joined."""

from typing import Final

from pydantic import Field

from weaklink.campaigns.evidence_config import Section
from weaklink.records.identifiers import IdentifierKind

Kind: Final = IdentifierKind


class TemplatesConfig(Section):
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


class ClusterConfig(Section):
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
    """Share of a fragment's accounts that must be linked into another for the two to be one: into that which most are linked into, since a
    small one that has to do with two operators' does not make these one."""
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
    """b + what its own party shows, and what others show without the two strongest (`structure.colluding_max`), from which an account can carry others."""
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
    lone_holders_max: dict[int, int] = Field(
        default={
            Kind.CARD: 3,
            Kind.BANK_ACCOUNT: 3,
            Kind.API_KEY: 3,
            Kind.DEVICE: 12,
            Kind.PHONE: 12,
        }
    )
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


class FastConfig(Section):
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
    referral: float = 1.4
    """Weight of a referral code of the campaign's own: with one address as well, or a hard identifier, it is enough."""
    referral_holders_min: int = 5
    """Members that must hold a referral code for it to be the campaign's own."""
    referral_share_min: float = 0.8
    """Share of its other holders that must be members."""
    unconfirmed_hours: float = 1.0
    """A newcomer that evaluations do not confirm leaves after so long."""
    independent_parties: int = 3
    """Other parties whose evidence stands in for the own party's."""


class AdherentsConfig(Section):
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
    silent_members_share: float = 0.5
    """Share of the others on each hard identifier of a silent account that must be members, if the rest are silent accounts."""
    believed_weight_min: float = 1.0
    """Weight of ties from which a hot account joins."""
    addresses_min: int = 3
    """Shared addresses of an account that is known by these alone, at least."""
    addresses_members_share: float = 0.9
    """Share of the others on them that must be members."""


class RingsConfig(Section):
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
