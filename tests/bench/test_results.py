"""What the benchmark writes: figures of every engine, those that could not be measured named, wrong output not hidden."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.build import Unavailable, build_java
from bench.engines import QUICK, all_engines
from bench.job import Dataset, Job, Outcome
from bench.peers import follow, last_status
from bench.processes import EngineFailed, Meter, Started
from bench.results import Result
from bench.run import Plan, _once, run
from bench.truth import Truth

from bench import report, results
from weaklink.kafka_options import KafkaConfig

_FIELDS = {
    "engine",
    "guarantee",
    "events",
    "events_per_second",
    "cpu_seconds",
    "broker_cpu_seconds",
    "peak_mib",
    "correct",
}


def outcome(seconds: float, wrong: list[str] | None = None, number: int = 1) -> Outcome:
    return Outcome(
        1_000_000, 1_000_000 + int(seconds * 1e6), 2 * seconds, seconds, 100.0 * seconds, wrong or [], number
    )


def four_results() -> list[Result]:
    """Right, wrong, failed, not to be had."""
    return [
        Result("weaklink", "exactly-once", "as shipped", 1000, [outcome(1), outcome(2), outcome(4)]),
        Result("flink-heap", "exactly-once", "tuned", 1000, [outcome(1), outcome(1, ["3 members were not said"])]),
        Result("quix", "exactly-once", "tuned", 500, [outcome(5)], failures=["round 2: EngineFailed: ended with 1"]),
        Result("faust", "at-least-once", "tuned", 20, unavailable="uv: no such package\nmore"),
    ]


def written(folder: Path) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = json.loads(results.write(four_results(), folder).read_text(encoding="utf-8"))
    return document


def test_results_have_every_field_and_every_engine(tmp_path: Path) -> None:
    """Rates per round, medians of processor seconds, the largest peak."""
    document = written(tmp_path)
    assert all(set(one) >= _FIELDS for one in document)
    first = document[0]
    assert first["events_per_second"] == [1000.0, 500.0, 250.0]
    assert (first["cpu_seconds"], first["broker_cpu_seconds"], first["peak_mib"]) == (4.0, 2.0, 400.0)
    assert first["cpu_us_per_event"] == 6_000
    assert [one["correct"] for one in document] == [True, False, False, None]


def test_the_table_hides_neither_wrong_output_nor_a_peer_that_is_missing(tmp_path: Path) -> None:
    """A line for each, and what was wrong below."""
    text = report.table(written(tmp_path))
    rows = rows_of(text)
    assert "| 500 (250 to 1,000) |" in rows["weaklink"]
    assert rows["weaklink"].endswith("| exact |")
    assert rows["flink-heap"].endswith("| WRONG |")
    assert rows["quix"].endswith("| exact, 1 failed |")
    assert rows["faust"].endswith("| not measured: uv: no such package |")
    assert "- **flink-heap** failed: 3 members were not said" in text
    assert "- **quix** failed: round 2: EngineFailed: ended with 1" in text


def rows_of(text: str) -> dict[str, str]:
    """First column of any table -> its line."""
    return {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}


def test_every_round_says_which_one_it_was(tmp_path: Path) -> None:
    """Whoever runs an engine knows; the engine does not."""

    class Sometimes:
        name, guarantee, configured, events_max = "weaklink", "exactly-once", "as shipped", None

        def prepare(self) -> None:
            """Nothing."""

        def run(self, job: Job) -> Outcome:
            if job.name == "2":
                raise EngineFailed("ended with 1")
            return outcome(1.0, number=0)

    result = Result.of(Sometimes(), 1000)
    topics_removed: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bench.topics.remove", lambda _, name: topics_removed.append(name))
        for number in (1, 2, 3):
            data = Dataset("events", 1000, 3000, Truth(np.empty(0, dtype=np.int64)))
            _once(Sometimes(), Job(str(number), KafkaConfig(), None, data, tmp_path / str(number)), result, number)
    assert [each["round"] for each in result.to_json()["rounds"]] == [1, 3]
    assert topics_removed == ["1", "2", "3"]


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    """So that a picture beside the documentation changes only when figures do."""
    document = written(tmp_path)
    assert report.draw(document, tmp_path / "one.svg")
    assert report.draw(document, tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "weaklink" in (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert not report.draw(document[3:], tmp_path / "none.svg")


def test_every_engine_has_a_name_of_its_own_and_says_how_it_is_set_up(tmp_path: Path) -> None:
    """And the quick form names engines that exist."""
    engines = all_engines(tmp_path, 512)
    names = [one.name for one in engines]
    assert len(set(names)) == len(names)
    assert set(QUICK) < set(names)
    assert all(one.configured and one.guarantee for one in engines)


def test_an_engine_that_there_is_not_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="no engine spark; there are "):
        run(Plan(100, 1, ("weaklink", "spark"), 512, tmp_path, tmp_path / "peers"))


def test_a_peer_that_cannot_be_built_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Maven there is no JVM peer, and nothing is left that looks like one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="is missing"):
        build_java("flink", tmp_path)
    assert not (tmp_path / "flink").exists()


def test_status_is_the_last_whole_line(tmp_path: Path) -> None:
    """Half a line, or one that a log has broken into, counts for nothing."""
    log = tmp_path / "log"
    log.write_text('STATUS {"read": 1}\nnoise\nSTATUS {"read": 2}\nSTATUS {"re', encoding="utf-8")
    assert last_status(log) == {"read": 2}
    log.write_text("noise\n", encoding="utf-8")
    assert last_status(log) is None


def script(tmp_path: Path, text: str) -> Started:
    return Started([sys.executable, "-u", "-c", text], tmp_path / "log")


def test_an_engine_is_done_when_all_is_read_and_folded(tmp_path: Path) -> None:
    """Not while pairs are under way."""
    line = 'print(\'STATUS {"first_us": 5, "last_us": %d, "read": 10, "sent": 30, "folded": %d}\')'
    text = f"import time\n{line % (6, 29)}\ntime.sleep(1)\n{line % (7, 30)}\ntime.sleep(60)"
    with script(tmp_path, text) as started:
        assert follow([started], 10) == (5, 7)


def test_an_engine_that_ends_too_early_has_failed(tmp_path: Path) -> None:
    """With what it read, and the end of its log."""
    with script(tmp_path, 'print("out of memory")') as started:
        started.wait(60)
        with pytest.raises(EngineFailed, match="out of memory"):
            follow([started], 10)


def test_the_meter_counts_children_and_what_has_ended(tmp_path: Path) -> None:
    """Processor time of a child counts, also after its end."""
    busy = "import time\nwhile time.process_time() < 1: pass\n"
    text = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {busy!r}])\ntime.sleep(0.3)"
    begun_us = time.time_ns() // 1000
    with script(tmp_path, text) as started, Meter([started.process], os.getpid()) as meter:
        started.wait(120)
    spent, _ = meter.spent(begun_us, time.time_ns() // 1000)
    assert 0.7 < spent < 3
    assert meter.peak_mib > 5


@pytest.mark.parametrize("name", ["librdkafka", "quix", "faust"])
def test_python_peers_compile_and_are_pinned(name: str) -> None:
    """Their packages are not here, their syntax can be checked; every requirement has its hash."""
    folder = Path(__file__).parents[2] / "bench" / "peers" / name
    for path in folder.glob("*.py"):
        ended = subprocess.run([sys.executable, "-c", f"compile(open({str(path)!r}).read(), 'x', 'exec')"], check=False)
        assert ended.returncode == 0
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and line[0].isalnum()]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
