"""Accounts that hang on a confirmed community by what nobody else holds."""

import numpy as np
import pytest

from tests.campaigns.worlds import World
from weaklink.campaigns.adherents import Candidates, adherents
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Ints, build_graph
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig()


def labels_after(world: World, members: str, *, b: float = 0.0, silent: str = "-", hot: bool = False) -> dict[str, int]:
    """Label by account name after `adherents`, when the accounts whose names begin with `members` are community 0."""
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    n = graph.n_accounts
    known = accounts["account_name"].str.starts_with(members).to_numpy()
    labels: Ints = np.where(known, 0, NONE).astype(np.int64)
    quiet = (accounts["party"] == silent).to_numpy()
    candidates = Candidates(np.ones(n, bool), np.full(n, hot), quiet, known, np.full(n, b))
    after = adherents(
        graph, labels, candidates, config=CONFIG.adherents, tie_config=CONFIG.fast, cluster=CONFIG.cluster
    )
    return dict(zip(accounts["account_name"], after.tolist(), strict=True))


def test_a_device_and_a_card_that_only_members_have_take_an_account_in() -> None:
    """Each shared with another member: what a chain looks like at its end."""
    world = World()
    known = world.add("known", "lab-a", 2)
    new = world.add("new", "lab-a", 1)
    device, card = world.values(1), world.values(1)
    world.link(known[:1], Kind.DEVICE, device)
    world.link(known[1:], Kind.CARD, card)
    world.link(new, Kind.DEVICE, device)
    world.link(new, Kind.CARD, card)
    assert labels_after(world, "known")["new-0"] == 0


@pytest.mark.parametrize(("kind", "members"), [(Kind.DEVICE, 1), (Kind.CARD, 1), (Kind.IP, 6), (Kind.PROMPT, 6)])
def test_a_card_of_one_member_or_soft_ties_take_nobody_in(kind: Kind, members: int) -> None:
    """A stolen card, a shared address, a published template."""
    world = World()
    everyone = world.add("known", "lab-a", members), world.add("new", "lab-a", 1)
    value = world.values(1)
    for accounts in everyone:
        world.link(accounts, kind, np.repeat(value, accounts.height))
    assert labels_after(world, "known")["new-0"] == NONE


def test_a_device_of_several_members_and_nobody_else_is_enough() -> None:
    """One hard kind, but all its other holders are members, and two of them."""
    world = World()
    everyone = world.add("known", "lab-a", 2), world.add("new", "lab-a", 1)
    value = world.values(1)
    for accounts in everyone:
        world.link(accounts, Kind.DEVICE, np.repeat(value, accounts.height))
    assert labels_after(world, "known")["new-0"] == 0


@pytest.mark.parametrize(("party", "honest", "label"), [("pay-a", 0, 0), ("pay-a", 1, NONE), ("lab-a", 0, NONE)])
def test_who_pays_for_members_only_belongs_to_them(party: str, honest: int, label: int) -> None:
    """At a party that reports no usage, the card's other holders say what the account is for; not when an honest account is among them."""
    world = World()
    groups = [world.add("known", "lab-b", 1), world.add("new", party, 1, windows=(0, 0))]
    if honest:
        groups.append(world.add("honest", "lab-c", honest))
    value = world.values(1)
    for accounts in groups:
        world.link(accounts, Kind.CARD, np.repeat(value, accounts.height))
    assert labels_after(world, "known", silent="pay-a")["new-0"] == label


@pytest.mark.parametrize(("addresses", "honest", "label"), [(3, False, 0), (2, False, NONE), (3, True, NONE)])
def test_who_rents_the_addresses_of_members_only_belongs_to_them(addresses: int, honest: bool, label: int) -> None:
    """A cloud's customer on whose addresses there are members and nobody else, on three or more of them."""
    world = World()
    known, other = world.add("known", "lab-a", 6), world.add("other", "lab-a", 6)
    new = world.add("new", "cloud-a", 1, windows=(0, 0))
    for i, address in enumerate(world.values(addresses)):
        users = [known[2 * i : 2 * i + 2], new, *([other[2 * i : 2 * i + 2]] if honest else [])]
        for accounts in users:
            world.link(accounts, Kind.IP, np.repeat(address, accounts.height))
    assert labels_after(world, "known", silent="cloud-a")["new-0"] == label


