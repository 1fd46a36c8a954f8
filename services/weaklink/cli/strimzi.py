"""`weaklink strimzi`: topics and principals as Strimzi's resources."""

import json
from typing import Annotated, Any

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
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="ID", help="Nothing but this party's KafkaUser, as the registry has the party."),
    ] = None,
) -> None:
    """KafkaTopic and KafkaUser resources of Weaklink and its parties, as one JSON list for `kubectl apply -f -`.

    A suspended party's KafkaUser lets nobody in.
    """
    from pydantic import ValidationError

    from weaklink.errors import ConfigurationError, PartyError
    from weaklink.ops.strimzi import party_user, resources
    from weaklink.parties import Party, PartyKind
    from weaklink.party_registry import find_party, read_parties
    from weaklink.settings import load_settings

    settings = load_settings()
    if only is not None:
        _echo([party_user(settings, find_party(settings.kafka, only), cluster)])
        return
    if "replication_factor" not in settings.kafka.model_fields_set:
        raise ConfigurationError(
            "say how many replicas topics have: WEAKLINK_KAFKA__REPLICATION_FACTOR=3, as the stages have it in deploy/kubernetes/config.yaml. "
            "Without it every topic would be declared anew with one"
        )
    known = dict(read_parties(settings.kafka)) if registered else {}
    for one in parties or ():
        party_id, _, kind = one.partition(":")
        try:
            known.setdefault(party_id, Party(id=party_id, kind=PartyKind(kind)))
        except (ValidationError, ValueError) as error:
            raise PartyError(f"--party {one} is not ID:KIND, as in my-lab:lab: {error}") from error
    _echo(resources(settings, known.values(), cluster))


def _echo(items: list[dict[str, Any]]) -> None:
    typer.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))
