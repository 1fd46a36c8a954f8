"""Pieces of chains are confirmed by their number and sharing; households, a few odd pieces and what two parties invent are not."""

import numpy as np
import polars as pl
import pytest

from tests.campaigns.test_method import evaluated
from tests.campaigns.worlds import World
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import KINDS, Bools, Graph, Ints, build_graph
from weaklink.campaigns.pieces import honest_pieces, with_pieces
from weaklink.campaigns.verdict import Scores, Standing
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig()
PARTIES = list("abcdefghi")
SIZE = 12


def life(world: World, n: int = 600, beyond: int = 10) -> None:
    """n families of four on a card and two devices, `beyond` more people who share with one of them: sizes fall as in honest life."""
    people = world.add("family", [PARTIES[i % 9] for i in range(4 * n)], 4 * n)
    ties = world.values(3 * n).reshape(n, 3)
    for kind, first in ((Kind.CARD, 0), (Kind.DEVICE, 1), (Kind.PHONE, 2)):
        held = np.full((n, 4), -1)
        held[:, first : first + 2] = ties[:, first, None]
        world.link(people, kind, held.ravel())
    for i in range(beyond):
        visitor = world.add(f"visitor-{i}", [PARTIES[i % 9]], 1)
        value = world.values(1)
        world.link(people, Kind.BANK_ACCOUNT, np.where(np.arange(4 * n) == 4 * i, value[0], -1))
        world.link(visitor, Kind.BANK_ACCOUNT, value)


