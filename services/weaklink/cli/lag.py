"""Commands of the group lag."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
