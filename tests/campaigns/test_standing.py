"""What stands is proposed again exactly when policy would decide otherwise on it."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.campaigns.test_track import measure
from weaklink.campaigns import standing
from weaklink.campaigns.standing import Thresholds
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.policy import granted_measure

POLICIES = st.builds(
    EnforceConfig,
    challenge_confidence_min=st.sampled_from((0.3, 0.5)),
    suspend_confidence_above=st.sampled_from((0.8, 0.9)),
    suspend_supporting_parties_min=st.integers(1, 4),
)


TOKEN = bytes((4, 1)) + (7).to_bytes(8, "little") + bytes(6)  # of the identifier 7
X = ("lab-a", "x")
BLOCK = measure(None, "BLOCK_IDENTIFIER", token=TOKEN)


def changed(before: list[Any], planned: list[Any], **given: Any) -> list[tuple[str, str]]:
    """Measures that a new plan issues and withdraws, one microsecond after those before it."""
    rest: dict[str, Any] = {"members": {X}, "spared": set(), "identifiers": set(), "refused": set()}
    _, found = standing.changes(
        before, planned, now_us=1, reissue_us=100, thresholds=standing.DEFAULT_THRESHOLDS, **(rest | given)
    )
    return [(one["op"], one["measure"]) for one in found]


def evidence(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    return measure(
        "x",
        kind,
        confidence=draw(st.sampled_from((0.25, 0.4, 0.5, 0.75, 0.85, 0.9, 0.95))),
        supporting_parties=draw(st.integers(0, 4)),
        own_finding=draw(st.booleans()),
        hard_identifier=draw(st.booleans()),
        established=draw(st.booleans()),
        from_plan=draw(st.booleans()),
    )


@given(st.data(), POLICIES, st.sampled_from(("CHALLENGE", "SUSPEND", "REVOKE_LEASE", "BLOCK_IDENTIFIER")))
def test_what_policy_would_grant_otherwise_now_is_proposed_again(
    data: st.DataObject, policy: EnforceConfig, kind: str
) -> None:
    """With whatever thresholds it is set up: else the milder measure would stay for days."""
    before, now = (st.composite(evidence)(kind) for _ in range(2))
    stands, planned = data.draw(before), data.draw(now)
    stronger = planned | {
        name: max(stands[name], planned[name])
        for name in ("confidence", "supporting_parties", "own_finding", "hard_identifier", "from_plan")
    }
    stronger["established"] = stands["established"] and planned["established"]
    assume(granted_measure(stands, policy) != granted_measure(stronger, policy))
    _, changed = standing.changes(
        [stands],
        [planned],
        members={("lab-a", "x")},
        spared=set(),
        identifiers=set(),
        refused=set(),
        now_us=1,
        reissue_us=100,
        thresholds=Thresholds.of(policy),
    )
    assert [one["op"] for one in changed] == ["ISSUE"]


def test_the_thresholds_are_by_default_those_of_enforce() -> None:
    """Two tables of them, as no stage may know another's settings."""
    assert Thresholds.of(EnforceConfig()) == standing.DEFAULT_THRESHOLDS


@pytest.mark.parametrize(("asked", "target"), [(measure("x"), b"x"), (BLOCK, TOKEN)])
def test_what_was_refused_is_not_asked_for_again(asked: dict[str, Any], target: bytes) -> None:
    """New or standing, on an account or on an identifier; refusing one measure refuses no other, nor another party's."""
    refused = {("lab-a", asked["measure"], target)}
    assert changed([], [asked], refused=refused) == []
    assert changed([asked], [], identifiers={7}, refused=refused) == [("WITHDRAW", asked["measure"])]
    others = {("lab-a", "THROTTLE", target), ("lab-b", asked["measure"], target)}
    assert changed([], [asked], refused=others) == [("ISSUE", asked["measure"])]


def test_a_suspension_does_not_outlast_the_moment_when_its_account_is_spared() -> None:
    """Anything milder stands on a reseller that is no member."""
    spared: dict[str, Any] = {"members": set(), "spared": {X}}
    assert changed([measure("x")], [], **spared) == [("WITHDRAW", "SUSPEND")]
    assert changed([measure("x", "THROTTLE")], [], **spared) == []


