"""Commands of the group actions."""

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
