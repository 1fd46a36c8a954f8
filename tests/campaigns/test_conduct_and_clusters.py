"""Conduct that was put on for show, and what holds a cluster together."""

from typing import Final

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.test_method import NOW_US, state_of
from tests.campaigns.worlds import World, benign_life, campaign
from weaklink.campaigns import chains, evidence, verdict
from weaklink.campaigns.cluster import merge_fragments, split_by_firm_ties
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Floats, build_graph, paths
from weaklink.campaigns.population import Sharing, TypicalConduct
from weaklink.campaigns.state import CampaignsState
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig()


@given(tasks=st.lists(st.integers(0, 60), min_size=7, max_size=7), sigma=st.floats(0.05, 2), ratio=st.floats(0.01, 20))
@settings(max_examples=20, deadline=None)
def test_usage_never_says_more_against_a_campaign_than_that_it_may_be_for_show(
    tasks: list[int], sigma: float, ratio: float
) -> None:
    """Bounded by the logarithm of the share of campaigns that look benign; what speaks for a campaign is hardly less for it."""
    world = World()
    weights = tuple(max(t, 1e-9) for t in tasks)
    world.add("a", "lab-a", 3, windows=(1, 40), tasks=weights, sigma=sigma, output_ratio=ratio)
    world.link(world.accounts[0], Kind.DEVICE, world.values(3))
    accounts = state_of(world).accounts(NOW_US)
    typical = TypicalConduct((-2.0, 1.0, 1.5, 1.0, 0.3, 0.3, 0.2), 0.0)
    parts = evidence.conduct(accounts, typical, CONFIG.conduct)
    usage = parts.select(pl.sum_horizontal(evidence.USAGE_PARTS)).to_series().to_numpy()
    shown = usage + parts["camouflage"].to_numpy()
    share = CONFIG.conduct.camouflaged_share
    assert (shown >= np.log(share) - 1e-6).all()
    assert (shown >= usage + np.log(1 - share) - 1e-6).all()
    assert np.allclose(parts.select(pl.sum_horizontal(evidence.CONDUCT_PARTS)).to_series(), parts["b"], atol=1e-8)


def test_where_an_account_was_opened_from_counts_a_little_and_never_for_it() -> None:
    """Classes that no list knows, homes and offices among them, say nothing."""
    world = World()
    names = ["HOSTING", "VPN", "TOR", "RESIDENTIAL", "MOBILE", "UNKNOWN"]
    world.add("a", "lab-a", len(names))
    world.link(world.accounts[0], Kind.DEVICE, world.values(len(names)))
    accounts = state_of(world).accounts(NOW_US).sort("account_name")
    of = pl.Series(names, dtype=accounts.schema["address_class"])
    mail = pl.Series(["DISPOSABLE", "FREE", "BUSINESS", "UNKNOWN", "FREE", "FREE"], dtype=accounts.schema["mail_class"])
    parts = evidence.conduct(
        accounts.with_columns(of.alias("address_class"), mail.alias("mail_class")),
        TypicalConduct((0.0,) * 7, 0.0),
        CONFIG.conduct,
    )
    assert parts["opened_from"].to_list() == [0.5, 0.1, 0.5, 0, 0, 0]
    assert parts["mail"].to_list() == [0.4, 0, 0, 0, 0, 0]
    plain = evidence.conduct(accounts, TypicalConduct((0.0,) * 7, 0.0), CONFIG.conduct)
    assert (parts["b"] - plain["b"]).round(9).to_list() == [0.9, 0.1, 0.5, 0, 0, 0]


def passes(world: World, b: float) -> bool:
    """Whether all accounts of the world, as one community of that conduct, pass the tests."""
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    n = graph.n_accounts
    standing = verdict.Standing(
        np.full(n, b), np.ones(n, bool), np.zeros(n, bool), np.ones(n, bool), np.ones(1, bool), chains.people(graph, 8)
    )
    labels, _ = verdict.confirmed(graph, np.zeros(n, np.int64), standing, CONFIG.cluster)
    return bool((labels >= 0).all())