def test_an_identifier_stays_blocked_while_a_member_holds_it() -> None:
    """And no longer; members that hold others do not count."""
    assert changed([BLOCK], [], identifiers={7}) == []
    assert changed([BLOCK], [], identifiers={8}) == [("WITHDRAW", "BLOCK_IDENTIFIER")]


def test_leases_of_a_lessee_outside_the_campaign_stay_taken() -> None:
    """It never was a member. One that was, as its hard identifier tells, gets them back once it has left."""
    outside, member = (measure("x", "REVOKE_LEASE", hard_identifier=hard) for hard in (False, True))
    assert changed([outside], [], members=set()) == []
    assert changed([member], [], members=set()) == [("WITHDRAW", "REVOKE_LEASE")]
    assert changed([measure("x", hard_identifier=False)], [], members=set()) == [("WITHDRAW", "SUSPEND")]


@pytest.mark.parametrize(
    ("ground", "weak", "strong"),
    [
        ("confidence", 0.4, 0.7),
        ("confidence", 0.9, 0.95),
        ("supporting_parties", 1, 2),
        ("own_finding", False, True),
        ("hard_identifier", False, True),
        ("established", True, False),
        ("from_plan", False, True),
    ],
)
def test_a_measure_is_proposed_again_for_a_stronger_ground_and_never_for_a_weaker(
    ground: str, weak: float, strong: float
) -> None:
    """Grounds waver from one evaluation to the next; what once spoke for a measure goes on doing so."""
    without, with_it = ({**BLOCK, ground: value} for value in (weak, strong))
    assert changed([without], [with_it]) == [("ISSUE", "BLOCK_IDENTIFIER")]
    assert changed([with_it], [without]) == []
    (stands,) = standing.changes(
        [with_it], [without], members=(), spared=(), identifiers=(), refused=(), now_us=100, reissue_us=100,
        thresholds=standing.DEFAULT_THRESHOLDS,
    )[0]  # fmt: skip
    assert stands[ground] == strong


def test_only_measures_upstream_need_a_plan_behind_them() -> None:
    """A suspension that the plan now asks for, too, says nothing new to policy."""
    assert changed([measure("x", from_plan=False)], [measure("x")]) == []


def test_of_two_measures_on_one_target_the_more_severe_stands() -> None:
    """What stands gives way to one as severe, or more so, and to no milder one; another party's target is another one."""
    observe, throttle, suspend, revoke = (measure("x", kind) for kind in ("OBSERVE", "THROTTLE", "SUSPEND", "REVOKE_LEASE"))  # fmt: skip
    assert changed([throttle], [suspend]) == [("WITHDRAW", "THROTTLE"), ("ISSUE", "SUSPEND")]
    assert changed([suspend], [revoke]) == [("WITHDRAW", "SUSPEND"), ("ISSUE", "REVOKE_LEASE")]
    assert changed([suspend], [throttle]) == changed([throttle], [observe]) == []
    assert changed([suspend], [throttle, revoke]) == [("WITHDRAW", "SUSPEND"), ("ISSUE", "REVOKE_LEASE"), ("ISSUE", "THROTTLE")]  # fmt: skip
    elsewhere = throttle | {"party": "lab-b"}
    assert changed([suspend], [elsewhere]) == [("ISSUE", "THROTTLE")]


def test_newcomers_get_what_nobody_refused_where_nothing_stands() -> None:
    """Neither a refused measure, nor any on a target that has one, however mild; another party's account of that name is another one."""
    stands = measure("x", "OBSERVE")
    elsewhere, fresh, refused = measure("x", party="lab-b"), measure("y"), measure("z")
    stand, issued = standing.added([stands], [measure("x"), refused, fresh, elsewhere], {("lab-a", "SUSPEND", b"z")}, 5)
    assert [one["target_account"] for one in issued] == ["y", "x"]
    assert {(one["op"], one["issued_at_us"]) for one in issued} == {("ISSUE", 5)}
    assert [(one["party"], one["target_account"]) for one in stand] == [X, ("lab-a", "y"), ("lab-b", "x")]