@pytest.mark.parametrize(
    ("members", "quiet", "honest", "label"), [(2, 2, 0, 0), (1, 2, 0, 0), (1, 3, 0, NONE), (4, 2, 1, NONE)]
)
def test_who_pays_and_who_rents_by_one_card_do_not_keep_each_other_out(
    members: int, quiet: int, honest: int, label: int
) -> None:
    """Accounts without usage on a card of members belong to these, if these are half of the others and nobody else is there."""
    world = World()
    groups = [world.add("known", "lab-b", members), world.add("new", "pay-a", quiet, windows=(0, 0))]
    if honest:
        groups.append(world.add("honest", "lab-c", honest))
    value = world.values(1)
    for accounts in groups:
        world.link(accounts, Kind.CARD, np.repeat(value, accounts.height))
    after = labels_after(world, "known", silent="pay-a")
    assert {after[f"new-{i}"] for i in range(quiet)} == {label}


def test_a_stranger_on_another_card_of_one_of_them_keeps_both_out() -> None:
    """Whoever shares with somebody else too pays not for members alone, and then nor does who shares with it."""
    world = World()
    known, new, stranger = (world.add(name, party, 2, windows=(0, 0)) for name, party in (("known", "lab-b"), ("new", "pay-a"), ("else", "lab-c")))  # fmt: skip
    card, other = world.values(1), world.values(1)
    for accounts in (known, new):
        world.link(accounts, Kind.CARD, np.repeat(card, 2))
    world.link(new[:1], Kind.PHONE, other)
    world.link(stranger[:1], Kind.PHONE, other)
    after = labels_after(world, "known", silent="pay-a")
    assert [after["new-0"], after["new-1"]] == [NONE, NONE]


@pytest.mark.parametrize(("addresses", "label"), [(3, 0), (2, NONE)])
def test_who_rents_addresses_of_one_member_each_belongs_to_them(addresses: int, label: int) -> None:
    """In a chain every address serves one account beside the one that rents it."""
    world = World()
    known, new = world.add("known", "lab-a", addresses), world.add("new", "cloud-a", 1, windows=(0, 0))
    values = world.values(addresses)
    world.link(known, Kind.IP, values)
    for address in values:
        world.link(new, Kind.IP, np.array([address]))
    assert labels_after(world, "known", silent="cloud-a")["new-0"] == label


@pytest.mark.parametrize(("hot", "label"), [(True, 0), (False, NONE)])
def test_who_is_believed_already_joins_by_one_device(hot: bool, label: int) -> None:
    """Its own evidence stands in for the second tie."""
    world = World()
    everyone = world.add("known", "lab-b", 1), world.add("new", "lab-a", 1)
    value = world.values(1)
    for accounts in everyone:
        world.link(accounts, Kind.DEVICE, value)
    assert labels_after(world, "known", hot=hot)["new-0"] == label


@pytest.mark.parametrize(("members", "honest", "address", "label"), [
    (6, 0, True, 0), (6, 1, True, 0), (6, 0, False, NONE), (6, 4, True, NONE), (3, 0, True, NONE),
])  # fmt: skip
def test_a_campaigns_own_referral_code_is_enough_with_an_address_of_members(
    members: int, honest: int, address: bool, label: int
) -> None:
    """Not without the address, not a code that others hold too, nor one of a few: friends bring friends."""
    world = World()
    known, new, others = world.add("known", "lab-a", members), world.add("new", "lab-a", 1), world.add("h", "lab-a", 4)
    code, place = world.values(1), world.values(1)
    for accounts in (known, new, others[:honest]):
        world.link(accounts, Kind.REFERRAL, np.repeat(code, accounts.height))
    for accounts in (known[:3], new if address else others[-1:]):
        world.link(accounts, Kind.IP, np.repeat(place, accounts.height))
    assert labels_after(world, "known")["new-0"] == label


