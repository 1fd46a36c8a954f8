"""The closed loop: its figures on hand-made outcomes, and Weaklink itself in a small world that answers back."""

from datetime import datetime

import polars as pl
import pytest

from tests.evaluation.cases import at
from weaklink.enforce.action import Action, State, Target
from weaklink.evaluation.loop import Decider, first_issue, loop_figures
from weaklink.settings import Settings
from weaklink.sim.offline import LoopOutcome, closed_loop
from weaklink.sim.parties import Toll
from weaklink.sim.presets import preset

TRUTH = pl.DataFrame(
    {"party": ["lab-a"] * 3, "account": ["bad-0", "bad-1", "good"], "campaign": ["heron", "heron", None]}
)


def action(account: str, issued_at: datetime, measure: str = "SUSPEND", campaign: str = "c-1") -> Action:
    us = int(issued_at.timestamp() * 1e6)
    return Action(
        "a",
        campaign,
        measure,
        Target("lab-a", account=account),
        State.ACTIVE,
        1,
        1,
        us,
        us,
        us,
        us,
        us,
        0.9,
        (),
        1.0,
        0,
    )


def requests(*rows: tuple[float, int]) -> pl.DataFrame:
    made = [("heron", at(hours), many) for hours, many in rows]
    return pl.DataFrame(made, schema=["operator", "occurred_at", "requests"], orient="row")


def test_the_first_plan_is_the_earliest_of_the_operators_own_campaigns_and_watching_is_none() -> None:
    """What another's campaign asks about one of its accounts, and what only observes, does not count."""
    truth = pl.concat([TRUTH, TRUTH.with_columns(account="more-" + pl.col("account"), campaign=pl.lit("osprey"))])
    issued = [action("bad-1", at(9)), action("bad-0", at(5)), action("bad-0", at(2), "OBSERVE")]
    others = [action(f"more-bad-{i}", at(4), campaign="c-2") for i in range(2)] + [
        action("bad-1", at(1), campaign="c-2")
    ]
    assert first_issue(issued, truth) == {"heron": at(5)}
    assert first_issue([*issued, *others], truth) == {"heron": at(5), "osprey": at(1)}


def test_what_is_cut_is_counted_from_the_first_measure_on_and_replacements_count_against_it() -> None:
    """Without: 100 before and 400 after. With: the same 100, and 100 by replacements: three quarters cut, 60 % prevented."""
    outcome = LoopOutcome({"heron": 200}, {"heron": 500}, Toll(suspended={7}), 990, 10, TRUTH)
    free, made = requests((1, 100), (6, 400)), requests((1, 100), (8, 100))
    found = loop_figures(outcome, {"heron": at(5)}, free, made)
    assert found["loop_prevented"] == pytest.approx(0.6)
    assert found["loop_cut_after_measure"] == pytest.approx(0.75)
    assert found["loop_honest_lost"] == pytest.approx(0.01)
    assert found["loop_honest_suspended"] == 1


def test_an_operator_that_was_never_measured_is_cut_by_nothing() -> None:
    """No first measure, no share: undefined, not 0 and not 1."""
    outcome = LoopOutcome({"heron": 500}, {"heron": 500}, Toll(), 1, 0, TRUTH)
    found = loop_figures(outcome, {}, requests((1, 500)), requests((1, 500)))
    assert found["loop_cut_after_measure"] is None
    assert found["loop_prevented"] == 0


def test_weaklink_acts_in_the_loop_and_its_receipts_come_back() -> None:
    """In a small world campaigns are measured, parties answer, and no honest customer is suspended."""
    world = preset("small", 0.005).model_copy(update={"days": 14.0, "step_hours": 24.0})
    decider = Decider(world, Settings())
    outcome = closed_loop(world, 3, decider, 24 * 3600)
    assert decider.issued
    assert {item.answer for item in decider.actions()} & {"DONE"}
    assert not outcome.toll.suspended
    first = first_issue(decider.issued, outcome.truth)
    assert set(first) <= {operator.name for operator in world.operators}
    assert first
    told = decider.usage().join(outcome.truth.drop_nulls("campaign"), on=["party", "account"])
    assert told["requests"].sum() == sum(outcome.made.values())
