"""The command end to end on a small world."""

import json
from pathlib import Path

from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.evaluation.batch import failures, run_all
from weaklink.evaluation.spec import DataFiles, RunSpec


def test_the_command_runs_keeps_and_resumes(tmp_path: Path) -> None:
    """Results and pictures are written; a second run with --resume does nothing again and says the same; a result of other code is made anew."""
    arguments = [
        "evaluate", "--worlds", "small,rings", "--seeds", "1", "--size", "0.01", "--tick", "1d", "--jobs", "1", "--out", str(tmp_path),
        "--no-ablations", "--cuts", "0", "--data", "/nowhere", "--resume",
    ]  # fmt: skip
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    assert "skipped rings: rings_events.parquet" in first.output
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (one,) = document["runs"]
    assert one["cost"]["memory_mib"] > 0
    assert set(one["baselines"]) >= {"components", "two_shared"}
    assert (tmp_path / "calibration.svg").exists() or not _matplotlib()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == document
    of_other_code = tmp_path / "runs" / "small-full-1001.json"
    kept = json.loads(of_other_code.read_text(encoding="utf-8"))
    of_other_code.write_text(json.dumps(kept | {"code": "of before"}), encoding="utf-8")
    assert CliRunner().invoke(app, arguments).exit_code == 0
    again = json.loads(of_other_code.read_text(encoding="utf-8"))
    assert again["code"] == kept["code"]
    assert again["figures"] == kept["figures"]
    (tmp_path / "results.json").unlink()
    gathered = CliRunner().invoke(app, ["evaluate", "--gather", "--out", str(tmp_path)])
    assert gathered.exit_code == 0, gathered.output
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["runs"] == [again]
    docs = tmp_path / "detection.md"
    docs.write_text("<!-- evaluate:detection -->\n<!-- /evaluate -->\n", encoding="utf-8")
    filled = CliRunner().invoke(app, ["evaluate", "--docs", str(docs), "--out", str(tmp_path)])
    assert filled.exit_code == 0, filled.output
    assert "| small |" in docs.read_text(encoding="utf-8")


def test_a_run_that_failed_is_known_to_whoever_gathers_and_stands_for_no_earlier_one(tmp_path: Path) -> None:
    """Until it is done again: its seed may be the one that breaks a bar."""
    folder, spec = tmp_path / "runs", RunSpec("nowhere", 1)
    folder.mkdir()
    (folder / f"{spec.name}.json").write_text("{}")
    (done,) = run_all([spec], DataFiles(tmp_path), folder, jobs=1, resume=False)
    assert done.error
    assert [path.name for path in folder.iterdir()] == ["nowhere-full-1.failed"]
    (failed,) = failures(folder)
    assert (failed["world"], failed["seed"]) == ("nowhere", 1)
    assert "nowhere" in failed["error"]


def _matplotlib() -> bool:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return False
    return bool(mpl.__version__)
