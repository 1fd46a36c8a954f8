"""From runs to results.json, the bars and the tables of the document."""

import json
from pathlib import Path
from typing import Any

import pytest

from weaklink.errors import ConfigurationError
from weaklink.evaluation.ablations import ABLATIONS, ablated
from weaklink.evaluation.bars import BARS, WORLDS, Bar
from weaklink.evaluation.document import BLOCKS, fill
from weaklink.evaluation.plan import Options, specs_of
from weaklink.evaluation.results import collect, judge_bar, read, summarise, write
from weaklink.evaluation.spec import MONTH, REAL, DataFiles, RunSpec
from weaklink.evaluation.worlds import world_names
from weaklink.settings import Settings

NO_DATA = DataFiles(Path("/nowhere"))


def run(world: str, seed: int, variant: str = "full", **figures: float | None) -> dict[str, Any]:
    return {
        "spec": RunSpec(world, seed, variant=variant).to_json(),
        "code": "0123456789ab",
        "figures": figures,
        "campaigns": [],
        "baselines": {"components": {"precision": 0.05, "recall": 1.0}} if variant == "full" else {},
        "curves": {},
        "cost": {"run_cpu_seconds": 2.0},
    }


def options(*worlds: str, **changes: Any) -> Options:
    fields: dict[str, Any] = {
        "seeds": (1, 2, 3), "size": 0.5, "family": "testing", "tick_seconds": 3600, "baselines": True,
        "ablation_worlds": ("base",), "ablation_seeds": 1, "loop_worlds": ("base",), "loop_seeds": 1, "loop_size": 0.1, "cuts": 2, "cut_seeds": 1,
    }  # fmt: skip
    return Options(worlds=worlds, **(fields | changes))


def test_medians_are_over_the_seeds_that_define_a_figure() -> None:
    """An undefined figure is left out, not counted as 0."""
    table = summarise([run("base", 1, precision=1.0), run("base", 2, precision=0.5), run("base", 3, precision=None)])
    assert table["base", "full", "precision"].median == 0.75
    assert table["base", "full", "precision"].seeds == 2
    assert table["base", "baseline:components", "precision"].median == 0.05
    assert ("base", "full", "recall") not in table


def test_a_zero_must_hold_on_every_seed_and_other_bars_at_the_median() -> None:
    """One suspension on one of three seeds breaks the bar; one bad precision of three does not."""
    runs = [
        run("base", seed, precision=p, benign_suspended=n) for seed, p, n in ((1, 1.0, 0), (2, 0.9, 0), (3, 1.0, 1))
    ]
    table = summarise(runs)
    assert judge_bar(Bar("base", "precision", "at least", 0.99, seeds_min=3), table)["reached"]
    zero = judge_bar(Bar("base", "benign_suspended", "at most", 0, every_seed=True, seeds_min=3), table)
    assert not zero["reached"]
    assert zero["value"] == zero["missing"] == 1


def test_a_bar_is_not_reached_on_too_few_seeds_or_beside_a_run_that_failed() -> None:
    """The seed that failed, or was never run, may be the one that breaks it."""
    runs = [run("base", seed, precision=1.0) for seed in range(1, 11)]
    bar = Bar("base", "precision", "at least", 0.99)
    assert judge_bar(bar, summarise(runs))["reached"]
    assert not judge_bar(bar, summarise(runs[:9]))["reached"]
    failure = {"world": "base", "variant": "full", "seed": 11, "error": "no memory"}
    rows = {(row["world"], row["metric"]): row for row in collect(runs, [failure], [])["bars"]}
    assert rows["base", "precision"]["value"] == 1
    assert not rows["base", "precision"]["reached"]


def test_runs_of_other_sizes_ticks_or_families_make_no_median_and_worlds_for_tuning_reach_no_bar() -> None:
    """A bar is of one thing, on worlds that nothing was fitted on."""
    runs = [run("base", seed, precision=1.0) for seed in range(1, 11)]
    small = runs[0] | {"spec": runs[0]["spec"] | {"size": 0.03}}
    with pytest.raises(
        ConfigurationError, match=r"base-full-1: size 0\.03.*base-full-2: size 0\.25.*folders of their own"
    ):
        collect([small, *runs[1:]], [], [])
    tuning = [one | {"spec": one["spec"] | {"family": "tuning"}} for one in runs]
    rows = {(row["world"], row["metric"]): row for row in collect(tuning, [], [])["bars"]}
    assert rows["base", "precision"]["value"] == 1
    assert rows["base", "precision"]["why_not"] == "not the testing family"


def test_figures_of_the_loop_are_those_of_runs_of_the_loop() -> None:
    """Which are of a size of their own, beside the others."""
    looped = run("base", 1, "loop", loop_cut_after_measure=0.95, loop_honest_lost=0.0)
    looped["spec"] |= {"size": 0.1}
    looped["curves"] = {"loop": {"without": [1.0], "with": [0.5]}}
    document = collect([run("base", 1, precision=1.0), looped], [], [])
    rows = {(row["world"], row["metric"]): row for row in document["bars"]}
    assert rows["base", "loop_cut_after_measure"]["reached"]
    filled = fill("<!-- evaluate:loop -->\n<!-- /evaluate -->\n<!-- evaluate:options -->\n<!-- /evaluate -->", document)
    assert "Size 0.1, tick 1 h, 1 seed." in filled
    assert "| base | - | 0.9500 |" in filled
    assert "1 worlds of family testing, 1 seeds from 1 on, size 0.25, tick 1 h" in filled


