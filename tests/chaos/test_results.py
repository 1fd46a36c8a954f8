"""Rows and their file."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaos.__main__ import line, main, run_of, run_one
from chaos.lab import Lab
from chaos.row import Row, write_results
from chaos.scale import FIFTH, FULL, SHORT, Scale

from chaos import faults
from tests.chaos.short_forms import unharmed


def row(fault: str, **figures: int) -> Row:
    values: dict[str, Any] = {
        "trials": 2,
        "events": 10,
        "lost": 0,
        "duplicate_effects": 0,
        "rejected_wrongly": 0,
    } | figures
    return Row(fault, **values, stall_seconds_max=1.26, memory_growth_mib=3.0)


def test_a_row_fails_by_any_of_the_three_counts_and_by_bars_of_its_own() -> None:
    """Zero is the only good count."""
    assert row("brokers").failures() == []
    for name in ("lost", "duplicate_effects", "rejected_wrongly"):
        assert row("brokers", **{name: 1}).failures() == [f"{name} is 1"]
    slow = row("brokers")
    slow.bar(True, "held")
    slow.bar(False, "too slow")
    assert slow.failures() == ["too slow"]
    assert "MISSED: too slow" in line(slow)


def test_bars_of_seconds_are_bars_and_are_known_as_such() -> None:
    """The short forms, on machines with other work, leave out just these."""
    slow = row("brokers")
    slow.bar(False, "no load")
    slow.bar(False, "too slow", timing=True)
    assert (slow.failures(), slow.timing) == (["no load", "too slow"], ["too slow"])
    with pytest.raises(AssertionError, match="no load"):
        unharmed(slow)
    slow.missed.remove("no load")
    unharmed(slow)
    with pytest.raises(AssertionError):
        unharmed(slow, stall_seconds_max=1.0)


def test_a_run_of_all_faults_that_takes_too_long_misses_a_bar() -> None:
    """However well every fault held; a run of some has no such bar, and the short form none at all."""
    held = dict.fromkeys(faults.names(), True)
    assert run_of(held, FIFTH, 50 * 60)["missed"] == []
    assert run_of(held, FIFTH, 51 * 60)["missed"] == ["the run took 51.0 minutes, 50 are allowed"]
    assert run_of(held, FULL, 151 * 60)["missed"] == ["the run took 151.0 minutes, 150 are allowed"]
    assert run_of({"zombie": True}, FIFTH, 51 * 60)["missed"] == []
    assert run_of(held, SHORT, 51 * 60)["missed"] == []
    assert run_of(held | {"zombie": False}, FIFTH, 60.0)["missed"] == ["zombie did not hold its bars"]


def test_the_exit_status_counts_minutes_and_the_run_has_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """run.json beside results.json, each row with the seconds of its fault and the seed that it was drawn from."""
    monkeypatch.setattr(faults, "load", lambda name: lambda _folder, scale: Row(name, 1, scale.seed, 0, 0, 0, 0.0, 0.0))
    monkeypatch.setattr(sys, "argv", ["chaos", "--folder", str(tmp_path), "--seed", "17"])
    assert main() == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["whole"], run["seed"], run["minutes_max"], run["missed"]) == (True, 17, 50, [])
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {(one["events"], one["seconds"]) for one in rows} == {(17, 0)}
    monkeypatch.setattr("chaos.__main__.FIFTH", replace(FIFTH, minutes_max=-1))
    assert main() == 1


def test_what_grows_with_the_counts_is_waited_for_as_much_longer() -> None:
    """A million events take five times as long as a fifth of them."""
    patience = {scale.name: Lab(Path(), scale=scale).patience_seconds for scale in (SHORT, FIFTH, FULL)}
    assert patience == {"short": 300, "fifth": 300, "full": 1500}


def test_a_row_of_the_file_has_the_fields_that_its_readers_ask_for(tmp_path: Path) -> None:
    """Numbers under these names, whatever else a fault adds; a list of such rows and nothing around it."""
    path = tmp_path / "results.json"
    write_results(path, [row("members").to_json()], faults.ORDER)
    (found,) = json.loads(path.read_text())
    names = (
        "trials",
        "events",
        "lost",
        "duplicate_effects",
        "rejected_wrongly",
        "stall_seconds_max",
        "memory_growth_mib",
    )
    assert found["fault"] == "members"
    assert [found[name] for name in names] == [2, 10, 0, 0, 0, 1.3, 3.0]


def test_a_run_of_some_faults_replaces_only_their_rows(tmp_path: Path) -> None:
    """The file has every fault's newest row, in the faults' order."""
    path = tmp_path / "chaos" / "results.json"
    write_results(path, [row("members").to_json(), row("zombie", lost=3).to_json()], faults.ORDER)
    write_results(path, [row("zombie").to_json(), row("kill_services").to_json()], faults.ORDER)
    found = json.loads(path.read_text())
    assert [one["fault"] for one in found] == ["kill_services", "zombie", "members"]
    assert [one["lost"] for one in found] == [0, 0, 0]
    assert found[0]["stall_seconds_max"] == 1.3


def test_a_fault_that_does_not_come_to_its_end_has_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the file would show only what held."""

    def fails(_folder: Path, _scale: Scale) -> Row:
        raise RuntimeError("no broker\nand more")

    monkeypatch.setattr(faults, "load", lambda _name: fails)
    assert not run_one("zombie", tmp_path, SHORT)
    (found,) = json.loads((tmp_path / "results.json").read_text())
    assert (found["fault"], found["scale"]) == ("zombie", "short")
    assert found["missed"] == ["it did not come to its end: RuntimeError: no broker"]


def test_the_document_tells_of_every_fault() -> None:
    """What is not in docs/chaos.md nobody knows to run."""
    document = (Path(faults.__file__).parents[2] / "docs" / "chaos.md").read_text(encoding="utf-8")
    assert [name for name in faults.ORDER if f"| `{name}` |" not in document] == []


def test_a_scale_gives_no_less_than_its_share() -> None:
    """A fifth of three kills is one; the short form has counts of its own."""
    assert [scale.count(25, 2) for scale in (SHORT, FIFTH, FULL)] == [2, 5, 25]
    assert FIFTH.count(3, 1) == 1


def test_every_fault_that_is_there_has_its_place() -> None:
    """A module without a place in the order would never be run."""
    folder = Path(faults.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == set(faults.names())
    assert modules <= set(faults.ORDER)
