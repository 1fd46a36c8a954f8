"""The simple rules on hand-made graphs, and the degree-cap rule on rings."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from tests.evaluation.cases import events, said, truth, usage
from weaklink.evaluation.baselines import (
    NAMES,
    Holdings,
    above,
    communities,
    components,
    judged,
    large,
    score,
    two_shared,
)
from weaklink.evaluation.real import error_ratio, flagged_only, rings, rule_precision, without


def chain(length: int, start: int = 0) -> list[dict[str, object]]:
    """Accounts a0, a1, ... each of which shares one card with the next."""
    return [
        usage(f"a{start + i}", i, 1, ("CARD", f"k{start + i}"), ("CARD", f"k{start + i + 1}")) for i in range(length)
    ]


def people(*names: str) -> pl.DataFrame:
    return truth(*((name, None, "CONSUMER", False) for name in names))


def test_components_join_whatever_shares_anything_but_clients_and_end_users() -> None:
    """Two chains stay apart although all of them use the same TLS client."""
    rows = chain(3) + chain(2, start=10)
    for row in rows:
        row["identifiers"] = [*row["identifiers"], {"kind": "TLS", "value": "same"}]  # type: ignore[misc]
    names = ["a0", "a1", "a2", "a10", "a11"]
    label = components(Holdings(events(*rows), people(*names)).matrix)
    assert len({*label[:3].tolist()}) == 1
    assert len({*label[3:].tolist()}) == 1
    assert label[0] != label[3]
    assert large(label, 3).tolist() == [True, True, True, False, False]


def test_an_address_joins_whom_had_it_on_the_same_day() -> None:
    """As it does for the method: a rule that did otherwise would be a weaker one to beat."""
    rows = [usage(f"a{i}", hour, 1, ("IP", "192.0.2.1"), ("CARD", "k")) for i, hour in enumerate((1, 2, 49))]
    rows[2]["identifiers"] = [{"kind": "IP", "value": "192.0.2.1"}]
    label = components(Holdings(events(*rows), people("a0", "a1", "a2")).matrix)
    assert label[0] == label[1] != label[2]


def test_a_degree_cap_drops_identifiers_of_many_and_keeps_the_others() -> None:
    """Five accounts at one address fall apart at a cap of four; a pair on one card stays."""
    rows = [usage(f"a{i}", i, 1, ("IP", "192.0.2.1"), ("CARD", f"k{i // 2}")) for i in range(5)]
    holdings = Holdings(events(*rows), people(*(f"a{i}" for i in range(5))))
    assert len(set(components(holdings.matrix).tolist())) == 1
    assert len(set(components(holdings.capped(4)).tolist())) == 3


def test_two_shared_identifiers_must_be_shared_with_the_same_account() -> None:
    """a and b share a card and a device; c shares one identifier with each of them, which is not two with one."""
    rows = [
        usage("a", 1, 1, ("CARD", "k"), ("DEVICE", "d"), ("PHONE", "p")),
        usage("b", 1, 1, ("CARD", "k"), ("DEVICE", "d"), ("EMAIL", "e")),
        usage("c", 1, 1, ("PHONE", "p"), ("EMAIL", "e")),
    ]
    matrix = Holdings(events(*rows), people("a", "b", "c")).matrix
    for rows_at_once in (1, 2, 100):
        assert two_shared(matrix, rows_at_once).tolist() == [True, True, False]


def test_the_same_value_of_two_kinds_is_two_identifiers() -> None:
    """A card called x and a device called x join nobody."""
    rows = [usage("a", 1, 1, ("CARD", "x")), usage("b", 1, 1, ("DEVICE", "x"))]
    label = components(Holdings(events(*rows), people("a", "b")).matrix)
    assert label[0] != label[1]


def test_communities_keep_two_dense_groups_apart() -> None:
    """Two groups of eight that share three cards each, and one address that all use."""
    dense = np.zeros((16, 7), np.int32)
    dense[:8, :3], dense[8:, 3:6], dense[:, 6] = 1, 1, 1
    label = communities(csr_array(dense), dense.sum(axis=0).astype(np.int64))
    assert len(set(label[:8].tolist())) == 1
    assert len(set(label[8:].tolist())) == 1
    assert label[0] != label[8]


def test_conduct_alone_flags_no_more_of_the_innocent_than_it_may() -> None:
    """With a budget of none it stops above the worst customer; with one it takes that one along."""
    nats = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    guilty = np.array([True, False, True, False, False])
    assert above(nats, guilty, 0).tolist() == [True, False, False, False, False]
    assert above(nats, guilty, 1).tolist() == [True, True, True, False, False]
    assert above(nats, guilty, 3).all()


def test_a_rule_is_scored_like_the_method() -> None:
    """Two of three flagged are guilty, of two campaigns one is found whole and one not at all."""
    operator = pl.Series(["x", "x", "y", None], dtype=pl.String)
    found = score(np.array([True, True, False, True]), operator)
    assert found == {"flagged": 3, "false_flags": 1, "precision": 2 / 3, "recall": 2 / 3, "recall_worst": 0}
    assert score(np.zeros(4, bool), operator)["precision"] is None


def test_every_rule_is_judged_on_one_world() -> None:
    """A chain of 14 is found by components and missed by two shared identifiers."""
    known = pl.concat(
        [
            truth(*((f"a{i}", "heron", "CONSUMER", False) for i in range(14))),
            people(*(f"p{i}" for i in range(3))),
        ]
    )
    rows = chain(14) + [usage(f"p{i}", 1, 1, ("CARD", f"own{i}")) for i in range(3)]
    conduct = known.select("party", "account", pl.lit(0.0).alias("b"))
    found = judged(events(*rows), known, conduct, 0)
    assert tuple(found) == NAMES
    assert found["components"]["recall"] == found["degree_cap"]["recall"] == 1
    assert found["components"]["precision"] == 1
    assert found["two_shared"]["recall"] == 0
    assert found["conduct_same_budget"]["flagged"] == 0


def test_the_error_is_held_against_the_rule_at_no_less_recall() -> None:
    """The rule's best precision among caps that find at least as much."""
    curve = [
        {"cap": 2, "precision": 0.95, "recall": 0.2},
        {"cap": 5, "precision": 0.8, "recall": 0.6},
        {"cap": 9, "precision": 0.5, "recall": 0.9},
    ]
    assert rule_precision(0.5, curve) == 0.8
    assert error_ratio(0.9, 0.5, curve) == pytest.approx(0.5)
    assert error_ratio(0.9, 0.95, curve) is None
    assert error_ratio(None, None, curve) is None


