"""Whole runs on small worlds: the command end to end, and the short form of the evaluation that holds detection to its bars."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.evaluation.bars import BARS
from weaklink.evaluation.one_run import run
from weaklink.evaluation.spec import DataFiles, RunSpec

NO_DATA = DataFiles(Path("/nowhere"))
SIZE = 0.1
SHORT = ("base", "framing_two", "resellers", "no_campaign")
"""Worlds of the short form. They are far smaller and ticked more coarsely than what the bars are for, so that not every bar is."""
HELD = (
    "precision", "recall_worst", "benign_suspended", "victims_suspended", "resellers_suspended", "flagged", "purity",
    "causal_agreement",
)  # fmt: skip
"""Metrics that are held to their bars in the short form; time (`prevented`) and volume need the default tick."""


def test_the_command_runs_keeps_and_resumes(tmp_path: Path) -> None:
    """Results and pictures are written; a second run with --resume does nothing again and says the same."""
    arguments = [
        "evaluate", "--worlds", "small,rings", "--seeds", "1", "--size", "0.05", "--tick", "12h", "--jobs", "1", "--out", str(tmp_path),
        "--no-ablations", "--cuts", "0", "--data", "/nowhere", "--resume",
    ]  # fmt: skip
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    assert "skipped rings: rings_events.parquet" in first.output
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (one,) = document["runs"]
    assert one["cost"]["memory_mib"] > 0
    assert set(one["baselines"]) >= {"components", "two_shared"}
    assert (tmp_path / "exchanges.svg").exists() or not _matplotlib()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == document
    docs = tmp_path / "detection.md"
    docs.write_text("<!-- evaluate:detection -->\n<!-- /evaluate -->\n", encoding="utf-8")
    filled = CliRunner().invoke(app, ["evaluate", "--docs", str(docs), "--out", str(tmp_path)])
    assert filled.exit_code == 0, filled.output
    assert "| small |" in docs.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=SHORT)
def short(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Figures of one world of the short form."""
    spec = RunSpec(request.param, seed=101, size=SIZE, tick_seconds=24 * 3600, cuts=1)
    return request.param, run(spec, NO_DATA)["figures"]


def test_detection_holds_its_bars_on_small_worlds(short: tuple[str, dict[str, Any]]) -> None:
    """The short form of `make evaluate`: a figure that drops below its bar fails here."""
    world, figures = short
    held = [bar for bar in BARS if bar.world == world and bar.metric in HELD]
    assert held
    missed = [
        f"{bar.metric} {figures[bar.metric]}, bar {bar.value}" for bar in held if not bar.holds(figures[bar.metric])
    ]
    assert not missed, f"{world}: {'; '.join(missed)}"


def _matplotlib() -> bool:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return False
    return bool(mpl.__version__)
