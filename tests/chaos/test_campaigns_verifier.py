"""The verifier on what campaigns commits: clean where campaigns itself wrote it, and every loss and repetition that is planted in it is found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from chaos.verifier.campaigns import Campaigns
from chaos.verifier.findings import Findings

from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.test_track import PARTIES, world_with
from tests.chaos.planted import Message
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.journal import Journal
from weaklink.campaigns.messages import decision_messages
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR
from weaklink.records.codec import decode, encode
from weaklink.weaklinks.config import WeakLinksConfig

Tick = tuple[list[bytes], list[tuple[bytes, bytes | None]]]
"""Decisions, and (key, value) of records."""


@pytest.fixture(scope="module")
def ticks() -> list[Tick]:
    """Three campaigns over weeks, with disputes, refusals, withdrawals and measures that are issued again."""
    engine, journal, now_us = Engine(CampaignsConfig(), WeakLinksConfig()), Journal(), NOW_US
    world, written = world_with("c", "d", "e"), list[Tick]()
    engine.state.fold_activity(world.activity())
    engine.state.fold_shared(world.shared())
    for step in range(12):
        now_us += (US_PER_HOUR, 2 * US_PER_DAY)[step % 2]
        decisions = [
            message.value or b""
            for update in engine.tick(now_us, PARTIES)
            for message in decision_messages(update.campaign, update.changes, now_us=now_us, accounts=1, requests_per_day=1.0)
        ]  # fmt: skip
        written.append((decisions, [(one.key or b"", one.value) for one in journal.changes(engine)]))
        if step in (3, 5):
            campaign = next(one for one in engine.tracker.campaigns.values() if one.measures)
            asked = [one for one in campaign.measures if one["target_account"]][:3]
            words = ("DISPUTED", "REFUSED", "DONE")
            engine.state.fold_feedback(
                [verdict(one["party"], one["target_account"], word, one["measure"], at_us=now_us) for one, word in zip(asked, words, strict=False)]
            )  # fmt: skip
    return written


def judge(ticks: list[Tick]) -> Findings:
    campaigns, found = Campaigns(), Findings()
    for decisions, records in ticks:
        for value in decisions:
            campaigns.take_decision(Message("d", 0, 0, value))
        for key, kept in records:
            campaigns.take_record(Message("c", 0, 0, kept or b"", key))
    campaigns.compare(found)
    return found


def of(name: str, tick: Tick) -> tuple[bytes, bytes]:
    """Key and value of the last record of this kind."""
    return next((key, value) for key, value in reversed(tick[1]) if value and decode(value)[0] == name)


def test_what_campaigns_writes_is_clean(ticks: list[Tick]) -> None:
    """And there was something to judge: measures issued, withdrawn, and still standing."""
    found = judge(ticks)
    assert found.clean, found.sentences
    ops = {one["op"] for decisions, _ in ticks for value in decisions for one in decode(value)[1]["measures"]}
    assert ops == {"ISSUE", "WITHDRAW"}
    assert 0 < found.counted["measures_standing"] < found.counted["measures_decided"]
    assert found.counted["members"]


def without_decisions(ticks: list[Tick]) -> list[Tick]:
    """A tick's records were committed, and its decisions were not."""
    return [([], ticks[0][1]), *ticks[1:]]


def without_records(ticks: list[Tick]) -> list[Tick]:
    """The other way round, in the last tick that decided anything."""
    last = max(number for number, (decisions, _) in enumerate(ticks) if decisions)
    return [(decisions, [] if number == last else records) for number, (decisions, records) in enumerate(ticks)]


def without_member_campaign(ticks: list[Tick]) -> list[Tick]:
    """Members of a campaign that is no more."""
    campaign = next(one for one in judged(ticks, "Campaign") if one["state"] == "OPEN" and one["accounts"])
    return [*ticks, ([], [(campaign["campaign_id"].encode(), None)])]


def repeated_tick(ticks: list[Tick]) -> list[Tick]:
    """A tick that was said twice."""
    return [ticks[0], *ticks]


def evaluated_again(ticks: list[Tick]) -> list[Tick]:
    """The same measures decided again, later, by one who forgot: the topic keeps them as of the first time."""
    name, values = decode(ticks[0][0][0])
    at_us = max(decode(value)[1]["decided_at"] for decisions, _ in ticks for value in decisions)
    again = encode(name, values | {"decided_at": at_us + timedelta(hours=1)})
    return [*ticks, ([again], [])]


def member_twice(ticks: list[Tick]) -> list[Tick]:
    """An account in two records."""
    _, value = of("CampaignMember", ticks[0])
    return [*ticks, ([], [(b"member/other", value)])]


def measure_twice(ticks: list[Tick]) -> list[Tick]:
    """A measure that stands under two keys."""
    standing = judged(ticks, "StandingMeasure")[0]
    return [*ticks, ([], [(b"measure/other", encode("StandingMeasure", standing))])]


def judged(ticks: list[Tick], kind: str) -> list[dict[str, Any]]:
    """The records of this kind that are left at the end."""
    newest = {key: value for _, records in ticks for key, value in records}
    return [values for value in newest.values() if value for name, values in [decode(value)] if name == kind]


@pytest.mark.parametrize(
    ("plant", "lost", "twice"),
    [
        (without_decisions, True, False),
        (without_records, True, None),
        (without_member_campaign, True, None),
        (repeated_tick, False, True),
        (evaluated_again, True, False),
        (member_twice, False, True),
        (measure_twice, False, True),
    ],
)
def test_what_is_planted_is_found(
    ticks: list[Tick], plant: Callable[[list[Tick]], list[Tick]], lost: bool, twice: bool | None
) -> None:
    """A loss as lost, a repetition as done twice; None: either may come with it."""
    found = judge(plant(ticks))
    assert bool(found.lost) is lost, found.sentences
    assert twice is None or bool(found.duplicate_effects) is twice, found.sentences
