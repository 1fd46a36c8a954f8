"""Commands of the group provision."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