@pytest.mark.parametrize("option", ["loop_worlds", "ablation_worlds"])
def test_a_misspelt_world_is_told_wherever_it_is_named(option: str) -> None:
    """It would just not be run."""
    with pytest.raises(
        ConfigurationError, match=rf"--{option.replace('_', '-')}: no world named bsae; there are: base"
    ):
        specs_of(options("base", **{option: ("bsae",)}), NO_DATA)


def test_a_bar_that_was_not_measured_is_not_reached() -> None:
    """What was not measured is not claimed."""
    row = judge_bar(BARS[0], {})
    assert not row["reached"]
    assert row["value"] is None


def test_every_bar_is_of_a_world_that_is_known() -> None:
    """A bar of a world that nobody runs would never be checked."""
    assert {bar.world for bar in BARS} <= {*WORLDS, *REAL, MONTH}
    assert set(WORLDS) <= set(world_names())
    assert len({(bar.world, bar.metric) for bar in BARS}) == len(BARS)


def test_the_document_is_json_that_can_be_read_again(tmp_path: Path) -> None:
    """Written, read, the same; another schema is refused with what to do."""
    document = collect([run("base", 1, precision=1.0)], [], [{"world": "rings", "reason": "not there"}])
    write(document, tmp_path / "sub" / "results.json")
    assert read(tmp_path / "sub" / "results.json") == document
    (tmp_path / "old.json").write_text(json.dumps({"schema": 0}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="run `weaklink evaluate` again"):
        read(tmp_path / "old.json")
    with pytest.raises(ConfigurationError, match="is not there"):
        read(tmp_path / "none.json")


def test_order_of_runs_does_not_change_the_document() -> None:
    """Runs end in any order; the document is the same."""
    runs = [run("chain", 1, precision=1.0), run("base", 2, precision=0.9), run("base", 1, precision=1.0)]
    assert collect(runs, [], []) == collect(runs[::-1], [], [])


def test_blocks_of_the_document_are_replaced_and_the_rest_is_kept() -> None:
    """Only what lies between the marks changes, and filling twice changes nothing."""
    document = collect([run("base", 1, precision=1.0, recall=0.5)], [], [])
    text = "before\n<!-- evaluate:detection -->\nold\n<!-- /evaluate -->\nafter\n"
    filled = fill(text, document)
    assert filled.startswith("before\n<!-- evaluate:detection -->\n")
    assert filled.endswith("<!-- /evaluate -->\nafter\n")
    assert "old" not in filled
    assert "| base | 1 | 0.5000 |" in filled
    assert fill(filled, document) == filled


def test_every_block_can_be_made_of_any_results() -> None:
    """Few runs or none: a table says so, and does not fail."""
    text = "\n".join(f"<!-- evaluate:{name} -->\n<!-- /evaluate -->" for name in BLOCKS)
    for runs in (
        [],
        [run("base", 1, precision=1.0), run("base", 1, "no_structure", precision=0.4), run("rings", 0, flagged=3.0)],
    ):
        assert "<!-- evaluate:bars -->" in fill(text, collect(runs, [], []))


def test_an_unknown_block_is_told(tmp_path: Path) -> None:
    """A misspelt mark would silently rot."""
    with pytest.raises(ConfigurationError, match="no table named 'detections'"):
        fill("<!-- evaluate:detections -->\n<!-- /evaluate -->", collect([], [], []))
    with pytest.raises(ConfigurationError, match="no block"):
        fill("nothing", collect([], [], []))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_changes_settings_that_exist(name: str) -> None:
    """An ablation of a field that is gone would measure nothing."""
    assert ablated(Settings(), name).campaigns != Settings().campaigns


def test_an_ablation_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown names and unknown fields are errors."""
    with pytest.raises(ConfigurationError, match="no ablation named"):
        ablated(Settings(), "no_sense")
    monkeypatch.setitem(ABLATIONS, "broken", {"cluster.no_such_field": 1})
    with pytest.raises(ConfigurationError, match="has no field 'no_such_field'"):
        ablated(Settings(), "broken")


def test_runs_go_seed_by_seed_and_what_is_missing_is_skipped_by_name() -> None:
    """A run that is stopped early has some of every world; real data that is not there is named with its files."""
    specs, skipped = specs_of(options("base", "chain", "rings"), NO_DATA)
    whole = [spec for spec in specs if spec.variant == "full"]
    assert [(spec.world, spec.seed) for spec in whole] == [(w, s) for s in (1, 2, 3) for w in ("base", "chain")]
    assert [spec.cuts for spec in whole] == [2, 2, 0, 0, 0, 0]
    assert {spec.variant for spec in specs if spec.variant != "full"} == {*ABLATIONS, "loop"}
    assert [spec.size for spec in specs if spec.variant == "loop"] == [0.1]
    assert {(spec.world, spec.seed) for spec in specs if spec.variant != "full"} == {("base", 1)}
    assert skipped[0]["world"] == "rings"
    assert "rings_events.parquet" in skipped[0]["reason"]
    assert len({spec.name for spec in specs}) == len(specs)


def test_unknown_worlds_are_told_with_the_known_ones() -> None:
    """The message lists the names."""
    with pytest.raises(ConfigurationError, match="no world named sparrow; there are: base"):
        specs_of(options("sparrow"), NO_DATA)
