"""`weaklink weak-links`: by which classes of accounts, or which parties, campaigns' volume comes in."""

from typing import Annotated, Any, Final

import typer

from weaklink.cli.action_tables import print_json
from weaklink.cli.campaigns import cases
from weaklink.cli.tables import print_table

_DOOR: Final = (
    "party", "accounts", "requests_entered", "volume_entered_share", "accounts_after", "requests_after_share",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("weak-links")(weak_links)


def weak_links(
    dimension: Annotated[
        str | None,
        typer.Option(
            "--class", help="Only this dimension: plan, verified, mail_class, address_class, programme, party."
        ),
    ] = None,
    party: Annotated[
        bool, typer.Option("--party", help="By party instead: what came in by each, over all campaigns.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Where to harden: classes of accounts by their share of campaigns' volume against that of everybody else, the surest first."""
    known = cases()
    if party:
        _by_party(known, as_json)
        return
    rows = known.classes["classes"] if known.classes else []
    rows = [one for one in rows if dimension in (None, one["dimension"])]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "class", "value", "accounts", "of campaigns", "of others", "times", "95 %", "", box=None, pad_edge=False
    )
    for one in rows:
        bounds = f"{one['lift_low']:.1f} to {one['lift_high']:.1f}"
        shares = f"{one['campaign_share']:.0%}", f"{one['benign_share']:.1%}", f"{one['lift']:.1f}"
        harden = "harden" if one["recommendation"] else ""
        cells = (one["dimension"], one["value"], f"{one['campaign_accounts']:,}", *shares, bounds, harden)
        table.add_row(*map(Text, cells))
    print_table(table)
    for one in rows:
        if one["recommendation"]:
            typer.echo(one["recommendation"])
    if not rows:
        typer.echo("nothing has been found of classes yet: no campaign has confirmed members", err=True)


def _by_party(known: Any, as_json: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from weaklink.cases.scorecard import scorecards

    cards = sorted(scorecards(known, []).values(), key=lambda one: (-one.requests_entered, one.party))
    if as_json:
        print_json([{name: one.json()[name] for name in _DOOR} for one in cards])
        return
    table = Table("party", "accounts", "requests entered", "of campaigns", "accounts after", box=None, pad_edge=False)
    for one in cards:
        share = "-" if one.volume_entered_share is None else f"{one.volume_entered_share:.0%}"
        cells = (one.party, f"{one.accounts:,}", f"{one.requests_entered:,}", share, f"{one.accounts_after:,}")
        table.add_row(*map(Text, cells))
    print_table(table)
