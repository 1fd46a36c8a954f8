"""What a party's evidence counts at others follows what those others made of it."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.campaigns.test_method import NOW_US, state_of
from tests.campaigns.test_state import verdict
from tests.campaigns.worlds import CAMPAIGN_TASKS, World, benign_life, campaign
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evidence_config import ReportersConfig
from weaklink.campaigns.graph import build_graph
from weaklink.campaigns.reporters import Record, record, trust
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = ReportersConfig()
COUNTS = st.lists(st.lists(st.integers(0, 40), min_size=4, max_size=4), min_size=4, max_size=4)


def test_a_partys_evidence_is_told_by_the_accounts_that_share_with_the_judged() -> None:
    """Two customers of lab-a: one disputed, one closed for abuse. lab-b's suspicious account shares with both, pay-a's with neither."""
    world = World()
    good, bad = world.add("good", "lab-a", 1), world.add("bad", "lab-a", 1)
    liar, other = world.add("liar", "lab-b", 1), world.add("other", "pay-a", 1)
    for who, value in ((good, 1), (liar, 1), (bad, 2), (liar, 2), (other, 3)):
        world.link(who, Kind.DEVICE, np.array([value]))
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    names = accounts["account_name"]
    accusing = names.str.contains("liar|other").to_numpy()
    found = record(
        graph,
        accusing,
        confirmed=(names == "bad-0").to_numpy(),
        disputed=(names == "good-0").to_numpy(),
        config=CONFIG,
    )
    at = {party: i for i, party in enumerate(found.parties)}
    assert found.confirmed[at["lab-b"], at["lab-a"]] == found.disputed[at["lab-b"], at["lab-a"]] == 1
    assert found.confirmed.sum() == found.disputed.sum() == 1


def _record(confirmed: Any, disputed: Any) -> Record:
    return Record(("a", "b", "c", "d"), np.array(confirmed, float), np.array(disputed, float))


@given(COUNTS, COUNTS, st.integers(0, 3), st.integers(0, 3))
def test_trust_falls_with_disputes_and_rises_with_confirmations(
    confirmed: Any, disputed: Any, who: int, judge: int
) -> None:
    """Monotone in every count, between 0 and 1, and each party's trust depends on its own record alone."""
    before = trust(_record(confirmed, disputed), CONFIG)
    name = "abcd"[who]
    worse = [list(row) for row in disputed]
    worse[who][judge] += 3
    better = [list(row) for row in confirmed]
    better[who][judge] += 3
    fallen, risen = trust(_record(confirmed, worse), CONFIG), trust(_record(better, disputed), CONFIG)
    assert 0 < fallen[name] <= before[name] <= risen[name] <= 1
    assert all(fallen[other] == before[other] == risen[other] for other in before if other != name)


def test_one_judge_alone_can_halve_a_partys_weight_and_no_more() -> None:
    """However many accounts it disputes."""
    nothing, many = np.zeros((4, 4)), np.zeros((4, 4))
    many[0, 1] = 10_000
    assert trust(_record(nothing, nothing), CONFIG)["a"] == 1
    assert abs(trust(_record(nothing, many), CONFIG)["a"] - 0.5) < 0.01


def framed_world(inventions_each: int = 2) -> World:
    """A campaign at both labs, and lab-b's invented accounts with a campaign's conduct on the devices and cards of lab-a's customers."""
    world = World(12)
    benign_life(world, 1500)
    campaign(world, "c", 40)
    victims = world.add("victim", "lab-a", 12, age_days=(0, 3), windows=(4, 8))
    inventions = world.add(
        "invented", "lab-b", 12 * inventions_each, age_days=(0, 2), windows=(6, 10), tasks=CAMPAIGN_TASKS, sigma=0.3, output_ratio=3.0,
        plan="TRIAL", verified="NONE",
    )  # fmt: skip
    for kind in (Kind.DEVICE, Kind.CARD):
        values = world.values(12)
        world.link(victims, kind, values)
        world.link(inventions, kind, np.repeat(values, inventions_each))
    return world


@pytest.mark.parametrize("inventions_each", [2, 60])
def test_disputes_by_the_framed_party_silence_the_liar_for_its_other_customers_too(inventions_each: int) -> None:
    """lab-a vouches for eight of twelve: what lab-b says against the other four counts for less, however many accounts it invents, and the real campaign
    stays."""
    world = framed_world(inventions_each)
    state = state_of(world)
    first = state.evaluate(NOW_US).accounts
    before = dict(first.select("account_name", "score").iter_rows())
    flagged = first.filter("flagged")
    names = sorted(world.truth().filter(pl.col("group") == "victim")["account_name"])
    state.fold_feedback([verdict("lab-a", name, "DISPUTED", "CHALLENGE") for name in names[:8]])
    evaluation = state.evaluate(NOW_US)
    assert evaluation.population.trust["lab-b"] < 0.7
    assert evaluation.population.trust["lab-a"] == 1
    others = evaluation.accounts.filter(pl.col("account_name").is_in(names[8:]))
    assert all(now < before[name] for name, now in others.select("account_name", "score").iter_rows())
    real = flagged.filter(pl.col("account_name").str.starts_with("c-") & (pl.col("party") == "lab-a"))
    assert real.join(evaluation.accounts.filter("flagged"), on="account", how="semi").height == real.height > 0


def test_who_is_proven_right_is_heard() -> None:
    """lab-a disputed eight, and later closed as many others on which lab-b had spoken: most of the trust is back."""
    ten = np.zeros((4, 4))
    ten[1, 0] = 8
    low = trust(_record(np.zeros((4, 4)), ten), CONFIG)["b"]
    again = trust(_record(ten, ten), CONFIG)["b"]
    assert again > low + 0.1


def test_without_any_dispute_everybody_is_trusted() -> None:
    """No party loses weight for what nobody has objected to."""
    assert state_of(framed_world()).evaluate(NOW_US).population.trust == {}
    assert CampaignsConfig().reporters == CONFIG
