"""What an earlier party of the same id left: nobody else gets to see it."""

from typing import TYPE_CHECKING

import typer

from weaklink.errors import PartyError

if TYPE_CHECKING:
    from weaklink.enforce.database import Database
    from weaklink.parties import Party
    from weaklink.settings import Settings


def refuse_anothers_id(settings: "Settings", party: "Party") -> None:
    """Raise PartyError where topics or the ledger hold something of an earlier party of the id, naming what: the new one could read it.

    The ledger counts where it is at hand. Raises LedgerError when it does not answer.
    """
    from weaklink.ops.provision import topics_with_messages

    left = topics_with_messages(settings, party)
    if actions := _actions_in_ledger(settings, party.id):
        left.append(f"{actions} actions in the ledger")
    if left:
        raise PartyError(
            f"an earlier {party.id} left {', '.join(left)}, which whoever gets this id can read: give the new party another id,"
            " or say --same-party if it is the earlier one that comes back"
        )


def forget_logins(settings: "Settings", party_id: str) -> None:
    """Delete who is let in under the id of a party that is no more, at the console and at the tokeniser, where these are at hand."""
    from weaklink.cli.keep_out import forget_console_users, forget_tokeniser_client

    forget_console_users(settings, party_id)
    clients_file = settings.tokeniser.clients_file
    if forget_tokeniser_client(clients_file, party_id):
        typer.echo(
            f"{clients_file} had a secret of an earlier {party_id}: it is good for nothing now; `weaklink tokeniser grant {party_id}`"
            " makes a new one",
            err=True,
        )


def _actions_in_ledger(settings: "Settings", party_id: str) -> int:
    from weaklink.cli.keep_out import asked_of_ledger, ledger_is_here

    if not ledger_is_here(settings):
        return 0
    from weaklink.enforce.queries import Filter, count_actions

    async def run(database: "Database") -> int:
        async with database.read() as connection:
            return await count_actions(connection, Filter(party=party_id))

    return asked_of_ledger(party_id, run)
