"""docs/scaling.md says what the arithmetic gives, and the simulation agrees with what the arithmetic takes for granted."""

from dataclasses import replace

import numpy as np
import pytest
from bench.scaling import (
    DOCUMENT,
    RATES,
    Costs,
    Load,
    Policy,
    distinct_share,
    fullest,
    ids_bytes,
    plan,
    reread_seconds,
    single_owner_limit,
    tables,
    written,
)
from bench.scaling_simulation import Check, checks

from weaklink.ingest.dedupe import IdWindow, Memory


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
        assert one.event_partitions >= max(one.ingest_workers, rate / policy.event_partition_events_per_second)
        assert one.snapshot_copy_bytes <= policy.link_partition_links * 56
        assert one.links / one.link_partitions <= policy.link_partition_links
        dearer = plan(rate, replace(costs, correlate_us_per_row=2 * costs.correlate_us_per_row), load, policy)
        assert dearer.correlate_workers > one.correlate_workers
        often = plan(rate, costs, replace(load, seconds_between_reports=1.0), policy)
        assert often.rows_per_event < one.rows_per_event
    limit = single_owner_limit(costs, load, policy)
    assert plan(limit, costs, load, policy).campaigns_cores == pytest.approx(policy.utilisation, rel=0.01)


def test_event_ids_take_what_ingests_own_tables_do() -> None:
    """Once both are full, whatever comes then: 40 MiB each for a million."""
    memory = Memory(1 << 30)
    window = IdWindow(1_000, memory)
    ids = np.random.default_rng(1).integers(1, 1 << 62, (5_000, 2))
    for begin in range(0, 5_000, 100):
        window.add(ids[begin : begin + 100], np.arange(begin, begin + 100))
    assert memory.held_bytes == ids_bytes(1_000)
    assert ids_bytes(Policy().duplicate_window_offsets) == 2 * 40 << 20


def test_who_takes_partitions_of_ingest_reads_the_window_of_each_again() -> None:
    """Shared among those that are left; one that is alone reads all of them again when it comes back."""
    costs, policy = Costs(ingest_us_per_record_read_again=2.0), Policy(duplicate_window_offsets=500_000)
    assert reread_seconds(40, 1, costs, policy) == 40.0
    assert reread_seconds(40, 2, costs, policy) == 20.0
    assert reread_seconds(40, 4, costs, policy) == 4.0
    assert reread_seconds(40, 40, costs, policy) == 1.0


def test_correlate_costs_what_its_growth_was_measured_with() -> None:
    """Rounded up from the rates at ten million links that docs/performance.md has."""
    rates = (1_561_000, 1_732_000)
    text = (DOCUMENT.parent / "performance.md").read_text(encoding="utf-8")
    assert f"| 10 million | {rates[0]:,} to {rates[1]:,} |" in text
    assert 0 <= Costs().correlate_us_per_row - 1e6 / min(rates) < 0.05
