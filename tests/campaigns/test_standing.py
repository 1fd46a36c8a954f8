"""What stands is proposed again exactly when policy would decide otherwise on it."""

from typing import Any

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