def test_rings_are_found_when_one_cluster_has_half_of_them() -> None:
    """One ring of ten in one cluster, one torn into clusters too small, and a stranger flagged."""
    names = [f"r{i}" for i in range(10)] + [f"s{i}" for i in range(10)] + ["stranger"]
    labels = pl.DataFrame({"account": names, "label": [1] * 20 + [0], "ring_id": ["r"] * 10 + ["s"] * 10 + [""]})
    told = said(
        *((f"r{i}", 0.8, "c-r", 1) for i in range(10)),
        *((f"s{i}", 0.8, f"c-{i // 4}", 1) for i in range(10)),
        ("stranger", 0.8, "c-r", 1),
    )
    rows = [usage(name, 1, 1, ("CARD", name[0])) for name in names]
    figures, curve = rings(told, labels, events(*rows))
    assert figures["precision"] == 20 / 21
    assert figures["recall"] == 1
    assert (figures["rings"], figures["rings_found"]) == (2, 1)
    assert figures["largest_cluster"] == 11
    assert curve[-1]["recall"] == 1
    assert flagged_only(told)["clusters"] == 4


def test_hubs_are_taken_out_of_the_events_and_nothing_else() -> None:
    """The event stays, its other identifiers too."""
    left = without(events(usage("a", 1, 1, ("CARD", "hub"), ("CARD", "own"))), pl.Series(["hub"]))
    assert left["identifiers"].to_list() == [[{"kind": "CARD", "value": "own"}]]
