"""The reported campaigns: a world of the size that was reported, and what is told of a run."""

from importlib.util import find_spec
from pathlib import Path

from bench.campaign_full_pictures import draw
from bench.campaign_full_world import by_day, full_spec, until

from tests.prerequisites import require
from weaklink.sim.presets import scaled


def test_the_world_has_the_reported_operators_and_customers_by_the_hour() -> None:
    """A proxy network of 20,000 accounts at once, and one that keeps 8,500 for a month; every party adds usage up by the hour."""
    spec = full_spec()
    assert {one.name: one.accounts for one in spec.operators} == {"giant": 8_500, "hydra": 20_000}
    assert {party.window_seconds for party in spec.parties} == {3600}
    assert spec.days == 30
    assert full_spec(0.05) == scaled(spec, 0.05)


def test_running_totals_become_what_each_day_added() -> None:
    """A day that nobody noted added nothing, and what came meanwhile counts on the next one that was."""
    totals = {0: {"a": 5, "b": 0}, 1: {"a": 9, "b": 2}, 3: {"a": 9, "b": 7, "c": 1}}
    found = by_day(totals, 5)
    assert found == {"a": [5, 4, 0, 0, 0], "b": [0, 2, 0, 5, 0], "c": [0, 0, 0, 1, 0]}
    assert by_day({}, 3) == {}


def test_a_run_that_stopped_early_is_held_against_as_much_of_the_month() -> None:
    """Whole days, and the part of the one that it stopped in."""
    assert until([10, 20, 40], 0.0) == 0
    assert until([10, 20, 40], 1.5) == 20
    assert until([10, 20, 40], 3.0) == until([10, 20, 40], 30.0) == 70


def test_pictures_have_a_row_for_each_party_and_a_panel_for_each_operator(tmp_path: Path) -> None:
    """Also of a party that never acted."""
    require([] if find_spec("matplotlib") else ["matplotlib is not installed: pip install 'weaklink[evaluation]'"])
    summary = {
        "exchanges_by_day_without_measures": {"giant": [10, 20, 30], "hydra": [5, 5, 5]},
        "exchanges_by_day_with_measures": {"giant": [10, 4, 0], "hydra": [5, 1, 0]},
        "answers_by_day": {"lab-atlas": [0, 3, 9], "pay-lumen": [0, 0, 0]},
        "party_first_acted_day": {"lab-atlas": 1.2},
    }
    exchanges, parties = (path.read_text(encoding="utf-8") for path in draw(summary, tmp_path))
    assert "giant" in exchanges
    assert "without: 60" in exchanges
    assert "with: 6" in exchanges
    assert "lab-atlas" in parties
    assert "pay-lumen" in parties
