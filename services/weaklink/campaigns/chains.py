"""Chains: how many persons rare hard identifiers join, directly or by others.

An operator who is careful lets no two accounts share much: each card serves two accounts, each device two others. What stays is that
the accounts hang together, in one component of many persons no identifier of which is large. Households and couples do not: their
components end after a few persons, and what is larger (an agency, a room of computers) hangs on identifiers of many holders, which do
not count here. How unusual a component's size is, is measured on the population: where honest people percolate too, it says nothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from weaklink.campaigns import component_loops
from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.evidence_config import ChainConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints, counts, distinct
from weaklink.campaigns.population import SizeTail
from weaklink.records.identifiers import IdentifierKind

_PARTIES_MAX: Final = 24
"""Pairs of parties are looked at for at most so many, those with the most accounts in large components."""


@dataclass(frozen=True, slots=True)
class RareSharing:
    """Who holds which of the hard identifiers that two persons or more, but not many, hold: row by row, persons and nodes renumbered from 0.

    A *person* is what `graph.Graph` calls one, at all parties together.
    """

    person: Ints
    node: Ints
    party: Ints
    person_of_account: Ints  # -1: shares none
    account_party: Ints
    persons: int
    nodes: int


def rare_sharing(graph: Graph, credible: Bools, person: Ints, config: ChainConfig) -> RareSharing:
    """Rare sharing of the whole graph. `person`: of each account, as `people` numbers them.

    Accounts of parties that are not `credible` are left out: what they are joined by is hearsay.
    """
    hard = np.flatnonzero(IS_HARD[graph.link_kind] & credible[graph.party[graph.account]])
    _, node, _ = distinct(graph.node[hard], person[graph.account[hard]])
    held = counts(node, len(graph.kind)) + graph.unseen
    links = hard[((held > 1) & (held <= config.holders_max))[graph.node[hard]]]
    some, row = np.unique(person[graph.account[links]], return_inverse=True)
    nodes, column = np.unique(graph.node[links], return_inverse=True)
    number = np.full(graph.n_accounts, -1, np.int64)
    number[some] = np.arange(len(some))
    return RareSharing(
        person=row.reshape(-1),
        node=column.reshape(-1),
        party=graph.party[graph.account[links]],
        person_of_account=number[person],
        account_party=graph.party,
        persons=len(some),
        nodes=len(nodes),
    )


def joined_persons(sharing: RareSharing) -> Floats:
    """By account, the persons of its component; 1 for an account that nothing joins to anybody."""
    of_person = _component_of(sharing)[: sharing.persons]
    sizes = counts(of_person, sharing.persons + sharing.nodes)[of_person]
    return _by_account(sharing, sizes.astype(np.float64), 1.0)


def size_tail(persons: Floats) -> SizeTail:
    """Share of all accounts in components of at least so many persons."""
    sizes, many = np.unique(persons, return_counts=True)
    return SizeTail(sizes, np.append(np.cumsum(many[::-1])[::-1] / max(len(persons), 1), 0.0))


def chain_evidence(sharing: RareSharing, tail: SizeTail, config: ChainConfig) -> Floats:
    """Nats by account: clip(ln(.6 / u(s)), 0, 2.5), in proportion while the component grows from `persons_min` to `persons_full`.

    s: persons of its component. What one foreign party's accounts join counts at most `foreign_party_max`, and what any two of them join
    twice that: the evidence without them, and that much more, is the bound.
    """
    label = _component_of(sharing)
    size = counts(label[: sharing.persons], len(label))[label[: sharing.persons]]
    by_size = _weight(np.arange(int(size.max(initial=0)) + 1, dtype=np.float64), tail, config)
    weight = by_size[size]
    result = _by_account(sharing, weight, 0.0)
    present = counts(sharing.party[weight[sharing.person] > 0], int(sharing.party.max(initial=0)) + 1)
    left_out = np.zeros(int(sharing.account_party.max(initial=0)) + 1, bool)
    left_out[np.argsort(-present, kind="stable")[: min(_PARTIES_MAX, int((present > 0).sum()))]] = True
    sharers = np.flatnonzero(sharing.person_of_account >= 0)
    account_starts, account_order = grouped(label[sharing.person_of_account[sharers]], len(label))
    component_loops.bound_by_parties(
        result,
        sharing.person,
        sharing.node,
        sharing.party,
        sharing.persons,
        sharing.nodes,
        *grouped(label[sharing.person], len(label)),
        account_starts,
        sharers[account_order],
        sharing.person_of_account,
        sharing.account_party,
        left_out,
        by_size,
        config.foreign_party_max,
    )
    rounded: Floats = np.round(result, 9)
    return rounded


def people(graph: Graph, accounts_max: int) -> Ints:
    """Number of each account's person at all parties together: accounts on one EMAIL node of at most `accounts_max` are one person's."""
    mail = np.flatnonzero(graph.kind[graph.node] == IdentifierKind.EMAIL)
    mail = mail[(graph.known + graph.unseen)[graph.node[mail]] <= accounts_max]
    n = graph.n_accounts
    return components(n + len(graph.kind), graph.account[mail], n + graph.node[mail])[
        :n
    ]  # accounts come first: no gaps


def _component_of(sharing: RareSharing) -> Ints:
    """Component of each person, and then of each node."""
    return components(sharing.persons + sharing.nodes, sharing.person, sharing.persons + sharing.node)


def _by_account(sharing: RareSharing, values: Floats, absent: float) -> Floats:
    return np.append(values, absent)[sharing.person_of_account]


def _weight(persons: Floats, tail: SizeTail, config: ChainConfig) -> Floats:
    share = np.maximum(tail.at(persons), config.tail_floor)
    grown = np.clip((persons - config.persons_min) / (config.persons_full - config.persons_min), 0, 1)
    result: Floats = grown * np.clip(np.log(config.log_share / share), 0, config.chain_max)
    return result
