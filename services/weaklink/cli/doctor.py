"""`weaklink doctor`: is everything as it should be, and if not, what to do."""

import json

import typer

_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("doctor")(doctor)


def doctor(as_json: bool = typer.Option(False, "--json", help="One JSON object per finding.")) -> None:
    """Look at this machine, the ledger and the brokers. Changes nothing; exit code 1 when something is wrong, and with each finding its fix."""
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Table

    from weaklink.cli.tables import print_table
    from weaklink.ops.doctor import failed
    from weaklink.ops.doctor_probe import examine
    from weaklink.settings import load_settings

    findings = examine(load_settings())
    if as_json:
        for one in findings:
            typer.echo(json.dumps(asdict(one)))
    else:
        table = Table("", "check", "finding", "what to do", box=None, pad_edge=False)
        for one in findings:
            table.add_row(f"[{_COLOURS[one.level]}]{one.level}[/]", one.check, escape(one.what), escape(one.fix))
        print_table(table)
    if failed(findings):
        raise typer.Exit(1)
