"""Handing out a secret once: on the standard output, or in a file that only its owner may read. Never as an argument, never in a log."""

import os
from collections.abc import Mapping
from pathlib import Path

import typer

from weaklink.errors import ConfigurationError
from weaklink.folders import writable_folder


def refuse_existing(path: Path | None) -> None:
    """Raise ConfigurationError before anything is changed when the file is there already, or cannot be written: the secret would be lost."""
    if path is None:
        return
    if path.exists():
        raise ConfigurationError(f"{path} exists: name a new file, so that no other secret is overwritten")
    writable_folder(path.parent)


def kafka_login(principal: str, secret: str | None) -> dict[str, str]:
    """The variables with which a principal connects; empty when it proves itself with a certificate."""
    return {"WEAKLINK_KAFKA__USERNAME": principal, "WEAKLINK_KAFKA__PASSWORD": secret} if secret is not None else {}


def hand_out(whose: str, variables: Mapping[str, str], path: Path | None) -> None:
    """Show environment variables that hold a secret, or write them into a new file of mode 0600."""
    if not variables:
        typer.echo(f"{whose} proves itself with a certificate of this common name; there is no secret")
        return
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    if path is None:
        typer.echo(lines, nl=False)
        typer.echo(f"The secret of {whose} is shown this once: pass it on over a secure channel.", err=True)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists: the secret of {whose} is changed, but not written; ask for another") from error  # fmt: skip
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)
    typer.echo(f"{path}: the secret of {whose}, for its owner's eyes only")
