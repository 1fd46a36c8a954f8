"""Where a party is let in besides Kafka: the tokeniser's list of clients and the console's users. Neither reads the registry of parties."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from weaklink.enforce.database import Database
    from weaklink.settings import Settings

Answer = TypeVar("Answer")


def keep_out(settings: "Settings", party_id: str) -> None:
    """End what a party has there, or say what to run where that is. One that fails does not keep the other from being done.

    Raises ConfigurationError for a damaged list of clients, LedgerError for a ledger that does not answer.
    """
    try:
        _keep_from_tokeniser(settings.tokeniser.clients_file, party_id)
    finally:
        _keep_from_console(settings, party_id)


def forget_console_users(settings: "Settings", party_id: str) -> list[str]:
    """Delete a party's users of the console, and their sessions; their names. Raises LedgerError when the ledger does not answer."""
    if not ledger_is_here(settings):
        return []
    from weaklink.console.users import Users

    async def run(database: "Database") -> list[str]:
        users = Users(database, settings.console)
        await users.create_tables()
        return await users.remove_party(party_id)

    return asked_of_ledger(party_id, run)


def forget_tokeniser_client(clients_file: Path, party_id: str) -> bool:
    """Take a party off the tokeniser's list, and say whether it was there. Raises ConfigurationError for a damaged list."""
    from weaklink.tokeniser.clients import load_clients, revoke

    if party_id not in load_clients(clients_file).values():
        return False
    revoke(clients_file, party_id)
    return True


def asked_of_ledger(party_id: str, work: "Callable[[Database], Awaitable[Answer]]") -> "Answer":
    """Run `work` on the ledger. Raises LedgerError when it does not answer, which says what that leaves open about the party."""
    from weaklink.cli.ledger import with_database
    from weaklink.errors import LedgerError

    try:
        return with_database(work)
    except LedgerError as error:
        raise LedgerError(
            f"{error}; until `{_command(party_id)}` is run, the console lets in whom it knows of {party_id}"
        ) from error


def ledger_is_here(settings: "Settings") -> bool:
    """Not where its packages are missing, nor where it would be a new file: to open it would make an empty one."""
    if find_spec("sqlalchemy") is None:
        return False
    from weaklink.enforce.database import is_missing, ledger_url

    return not is_missing(ledger_url(settings))


def _command(party_id: str) -> str:
    return f"weaklink console user remove --party {party_id}"


def _keep_from_console(settings: "Settings", party_id: str) -> None:
    names = forget_console_users(settings, party_id)
    if names:
        typer.echo(f"the console lets in {', '.join(names)} no more")
    else:
        typer.echo(
            f"no ledger here knows users of {party_id}: if a console elsewhere lets any in, that goes on until there"
            f" `{_command(party_id)}` is run",
            err=True,
        )


def _keep_from_tokeniser(clients_file: Path, party_id: str) -> None:
    """It runs apart from Kafka, with nobody's login, and its list may be on this machine or not."""
    if forget_tokeniser_client(clients_file, party_id):
        typer.echo(f"the tokeniser of {clients_file} does not answer {party_id} any more")
    else:
        typer.echo(
            f"{clients_file} has no {party_id}: if a tokeniser elsewhere answers it, that goes on until there"
            f" `weaklink tokeniser revoke {party_id}` is run",
            err=True,
        )
