"""`weaklink evaluate`: how good detection and weak links are, on worlds with truth, against simple rules and against the bars."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weaklink.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from weaklink.evaluation.plan import Options
    from weaklink.evaluation.spec import DataFiles, RunSpec


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("evaluate")(evaluate)


def evaluate(
    worlds: Annotated[str, typer.Option(help="`all` simulated ones; rings, rings_with_hubs, ssh, month.")] = "all,month,rings,rings_with_hubs,ssh",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each simulated world.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them. Worlds of seeds 101 to 104 were looked at while the method was made.")] = 1001,
    size: Annotated[float, typer.Option(min=0.01, help="1: about 119,000 benign accounts.")] = 0.25,
    family: Annotated[str, typer.Option(help="testing, or tuning: the worlds that constants may be fitted on.")] = "testing",
    tick: Annotated[str, typer.Option(help="Event time between evaluations, as for `weaklink backtest`.")] = "1h",
    out: Annotated[Path, typer.Option(help="Folder for results.json, pictures and the result of each run.")] = Path("build/evaluate"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of its own.")] = os.cpu_count() or 1,
    baselines: Annotated[bool, typer.Option(help="Also judge the simple rules.")] = True,
    ablations: Annotated[bool, typer.Option(help="Also run the method without each of its parts (on `--ablation-seeds` seeds).")] = True,
    ablation_worlds: Annotated[str, typer.Option(help="Worlds for ablations, with commas between.")] = "base,benign_conduct,framing_two,card_flood,no_campaign",
    ablation_seeds: Annotated[int, typer.Option(min=1)] = 3,
    loop_worlds: Annotated[str, typer.Option(help="Of `--worlds`, those that are also run in a closed loop with enforcement.")] = "base,churn,chain",
    loop_seeds: Annotated[int, typer.Option(min=0, help="Seeds on which that is done.")] = 2,
    loop_size: Annotated[float, typer.Option(min=0.01, help="Size of these worlds.")] = 0.25,
    cuts: Annotated[int, typer.Option(min=0, help="Times at which the future is cut off, to check causality.")] = 2,
    cut_seeds: Annotated[int, typer.Option(min=0, help="Seeds on which that is done.")] = 2,
    data: Annotated[Path, typer.Option(help="Folder of real data; what is missing there is skipped by name.")] = Path("../shared/data"),
    resume: Annotated[bool, typer.Option(help="Keep finished runs of the same spec and code in the folder.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a bar of a world that was run is not reached.")] = False,
    gather: Annotated[bool, typer.Option(help="Run nothing: results.json of all runs that the folder keeps.")] = False,
    docs: Annotated[Path | None, typer.Option(help="Run nothing: write the tables of results.json into this document.")] = None,
) -> None:  # fmt: skip
    """Run worlds through the backtest, measure what it says by the truth, and hold it against the bars.

    A quick look while working on detection: weaklink evaluate --worlds base,chain --seeds 2 --size 0.1 --no-ablations
    """
    from weaklink.cli.backtest import seconds
    from weaklink.evaluation.batch import failures, kept
    from weaklink.evaluation.plan import Options
    from weaklink.evaluation.results import collect, read
    from weaklink.evaluation.spec import DataFiles

    if docs is not None:
        _document(docs, read(out / "results.json"))
        return
    if gather:
        document = collect(kept(out / "runs"), failures(out / "runs"), [])
    else:
        options = Options(
            worlds=tuple(worlds.split(",")), seeds=tuple(range(first_seed, first_seed + seeds)), size=size,
            family=_family(family), tick_seconds=seconds(tick), baselines=baselines,
            ablation_worlds=tuple(ablation_worlds.split(",")) if ablations else (), ablation_seeds=ablation_seeds,
            loop_worlds=tuple(loop_worlds.split(",")), loop_seeds=loop_seeds, loop_size=loop_size, cuts=cuts, cut_seeds=cut_seeds,
        )  # fmt: skip
        document = _run(options, DataFiles(data), out, jobs=jobs, resume=resume)
    _show(document, out)
    short = [bar for bar in document["bars"] if not bar["reached"] and bar["seeds"]]
    if document["failed"] or (strict and short):
        raise typer.Exit(1)


def _run(options: "Options", files: "DataFiles", out: Path, *, jobs: int, resume: bool) -> dict[str, Any]:
    """Do all runs and return their document; it is written after every run, so that an evaluation that is stopped leaves what it has."""
    from rich.console import Console

    from weaklink.evaluation.batch import run_all
    from weaklink.evaluation.plan import specs_of
    from weaklink.evaluation.results import collect, write

    console = Console(stderr=True)
    specs, skipped = specs_of(options, files)
    for one in skipped:
        console.print(f"skipped {one['world']}: {one['reason']}")
    runs: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for number, done in enumerate(run_all(specs, files, out / "runs", jobs=jobs, resume=resume), 1):
        _tell(console, done.spec, done.result, f"{number}/{len(specs)}")
        if done.result is not None:
            runs.append(done.result)
        else:
            console.print(done.error, markup=False)
            spec = done.spec
            failed.append({"world": spec.world, "variant": spec.variant, "seed": spec.seed, "error": done.error})
        write(collect(runs, failed, skipped), out / "results.json")
    return collect(runs, failed, skipped)


def _show(document: dict[str, Any], out: Path) -> None:
    from weaklink.cli.tables import console, folded
    from weaklink.evaluation.pictures import draw
    from weaklink.evaluation.report import bars_table, figures_table
    from weaklink.evaluation.results import write

    write(document, out / "results.json")
    console().print(folded(figures_table(document)), folded(bars_table(document)))
    typer.echo(f"written: {', '.join(str(one) for one in (out / 'results.json', *draw(document, out)))}")


def _tell(console: "Console", spec: "RunSpec", result: dict[str, Any] | None, progress: str) -> None:
    if result is None:
        console.print(f"{progress} {spec.name}: failed")
        return
    figures, cost = result["figures"], result["cost"]
    shown = ("precision", "recall", "recall_worst", "prevented", "flagged", "false_flags", "benign_suspended")
    told = " ".join(f"{name} {figures[name]:.4g}" for name in shown if figures.get(name) is not None)
    console.print(
        f"{progress} {spec.name}: {told} ({cost['run_cpu_seconds']:.0f} s CPU, {cost['memory_mib']:.0f} MiB)",
        highlight=False,
    )


def _family(name: str) -> Any:
    if name not in ("testing", "tuning"):
        raise ConfigurationError(f"--family {name!r}: give testing or tuning")
    return name


def _document(docs: Path, document: dict[str, Any]) -> None:
    from weaklink.evaluation.document import fill
    from weaklink.evaluation.pictures import draw

    text = docs.read_text(encoding="utf-8") if docs.exists() else None
    if text is None:
        raise ConfigurationError(f"--docs: {docs} is not there")
    docs.write_text(fill(text, document), encoding="utf-8")
    images = docs.parent / "images"
    typer.echo(f"written: {', '.join(str(one) for one in (docs, *draw(document, images)))}")
