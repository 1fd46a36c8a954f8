"""Commands of the group run."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
