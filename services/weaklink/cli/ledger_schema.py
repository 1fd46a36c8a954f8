"""`weaklink ledger migrate`: the ledger's schema, forward to this version's and back to an older one's."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="The ledger's schema.")
    group.callback()(_group)
    group.command("migrate")(migrate)
    app.add_typer(group, name="ledger")


def _group() -> None:
    """The ledger's schema."""


def migrate(
    to: Annotated[
        str | None,
        typer.Option("--to", help="Go back to this revision, before an older version of Weaklink is started again."),
    ] = None,
) -> None:
    """Bring the ledger to this version's schema (enforce does so when it starts), or back to an older one. No row is lost."""
    import asyncio

    from weaklink.enforce.database import migrate_to
    from weaklink.settings import load_settings

    before, after = asyncio.run(migrate_to(load_settings(), to))
    typer.echo(f"revision {before or 'none'} -> {after}")
