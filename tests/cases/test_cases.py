"""What is read back of a case: members, evidence, explanations, scorecards and pictures."""

import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases.world import case_messages
from weaklink.campaigns.config import CampaignsConfig
from weaklink.cases.explanation import explain, what_would_change
from weaklink.cases.layout import layout
from weaklink.cases.scorecard import OTHERS_MIN, compare, scorecards
from weaklink.cases.store import Cases
from weaklink.cases.story import effect_lines, story, token_lines
from weaklink.cases.svg import exchanges_svg, graph_svg, sparkline
from weaklink.cases.words import kind_words
from weaklink.enforce.config import EnforceConfig
from weaklink.weaklinks.config import WeakLinksConfig


def cases_of(messages: Iterable[tuple[bytes, bytes | None]]) -> Cases:
    found = Cases()
    for key, value in messages:
        found.take(key, value)
    return found


@pytest.fixture(scope="module")
def cases() -> Cases:
    return cases_of((one.key or b"", one.value) for one in case_messages())


def test_every_member_that_was_published_is_found_with_its_evidence(cases: Cases) -> None:
    """Two campaigns, their members, and the evidence of each."""
    running = cases.running()
    assert len(running) == 2
    assert [one["requests_per_day"] for one in running] == sorted(
        (o["requests_per_day"] for o in running), reverse=True
    )
    for campaign in running:
        members = cases.members(campaign["campaign_id"])
        assert len(members) == sum(cases.accounts_by_party(campaign["campaign_id"]).values()) > 0
        assert len([one for one in members if one.flagged]) == campaign["accounts"]
        assert all(cases.evidence(one.party, one.account) for one in members)


def test_the_newest_record_of_each_key_counts_whatever_came_between() -> None:
    """Messages of different keys in any order give the same cases; a tombstone takes back what its key said."""
    messages = list(case_messages())
    whole = cases_of((one.key or b"", one.value) for one in messages)
    random.Random(5).shuffle(messages)
    shuffled = cases_of((one.key or b"", one.value) for one in messages)
    assert shuffled.campaigns == whole.campaigns
    name = whole.running()[0]["campaign_id"]
    assert shuffled.members(name) == whole.members(name)
    for one in messages:
        shuffled.take(one.key or b"", None)
    assert (shuffled.campaigns, shuffled.courses, shuffled.members(name), shuffled.classes) == ({}, {}, [], None)
    assert shuffled.graph(name) is None


def evidence(**fields: Any) -> dict[str, Any]:
    return {
        "party": "lab-a", "account": "a", "campaign_id": "c", "score": 0.99, "belief": 3.0, "prior": -5.0,
        "pieces": [], "shares": [], "established": False, "hard_identifier": True, "own_finding": False, "supporting_parties": 3,
    } | fields  # fmt: skip


def test_a_piece_that_decides_alone_is_named_and_so_are_pieces_that_decide_together() -> None:
    """Belief 3.0: without one piece of 4 nats it falls below 0; of two pieces of 2 nats both are needed."""
    one = evidence(pieces=[{"code": "COMPANY", "weight": 4.0}])
    said = " ".join(what_would_change(one, CampaignsConfig(), EnforceConfig()))
    assert "Without COMPANY (+4.0) it would not be suspected" in said
    two = evidence(pieces=[{"code": "COMPANY", "weight": 2.0}, {"code": "TASK_MIX", "weight": 2.0}])
    said = " ".join(what_would_change(two, CampaignsConfig(), EnforceConfig()))
    assert "No single piece decides" in said
    assert "COMPANY (+2.0) and TASK_MIX (+2.0) together" in said


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"established": True}, "is not suspended, whatever else"),
        ({"hard_identifier": False}, "but challenged, until"),
        ({"supporting_parties": 1}, "until evidence of 2 independent parties"),
    ],
)
def test_what_keeps_an_account_from_being_suspended_is_said(fields: dict[str, Any], told: str) -> None:
    """By the rule that policy applies."""
    assert told in " ".join(what_would_change(evidence(**fields), CampaignsConfig(), EnforceConfig()))


def test_the_belief_without_the_named_pieces_is_what_the_published_numbers_give(cases: Cases) -> None:
    """Of real members: the figures in the sentences are the published ones."""
    member = cases.members(cases.running()[0]["campaign_id"])[0]
    found = explain(cases.evidence(member.party, member.account) or {}, CampaignsConfig(), EnforceConfig())
    without = re.search(r"without (\w+) belief would still be (-?[\d.]+)", " ".join(found.changes))
    assert without, found.changes
    heaviest = next(one for one in found.pieces if one["weight"] > 0)
    assert without[1] == heaviest["code"]
    assert float(without[2]) == pytest.approx(found.belief - heaviest["weight"], abs=0.051)
    assert all(one["words"] != one["code"] for one in found.pieces)


def asked(party: str, hours: float | None, **counts: int) -> dict[str, Any]:
    """What queries.answers says of a party: of one action that it obeyed, unless `counts` say more."""
    wait_us = None if hours is None else hours * 3_600_000_000
    return {"party": party, "actions": 1, "answered": 1, "ending": 0, "overdue": 0, "wait_us": wait_us} | counts


