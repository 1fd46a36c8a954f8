"""`weaklink strimzi`: topics and principals as Strimzi's resources."""

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("strimzi")(strimzi)


def strimzi(
    parties: Annotated[
        list[str] | None,
        typer.Option("--party", metavar="ID:KIND", help="A party besides those of the registry; may be repeated."),
    ] = None,
    cluster: str = typer.Option("kafka", "--cluster", help="Name of the Kafka resource that the cluster is."),
    registered: bool = typer.Option(
        True, "--registered/--no-registered", help="Ask Kafka for the registered parties; or go without."
    ),
) -> None:
    """KafkaTopic and KafkaUser resources of Weaklink and its parties, as one JSON list for `kubectl apply -f -`."""
    from pydantic import ValidationError

    from weaklink.errors import PartyError
    from weaklink.ops.strimzi import resources
    from weaklink.parties import Party, PartyKind
    from weaklink.party_registry import read_parties
    from weaklink.settings import load_settings

    settings = load_settings()
    known = dict(read_parties(settings.kafka)) if registered else {}
    for one in parties or ():
        party_id, _, kind = one.partition(":")
        try:
            known.setdefault(party_id, Party(id=party_id, kind=PartyKind(kind)))
        except (ValidationError, ValueError) as error:
            raise PartyError(f"--party {one} is not ID:KIND, as in my-lab:lab: {error}") from error
    items = resources(settings, known.values(), cluster)
    typer.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))
