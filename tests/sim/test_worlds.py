"""Worlds: reproducible, in order, true to their parameters."""

from collections.abc import Mapping

import polars as pl
import pytest

from weaklink.partner.builder import EventBuilder
from weaklink.partner.tokens import LocalTokeniser
from weaklink.sim.families import TUNING
from weaklink.sim.presets import preset
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.worlds import GeneratedWorld, World, exchanges_without_enforcement, generate

SIZE = 0.03


@pytest.fixture(scope="module")
def worlds() -> Mapping[str, GeneratedWorld]:
    """Some presets, small."""
    return {
        name: generate(preset(name, SIZE).model_copy(update={"step_hours": 48.0}), seed=3)
        for name in ("base", "pivot", "no_campaign")
    }


def members(world: GeneratedWorld) -> pl.DataFrame:
    """Events of campaign accounts, with campaign and role."""
    return world.events.join(world.truth.drop_nulls("campaign"), on=["party", "account"])


def holders(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    """value, accounts: how many accounts show each identifier of a kind."""
    pairs = events.select("party", "account", "identifiers").explode("identifiers").unnest("identifiers")
    return pairs.filter(kind=kind).unique().group_by("value").len("accounts")


def test_equal_seeds_give_equal_worlds_and_others_differ() -> None:
    """A world is a function of its parameters and its seed."""
    first, again, other = (
        generate(preset("base", SIZE).model_copy(update={"step_hours": 72.0}), seed) for seed in (5, 5, 6)
    )
    assert first.events.equals(again.events)
    assert first.truth.equals(again.truth)
    assert not first.events.equals(other.events)


def test_raw_identifiers_pass_the_partner_sdk(worlds: Mapping[str, GeneratedWorld]) -> None:
    """Every kind of raw value in a world is one that a party could tokenise."""
    builder = EventBuilder(LocalTokeniser.throwaway())
    values = (
        worlds["base"].events.select("identifiers").explode("identifiers").unnest("identifiers").drop_nulls().unique()
    )
    sample = pl.concat(part.head(50) for part in values.partition_by("kind"))
    tokens = [builder.tokens([(kind, value)]) for kind, value in sample.rows()]
    assert all(tokens)
    assert set(sample["kind"]) >= {"IP", "DEVICE", "TLS", "CARD", "EMAIL", "PHONE", "API_KEY", "PROMPT", "ORGANISATION"}


def test_honest_people_share_too(worlds: Mapping[str, GeneratedWorld]) -> None:
    """Benign life has shared cards, shared devices, crowded addresses and popular templates."""
    honest = worlds["no_campaign"].events
    assert worlds["no_campaign"].truth["campaign"].null_count() == worlds["no_campaign"].truth.height
    for kind, crowd in (("CARD", 8), ("DEVICE", 8), ("IP", 40), ("PROMPT", 30)):
        assert (holders(honest, kind)["accounts"] >= crowd).any()


def test_a_release_draws_the_campaign_within_a_day(worlds: Mapping[str, GeneratedWorld]) -> None:
    """Before the release nobody uses the new model; a day later the pivoting campaign does, where it is served."""
    release = TUNING.base.releases[0]
    usage = members(worlds["pivot"]).filter(event_type="ApiUsage", party=release.party)
    day = (pl.col("occurred_at") - TUNING.base.start).dt.total_microseconds() / 86_400e6
    before, after = usage.filter(day < release.day), usage.filter(day > release.day + 1)
    assert min(before.height, after.height) > 0
    assert not (before["model"] == release.model).any()
    assert (after["model"] == release.model).all()


def test_an_operator_that_loses_accounts_replaces_them_and_one_that_cannot_pay_does_not() -> None:
    """Bans alone are answered by new accounts; blocked cards and no money for others end the growth."""
    spec = preset("small", 0.02)
    broke = {"fresh_cards_per_day": 0.0, "entry_plans": ("PAID", "TRIAL")}
    poor = spec.model_copy(update={"operators": (spec.operators[0].model_copy(update=broke),)})
    opened = {}
    for name, chosen, block in (("rich", spec, False), ("poor", poor, True)):
        world, taken = World(chosen, 1), Restrictions()
        operator = world.operators[0]
        for number, (start, end) in enumerate(world.steps()):
            operator.step(start, end, taken)
            if number == 40:  # day 10: everything it has is taken
                taken.dead |= set(operator.fleet["account"].tolist())
                taken.cards |= set(operator.fleet["card"].tolist()) if block else set()
                had = len(operator.fleet)
        opened[name] = len(operator.fleet) - had
    assert opened["rich"] >= 30
    assert opened["poor"] < 12


def test_restrictions_cut_what_they_are_placed_on() -> None:
    """Dead accounts make no more requests, throttled ones fewer, and nothing of it happens in the counterfactual."""
    spec = preset("small", 0.02)
    free = exchanges_without_enforcement(spec, 2)["heron"]
    totals = {}
    for name in ("dead", "throttled"):
        world, taken, total = World(spec, 2), Restrictions(), 0
        operator = world.operators[0]
        for start, end in world.steps():
            total += int(operator.step(start, end, taken)["requests"].sum())
            if name == "dead":
                taken.dead |= set(operator.fleet["account"].tolist())
            else:
                taken.throttled |= dict.fromkeys(operator.fleet["account"].tolist(), 0.2)
        totals[name] = total
    assert totals["dead"] < 0.5 * free
    assert totals["throttled"] < 0.35 * free
