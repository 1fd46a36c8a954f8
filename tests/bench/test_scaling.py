"""docs/scaling.md says what the arithmetic gives, and the simulation agrees with what the arithmetic takes for granted."""

from dataclasses import replace

import pytest
from bench.scaling import (
    DOCUMENT,
    RATES,
    Costs,
    Load,
    Policy,
    distinct_share,
    fullest,
    plan,
    single_owner_limit,
    tables,
    written,
)
from bench.scaling_simulation import Check, checks


@pytest.fixture(scope="module")
def found() -> list[Check]:
    return checks(distinct_share, fullest)


def test_the_simulation_agrees_with_the_arithmetic(found: list[Check]) -> None:
    assert [one.what for one in found if not one.agrees] == []
    assert not Check("", 1.06, 1.0, 0.05).agrees


def test_the_document_has_these_tables(found: list[Check]) -> None:
    """After a change: `python -m bench.scaling --write`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert written(text, tables(found)) == text
    with pytest.raises(ValueError, match="no table"):
        written(text.replace("<!-- needs -->", ""), tables(found))


def test_more_cost_takes_more_and_nobody_is_fuller_than_the_policy_lets_them() -> None:
    costs, load, policy = Costs(), Load(), Policy()
    for rate in RATES:
        one = plan(rate, costs, load, policy)
        assert one.ingest_workers * 1e6 * policy.utilisation >= rate * costs.ingest_us_per_event
        assert one.correlate_workers * 1e6 * policy.utilisation >= one.link_rows_per_second * costs.correlate_us_per_row
        assert one.correlate_workers <= one.link_partitions
        assert one.links / one.link_partitions <= policy.link_partition_links
        dearer = plan(rate, replace(costs, correlate_us_per_row=2 * costs.correlate_us_per_row), load, policy)
        assert dearer.correlate_workers > one.correlate_workers
        often = plan(rate, costs, replace(load, seconds_between_reports=1.0), policy)
        assert often.rows_per_event < one.rows_per_event
    limit = single_owner_limit(costs, load, policy)
    assert plan(limit, costs, load, policy).campaigns_cores == pytest.approx(policy.utilisation, rel=0.01)
