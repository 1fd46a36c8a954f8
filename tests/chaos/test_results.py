"""Rows and their file."""

import json
from pathlib import Path
from typing import Any

import pytest
from chaos.__main__ import line, run_one
from chaos.row import Row, write_results
from chaos.scale import FIFTH, FULL, SHORT, Scale

from chaos import faults


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
