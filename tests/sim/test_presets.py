"""Each named world has the property that it is named for, in both families."""

from datetime import timedelta
from functools import cache

import polars as pl
import pytest

from weaklink.errors import ConfigurationError
from weaklink.parties import MAY_PUBLISH, PartyKind
from weaklink.records.identifiers import IDENTIFIERS_MAX
from weaklink.sim.families import FAMILIES, TUNING
from weaklink.sim.presets import PRESETS, preset
from weaklink.sim.variation import varied
from weaklink.sim.worlds import GeneratedWorld, generate

SIZE, SEED = 0.02, 3
EACH = pytest.mark.parametrize("family", FAMILIES)
BOUGHT = ("CARD", "DEVICE", "PHONE")
ROLES = {"CONSUMER", "PAYER", "LESSEE", "RESELLER", "RELAY", "HARNESS", "AGENCY", "FRAMER"}


@cache
def world(name: str, family: str) -> GeneratedWorld:
    """A small world with operators that look around every third day, made once."""
    return generate(preset(name, SIZE, family).model_copy(update={"step_hours": 72.0}), SEED)


def of_campaigns(made: GeneratedWorld) -> pl.DataFrame:
    """Events of campaign accounts, with campaign and role."""
    return made.events.join(made.truth.drop_nulls("campaign"), on=["party", "account"])


def holders(events: pl.DataFrame, kind: str) -> pl.DataFrame:
    """value, accounts: how many accounts show each identifier of a kind."""
    pairs = events.select("party", "account", "identifiers").explode("identifiers").unnest("identifiers")
    return pairs.filter(kind=kind).unique().group_by("value").len("accounts")


def share(condition: pl.Series) -> float:
    """Share of true values."""
    return float(condition.sum()) / len(condition)


def usage(made: GeneratedWorld) -> pl.DataFrame:
    """Usage of campaigns' own accounts."""
    return of_campaigns(made).filter(event_type="ApiUsage")


@pytest.mark.parametrize("name", PRESETS)
def test_every_world_is_ordered_and_may_be_published(name: str) -> None:
    """Events come in event time, from parties whose kind may send them, with accounts that the truth knows."""
    made = world(name, "testing")
    events, truth = made.events, made.truth
    assert events["occurred_at"].is_sorted()
    assert events.filter(pl.col("occurred_at") >= TUNING.base.start + timedelta(days=TUNING.base.days)).is_empty()
    for kind, record in events.select("party_kind", "event_type").unique().rows():
        assert PartyKind(kind) in MAY_PUBLISH[record]
    assert (events["identifiers"].list.len() <= IDENTIFIERS_MAX).all()
    assert truth.select("party", "account").is_unique().all()
    named = events.drop_nulls("account").select("party", "account").unique()
    assert named.join(truth, on=["party", "account"], how="anti").is_empty()
    assert truth.join(named, on=["party", "account"], how="anti").is_empty()
    assert set(truth["role"]) <= ROLES


@EACH
@pytest.mark.parametrize("name", ["chain", "benign_chain"])
def test_in_a_chain_no_identifier_that_costs_money_has_more_than_three_holders(name: str, family: str) -> None:
    """Whoever looks at one identifier sees a few accounts and no campaign."""
    members = of_campaigns(world(name, family))
    for kind in (*BOUGHT, "IP"):
        counts = holders(members, kind)["accounts"]
        assert (counts <= 3).all(), kind
        assert (counts >= 2).any(), kind


def test_pools_share_more_than_chains() -> None:
    """What the chain gives up is there in the base world."""
    assert (holders(of_campaigns(world("base", "testing")), "CARD")["accounts"] > 3).any()


@EACH
def test_accounts_of_a_churning_campaign_live_for_less_than_a_day(family: str) -> None:
    """From opening to last sign of life."""
    members = of_campaigns(world("churn", family)).filter(role="CONSUMER")
    lives = members.group_by("party", "account").agg(
        (pl.col("occurred_at").max() - pl.col("occurred_at").min()).dt.total_hours()
    )
    assert (lives["occurred_at"] < 24).all()
    assert lives.height > 4 * preset("churn", SIZE, family).operators[0].accounts


