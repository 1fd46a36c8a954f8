"""Commands of the group replay."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("replay")(replay)


def replay(
    data: Annotated[
        Path, typer.Argument(help="Folder with *events.parquet, and *labels.parquet where the truth is known.")
    ],
    folder: Annotated[Path, typer.Option(help="Where logs and summary.json go.")] = Path("build/replay"),
    seconds: Annotated[
        float, typer.Option(min=1, help="How long publishing a file takes, whatever time its events span.")
    ] = 60,
) -> None:
    """Real events through a running pipeline under event time: the campaigns and actions that come of them."""
    from rich.console import Console

    from weaklink.sim.replay import run_replay
    from weaklink.sim.services import interruptible

    console = Console()
    try:
        with interruptible():
            run_replay(data, folder, seconds, console)
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