def test_others_are_told_as_a_median_and_never_when_they_are_few() -> None:
    """With three others there is a median; with two there is none, since it would name one."""
    rows = [asked("own", 5), asked("a", 1), asked("b", 2), asked("c", 9)]
    found = {one.figure: one for one in compare("own", scorecards(Cases(), rows))}
    hours = found["hours_to_act"]
    assert (hours.own, hours.others, hours.others_median) == (5, 3, 2)
    assert hours.others_better_share == pytest.approx(2 / 3)
    few = {one.figure: one for one in compare("own", scorecards(Cases(), rows[:OTHERS_MIN]))}
    assert few["hours_to_act"].others_median is None


def test_a_scorecard_counts_what_the_ledger_and_the_doors_say(cases: Cases) -> None:
    """Disputes, overdue receipts, and the share of volume that came in."""
    rows = [asked("lab-a", 4, actions=3, answered=2, ending=1, overdue=1)]
    card = scorecards(cases, rows)["lab-a"]
    assert (card.actions, card.answered, card.hours_to_act) == (3, 2, 4)
    assert card.disputed_share == 0.5
    assert card.overdue_share == pytest.approx(1 / 3)
    doors = [d for one in cases.courses.values() for d in one["doors"] if d["party"] == "lab-a"]
    assert card.requests_entered == sum(one["requests_entered"] for one in doors) > 0
    assert card.volume_entered_share == pytest.approx(
        card.requests_entered / sum(o["requests"] for o in cases.courses.values())
    )


def test_every_part_of_a_picture_is_inside_it_and_every_line_joins_who_holds_what(cases: Cases) -> None:
    """Accounts to the identifiers that they hold, parties to their accounts."""
    graph = cases.graph(cases.running()[0]["campaign_id"])
    assert graph
    picture = layout(graph)
    assert all(0 < one.x < picture.width and 0 < one.y <= picture.height for one in picture.nodes)
    holds = sum(len(one["holds"]) for one in graph["accounts"])
    assert len(picture.lines) == holds + len(graph["accounts"])
    assert {picture.nodes[a].kind + ">" + picture.nodes[b].kind for a, b in picture.lines} == {
        "account>identifier", "party>account",
    }  # fmt: skip


@given(text=st.text(max_size=60))
def test_no_name_breaks_out_of_a_picture(text: str) -> None:
    """Whatever a party calls an account, no element of its own gets into the SVG."""
    account = {
        "party": text,
        "account": text,
        "requests_per_day": 1.0,
        "reseller": False,
        "measure": None,
        "holds": [0],
    }
    identifier = {"token": b"\x04" * 17, "kind": "CARD", "members": 2, "others": 0, "parties": 1, "requests_per_day": 1.0, "measures": 1}  # fmt: skip
    party = {"party": text, "accounts": 1, "requests_per_day": 1.0, "measures": 0, "expected_cut": 0.0}
    graph = {
        "accounts_total": 1,
        "identifiers_total": 1,
        "identifiers": [identifier],
        "accounts": [account],
        "parties": [party],
    }
    svg = graph_svg(layout(graph))
    assert set(re.findall(r"<([a-zA-Z!/?]+)", svg)) <= {"svg", "/svg", "title", "/title", "path", "g", "/g", "circle", "rect", "text", "/text"}  # fmt: skip
    assert "<script" not in sparkline([1.0], text).lower().replace("&lt;script", "")


def test_the_story_and_the_effects_are_told_from_the_records(cases: Cases) -> None:
    """In order of time; without losses nothing is said of losses."""
    campaign = cases.running()[0]
    course = cases.courses[campaign["campaign_id"]]
    told = story(campaign, course)
    assert [one.at for one in told] == sorted(one.at for one in told)
    assert {"found", "begin"} <= {one.kind for one in told}
    assert any(line.startswith("SUSPEND: ") for line in effect_lines(course, WeakLinksConfig()))
    assert not any("accounts lost" in line for line in effect_lines(course, WeakLinksConfig()))
    assert exchanges_svg(course).count('class="bar"') == len(course["days"])


def test_measures_on_identifiers_are_told_with_what_still_comes_by_them() -> None:
    """Carried out, refused, meant, and the volume of those on the picture that hold one and go on; never a cut that nobody can tell."""
    asked = {"measure": "BLOCK_IDENTIFIER", "standing": 3, "obeyed": 2, "refused": 1, "expected_cut": 90.0, "benign_accounts_touched": 4}  # fmt: skip
    graph = {
        "identifiers": [{"measures": 1}, {"measures": 0}],
        "accounts": [{"holds": holds, "requests_per_day": volume} for holds, volume in (([0], 70.0), ([0, 1], 0.0), ([1], 500.0))],
    }  # fmt: skip
    first, second = token_lines([asked], graph, WeakLinksConfig())
    assert first.startswith(
        "BLOCK_IDENTIFIER: 3 stand on identifiers, 2 carried out, 1 refused or disputed; meant to cut 90"
    )
    assert "benign accounts touched: 4; the next plan counts on 40%" in first
    assert second.startswith(
        "of 2 accounts on the picture with an identifier under a measure, 1 still make requests: 70 a day"
    )
    assert token_lines([], graph, WeakLinksConfig()) == []


def test_one_is_told_as_one() -> None:
    """Of every kind whose words are plural."""
    assert [kind_words(kind, 1) for kind in ("IP", "CARD", "PROMPT", "TLS")] == ["address", "card", "prompt template", "TLS fingerprint"]  # fmt: skip
    assert kind_words("IP", 2) == kind_words("IP") == "addresses"
