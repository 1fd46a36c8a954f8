"""What people are told of a campaign: evidence that adds up, pictures that are bounded, and the true effect of measures."""

from typing import Any

import polars as pl
import pytest

from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.test_track import PARTIES, engine_of, world_with
from tests.campaigns.worlds import DAY_US, START_US
from weaklink.account_keys import account_key
from weaklink.campaigns import course, dossier
from weaklink.campaigns.casebook import Casebook, evidence_key, observer
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import OPEN, Campaign
from weaklink.campaigns.journal import Journal, remembered
from weaklink.campaigns.messages import CASE
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.records.codec import decode
from weaklink.records.identifiers import IdentifierKind
from weaklink.stream.stage import Message
from weaklink.weaklinks.config import WeakLinksConfig


def told(engine: Engine, book: Casebook, now_us: int) -> list[Message]:
    book.of(PARTIES)
    engine.observe(observer(book, engine))
    engine.tick(now_us, PARTIES)
    return book.changes(engine, now_us)


def records(messages: list[Message], name: str) -> list[dict[str, Any]]:
    decoded = [decode(one.value) for one in messages if one.value]
    return [values for record, values in decoded if record == name]


@pytest.fixture(scope="module")
def planned() -> tuple[Engine, list[Message]]:
    engine = engine_of(world_with("c"))
    return engine, told(engine, Casebook(), NOW_US)


def test_the_pieces_of_every_member_add_up_to_its_belief(planned: tuple[Engine, list[Message]]) -> None:
    """Prior and pieces together are the log-odds; the rounding of each piece to 0.1 nats is all that is lost."""
    engine, messages = planned
    evidence = records(messages, "MemberEvidence")
    assert len(evidence) == engine.tracker.members.height > 0
    for one in evidence:
        total = one["prior"] + sum(piece["weight"] for piece in one["pieces"])
        assert total == pytest.approx(one["belief"], abs=0.06 * (len(one["pieces"]) + 2))
        weights = [abs(piece["weight"]) for piece in one["pieces"]]
        assert weights == sorted(weights, reverse=True)
        assert all(piece["parties"] >= 1 for piece in one["pieces"])


def test_what_a_member_shares_is_what_its_links_say(planned: tuple[Engine, list[Message]]) -> None:
    """Counts by kind, against the world's own links."""
    engine, messages = planned
    members = engine.tracker.members["account"]
    rows = engine.state.links.rows().join(pl.DataFrame({"account": members}), on="account", how="semi")
    for one in records(messages, "MemberEvidence")[:10]:
        key = account_key(one["party"], one["account"])
        for share in one["shares"]:
            kind = IdentifierKind[share["kind"]]
            mine = rows.filter((pl.col("account") == key) & (pl.col("kind") == kind))["identifier"].unique()
            holders = rows.filter(pl.col("identifier").is_in(mine.implode())).group_by("identifier").agg(
                pl.col("account").n_unique()
            )  # fmt: skip
            together = holders.filter(pl.col("account") > 1)["account"]
            assert (share["identifiers"], share["members"] + 1) == (len(together), together.max())


def test_the_picture_is_bounded_and_its_lines_lead_somewhere(planned: tuple[Engine, list[Message]]) -> None:
    """Every place that an account holds is one of the identifiers shown."""
    (picture,) = records(planned[1], "CampaignGraph")
    assert 0 < len(picture["identifiers"]) <= dossier.IDENTIFIERS_MAX
    assert 0 < len(picture["accounts"]) <= dossier.ACCOUNTS_MAX
    assert all(0 <= place < len(picture["identifiers"]) for one in picture["accounts"] for place in one["holds"])
    assert picture["accounts_total"] == planned[0].tracker.members.height
    assert all(one["members"] > 1 for one in picture["identifiers"])


def test_what_was_told_is_not_told_again_nor_after_a_restart() -> None:
    """The same state says nothing, also to a casebook that took back what was written."""
    engine, book = engine_of(world_with("c")), Casebook()
    messages = told(engine, book, NOW_US)
    assert messages
    assert book.changes(engine, NOW_US + 1) == []
    other = Casebook()
    other.recall(messages)
    restarted = engine_of(world_with("c"))
    Journal().recall(Journal().changes(engine), restarted)
    again = told(restarted, other, NOW_US)
    assert [one.key for one in again if one.value is None] == []
    assert records(again, "MemberEvidence") == []


def test_the_evidence_of_an_account_that_left_is_taken_back() -> None:
    """A member that its party disputes leaves, and its record with it; the course counts it beside the one that was lost."""
    engine, book = engine_of(world_with("c")), Casebook()
    told(engine, book, NOW_US)
    disputed, lost = engine.tracker.members.filter(pl.col("party") == "lab-a")["account_name"].head(2)
    engine.state.fold_feedback([verdict("lab-a", disputed, "DISPUTED"), verdict("lab-a", lost, "DONE")])
    later = told(engine, book, NOW_US + 4 * US_PER_HOUR)
    gone = {one.key for one in later if one.value is None}
    assert evidence_key(account_key("lab-a", disputed)) in gone
    assert evidence_key(account_key("lab-a", lost)) not in gone
    (course_now,) = records(later, "CampaignCourse")
    assert (course_now["losses"]["accounts"], course_now["losses"]["disputed_accounts"]) == (1, 1)


def test_the_journal_and_the_casebook_do_not_read_each_others_records(planned: tuple[Engine, list[Message]]) -> None:
    """What is told has keys of its own, and recalling it changes nothing that is remembered."""
    engine, messages = planned
    assert all(one.key and one.key.startswith(CASE) for one in messages)
    written = Journal().changes(engine)
    assert not any(one.key and one.key.startswith(CASE) for one in written)
    assert remembered([*written, *messages]).campaigns == remembered(written).campaigns


