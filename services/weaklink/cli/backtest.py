"""`weaklink backtest`: what Weaklink would have found and asked for, on a history of events."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from weaklink.errors import ConfigurationError

_AHEAD_BYTES_MIN: Final = 2_000_000
"""Size of the files from which a second process is worth its start."""
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("backtest")(backtest)


def backtest(
    events: Annotated[
        list[Path],
        typer.Argument(metavar="EVENTS.parquet...", help="Events; columns as in the reference, Files of a backtest."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for accounts, campaigns, actions, weak links and the like (Parquet).")
    ],
    benign: Annotated[
        list[Path] | None,
        typer.Option("--benign", help="List of known shared infrastructure and good customers (CSV, NDJSON, Parquet)."),
    ] = None,
    tick: Annotated[str, typer.Option("--tick", help="Event time between evaluations, e.g. 15m, 1h, 1d.")] = "1h",
) -> None:
    """Replay a history in event time, without Kafka: nothing at a time rests on what came after it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from weaklink.backtest.run import OUTPUTS
    from weaklink.backtest.run import backtest as run
    from weaklink.settings import load_settings

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<11}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def progress(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], advance=done)

        ahead = (os.cpu_count() or 1) > 1 and sum(map(_size, events)) > _AHEAD_BYTES_MIN
        with _results_only():
            summary = run(events, out, seconds(tick), load_settings(), progress, benign=benign or (), ahead=ahead)
        for task in bars.tasks:
            bars.update(task.id, completed=task.total)
    typer.echo(
        f"{summary.events} of {summary.rows} rows in {summary.ticks} ticks of {tick}, {summary.seconds:.1f} s "
        f"({summary.rejected} rejected, {summary.duplicates} duplicates: see {out / 'rejects.parquet'})"
    )
    typer.echo(
        f"{summary.flagged} of {summary.accounts} accounts flagged, {summary.campaigns} campaigns, "
        f"{summary.actions} actions ({summary.waiting_for_a_person} more would wait for a person)"
    )
    for line in summary.findings:
        typer.echo(line)
    typer.echo(f"written: {', '.join(str(out / f'{name}.parquet') for name in OUTPUTS)}")


@contextmanager
def _results_only() -> Iterator[None]:
    """What libraries write to the standard output by themselves (HiGHS does, in C++) goes to the standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def seconds(text: str) -> int:
    """A length of time such as 90s, 15m, 1h or 1d, in seconds. Raises ConfigurationError for anything else."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match or not int(match[1]):
        raise ConfigurationError(f"{text!r} is not a length of time; write 90s, 15m, 1h or 1d")
    return int(match[1]) * _SECONDS[match[2]]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0  # a file that is not there is told of when it is read
