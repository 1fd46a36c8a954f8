"""`weaklink actions list|show|history|approve|decline|withdraw|dead-letters`: the ledger of enforcement actions, for people.

Verdicts are written to the ledger; the running enforce service publishes what follows from them within a second.
"""

from collections.abc import Callable
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weaklink.cli.action_tables import print_action, print_actions, print_history, print_json, time_text
from weaklink.cli.ledger import read, with_database

if TYPE_CHECKING:
    from weaklink.enforce.database import Database

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Ident = Annotated[str, typer.Argument(metavar="ID", help="An action's id, or its unmistakable beginning.")]
Idents = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Actions' ids, or their beginnings.")]
By = Annotated[str, typer.Option("--by", help="Who decides; recorded in the history.", default_factory=getuser)]
Note = Annotated[str | None, typer.Option("--note", help="Why; recorded in the history.")]
Campaign = Annotated[str | None, typer.Option("--campaign", help="Only of this campaign.")]
Measure = Annotated[str | None, typer.Option("--measure", help="Only this measure.")]

ASKS_ABOVE = 20


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Enforcement actions: what stands, what waits for a person, and why."
    )
    group.command("list")(list_actions)
    group.command("show")(show)
    group.command("history")(history)
    group.command("approve", help="Let actions through that wait: those named, or all of --campaign (and --measure).")(
        _verdict("approve")
    )
    group.command(
        "decline",
        help="Stop actions that wait: those named, or all of --campaign (and --measure). Their targets are left alone for a time.",
    )(_verdict("decline"))
    group.command("withdraw")(withdraw)
    group.command("dead-letters")(dead_letters)
    app.add_typer(group, name="actions")


def list_actions(
    *,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="WAITING, ACTIVE, WITHDRAWN, EXPIRED or DECLINED; may be repeated."),
    ] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits for a person.")] = False,
    party: Annotated[str | None, typer.Option("--party", help="Only actions addressed to this party.")] = None,
    campaign: Campaign = None,
    measure: Measure = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Actions, newest first."""
    from weaklink.enforce.queries import Filter
    from weaklink.enforce.queries import list_actions as query

    states = tuple(_states([*(state or []), *(["WAITING"] if waiting else [])]))
    kind = measure.upper() if measure else None
    which = Filter(states, party=party, campaign_id=campaign, measure=kind, limit=limit)
    rows = read(lambda connection: query(connection, which))
    if as_json:
        print_json(rows)
        return
    print_actions(rows)
    if len(rows) == limit:
        typer.echo(f"the newest {limit}; --limit shows more", err=True)


def show(ident: Ident, as_json: AsJson = False) -> None:
    """One action, with its evidence, history, receipts and people's verdicts."""
    from weaklink.enforce.queries import find_ids, show_action

    async def query(connection: Any) -> dict[str, Any]:
        return await show_action(connection, (await find_ids(connection, [ident]))[0])

    row = read(query)
    if as_json:
        print_json([row])
        return
    print_action(row)


def history(ident: Ident, as_json: AsJson = False) -> None:
    """Every change of one action, oldest first."""
    from weaklink.enforce.queries import find_ids
    from weaklink.enforce.queries import history as rows_of

    async def query(connection: Any) -> list[dict[str, Any]]:
        return await rows_of(connection, (await find_ids(connection, [ident]))[0])

    rows = read(query)
    if as_json:
        print_json(rows)
    else:
        print_history(rows)


def _verdict(verb: str) -> Callable[..., None]:
    """The command that passes this verdict on actions that wait."""

    def command(
        *,
        by: By,
        idents: Idents = None,
        campaign: Campaign = None,
        measure: Measure = None,
        note: Note = None,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask when there are many.")] = False,
    ) -> None:
        from weaklink.enforce import receipts

        verdict = {"approve": receipts.approved, "decline": receipts.declined}[verb]
        _decide(verb, idents, campaign, measure, verdict, by=by, note=note, yes=yes)

    return command


def withdraw(
    *,
    by: By,
    idents: Annotated[list[str], typer.Argument(metavar="ID...", help="Actions' ids, or their beginnings.")],
    note: Note = None,
) -> None:
    """Take standing actions back at their parties. Their targets are left alone for a time."""
    from weaklink.enforce.receipts import taken_back

    _decide("withdraw", idents, None, None, taken_back, by=by, note=note, yes=True)


def dead_letters(as_json: AsJson = False) -> None:
    """Messages that enforce could not handle: each one is a defect, of enforce or of who wrote it."""
    from weaklink.enforce.queries import list_dead_letters

    rows = read(list_dead_letters)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{time_text(row['recorded_wall_us'])} {row['topic']}/{row['partition']}@{row['offset']}: {row['error']}"
        )


def _decide(
    verb: str,
    idents: list[str] | None,
    campaign: str | None,
    measure: str | None,
    verdict: Any,
    *,
    by: str,
    note: str | None,
    yes: bool,
) -> None:
    from weaklink.enforce.queries import Filter, find_ids
    from weaklink.enforce.queries import list_actions as query
    from weaklink.errors import ConfigurationError

    if bool(idents) == bool(campaign):
        raise ConfigurationError(f"weaklink actions {verb} takes either ids or --campaign")

    async def find(connection: Any) -> list[str]:
        if idents:
            return await find_ids(connection, idents)
        which = Filter(("WAITING",), campaign_id=campaign, measure=measure.upper() if measure else None, limit=None)
        return [row["action_id"] for row in await query(connection, which)]

    chosen = read(find)
    if not chosen:
        typer.echo(f"nothing of campaign {campaign} waits", err=True)
        return
    if len(chosen) > ASKS_ABOVE and not yes:
        typer.confirm(f"{verb} {len(chosen)} actions?", abort=True)
    refused = _pass_verdicts(chosen, verdict, by=by, note=note)
    if refused:
        typer.echo(f"{verb}: {refused} of {len(chosen)} actions could not be decided", err=True)
        raise typer.Exit(1)


def _pass_verdicts(idents: list[str], verdict: Any, *, by: str, note: str | None) -> int:
    """Decide one after the other, and say of each what came of it at once: what is decided stands, and is published, whatever the next ones bring.

    Gives the number of those that could not be decided (they may have ended since they were looked up).
    """
    from weaklink.enforce.clock import Clock
    from weaklink.enforce.ledger import Ledger
    from weaklink.errors import LedgerError
    from weaklink.settings import load_settings

    settings = load_settings()
    clock = Clock(settings.clock, settings.enforce.clock_lead_hours_max)

    async def run(database: "Database") -> int:
        ledger = Ledger(database, settings.enforce, clock)
        refused = 0
        for ident in idents:
            try:
                action = await ledger.decide(ident, verdict, by=by, note=note)
            except LedgerError as error:
                refused += 1
                typer.echo(f"{ident} is not decided: {error}", err=True)
            else:
                target = action.target
                typer.echo(f"{action.action_id} {action.measure} {target.name} at {target.party}: {action.state}")
        return refused

    return with_database(run)


def _states(names: list[str]) -> list[str]:
    from weaklink.enforce.action import State
    from weaklink.errors import ConfigurationError

    unknown = [name for name in names if name.upper() not in State.__members__]
    if unknown:
        raise ConfigurationError(f"no state {unknown[0]!r}; there are {', '.join(State)}")
    return [name.upper() for name in names]