def chain(world: World, n: int, parties: list[str], other: Kind = Kind.CARD) -> None:
    """n pieces of SIZE accounts in rings: a device for every three, a card (or `other`) for the last of three and the first of the next."""
    row = world.add("chain", [parties[i % len(parties)] for i in range(n * SIZE)], n * SIZE)
    at = np.arange(n * SIZE)
    piece, place = at // SIZE, at % SIZE
    devices, cards = world.values(n * SIZE // 3), world.values(n * SIZE // 3)
    world.link(row, Kind.DEVICE, devices[at // 3])
    world.link(row, other, np.where(place % 3 == 1, -1, cards[piece * (SIZE // 3) + ((place + 1) % SIZE) // 3]))


def trios(world: World, n: int, *, holders: int = 2) -> pl.DataFrame:
    """n pieces of SIZE accounts, three by three on a device and two of these on a card; rings of addresses of so many holders join the threes."""
    row = world.add("trio", [PARTIES[i % 9] for i in range(n * SIZE)], n * SIZE)
    at = np.arange(n * SIZE)
    piece, place, trio = at // SIZE, at % SIZE, at // 3
    devices, cards, addresses = (world.values(len(at) // 3) for _ in range(3))
    world.link(row, Kind.DEVICE, devices[trio])
    world.link(row, Kind.CARD, np.where(place % 3 == 1, -1, cards[trio]))
    world.link(row, Kind.IP, np.where(place % 3 == 1, -1, addresses[piece * (SIZE // 3) + ((place + 1) % SIZE) // 3]))
    if holders > 2:
        strangers = world.add("stranger", [PARTIES[i % 9] for i in range(len(addresses))], len(addresses))
        world.link(strangers, Kind.IP, addresses)
    return row


def found_in(
    world: World, *, taken: Bools | None = None, labels: Ints | None = None
) -> tuple[np.ndarray, Ints, Scores]:
    """(group of each account, labels, scores)."""
    accounts = world.truth().sort("account")
    graph: Graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    n = graph.n_accounts
    everybody, nobody = np.ones(n, bool), np.zeros(n, bool)
    standing = Standing(np.zeros(n), everybody, nobody, nobody, np.ones(len(graph.parties), bool), np.arange(n))
    before = np.full(n, NONE) if labels is None else labels
    size = int(before.max(initial=NONE)) + 1
    scores = Scores(np.full(size, 20), np.full(size, 3.0), np.ones(size), np.full(size, 4.0), np.zeros((size, KINDS)))
    found, told = with_pieces(
        graph,
        before,
        scores,
        everybody if taken is None else taken,
        nobody,
        honest=honest_pieces(graph, everybody, np.arange(n), CONFIG.pieces),
        standing=standing,
        cluster=CONFIG.cluster,
        config=CONFIG.pieces,
    )
    return accounts["group"].to_numpy(), found, told


@pytest.mark.parametrize("n", [10, 30])
def test_many_pieces_are_confirmed_whatever_their_conduct(n: int) -> None:
    """Each is a community of its own, with its scores; nobody else is in any."""
    world = World()
    life(world)
    chain(world, n, PARTIES)
    groups, labels, scores = found_in(world)
    assert np.array_equal(labels != NONE, groups == "chain")
    assert np.array_equal(np.bincount(labels[labels != NONE]), np.full(n, SIZE))
    assert np.array_equal(scores.persons, np.full(n, SIZE))


def test_addresses_of_two_join_what_hard_identifiers_leave_apart() -> None:
    """Threes are no pieces by themselves."""
    world = World()
    life(world)
    trios(world, 10)
    groups, labels, _ = found_in(world)
    assert np.array_equal(labels != NONE, groups == "trio")
    assert np.array_equal(np.bincount(labels[labels != NONE]), np.full(10, SIZE))


def test_addresses_of_more_join_nobody() -> None:
    """Behind an address of three there may be an office."""
    world = World()
    life(world)
    trios(world, 10, holders=3)
    assert (found_in(world)[1] == NONE).all()


@pytest.mark.parametrize(("addresses", "neighbour"), [(1, False), (1, True), (2, False)])
def test_a_household_on_one_address_of_a_piece_is_none_of_it(addresses: int, neighbour: bool) -> None:
    """A proxy may run there without its knowledge, and another home have had its address; with a second one of the piece's it belongs to it."""
    world = World()
    life(world)
    row = trios(world, 10)
    home = world.add("home", ["a", "b"], 2)
    world.link(home, Kind.CARD, np.repeat(world.values(1), 2))
    for i in range(addresses):
        value = world.values(1)[0]
        world.link(home[:1], Kind.IP, [value])
        world.link(row[SIZE * i + 1 : SIZE * i + 2], Kind.IP, [value])
    if neighbour:
        value = world.values(1)[0]
        world.link(home[1:], Kind.IP, [value])
        world.link(world.add("neighbour", ["c"], 1), Kind.IP, [value])
    groups, labels, _ = found_in(world)
    assert np.array_equal(labels != NONE, (groups == "trio") | ((groups == "home") & (addresses > 1)))


def test_where_addresses_join_honest_people_pieces_are_found_without_them() -> None:
    """More components of five persons than of four once addresses count: they say nothing, and hard identifiers say what they ever did."""
    world = World()
    life(world)
    chain(world, 10, PARTIES)
    trios(world, 10)
    family = world.accounts[0]
    guests = world.add("guest", [PARTIES[i % 9] for i in range(family.height // 4)], family.height // 4)
    values = world.values(guests.height)
    world.link(guests, Kind.IP, values)
    world.link(family, Kind.IP, np.where(np.arange(family.height) % 4 == 0, np.repeat(values, 4), -1))
    groups, labels, _ = found_in(world)
    assert np.array_equal(labels != NONE, groups == "chain")


def test_a_few_pieces_are_an_oddity() -> None:
    """One fewer than must pass."""
    world = World()
    life(world)
    chain(world, CONFIG.pieces.pieces_min - 1, PARTIES)
    assert (found_in(world)[1] == NONE).all()


def test_rooms_of_shared_computers_are_no_pieces() -> None:
    """However many devices hold people together: an operator has means of several kinds."""
    world = World()
    life(world)
    chain(world, 30, PARTIES, other=Kind.DEVICE)
    assert (found_in(world)[1] == NONE).all()


def test_pieces_say_nothing_where_honest_people_hang_together_too() -> None:
    """As many components of five persons as of four: there is no size from which there are none."""
    world = World()
    life(world, n=300, beyond=280)
    chain(world, 30, PARTIES)
    assert (found_in(world)[1] == NONE).all()


def test_what_two_parties_accounts_tie_together_is_no_piece() -> None:
    """Every identifier has an account of one of the two on it: without them their victims share nothing."""
    world = World()
    life(world)
    chain(world, 30, ["a", "b", "c"])
    assert (found_in(world)[1] == NONE).all()


def test_an_account_that_may_not_belong_does_not() -> None:
    """A reseller, or one that its party vouches for, is not taken in, and joins nobody."""
    world = World()
    life(world)
    chain(world, 30, PARTIES)
    groups, labels, _ = found_in(world)
    taken = np.ones(len(groups), bool)
    taken[np.flatnonzero(groups == "chain")[0]] = False
    _, without, _ = found_in(world, taken=taken)
    assert without[~taken].tolist() == [NONE]
    assert (without[labels == NONE] == NONE).all()


def test_a_piece_that_touches_a_community_becomes_part_of_it() -> None:
    """Others get communities of their own, numbered after it."""
    world = World()
    life(world)
    chain(world, 30, PARTIES)
    groups, labels, _ = found_in(world)
    one = labels == labels[labels != NONE][0]
    known = np.full(len(groups), NONE)
    known[np.flatnonzero(one)[:3]] = 0
    _, found, scores = found_in(world, labels=known)
    assert np.array_equal(found == 0, one)
    assert found.max() < len(scores.score)


def test_pieces_need_nobodys_usage() -> None:
    """They are held against the pieces that honest life has, as rings are against chance: where there is no usage, too."""
    world = World()
    life(world)
    chain(world, 30, PARTIES)
    world.usage = [one.clear() for one in world.usage]
    _, accounts = evaluated(world)
    assert accounts.filter("flagged")["group"].to_list() == ["chain"] * 30 * SIZE
