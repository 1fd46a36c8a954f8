"""`weaklink tokeniser serve|grant|revoke`: the consortium's tokeniser, and who may ask it."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        no_args_is_help=True, help="The service that keeps the keys, and turns identifiers into tokens."
    )
    group.command("serve")(serve)
    group.command("grant")(grant)
    group.command("revoke")(revoke)
    app.add_typer(group, name="tokeniser")


def serve() -> None:
    """Serve until stopped. Settings: WEAKLINK_TOKENISER__KEY_FILE, __HOST, __PORT, __CERTFILE and limits per party.

    Metrics, for the operators alone, are at a port of their own: WEAKLINK_STREAM__METRICS_PORT.
    """
    import math

    from weaklink.health import Health, serve_health
    from weaklink.logs import service_log
    from weaklink.settings import load_settings
    from weaklink.tokeniser.service import serve as serve_tokens

    settings = load_settings()
    with service_log("tokeniser", json=settings.log_json, level=settings.log_level):
        if settings.stream.metrics_port is not None:
            health = Health(math.inf)  # it has no loop that could stand still
            health.turned(ready=True)
            serve_health(settings.stream.metrics_host, settings.stream.metrics_port, health)
        serve_tokens(settings.tokeniser)


def grant(
    party_id: Annotated[str, typer.Argument(metavar="ID", help="The party's id.")],
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", help="Write the secret there (mode 0600; must not exist) instead of showing it."),
    ] = None,
) -> None:
    """Let a party ask, with a new secret, shown once. The one before lets nobody in any more; no restart is needed."""
    from weaklink.cli.secrets import hand_out, refuse_existing
    from weaklink.settings import load_settings
    from weaklink.tokeniser.clients import grant as let_in

    refuse_existing(secret_file)
    secret = let_in(load_settings().tokeniser.clients_file, party_id)
    hand_out(party_id, {"WEAKLINK_PARTNER__TOKENISER_SECRET": secret}, secret_file)


def revoke(party_id: Annotated[str, typer.Argument(metavar="ID", help="The party's id.")]) -> None:
    """Let a party ask no more, from its next call on."""
    from weaklink.settings import load_settings
    from weaklink.tokeniser.clients import revoke as keep_out

    keep_out(load_settings().tokeniser.clients_file, party_id)
    typer.echo(f"{party_id} may not ask any more")
