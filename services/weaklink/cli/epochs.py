"""`weaklink epochs list|expire`: which epochs of keys are over, and who ended them."""

from datetime import UTC, datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weaklink.epochs import Expiry
    from weaklink.settings import Settings


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Epochs of the keys that tokens are made with.")
    group.command("list")(list_expiries)
    group.command("expire")(expire)
    app.add_typer(group, name="epochs")


def list_expiries(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Which epochs are over or will be, who said so, and why; oldest first."""
    from weaklink.epochs import oldest_in_force
    from weaklink.epochs_topic import read_expiries

    now = datetime.now(UTC)
    expiries = read_expiries(_settings().kafka)
    if as_json:
        for one in expiries:
            typer.echo(one.to_json().decode())
        return
    from rich.table import Table

    from weaklink.cli.tables import print_table

    table = Table("epoch", "over", "from", "reason", "by", "recorded", box=None, pad_edge=False)
    for one in expiries:
        over = "yes" if one.expires_at <= now else "not yet"
        at, recorded = (f"{time:%Y-%m-%d %H:%M}" for time in (one.expires_at, one.recorded_at))
        table.add_row(f"{one.epoch} and before", over, at, one.reason, one.by, recorded)
    if expiries:
        print_table(table)
    typer.echo(f"the oldest epoch in force is {oldest_in_force(expiries, now)}")


def expire(
    epoch: Annotated[int, typer.Argument(min=1, max=254, help="This epoch and all before it.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded in the history.")],
    by: Annotated[str, typer.Option("--by", help="Who decides; recorded in the history.", default_factory=getuser)],
    at: Annotated[
        str, typer.Option("--at", help="now, a number of days such as 90d, or a date or time in ISO form.")
    ] = "now",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End an epoch: its tokens are rejected from then on, and all that was derived from them alone is forgotten. It cannot be undone.

    What parties sent under both epochs goes on under the newer one.
    """
    from weaklink.epochs_topic import write_expiry

    now = datetime.now(UTC)
    expiry = _expiry(epoch, at, now, reason, by)
    if not yes:
        typer.confirm(
            f"Tokens of epoch {epoch} and before stop working at {expiry.expires_at:%Y-%m-%d %H:%M} UTC, and what rests on them alone "
            "is forgotten for good. End it?",
            abort=True,
        )
    write_expiry(_settings().kafka, expiry)
    typer.echo(f"epoch {epoch} and before: over from {expiry.expires_at:%Y-%m-%d %H:%M} UTC")


def _expiry(epoch: int, at: str, now: datetime, reason: str, by: str) -> "Expiry":
    """The record. Raises ConfigurationError when it makes none."""
    from pydantic import ValidationError

    from weaklink.benign import expiry as time_of
    from weaklink.epochs import Expiry
    from weaklink.errors import ConfigurationError

    when = now if at == "now" else time_of(at, now)
    if when is None:
        raise ConfigurationError("--at never: an epoch that does not end needs no record")
    try:
        return Expiry(epoch=epoch, expires_at=when, reason=reason, by=by, recorded_at=now)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"weaklink epochs expire: {first['msg'].removeprefix('Value error, ')}") from error


def _settings() -> "Settings":
    from weaklink.settings import load_settings

    return load_settings()