def life(
    party: str, name: str, first_day: float, lost_day: float | None = None, obeyed_day: float | None = None
) -> Any:
    def us(day: float | None) -> int | None:
        return None if day is None else START_US // DAY_US * DAY_US + int(day * DAY_US)

    at = us(first_day)
    return (account_key(party, name), party, name, 100, at, at, us(obeyed_day), us(lost_day), False)


LIVES = {
    "account": pl.UInt64, "party": pl.String, "account_name": pl.String, "requests": pl.Int64, "first_seen_us": pl.Int64,
    "first_usage_us": pl.Int64, "obeyed_at_us": pl.Int64, "lost_us": pl.Int64, "disputed": pl.Boolean,
}  # fmt: skip


def test_returns_are_matched_with_the_losses_that_they_replace() -> None:
    """Two lost at one party; one comes back there after 12 h, one elsewhere after 36 h; a third one is growth."""
    rows = [
        life("lab-a", "a", 0, 5), life("lab-a", "b", 0, 5), life("lab-a", "c", 5.5), life("lab-b", "d", 6.5), life("lab-b", "e", 7),
    ]  # fmt: skip
    lives = pl.DataFrame(rows, schema=LIVES, orient="row").with_columns(new=pl.Series([False, False, True, True, True]))
    assert course.returns(lives) == (1, 24.0)


def test_the_effect_of_a_measure_is_the_volume_before_against_after_it() -> None:
    """An account that made 100 a day and 10 a day once its party had obeyed; one that did not obey is only counted as standing."""
    day = START_US // DAY_US
    lives = pl.DataFrame([life("lab-a", "a", 0, None, 5.3), life("lab-a", "b", 0)], schema=LIVES, orient="row")
    key = account_key("lab-a", "a")
    used = [(key, day + n, 100 if n < 5 else 10, 0) for n in range(9)]
    daily = pl.DataFrame(used, schema={"account": pl.UInt64, "day": pl.Int32, "requests": pl.Int64, "output_tokens": pl.Int64}, orient="row")  # fmt: skip
    measures = [
        {"party": "lab-a", "target_account": name, "measure": "SUSPEND", "benign_accounts_touched": 2} for name in "ab"
    ]
    campaign = Campaign("x", OPEN, 0, 0, measures=measures)
    now_us = (day + 9) * DAY_US + 1
    (effect,) = course.measure_effects(campaign, lives, daily, now_us)
    assert (effect["standing"], effect["obeyed"], effect["measured"]) == (2, 1, 1)
    assert effect["requests_per_day_before"] == pytest.approx(100)
    assert effect["requests_per_day_after"] == pytest.approx(10)
    assert effect["benign_accounts_touched"] == 2


def test_the_course_of_a_campaign_that_lost_accounts_says_what_came_back() -> None:
    """Before and after the first loss, and the volume of those that came after it."""
    day = START_US // DAY_US
    lives = pl.DataFrame([life("lab-a", "a", 0, 5.2), life("lab-b", "d", 6)], schema=LIVES, orient="row")
    old, new = (account_key(*one) for one in (("lab-a", "a"), ("lab-b", "d")))
    used = [(old, day + n, 100, 0) for n in range(5)] + [(new, day + n, 30, 0) for n in range(6, 9)]
    daily = pl.DataFrame(used, schema={"account": pl.UInt64, "day": pl.Int32, "requests": pl.Int64, "output_tokens": pl.Int64}, orient="row")  # fmt: skip
    found = course.course(Campaign("x", OPEN, 0, 0), lives, daily, (day + 9) * DAY_US, disputed_before=1)
    losses = found["losses"]
    assert (losses["accounts"], losses["returned_accounts"], losses["returned_elsewhere"]) == (1, 1, 1)
    assert losses["requests_per_day_before"] == pytest.approx(100)
    assert losses["requests_per_day_after"] == losses["returned_requests_per_day"] == pytest.approx(30)
    assert losses["hours_to_return_median"] == pytest.approx(19.2)
    assert losses["disputed_accounts"] == 1
    assert [one["requests_new"] for one in found["days"]][-1] == 30


def planned_after_suspensions(learn_prior_accounts: float) -> Campaign:
    """A campaign whose parties said that every suspension was carried out, and whose accounts made more than before for three days."""
    world = world_with("c")
    engine = Engine(CampaignsConfig(), WeakLinksConfig(learn_prior_accounts=learn_prior_accounts))
    engine.state.fold_activity(world.activity())
    engine.state.fold_shared(world.shared())
    engine.tick(NOW_US, PARTIES)
    members = engine.tracker.members.select("party", "account_name").rows()
    engine.state.fold_feedback([verdict(party, name, "DONE") for party, name in members])
    usage = world.activity().filter(pl.col("record") == "ApiUsage")
    usage = usage.with_columns(pl.col("requests") * 4)
    for days in (2, 3, 4):
        times = ("first_seen_us", "last_seen_us", "appended_at_us")
        engine.state.fold_activity(usage.with_columns(pl.col(name) + days * DAY_US for name in times))
    engine.tick(NOW_US + 4 * DAY_US, PARTIES)
    (campaign,) = engine.tracker.campaigns.values()
    assert campaign.planned
    assert campaign.planned.at_us == NOW_US + 4 * DAY_US
    return campaign


def test_what_measures_did_is_in_the_next_plan() -> None:
    """Accounts that go on after their suspension was reported make the next plan expect less of suspensions than the settings do."""
    unlearned, learned = planned_after_suspensions(0), planned_after_suspensions(10)
    assert learned.volume_cut_share < unlearned.volume_cut_share - 0.05