@EACH
def test_the_small_campaign_is_forty_accounts_at_one_lab_whatever_the_size(family: str) -> None:
    """100,000 prompts, most of them for reasoning."""
    made = world("small", family)
    own = usage(made)
    assert own["party"].n_unique() == 1
    assert 38 <= made.truth.filter(pl.col("campaign").is_not_null(), role="CONSUMER").height <= 75
    assert own["requests"].sum() == pytest.approx(100_000, rel=0.4)
    assert own.filter(task="REASONING_ELICITATION").height > 0.5 * own.height


def test_slow_campaigns_ask_for_little_and_benign_conduct_looks_ordinary() -> None:
    """Fewer requests an account than in the base world; and the tasks of everybody."""
    accounts = {name: usage(world(name, "testing")) for name in ("base", "slow_drip", "benign_conduct")}
    each = {name: own["requests"].sum() / own["account"].n_unique() for name, own in accounts.items()}
    assert float(each["slow_drip"]) < 0.3 * float(each["base"])
    other = {name: share(own["task"] == "OTHER") for name, own in accounts.items()}
    everybody = world("no_campaign", "testing").events.filter(event_type="ApiUsage")
    assert other["benign_conduct"] == pytest.approx(share(everybody["task"] == "OTHER"), abs=0.12)
    assert other["base"] < 0.6 * other["benign_conduct"]


def test_paraphrased_templates_are_all_different() -> None:
    """No template text of its own serves two accounts; in the base world they do."""
    for name, shared in (("paraphrase", False), ("base", True)):
        made = world(name, "testing")
        honest = made.events.join(of_campaigns(made).select("party", "account"), on=["party", "account"], how="anti")
        popular = holders(honest, "PROMPT")["value"]
        own = holders(usage(made), "PROMPT").filter(~pl.col("value").is_in(popular.implode()))
        assert (own["accounts"] > 1).any() is shared


def test_programmes_are_entered_without_cards_and_some_accounts_are_aged() -> None:
    """Education and startup plans alone; a part opened before the world began."""
    opened = of_campaigns(world("programmes", "testing")).filter(event_type="AccountOpened", role="CONSUMER")
    assert set(opened["plan"]) == {"EDUCATION", "STARTUP"}
    assert holders(opened, "CARD").is_empty()
    early = opened["occurred_at"] < preset("programmes", SIZE, "testing").start
    assert 0.25 < share(early) < 0.55


def test_resellers_carry_campaigns_as_named_end_users_among_honest_ones() -> None:
    """Truth names the end users; they are few of those that the resellers serve, and no reseller is a campaign's account."""
    made = world("resellers", "testing")
    assert made.end_users["campaign"].n_unique() == len(preset("resellers", SIZE, "testing").operators)
    sold = made.events.filter(event_type="ApiUsage").drop_nulls("end_user")
    bought = sold.join(made.end_users, on=["party", "account", "end_user"])
    assert 0 < bought.height < 0.6 * sold.height
    roles = made.truth.join(sold.select("party", "account").unique(), on=["party", "account"])
    assert set(roles["role"]) == {"RESELLER"}
    assert roles["campaign"].null_count() == roles.height


def test_relays_without_end_users_show_many_honest_holders() -> None:
    """Their address is everybody's, which is how they can be told."""
    made = world("no_campaign", "testing")
    relays = made.truth.filter(role="RELAY")
    addresses = holders(made.events.join(relays, on=["party", "account"]), "IP")["value"]
    everybody = holders(made.events, "IP").filter(pl.col("value").is_in(addresses.implode()))
    assert (everybody["accounts"] > 15).any()


@pytest.mark.parametrize(("name", "liars"), [("framing_one", 1), ("framing_two", 2)])
def test_framers_invent_accounts_on_identifiers_of_marked_victims(name: str, liars: int) -> None:
    """Liars and victims are nobody's campaign; every victim's party is an honest one."""
    truth = world(name, "testing").truth
    framers = truth.filter(role="FRAMER")
    assert framers["party"].n_unique() == liars
    assert framers["campaign"].null_count() == framers.height
    assert truth.filter("victim").height >= 8
    assert not set(truth.filter("victim")["party"]) & set(framers["party"])


