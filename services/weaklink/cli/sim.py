"""Commands of the group sim: simulated worlds as files."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Simulated worlds, with the truth about who is who.")
    group.command("world")(world)
    app.add_typer(group, name="sim")


def world(
    out: Annotated[Path, typer.Option(help="Folder for events.parquet and truth.parquet.")],
    preset: Annotated[str, typer.Option(help="Which world; an unknown name lists them.")] = "base",
    seed: Annotated[int, typer.Option(help="Equal seeds give equal worlds.")] = 1,
    size: Annotated[float, typer.Option(min=0.01, help="1: about 119,000 benign accounts.")] = 1.0,
    family: Annotated[str, typer.Option(help="tuning, or testing: other parameters, which differ by seed.")] = "tuning",
) -> None:
    """Write a world without enforcement: events in the form that `weaklink backtest` reads, and the truth."""
    from weaklink.folders import writable_folder
    from weaklink.sim.presets import preset as spec_of
    from weaklink.sim.worlds import generate

    spec = spec_of(preset, size, family)
    writable_folder(out)  # first: a world takes minutes
    made = generate(spec, seed)
    made.write(out)
    campaigns = made.truth.drop_nulls("campaign")
    print(
        f"{out}: {made.events.height:,} events, {made.truth.height:,} accounts, {campaigns.height:,} of them in {campaigns['campaign'].n_unique()} campaigns"
    )
