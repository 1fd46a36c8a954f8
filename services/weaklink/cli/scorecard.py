"""`weaklink scorecard PARTY`: how a party does beside the others, who are not named."""

from typing import Annotated, Any

import typer

from weaklink.cli.action_tables import print_json
from weaklink.cli.campaigns import cases
from weaklink.cli.ledger import read
from weaklink.cli.tables import print_table


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("scorecard")(scorecard)


def scorecard(
    party: Annotated[str, typer.Argument(metavar="PARTY", help="A party's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Share of volume that came in by it, time to act, disputes, what comes back: beside the others, who are not named."""
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from weaklink.cases.scorecard import OTHERS_MIN, compare, scorecards
    from weaklink.enforce.queries import answers
    from weaklink.party_registry import find_party
    from weaklink.settings import load_settings

    find_party(load_settings().kafka, party)
    cards = scorecards(cases(), read(answers), [party])
    found = compare(party, cards)
    if as_json:
        print_json([cards[party].json() | {"beside_others": [asdict(one) for one in found]}])
        return
    own = cards[party]
    typer.echo(
        f"{party}: {own.accounts:,} accounts of campaigns, {own.requests_entered:,} of their requests came in by it, "
        f"{own.actions:,} actions, {own.answered:,} answered"
    )
    table = Table("figure (less is better)", party, "others' median", "others that do better", box=None, pad_edge=False)
    for one in found:
        better = "-" if one.others_better_share is None else f"{one.others_better_share:.0%} of {one.others}"
        table.add_row(
            *map(Text, (one.words, figure(one.figure, one.own), figure(one.figure, one.others_median), better))
        )
    print_table(table)
    if any(one.others < OTHERS_MIN for one in found):
        typer.echo(f"others are told where at least {OTHERS_MIN} have the figure", err=True)


def figure(name: str, value: Any) -> str:
    """Hours as hours, shares in percent, '-' for nothing."""
    if value is None:
        return "-"
    return f"{value:.1f} h" if name.startswith("hours") else f"{value:.1%}"