def pairs_on_one_address(n: int) -> World:
    """Couples: each a device and a card of its own, and all on one address and one template."""
    world = World()
    people = world.add("p", "lab-a", n)
    for kind, size in ((Kind.DEVICE, 2), (Kind.CARD, 2), (Kind.IP, n), (Kind.PROMPT, n)):
        world.link(people, kind, np.repeat(world.values(n // size), size))
    return world


def test_couples_on_one_address_are_no_campaign_whatever_they_do() -> None:
    """Forty evaluation harnesses of twenty pairs of colleagues: only the address and a published template join them."""
    assert not passes(pairs_on_one_address(40), b=4.0)


def test_the_same_accounts_are_one_when_hard_identifiers_join_them() -> None:
    """The pairs are out of step with each other: a chain."""
    world = pairs_on_one_address(40)
    world.link(world.accounts[0], Kind.PHONE, np.roll(np.repeat(world.values(20), 2), 1))
    assert passes(world, b=4.0)


@pytest.mark.parametrize(("mail", "confirmed"), [(1, True), (2, False)])
def test_somebodys_accounts_at_two_parties_are_no_crowd(mail: int, confirmed: bool) -> None:
    """Twenty accounts in a chain are a campaign when they are twenty people's, and none when they are ten's, two accounts each."""
    world = World()
    row = world.add("t", ["lab-a", "lab-b"] * 10, 20)
    world.link(row, Kind.EMAIL, np.repeat(world.values(20 // mail), mail))
    for kind, shift in ((Kind.DEVICE, 0), (Kind.CARD, 1), (Kind.PHONE, 2)):
        world.link(row, kind, np.roll(np.repeat(world.values(5), 4), shift))
    assert passes(world, b=4.0) == confirmed


def test_accounts_are_joined_by_hard_identifiers_to_whoever_they_reach_within_their_cluster() -> None:
    """A pair that an address alone hangs on a chain of ten is joined to itself; a stranger on the chain's phone joins nobody."""
    world = World()
    chain, pair = world.add("chain", "lab-a", 10), world.add("pair", "lab-a", 2)
    stranger, bank_account = world.add("stranger", "lab-a", 1), world.values(1)
    world.link(pl.concat([chain, pair]), Kind.IP, np.repeat(world.values(1), 12))
    world.link(chain, Kind.DEVICE, np.repeat(world.values(5), 2))
    world.link(chain, Kind.PHONE, np.roll(np.repeat(world.values(5), 2), 1))
    world.link(pair, Kind.CARD, np.repeat(world.values(1), 2))
    for one in (stranger, chain[:1]):
        world.link(one, Kind.BANK_ACCOUNT, bank_account)
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    groups = accounts["group"].to_numpy()
    labels = np.where(groups == "stranger", -1, 0).astype(np.int64)
    joined = verdict.joined_persons(graph, labels, chains.people(graph, 8))
    assert {name: set(joined[groups == name].tolist()) for name in ("chain", "pair", "stranger")} == {
        "chain": {10},
        "pair": {2},
        "stranger": {0},
    }


def test_a_card_of_many_persons_joins_nobody_where_few_are_asked_for() -> None:
    """Strangers who were given a card of a chain of twenty are not tied to it by that; the chain holds together without it."""
    world = World()
    chain, strangers = world.add("chain", "lab-a", 20), world.add("stranger", "lab-a", 15)
    world.link(chain, Kind.DEVICE, np.repeat(world.values(10), 2))
    world.link(chain, Kind.PHONE, np.roll(np.repeat(world.values(10), 2), 1))
    world.link(pl.concat([chain[:5], strangers]), Kind.CARD, np.repeat(world.values(1), 20))
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    groups, everybody = accounts["group"].to_numpy(), np.zeros(graph.n_accounts, np.int64)
    assert set(verdict.joined_persons(graph, everybody, chains.people(graph, 8)).tolist()) == {35}
    joined = verdict.joined_persons(graph, everybody, chains.people(graph, 8), 12)
    assert set(joined[groups == "chain"].tolist()) == {20}
    assert (joined[groups == "stranger"] <= 1).all()


def flooded(kind: Kind, *, pool: int, strangers: int, b: float = 0.0) -> set[str]:
    """Which groups stay with the campaign: twenty accounts on two identifiers each (`pool` accounts on one), and strangers, each with an account
    at a payment party on the same address, whom one identifier of the campaign was given to."""
    world = World()
    chain = world.add("campaign", "lab-a", 20)
    for one, shift in ((Kind.DEVICE, 0), (Kind.PHONE, pool // 2)):
        world.link(chain, one, np.roll(np.repeat(world.values(20 // pool), pool), shift))
    buyers, payers = world.add("stranger", "lab-a", strangers), world.add("payer", "pay-a", strangers)
    homes = world.values(strangers)
    world.link(pl.concat([buyers, payers]), Kind.IP, np.tile(homes, 2))
    given = pl.concat([chain[:4], buyers, payers])
    world.link(given, kind, np.repeat(world.values(1), given.height))
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    groups = accounts["group"].to_numpy()
    conduct = np.where(groups == "stranger", b, 0.0)
    labels = split_by_firm_ties(graph, np.zeros(graph.n_accounts, np.int64), conduct, CONFIG.cluster)
    with_campaign = set(labels[groups == "campaign"].tolist())
    assert len(with_campaign) == 1
    return {name for name in ("stranger", "payer") if set(labels[groups == name].tolist()) & with_campaign}


@pytest.mark.parametrize(
    ("kind", "strangers", "stay"),
    [(Kind.CARD, 1, False), (Kind.CARD, 60, False), (Kind.DEVICE, 3, True), (Kind.DEVICE, 60, False)],
)
@pytest.mark.parametrize("pool", [4, 10, 20])
def test_whom_one_identifier_was_given_to_is_cut_off_from_those_who_gave_it(
    kind: Kind, strangers: int, stay: bool, pool: int
) -> None:
    """However many they are and whatever ties each to an account of his own; the campaign hangs together, by wide identifiers too."""
    found = flooded(kind, pool=pool, strangers=strangers)
    assert found == ({"stranger", "payer"} if stay else set())


def test_who_hangs_on_one_card_stays_when_conduct_speaks_for_it() -> None:
    """What its own party sees of it is a tie of another kind."""
    assert flooded(Kind.CARD, pool=4, strangers=2, b=1.0) == {"stranger", "payer"}


@pytest.mark.parametrize(
    ("team", "tied", "stays"),
    [(6, 1, False), (6, 3, True), (1, 1, True), (20, 1, True)],
    ids=["one", "half", "alone", "many"],
)
def test_one_colleagues_address_does_not_make_a_team_an_operators(team: int, tied: int, stays: bool) -> None:
    """Half of them on the campaign's addresses do; an account by itself stays, and so many that they are judged by themselves."""
    world = World()
    chain, colleagues = world.add("campaign", "lab-a", 20), world.add("team", "lab-a", team)
    world.link(chain, Kind.DEVICE, np.repeat(world.values(10), 2))
    world.link(chain, Kind.PHONE, np.roll(np.repeat(world.values(10), 2), 1))
    world.link(colleagues, Kind.DEVICE, np.repeat(world.values(1), team))
    for i, address in enumerate(world.values(tied)):
        for one in (chain[i], colleagues[i]):
            world.link(one, Kind.IP, [address])
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    n, groups = graph.n_accounts, accounts["group"].to_numpy()
    labels = split_by_firm_ties(graph, np.zeros(n, np.int64), np.full(n, 4.0), CONFIG.cluster)
    assert len(set(labels[groups == "campaign"].tolist())) == len(set(labels[groups == "team"].tolist())) == 1
    assert (labels[groups == "team"][0] == labels[groups == "campaign"][0]) == stays


@pytest.mark.parametrize(("persons", "tied"), [(12, True), (1000, False)])
def test_the_tie_that_a_suspension_needs_leads_to_so_many_persons_of_the_campaign(persons: int, tied: bool) -> None:
    """Whether or not it is there, the same accounts are flagged."""
    world = World(1)
    benign_life(world, 2000)
    campaign(world, "c", 40)
    state = CampaignsState(
        CONFIG.model_copy(update={"cluster": CONFIG.cluster.model_copy(update={"suspend_persons_min": persons})})
    )
    state.fold_activity(world.activity())
    state.fold_shared(world.shared())
    flagged = state.evaluate(NOW_US).accounts.filter("flagged")
    assert flagged.height > 36
    assert (flagged["hard_identifier"] == tied).all()


@pytest.mark.parametrize(
    ("size", "kinds", "expected"),
    [(100, (Kind.DEVICE, Kind.CARD), True), (12, (Kind.DEVICE, Kind.CARD), False), (100, (Kind.DEVICE,), False)],
)
def test_benign_looking_conduct_passes_only_with_much_sharing(
    size: int, kinds: tuple[Kind, ...], expected: bool
) -> None:
    """Many small groups of several kinds make up for conduct; few do not, nor a university's computers."""
    world = World(3)
    people = world.add("p", "lab-a", size)
    world.link(people, Kind.IP, np.repeat(world.values(1), size))
    for kind in kinds:
        world.link(people, kind, world.spread(size, 4))
    assert passes(world, b=-0.5) is expected


@pytest.mark.parametrize(("kinds", "expected"), [((Kind.DEVICE,), False), ((Kind.DEVICE, Kind.PHONE), True)])
def test_a_room_of_computers_is_no_campaign_even_when_its_people_are_framed(
    kinds: tuple[Kind, ...], *, expected: bool
) -> None:
    """Framed students, and those beside them who look most like it, have the conduct; what they share is of one kind."""
    world = World(3)
    people = world.add("p", "lab-a", 100)
    world.link(people, Kind.IP, np.repeat(world.values(1), 100))
    for kind in kinds:
        world.link(people, kind, world.spread(100, 10))
    assert passes(world, b=1.5) is expected


@pytest.mark.parametrize(("bridges", "strangers", "one"), [(3, 0, True), (1, 0, False), (3, 2, False)])
def test_fragments_with_several_hard_identifiers_of_their_own_in_common_are_one(
    bridges: int, strangers: int, one: bool
) -> None:
    """One in common may be chance or theft, and what strangers hold as well is not their own."""
    world = World()
    left, right = world.add("left", "lab-a", 20), world.add("right", "lab-b", 20)
    outside = world.add("outside", "lab-a", 10)
    world.link(outside, Kind.TLS, np.repeat(world.values(1), 10))
    for i, value in enumerate(world.values(bridges)):
        for accounts in (left[i], right[i], *([outside[:strangers]] if strangers else [])):
            world.link(accounts, Kind.DEVICE, np.repeat(value, accounts.height))
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    groups = accounts["group"].to_numpy()
    labels = np.select([groups == "left", groups == "right"], [0, 1], -1).astype(np.int64)
    merged = merge_fragments(graph, labels, np.ones(graph.n_accounts, bool), CONFIG.cluster)
    assert (len(set(merged[labels >= 0].tolist())) == 1) is one


def test_a_fragment_between_two_joins_the_one_that_it_is_linked_into_most() -> None:
    """Three of its five accounts share a device and a phone with one operator's, two with another's: that does not make these two one."""
    world = World()
    left, right = world.add("left", "lab-a", 20), world.add("right", "lab-a", 20)
    between = world.add("between", "lab-a", 5)
    outside = world.add("outside", "lab-a", 10)  # who hold them too: else two identifiers in common were enough
    for i in range(5):
        with_whom = left if i < 3 else right
        for kind in (Kind.DEVICE, Kind.PHONE):
            value = world.values(1)
            for accounts in (between[i], with_whom[i], outside[i]):
                world.link(accounts, kind, value)
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    groups = accounts["group"].to_numpy()
    labels = np.select([groups == name for name in ("left", "right", "between")], [0, 1, 2], -1).astype(np.int64)
    merged = merge_fragments(graph, labels, np.ones(graph.n_accounts, bool), CONFIG.cluster)
    at = {name: set(merged[groups == name].tolist()) for name in ("left", "right", "between")}
    assert at["between"] == at["left"] != at["right"]


def test_all_accounts_are_told_the_same_whatever_blocks_they_are_gone_through_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Conduct and structure to the last bit."""
    world = World()
    benign_life(world, 120)
    campaign(world, "x")
    state = state_of(world)
    accounts, links = state.accounts(NOW_US), state.links.rows()
    graph = build_graph(accounts, links, 8)
    degrees, typical = evidence.degrees(graph, paths(graph)), evidence.typical_conduct(accounts, CONFIG.conduct)
    sharing, trusted = evidence.sharing(graph, degrees), np.linspace(0.5, 1, len(graph.parties))
    found = []
    for block in (7, graph.n_accounts, 1 << 16):
        monkeypatch.setattr(evidence, "BLOCK_ACCOUNTS", block)
        structure, _ = evidence.structure(degrees, sharing, trusted, CONFIG.structure)
        found.append((evidence.reckoned(accounts, typical, CONFIG.conduct).tobytes(), structure.tobytes()))
        assert structure.any()
    assert found[0] == found[1] == found[2]
    whole = evidence.conduct(accounts, typical, CONFIG.conduct)["b"].to_numpy()
    assert found[0][0] == whole.tobytes()


_HARD: Final = (Kind.DEVICE, Kind.PHONE, Kind.CARD, Kind.BANK_ACCOUNT, Kind.API_KEY)


@given(
    holdings=st.lists(
        st.tuples(st.integers(0, 19), st.sampled_from(_HARD), st.integers(0, 3)), min_size=20, max_size=120, unique=True
    ),
    liars=st.sets(st.integers(1, 3), min_size=1, max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_what_members_that_lie_add_to_structure_is_bounded(
    holdings: list[tuple[int, Kind, int]], liars: set[int]
) -> None:
    """However many kinds they share: one foreign party adds 1 nat, two add 2. And nothing of it makes a witness: an account is one by what honest
    parties show, of which two that lie can hide nothing either. (They can make the strongest two count by showing more.)"""
    parties = np.arange(20) % 4
    honest = ~np.isin(parties, list(liars))

    def told(
        *, honest_only: bool, typical: Sharing | None = None, colluding_max: int = CONFIG.structure.colluding_max
    ) -> tuple[Floats, Floats, Sharing]:
        world = World()
        accounts, values = world.add("a", [f"lab-{p}" for p in parties], 20), world.values(20)
        for account, kind, value in holdings:
            if honest[account] or not honest_only:
                world.link(accounts[account], kind, values[[4 * _HARD.index(kind) + value]])
        world.link(accounts[:2], Kind.TLS, np.repeat(world.values(1), 2))
        frame = world.truth().sort("account")
        graph = build_graph(frame, world.shared().sort("identifier", "slot", "account"), 8)
        degrees = evidence.degrees(graph, paths(graph))
        typical = typical or evidence.sharing(graph, degrees)
        config = CONFIG.structure.model_copy(update={"colluding_max": colluding_max})
        structure, certain = evidence.structure(degrees, typical, np.ones(len(graph.parties)), config)
        order = np.argsort([int(name.split("-")[1]) for name in frame["account_name"]])
        return structure[order], certain[order], typical

    before, certain_before, typical = told(honest_only=True)
    _, honest_say, _ = told(honest_only=True, typical=typical, colluding_max=0)
    after, certain_after, _ = told(honest_only=False, typical=typical)
    bound = before + CONFIG.structure.foreign_party_max * len(liars)
    assert (after[honest] <= bound[honest] + 1e-9).all()
    assert (certain_after[honest] <= honest_say[honest] + 1e-9).all()
    assert (certain_after[honest] >= certain_before[honest] - 1e-9).all()


def test_what_three_foreign_parties_show_makes_a_witness() -> None:
    """By the weakest of the three, 1 nat. What two show does not, however much it is."""
    for parties, witness in ((3, False), (4, True)):
        world = World()
        accounts = world.add("a", [f"lab-{number}" for number in range(parties)], parties)
        for kind in _HARD:
            world.link(accounts, kind, np.repeat(world.values(1), parties))
        world.add("b", ["lab-0"] * 400, 400)
        graph = build_graph(world.truth().sort("account"), world.shared().sort("identifier", "slot", "account"), 8)
        degrees = evidence.degrees(graph, paths(graph))
        sharing = evidence.sharing(graph, degrees)
        _, certain = evidence.structure(degrees, sharing, np.ones(len(graph.parties)), CONFIG.structure)
        assert bool((certain >= 1).any()) is witness
