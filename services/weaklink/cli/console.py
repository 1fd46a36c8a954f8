"""`weaklink console`: the web page, and who may use it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weaklink.cli.action_tables import print_json, time_text
from weaklink.cli.ledger import with_database

if TYPE_CHECKING:
    from weaklink.enforce.database import Database


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="The web page for investigators and parties; without a command, serve it.")
    group.callback(invoke_without_command=True)(serve)
    people = typer.Typer(no_args_is_help=True, help="Who may sign in.")
    people.command("add")(add)
    people.command("list")(list_users)
    people.command("remove")(remove)
    group.add_typer(people, name="user")
    app.add_typer(group, name="console")


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help="By default WEAKLINK_CONSOLE__HOST.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="By default WEAKLINK_CONSOLE__PORT.")
    ] = None,
) -> None:
    """Serve the console until it is stopped (SIGTERM, Ctrl-C)."""
    if context.invoked_subcommand is not None:
        return
    from weaklink.console.serve import run_console
    from weaklink.logs import service_log
    from weaklink.settings import load_settings

    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    with service_log("console", json=settings.log_json, level=settings.log_level):
        run_console(settings.model_copy(update={"console": settings.console.model_copy(update=given)}))


def add(
    name: Annotated[str, typer.Argument(help="What the person signs in with.")],
    party: Annotated[
        str | None,
        typer.Option("--party", help="The person sees this party's own, and decides nothing. Without: an operator."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin; else one is made and shown once.")
    ] = False,
) -> None:
    """Let a person in, or give them a new password. Ends their sessions."""
    import secrets

    from weaklink.console.users import Role, Users
    from weaklink.settings import load_settings

    settings = load_settings()
    if party is not None:
        from weaklink.errors import PartyError
        from weaklink.party_registry import find_party

        if find_party(settings.kafka, party).suspended_at:
            raise PartyError(f"{party} is suspended: weaklink party resume {party} comes first")
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(18)

    async def run(database: "Database") -> None:
        users = Users(database, settings.console)
        await users.create_tables()
        await users.add(name, Role.PARTY if party else Role.OPERATOR, party, password)

    with_database(run)
    who = f"{party}'s own" if party else "everything, and decides"
    typer.echo(f"{name} may sign in, and sees {who}", err=True)
    if not password_stdin:
        typer.echo(password)
        typer.echo("this is the password; it is not shown again", err=True)


def list_users(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Everybody who may sign in."""
    from weaklink.console.users import Users
    from weaklink.settings import load_settings

    async def run(database: "Database") -> list[dict[str, Any]]:
        users = Users(database, load_settings().console)
        await users.create_tables()
        return await users.list()

    rows = with_database(run)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:24} {row['role']:9} {row['party'] or '':24} {time_text(row['created_wall_us'])}")


def remove(
    name: Annotated[str | None, typer.Argument(help="Whom to let in no longer.")] = None,
    party: Annotated[str | None, typer.Option("--party", help="Instead of a name: everybody of this party.")] = None,
) -> None:
    """End a person's access, or that of all of a party, sessions too, at once."""
    from weaklink.console.users import Users
    from weaklink.errors import ConfigurationError
    from weaklink.settings import load_settings

    if (name is None) == (party is None):
        raise ConfigurationError("whom to remove: a name, or --party ID")

    async def run(database: "Database") -> list[str]:
        users = Users(database, load_settings().console)
        await users.create_tables()
        if party is not None:
            return await users.remove_party(party)
        return [name] if name is not None and await users.remove(name) else []

    names = with_database(run)
    if not names:
        who = f"user {name!r}" if party is None else f"user of {party}"
        raise ConfigurationError(f"there is no {who}: see `weaklink console user list`")
    typer.echo(f"{', '.join(names)} may no longer sign in", err=True)
