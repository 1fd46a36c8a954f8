"""`weaklink principal list|secret`: the services' own logins."""

from typing import Annotated

import typer

from weaklink.cli.party import SecretFile


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Logins of Weaklink's own services and operators.")
    group.command("list")(list_principals)
    group.command("secret")(secret)
    app.add_typer(group, name="principal")


def list_principals() -> None:
    """Every principal of the services and operators, and what it may do."""
    from weaklink.ops.access import SERVICE_PRINCIPALS, service_grants
    from weaklink.ops.membership import is_managed
    from weaklink.party_registry import read_parties
    from weaklink.settings import load_settings

    settings = load_settings()
    grants = sorted(service_grants(read_parties(settings.kafka).values() if is_managed(settings) else ()))
    for principal in SERVICE_PRINCIPALS:
        typer.echo(principal)
        for grant in grants:
            if grant.principal == principal:
                typer.echo(f"  {str(grant).removeprefix(principal).strip()}")


def secret(
    name: Annotated[str, typer.Argument(metavar="NAME", help="weaklink.ingest, weaklink.operator, ...")],
    secret_file: SecretFile = None,
) -> None:
    """Give a service a new secret, shown once. The old one lets nobody in from then on."""
    from weaklink.cli.secrets import hand_out, kafka_login, refuse_existing
    from weaklink.ops.membership import issue_service_secret
    from weaklink.settings import load_settings

    refuse_existing(secret_file)
    hand_out(name, kafka_login(name, issue_service_secret(load_settings(), name)), secret_file)
