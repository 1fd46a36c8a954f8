"""Commands of the group replay."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
