"""Accounts that hang on a confirmed community by what nobody else holds."""

import numpy as np
import pytest

from tests.campaigns.worlds import World
from weaklink.campaigns import fast
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Ints, build_graph
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig().fast


def labels_after(world: World, members: str, *, b: float = 0.0) -> dict[str, int]:
    """Label by account name after `adherents`, when the accounts whose names begin with `members` are community 0."""
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    known = accounts["account_name"].str.starts_with(members).to_numpy()
    labels: Ints = np.where(known, 0, NONE).astype(np.int64)
    everyone, conduct = np.ones(graph.n_accounts, bool), np.full(graph.n_accounts, b)
    after = fast.adherents(graph, labels, everyone, evidenced=known, b=conduct, config=CONFIG)
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


@pytest.mark.parametrize("kind", [Kind.DEVICE, Kind.CARD, Kind.IP, Kind.PROMPT])
def test_one_kind_alone_takes_nobody_in(kind: Kind) -> None:
    """However many members hold it: a stolen card, a shared address, a published template."""
    world = World()
    everyone = world.add("known", "lab-a", 6), world.add("new", "lab-a", 1)
    value = world.values(1)
    for accounts in everyone:
        world.link(accounts, kind, np.repeat(value, accounts.height))
    assert labels_after(world, "known")["new-0"] == NONE


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
    assert joined == [i < CONFIG.adherent_rounds for i in range(9)]


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
