"""How `weaklink actions` prints actions: tables for people, JSON lines for programs."""

import json
from datetime import UTC, datetime
from typing import Any

import typer

from weaklink.cli.tables import print_table

_NOT_IN_TABLE = ("history", "receipts", "approvals", "target_key")


def print_actions(rows: list[dict[str, Any]]) -> None:
    """One line an action."""
    from rich.table import Table

    heads = ("action", "state", "measure", "party", "target", "campaign", "p", "issued", "answer", "waits because")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        answer = row["answer"] or ("overdue" if row["overdue"] else "")
        cells = (row["action_id"][:12], row["state"], row["measure"], row["party"], target(row), row["campaign_id"])
        more = (f"{row['confidence']:.2f}", time_text(row["issued_at_us"]), answer, row["waits_because"] or "")
        table.add_row(*map(_text, (*cells, *more)))
    print_table(table)


def print_action(row: dict[str, Any]) -> None:
    """One action: its fields, its history, and the questions that it put to people."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in row.items():
        if name not in _NOT_IN_TABLE and value is not None:
            table.add_row(name.removesuffix("_us"), _text(_shown(name, value)))
    print_table(table)
    print_history(row["history"])
    for one in row["approvals"]:
        verdict = f"{one['verdict']} by {one['decided_by'] or 'nobody'}" if one["verdict"] else "waits for a person"
        typer.echo(f"asked {time_text(one['asked_at_us'])}: {one['why']} ({verdict})")


def _shown(name: str, value: Any) -> Any:
    if name == "reasons":
        return "; ".join(f"{code} {weight:.2f} nats, {parties} parties" for code, weight, parties in value)
    return time_text(value) if name.endswith("_us") and value else value


def target(row: dict[str, Any]) -> str:
    """The account or token, with the slice in brackets."""
    name = row["target_account"] if row["target_account"] is not None else f"token {row['target_token'][:16]}..."
    part = [text for text in (row["slice_model"], row["slice_end_user"]) if text]
    return f"{name} [{', '.join(part)}]" if part else name


def time_text(at_us: int) -> str:
    """Microseconds since 1970 for people, UTC."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def _text(value: Any) -> Any:
    """Plain text: rich must not read markup in what parties named."""
    from rich.text import Text

    return Text(str(value))


def print_json(rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    for row in rows:
        typer.echo(json.dumps(row))


def print_history(rows: list[dict[str, Any]]) -> None:
    """One line a change."""
    from rich.table import Table

    table = Table("change", "revision", "state", "cause", "at", "by", "note", "source", box=None, pad_edge=False)
    for row in rows:
        cells = (row["change"], row["revision"] if row["published"] else "", row["state"], row["cause"])
        more = (time_text(row["at_us"]), row["actor"] or "", row["note"] or "", row["source"] or "")
        table.add_row(*map(_text, (*cells, *more)))
    print_table(table)
