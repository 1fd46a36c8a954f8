"""Weaklink beside every engine: compared round by round, whatever failed, and held to the bars."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.results import Result

from bench import bars, report
from tests.bench.test_results import outcome, rows_of, written


def measured(engine: str, seconds: dict[int, float], **more: list[str]) -> dict[str, Any]:
    """An engine that took so many seconds for 1,000 events in each of these rounds; processor seconds are three times as many."""
    outcomes = [outcome(taken, more.get("wrong") if number == 1 else None, number) for number, taken in seconds.items()]
    return Result(engine, "exactly-once", "tuned", 1000, outcomes, more.get("failures", [])).to_json()


def test_rounds_are_compared_with_themselves_although_one_failed() -> None:
    """Weaklink's second round failed: its third stands beside the third of others, not beside their second."""
    document = [
        measured("raw-librdkafka-python", {1: 0.6, 2: 0.1, 3: 0.5}),
        measured("weaklink", {1: 1.0, 3: 1.0}, failures=["round 2: EngineFailed: ended with 1"]),
        measured("weaklink-ingest", {1: 0.75, 2: 0.125, 3: 0.75}),
        measured("flink-heap", {1: 1.0, 2: 8.0, 3: 3.0}),
        measured("kafka-streams-tuned-memory", {1: 9.0, 2: 2.0, 3: 2.5}, wrong=["3 members were not said"]),
        measured("quix", {2: 1.0}),
    ]
    rows = rows_of(report.table(document))
    assert rows["raw-librdkafka-python"].endswith("| .60, -, .50 | exact |")
    assert rows["weaklink"].endswith("|  | exact, 1 failed |")
    assert rows["flink-heap"].endswith("| 1.00, -, 3.00 | exact |")
    assert rows["kafka-streams-tuned-memory"].endswith("| -, -, 2.50 | WRONG |")
    assert rows["of plain reception by librdkafka in Python"].endswith("| at least .60 | no: .55 | .60, -, .50 |")
    assert rows["ingest alone, of plain reception by librdkafka in Python"].endswith(
        "| at least .70 | no: .67 | .80, .80, .67 |"
    )
    assert rows["times Flink, heap state"].endswith("| at least 1.50 | **yes**: 1.50 | 1.00, -, 3.00 |")
    assert rows["times Kafka Streams tuned, in memory"].endswith("| at least 2.50 | **yes**: 2.50 | -, -, 2.50 |")
    assert rows["times Kafka Streams tuned, RocksDB"].endswith("| at least 4.00 | not measured |  |")
    assert rows["times Quix Streams"].endswith("| not measured: no round in which both ended right |  |")
    processor = rows["of the processor time an event of Flink, heap state, broker included"]
    assert processor.endswith("| at most .33 | no: .50 | 1.00, -, .33 |")


def test_a_bar_is_reached_exactly_where_it_stands() -> None:
    """Whether it says at least or at most."""
    bars_by_name = {(bar.other, bar.own): bar for bar in bars.BARS if bar.least}
    assert bars_by_name["quix", "weaklink"].is_reached(40.0)
    assert not bars_by_name["quix", "weaklink"].is_reached(39.9)
    assert bars.BARS[-1].is_reached(1 / 3)
    assert not bars.BARS[-1].is_reached(0.34)


def test_results_that_do_not_say_their_rounds_are_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions wrote them: no ratios, no bars, everything else."""
    document = written(tmp_path)
    for one in document:
        for each in one["rounds"]:
            del each["round"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["report", str(path)])
    assert report.main() == 0
    text = capsys.readouterr().out
    assert bars.WITHOUT_ROUNDS in text
    assert "at least" not in text
    assert "| 500 (250 to 1,000) |" in rows_of(text)["weaklink"]
