"""The closed loop without Kafka: deciders see what is told and no more, and what they issue takes effect."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from weaklink.partner.models import EnforcementAction
from weaklink.sim.enforced import EnforcedWorld
from weaklink.sim.offline import LoopOutcome, Seen, closed_loop
from weaklink.sim.presets import preset
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.spec import DAY_US
from weaklink.sim.worlds import World, generate

SPEC = preset("small", 0.005).model_copy(update={"step_hours": 24.0, "days": 12.0})
SEED = 3
TICK_SECONDS = 12 * 3600


def action(party: str, at_us: int, measure: str = "SUSPEND", **more: Any) -> EnforcementAction:
    """An action of which a party needs only the target."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    fields = {
        "action_id": f"{measure}-{party}-{sorted(more.items(), key=str)}", "revision": 1, "state": "ACTIVE", "party": party,
        "campaign_id": "c-1", "measure": measure, "issued_at": at, "expires_at": at, "respond_by": at, "evidence_at": at,
        "confidence": 0.99, "expected_cut": 1.0, "benign_accounts_touched": 0, "tlp": "AMBER_STRICT",
    }  # fmt: skip
    return EnforcementAction.model_validate(fields | more)


def run(everything: bool) -> tuple[LoopOutcome, list[Seen]]:
    """Suspend every account that uses the campaign's lab as soon as it does; or nobody."""
    seen: list[Seen] = []
    lab = SPEC.operators[0].parties[0]

    def decide(tick: Seen) -> list[EnforcementAction]:
        seen.append(tick)
        users = tick.events.filter(event_type="ApiUsage", party=lab)["account"].unique().sort()
        return [action(lab, tick.end_us, target_account=name) for name in users] if everything else []

    return closed_loop(SPEC, SEED, decide, TICK_SECONDS), seen


def test_without_actions_the_world_is_the_one_without_enforcement() -> None:
    """The loop told in ticks adds up to the world told at once: same events, same exchanges."""
    outcome, seen = run(everything=False)
    assert outcome.made == outcome.free
    assert outcome.prevented_share == 0
    assert outcome.honest_requests_lost == 0
    whole = generate(SPEC, SEED)
    told = pl.concat(tick.events for tick in seen)
    keys = ["party", "account", "occurred_at", "event_type", "requests"]
    # Leases and openings of a step's last moments may lie behind the world's end, which `generate` cuts off.
    told = told.filter(pl.col("occurred_at") <= whole.events["occurred_at"].max())
    assert told.select(keys).sort(keys).equals(whole.events.select(keys).sort(keys))
    assert outcome.truth.equals(whole.truth)


def test_a_tick_shows_nothing_of_the_future() -> None:
    """Each tick ends where it says, and begins where the one before ended."""
    _, seen = run(everything=False)
    assert seen[0].end_us == SPEC.start_us
    for before, tick in pairwise(seen):
        at = tick.events["occurred_at"].dt.timestamp("us")
        assert tick.end_us - before.end_us == TICK_SECONDS * 1_000_000
        assert (at < tick.end_us).all()
        assert tick.events["identifiers"].dtype == pl.List(pl.Binary)


def test_suspensions_stop_operators_and_harm_is_counted() -> None:
    """Suspending every user of the lab costs the campaign much, replacements included, and every honest customer's loss is on the bill."""
    outcome, seen = run(everything=True)
    assert outcome.prevented_share > 0.25
    assert len(outcome.toll.suspended) > 20
    assert outcome.honest_requests_lost > 0
    assert sum(len(tick.answers) for tick in seen) > len(outcome.toll.suspended)


def test_ticks_must_divide_the_operators_steps() -> None:
    """A tick across a step's boundary would see moves that nobody has made yet."""
    with pytest.raises(ValueError, match="do not divide"):
        closed_loop(SPEC, SEED, lambda _: [], 7 * 3600)


def test_what_is_replayed_late_is_told_late() -> None:
    """Repeats that are due in a later step appear there, and not before."""
    spec = preset("replay", 0.01).model_copy(update={"step_hours": 24.0, "days": 9.0, "operators": ()})
    under = EnforcedWorld(World(spec, SEED), Restrictions())
    under.history()
    parts = [(start, under.events(start, end)) for start, end in under.slices(DAY_US)]
    told = pl.concat(part for _, part in parts)
    real = World(spec, SEED).benign.filter(pl.col("occurred_at_us") >= spec.start_us)
    assert told.height > 1.02 * real.height
    late = sum((part["occurred_at_us"] < start).sum() for start, part in parts)
    assert late > 0
    assert all((part["occurred_at_us"] < start + DAY_US).all() for start, part in parts)