def test_what_honest_people_hold_too_takes_nobody_in() -> None:
    """A member on a family's device and card does not make the family members."""
    world = World()
    family = world.add("family", "lab-a", 3), world.add("known", "lab-a", 1)
    device, card = world.values(1), world.values(1)
    for accounts in family:
        world.link(accounts, Kind.DEVICE, np.repeat(device, accounts.height))
        world.link(accounts, Kind.CARD, np.repeat(card, accounts.height))
    after = labels_after(world, "known")
    assert [after[f"family-{i}"] for i in range(3)] == [NONE] * 3


@pytest.mark.parametrize(("kind", "members", "more", "label"), [
    (Kind.CARD, 2, False, 0), (Kind.CARD, 5, False, NONE), (Kind.CARD, 5, True, 0), (Kind.DEVICE, 5, False, 0), (Kind.DEVICE, 13, False, NONE),
])  # fmt: skip
def test_a_card_of_many_takes_in_only_who_has_something_else_in_common(
    kind: Kind, members: int, more: bool, label: int
) -> None:
    """Cards are given away and stolen: even who is believed by it needs a second tie. Of a chain's three holders nobody is a stranger."""
    world = World()
    known, new = world.add("known", "lab-a", members), world.add("new", "lab-a", 1)
    for tie in (kind, *([Kind.PHONE] if more else [])):
        value = world.values(1)
        world.link(known, tie, np.repeat(value, members))
        world.link(new, tie, value)
    assert labels_after(world, "known", hot=True)["new-0"] == label


@pytest.mark.parametrize(("b", "label"), [(0.7, NONE), (0.9, 0)])
def test_conduct_that_speaks_for_itself_is_a_second_tie(b: float, label: int) -> None:
    """As in the test of members."""
    world = World()
    known, new, card = world.add("known", "lab-a", 5), world.add("new", "lab-a", 1), world.values(1)
    world.link(known, Kind.CARD, np.repeat(card, 5))
    world.link(new, Kind.CARD, card)
    assert labels_after(world, "known", hot=True, b=b)["new-0"] == label


def test_those_who_join_take_in_who_hangs_on_them_for_some_rounds() -> None:
    """A chain is followed link by link, each account by a device to one side and a card to the other; not without end."""
    world = World()
    devices, cards = world.values(12), world.values(12)
    for i in range(12):
        account = world.add(f"{'known' if i < 3 else 'new'}{i}", "lab-a", 1)
        for kind, values in ((Kind.DEVICE, devices), (Kind.CARD, cards)):
            world.link(account, kind, values[[i]])
            if i:
                world.link(account, kind, values[[i - 1]])
    after = labels_after(world, "known")
    joined = [after[f"new{i}-0"] == 0 for i in range(3, 12)]
    assert joined == [i < CONFIG.adherents.rounds for i in range(9)]


def test_members_without_evidence_of_their_own_at_one_other_party_are_not_enough_by_soft_ties() -> None:
    """One hard kind and addresses, all from one foreign party: that party may be lying."""
    world = World()
    known = world.add("known", "lab-b", 4)
    new = world.add("new", "lab-a", 1)
    device, addresses = world.values(1), world.values(2)
    world.link(known[:1], Kind.DEVICE, device)
    world.link(new, Kind.DEVICE, device)
    for address in addresses:
        world.link(known[2:], Kind.IP, np.repeat([address], 2))
        world.link(new, Kind.IP, [address])
    assert labels_after(world, "known")["new-0"] == NONE


@pytest.mark.parametrize(("b", "label"), [(0.3, 0), (-1.5, NONE)])
def test_who_behaves_like_a_customer_is_not_taken_in_on_another_partys_word(b: float, label: int) -> None:
    """Two hard kinds held by another party's members: enough for an account without a life of its own, not for one that has one."""
    world = World()
    known = world.add("known", "lab-b", 2)
    new = world.add("new", "lab-a", 1)
    for kind in (Kind.DEVICE, Kind.CARD):
        value = world.values(1)
        world.link(known, kind, np.repeat(value, 2))
        world.link(new, kind, value)
    assert labels_after(world, "known", b=b)["new-0"] == label
