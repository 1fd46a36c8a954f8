"""Handing out a secret once: on the standard output, or in a file that only its owner may read. Never as an argument, never in a log."""

import os
from pathlib import Path

import typer

from weaklink.errors import ConfigurationError


def refuse_existing(path: Path | None) -> None:
    """Raise ConfigurationError before anything is changed when the file is there already."""
    if path is not None and path.exists():
        raise ConfigurationError(f"{path} exists: name a new file, so that no other login is overwritten")


def hand_out(principal: str, secret: str | None, path: Path | None) -> None:
    """Show the login of a principal, or write it as environment variables into a new file of mode 0600."""
    if secret is None:
        typer.echo(f"{principal} proves itself with a certificate of this common name; there is no secret")
        return
    if path is None:
        typer.echo(f"username: {principal}\nsecret: {secret}")
        typer.echo("The secret is shown this once: pass it on over a secure channel.", err=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists: the secret of {principal} is changed, but not written; rotate it again"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"WEAKLINK_KAFKA__USERNAME={principal}\nWEAKLINK_KAFKA__PASSWORD={secret}\n")
    typer.echo(f"{path}: login of {principal}, for your eyes only")
