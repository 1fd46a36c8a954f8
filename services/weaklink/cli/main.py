"""`weaklink`: puts the command groups together and turns Weaklink's errors into one clear line."""

import errno
import os
import sys
from importlib import import_module
from typing import Final

import structlog
import typer

from weaklink import __version__
from weaklink.errors import WeaklinkError
from weaklink.logs import ToStderr

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pool what each party sees of model-extraction campaigns, and act on the weak links.",
)

GROUPS: Final = (
    "provision",
    "party",
    "principal",
    "benign",
    "epochs",
    "partner",
    "tokeniser",
    "schema",
    "run",
    "actions",
    "campaigns",
    "explain",
    "weak_links",
    "scorecard",
    "console",
    "lag",
    "audit",
    "ledger_schema",
    "strimzi",
    "doctor",
    "backtest",
    "evaluate",
    "broker",
    "demo",
    "replay",
    "sim",
)
"""One module of `weaklink.cli` each; every one has `register(app)`. They import heavy packages only inside commands."""

_EXTRAS: Final = {
    **dict.fromkeys(("joserfc", "stix2", "stix2patterns", "xarf"), "formats"),
    **dict.fromkeys(("jinja2", "starlette", "uvicorn"), "services,console"),
    "matplotlib": "evaluation",
}
"""Extras by package; every other package that may be missing belongs to the services."""

_OF_DISKS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What is said without a path, and yet to a person: no room, no quota left, read only."""

for group in GROUPS:
    import_module(f"weaklink.cli.{group}").register(app)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    """Pool what each party sees of model-extraction campaigns, and act on the weak links."""
    if show:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: errors that Weaklink raises on purpose, and files and folders that cannot be used, are a message and exit code 1, not a traceback."""
    # What a command warns of is not among what it prints; services set their logs up themselves.
    structlog.configure(logger_factory=ToStderr)
    try:
        app()
    except WeaklinkError as error:
        print(f"weaklink: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno not in _OF_DISKS:
            raise  # where it comes from is all that can be told of it
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        print(f"weaklink: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "", "services")
        print(
            f"weaklink: this command needs the package {error.name}: pip install 'weaklink[{extra}]'", file=sys.stderr
        )
        sys.exit(1)
