"""`weaklink party add|list|show|rotate|suspend|resume|remove`: the registry of parties, and who is let in."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weaklink.parties import PartyKind

if TYPE_CHECKING:
    from weaklink.settings import Settings

SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="Write the login there (mode 0600; must not exist) instead of showing it."),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="The registry of parties, their topics, rights and secrets.")
    group.command("add")(add)
    group.command("list")(list_parties)
    group.command("show")(show)
    group.command("rotate")(rotate)
    group.command("suspend")(suspend)
    group.command("resume")(resume)
    group.command("remove")(remove)
    app.add_typer(group, name="party")


def add(
    party_id: Annotated[str, typer.Argument(metavar="ID", help="2 to 40 of a-z, 0-9 and '-'.")],
    kind: Annotated[PartyKind, typer.Option("--kind", help="What the party does for a living.")],
    name: str = typer.Option("", "--name", help="Its name for people."),
    partitions: int = typer.Option(
        2, "--partitions", min=1, max=1024, help="Partitions of its events topic; fixed once created."
    ),
    secret_file: SecretFile = None,
    same_party: bool = typer.Option(
        False, "--same-party", help="It is the earlier party of this id that comes back: it may read what that left."
    ),
) -> None:
    """Create a party's topics, rights, quotas and secret, then register it. Safe to repeat; the secret is shown once, the first time."""
    from pydantic import ValidationError

    from weaklink.cli.former_party import forget_logins, refuse_anothers_id
    from weaklink.cli.secrets import hand_out, kafka_login, refuse_existing
    from weaklink.errors import PartyError
    from weaklink.ops import membership
    from weaklink.ops.kept_by_others import to_join
    from weaklink.ops.provision import add_party
    from weaklink.parties import Party
    from weaklink.party_registry import read_parties
    from weaklink.settings import load_settings

    try:
        party = Party(id=party_id, kind=kind, name=name, events_partitions=partitions)
    except ValidationError as error:
        raise PartyError("; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())) from error
    settings = load_settings()
    refuse_existing(secret_file)
    if party_id not in read_parties(settings.kafka):
        if not same_party:
            refuse_anothers_id(settings, party)
        # An earlier party may have been removed where the ledger, or the tokeniser's list, was out of reach.
        forget_logins(settings, party_id)
    party = add_party(settings, party)
    typer.echo(
        f"{party.id} ({party.kind}) may publish on {party.events_topic} and reads {party.actions_topic} and {party.rejects_topic}"
    )
    if (
        membership.is_managed(settings)
        and not party.suspended_at
        and not membership.has_secret(settings, party.principal)
    ):
        hand_out(
            party.principal,
            kafka_login(party.principal, membership.issue_secret(settings, party.principal)),
            secret_file,
        )
    elif not party.suspended_at:
        _left_to_others(settings, f"nobody is told the secret of {party.principal}", to_join(party.id))


def list_parties(as_json: bool = typer.Option(False, "--json", help="One JSON object a line.")) -> None:
    """Every registered party."""
    from weaklink.party_registry import read_parties
    from weaklink.settings import load_settings

    parties = sorted(read_parties(load_settings().kafka).values(), key=lambda party: party.id)
    if as_json:
        for party in parties:
            typer.echo(party.model_dump_json())
        return
    if not parties:
        typer.echo("no parties yet: weaklink party add ID --kind lab|router|cloud|payment", err=True)
        return
    from rich.markup import escape
    from rich.table import Table

    from weaklink.cli.tables import print_table

    table = Table("party", "kind", "name", "partitions", "added", "suspended", box=None, pad_edge=False)
    for party in parties:
        table.add_row(
            party.id,
            party.kind,
            escape(party.name),
            str(party.events_partitions),
            f"{party.added_at:%Y-%m-%d %H:%M}",
            f"{party.suspended_at:%Y-%m-%d %H:%M}" if party.suspended_at else "",
        )
    print_table(table)


def show(party_id: str = typer.Argument(metavar="ID")) -> None:
    """One party, its topics and what it may publish, as JSON."""
    from weaklink.parties import MAY_PUBLISH
    from weaklink.party_registry import find_party
    from weaklink.settings import load_settings

    party = find_party(load_settings().kafka, party_id)
    fields = party.model_dump(mode="json")
    fields["topics"] = {"events": party.events_topic, "rejects": party.rejects_topic, "actions": party.actions_topic}
    fields["may_publish"] = sorted(record for record, kinds in MAY_PUBLISH.items() if party.kind in kinds)
    typer.echo(json.dumps(fields, indent=2))


def rotate(party_id: str = typer.Argument(metavar="ID"), secret_file: SecretFile = None) -> None:
    """Give a party a new secret, shown once. The old one lets nobody in from then on."""
    from weaklink.cli.secrets import hand_out, kafka_login, refuse_existing
    from weaklink.ops.kept_by_others import to_rotate
    from weaklink.ops.membership import rotate_party
    from weaklink.parties import Party
    from weaklink.settings import load_settings

    refuse_existing(secret_file)
    settings = load_settings()
    secret = rotate_party(settings, party_id)
    if _left_to_others(settings, f"the secret of {party_id} is the old one", to_rotate(party_id)):
        return
    principal = Party.principal_of(party_id)
    hand_out(principal, kafka_login(principal, secret), secret_file)


def suspend(party_id: str = typer.Argument(metavar="ID")) -> None:
    """Keep a party out from this moment: its live sessions end at their next request, and its secret is deleted.

    Where Strimzi keeps the principals, the output says what to apply for that.
    Its secret for the tokeniser and its users of the console too, where WEAKLINK_TOKENISER__CLIENTS_FILE and the ledger are here; else the
    output says what to run where they are.
    """
    from weaklink.cli.keep_out import keep_out
    from weaklink.ops.kept_by_others import to_keep_out
    from weaklink.ops.membership import suspend_party
    from weaklink.settings import load_settings

    settings = load_settings()
    party = suspend_party(settings, party_id)
    typer.echo(f"{party_id} is suspended since {party.suspended_at:%Y-%m-%d %H:%M:%S}; what it published before stays")
    _left_to_others(settings, f"the brokers let {party_id} in", to_keep_out(party_id))
    keep_out(settings, party_id)


def resume(party_id: str = typer.Argument(metavar="ID"), secret_file: SecretFile = None) -> None:
    """Let a suspended party in again, with a new secret, shown once.

    The tokeniser lets it in by `weaklink tokeniser grant`, the console its people by `weaklink console user add`.
    """
    from weaklink.cli.secrets import hand_out, kafka_login, refuse_existing
    from weaklink.ops.kept_by_others import to_let_in
    from weaklink.ops.membership import resume_party
    from weaklink.parties import Party
    from weaklink.settings import load_settings

    refuse_existing(secret_file)
    settings = load_settings()
    secret = resume_party(settings, party_id)
    if _left_to_others(settings, f"{party_id} is suspended no more; the brokers keep it out", to_let_in(party_id)):
        return
    typer.echo(f"{party_id} is let in again")
    principal = Party.principal_of(party_id)
    hand_out(principal, kafka_login(principal, secret), secret_file)


def remove(
    party_id: str = typer.Argument(metavar="ID"),
    delete_topics: bool = typer.Option(False, "--delete-topics", help="Delete its topics and all that they hold."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask before deleting topics."),
) -> None:
    """End a party's sessions and take it out of the registry; its topics stay unless --delete-topics.

    Its secret for the tokeniser and its users of the console go too, where WEAKLINK_TOKENISER__CLIENTS_FILE and the ledger are here; else the
    output says what to run where they are.
    """
    from weaklink.cli.keep_out import keep_out
    from weaklink.ops.kept_by_others import to_remove
    from weaklink.ops.provision import remove_party
    from weaklink.settings import load_settings

    def wait(seconds: float) -> None:
        typer.echo(
            f"{party_id} is out of the registry; its topics go in {seconds:g} s, when ingest has let go of them",
            err=True,
        )
        time.sleep(seconds)

    if delete_topics and not yes:
        typer.confirm(
            f"Delete the events, rejects and actions of {party_id}? They cannot be restored", abort=True, err=True
        )
    settings = load_settings()
    remove_party(settings, party_id, delete_topics=delete_topics, wait=wait)
    typer.echo(f"{party_id} is removed" + (", and its topics" if delete_topics else "; its topics are kept"))
    _left_to_others(settings, f"the brokers let {party_id} in", to_remove(party_id, topics_too=delete_topics))
    keep_out(settings, party_id)


def _left_to_others(settings: "Settings", until: str, commands: list[str]) -> bool:
    """Whether others keep the principals; then what a person has to run there is told, and what holds until then."""
    from weaklink.ops.membership import is_kept_by_others

    if not is_kept_by_others(settings):
        return False
    typer.echo(f"{until} until you run, as Weaklink keeps no principals here (WEAKLINK_ACCESS__MANAGED=false):")
    for command in commands:
        typer.echo(f"  {command}")
    return True
