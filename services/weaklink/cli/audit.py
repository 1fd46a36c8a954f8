"""Commands of the group audit."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
