"""Commands of the group demo."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("demo")(demo)


def demo(
    events: Annotated[int, typer.Option(min=5_000, help="About how many events the world has.")] = 300_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal worlds.")] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="Wall time to take for the world at least.")] = 110,
    world: Annotated[str, typer.Option(help="Which world; an unknown name lists them.")] = "demo",
    kill: Annotated[float | None, typer.Option(min=0.1, help="kill -9 a random service every so many seconds.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the broker's data in place.")] = False,
    folder: Annotated[Path, typer.Option(help="Where logs, data and summary.json go.")] = Path("build/demo"),
) -> None:
    """The whole of Weaklink on a local broker: parties, campaigns, actions, receipts, and what they prevented."""
    from rich.console import Console

    from weaklink.sim.demo import DemoOptions, run_demo
    from weaklink.sim.services import interruptible

    console = Console()
    try:
        with interruptible():
            run_demo(DemoOptions(folder, events, seed, seconds, world, kill, keep), console)
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