def test_a_flooded_card_is_shown_by_many_strangers() -> None:
    """More than any campaign would share it."""
    made = world("card_flood", "testing")
    flooded = holders(made.events, "CARD").filter(pl.col("accounts") > 100)["value"]
    assert len(flooded)
    assert holders(of_campaigns(made), "CARD")["value"].is_in(flooded.implode()).any()


def test_a_member_that_floods_cards_invents_each_stranger() -> None:
    """At itself alone, so that nobody honest is among them; the campaigns hold the same cards."""
    made = world("member_flood", "testing")
    invented = made.truth.filter(role="FRAMER")
    assert set(invented["party"]) == {FAMILIES["testing"].liars[0]}
    told = made.events.join(invented, on=["party", "account"])
    assert set(told["event_type"]) == {"AccountOpened"}
    flooded = holders(told, "CARD").filter(pl.col("accounts") > 100)["value"]
    assert len(flooded)
    assert holders(of_campaigns(made), "CARD")["value"].is_in(flooded.implode()).any()


def test_a_lax_member_withholds_repeats_or_backdates_and_nobody_else_does() -> None:
    """What each of the three changes against the base world, at which member."""
    lax = FAMILIES["testing"].lax
    base = world("base", "testing").events
    for name in ("omission", "replay", "backdating"):
        told = world(name, "testing").events
        honest = pl.col("party") != lax
        assert told.filter(honest).drop("model").equals(base.filter(honest).drop("model")), name
        mine, before = told.filter(~honest), base.filter(~honest)
        match name:
            case "omission":
                assert mine.height < 0.7 * before.height
            case "replay":
                assert before.height * 1.1 < mine.height < before.height * 1.5
                assert not mine.is_unique().all()
            case _:
                assert mine.height == before.height
                days = [
                    share(frame.filter(event_type="ApiUsage")["occurred_at"] < TUNING.base.start + timedelta(days=15))
                    for frame in (mine, before)
                ]
                assert days[0] > days[1]


def test_great_campaigns_are_great() -> None:
    """24,000 accounts in a month, and a cluster of 20,000 at once whose requests are mostly ordinary, in a world of size 1."""
    for name, least, most in (("giant", 18_000, 32_000), ("hydra", 18_000, 32_000)):
        made = world(name, "testing")
        biggest = made.truth.filter(role="CONSUMER").drop_nulls("campaign")["campaign"].value_counts()["count"].max()
        assert least * SIZE < int(str(biggest)) < most * SIZE
    assert preset("hydra", 1, "testing").operators[0].accounts == 20_000


def test_families_share_no_member_no_operator_and_few_parameters() -> None:
    """What is fitted on one family cannot lean on the other's numbers."""
    tuning, testing = (FAMILIES[name].base for name in ("tuning", "testing"))
    assert not {p.id for p in tuning.parties} & {p.id for p in testing.parties}
    assert not {o.name for o in tuning.operators} & {o.name for o in testing.operators}
    ours, theirs = tuning.benign.model_dump(), testing.benign.model_dump()
    assert sum(ours[name] != theirs[name] for name in ours) > len(ours) / 2


def test_testing_worlds_differ_in_parameters_from_seed_to_seed_and_tuning_worlds_do_not() -> None:
    """The same seed gives the same parameters."""
    for family, differs in (("tuning", False), ("testing", True)):
        spec = preset("base", 1, family)
        assert (varied(spec, 1) != varied(spec, 2)) is differs
        assert varied(spec, 1) == varied(spec, 1)
    chain = preset("chain", 1, "testing")
    for before, after in zip(chain.operators, varied(chain, 5).operators, strict=True):
        assert [getattr(before, f"accounts_per_{kind.lower()}") for kind in BOUGHT] == [
            getattr(after, f"accounts_per_{kind.lower()}") for kind in BOUGHT
        ]


def test_unknown_worlds_and_families_are_named() -> None:
    """A wrong name answers with the right ones."""
    with pytest.raises(ConfigurationError, match="carrier_nat"):
        preset("atlantis")
    with pytest.raises(ConfigurationError, match="testing"):
        preset("base", family="training")
