"""`weaklink partner signals serve|push`: a party's actions as a Shared Signals stream."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weaklink.formats.transmitter import SetStream
    from weaklink.settings import Settings

PartyOption = Annotated[str, typer.Option("--party", help="The party's id.")]
KeyOption = Annotated[Path, typer.Option("--signing-key", help="The key that signs (weaklink partner signing-key).")]
IssuerOption = Annotated[str, typer.Option("--issuer", help="URL of this transmitter, as receivers know it.")]
AudienceOption = Annotated[str | None, typer.Option("--audience", help="Who receives; by default the party.")]
BearerOption = Annotated[
    Path, typer.Option("--bearer-file", help="File with the token that the receiver and this side share.")
]


def register(group: typer.Typer) -> None:
    """Add these commands to `weaklink partner`."""
    signals = typer.Typer(no_args_is_help=True, help="Actions as OpenID Shared Signals, polled or pushed.")
    signals.command("serve")(serve)
    signals.command("push")(push)
    group.add_typer(signals, name="signals")


def serve(
    *,
    party: PartyOption,
    signing_key: KeyOption,
    issuer: IssuerOption,
    bearer_file: BearerOption,
    audience: AudienceOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; TLS is a proxy's in front of it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535)] = 8936,
) -> None:
    """Let one receiver poll (RFC 8936): POST /poll, /verify, /status with the bearer token; keys at /jwks.json."""
    import threading
    from http.server import HTTPServer

    from weaklink.formats.transmitter import handler
    from weaklink.listening import told
    from weaklink.partner.reading import read_actions
    from weaklink.settings import load_settings

    settings = load_settings()
    stream = _stream(settings, party, signing_key, issuer, audience)
    answers = handler(stream, _bearer(bearer_file))
    with told("signals", host, port, "--port"):
        server = HTTPServer((host, port), answers)

    def read() -> None:
        try:
            for action in read_actions(settings.kafka, party, follow=True):
                stream.offer(action)
        finally:
            server.shutdown()  # without its reader it would answer for ever that there is nothing

    threading.Thread(target=read, daemon=True).start()
    typer.echo(f"signals of {party} on http://{host}:{server.server_port}/poll", err=True)
    server.serve_forever()
    raise typer.Exit(1)


def push(
    *,
    party: PartyOption,
    signing_key: KeyOption,
    issuer: IssuerOption,
    bearer_file: BearerOption,
    url: Annotated[str, typer.Option("--url", help="The receiver's endpoint.")],
    audience: AudienceOption = None,
) -> None:
    """Push what the receiver has not had yet (RFC 8935), and leave. Run it again, as often as it should know."""
    from weaklink.formats import transmitter
    from weaklink.partner.reading import read_actions
    from weaklink.settings import load_settings

    settings = load_settings()
    stream = _stream(settings, party, signing_key, issuer, audience)
    for action in read_actions(settings.kafka, party):
        stream.offer(action)
    pushed = sum(1 for _ in transmitter.push(stream, url, _bearer(bearer_file)))
    typer.echo(f"{pushed} security event tokens taken by {url}")


def _stream(settings: "Settings", party: str, key: Path, issuer: str, audience: str | None) -> "SetStream":
    from weaklink.formats.risc import load_signing_key
    from weaklink.formats.transmitter import SetStream
    from weaklink.partner.actions import HandledActions

    signing = load_signing_key(key)
    memory = HandledActions(settings.partner.state_folder / f"{party}.signals.sqlite3")
    return SetStream(signing, issuer, audience or party, issuer, memory)


def _bearer(file: Path) -> str:
    from weaklink.errors import ConfigurationError

    try:
        found = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    if len(found) < 16:
        raise ConfigurationError(f"{file} holds no token of at least 16 characters")
    return found
