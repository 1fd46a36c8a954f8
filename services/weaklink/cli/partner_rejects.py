"""The work of `weaklink partner rejects`: groups on the screen, rows to mend, replay."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from weaklink.errors import ConfigurationError
from weaklink.partner.reading import Reject, read_rejects
from weaklink.partner.rejects import Group, Mending, grouped, mended, row_of

if TYPE_CHECKING:
    from weaklink.partner.upload import UploadResult
    from weaklink.settings import Settings

_TEXT_MAX = 160


def show_groups(settings: "Settings", party: str, reason: str | None, *, as_json: bool) -> None:
    """Reasons with their number, an example and how to mend it."""
    groups = grouped(wanted(settings, party, reason))
    for group in groups:
        typer.echo(json.dumps(_plain(group)) if as_json else _text(group))
    if not groups and not as_json:
        typer.echo(f"{party} has no rejects{f' for {reason}' if reason else ''}")
    elif not as_json:
        typer.echo(
            f"To mend them: weaklink partner rejects --party {party} --write FILE, change the rows, --replay FILE;\n"
            f"or at once for every one with that field: --mend FIELD=VALUE (FIELD= leaves it out, occurred_at=-90s moves it)"
        )


def wanted(settings: "Settings", party: str, reason: str | None) -> list[Reject]:
    """The party's rejects, of one reason where it is given."""
    return [one for one in read_rejects(settings.kafka, party) if reason in (None, one.reason)]


def write_rows(settings: "Settings", party: str, reason: str | None, file: Path) -> None:
    """The rejects as rows of a file, to be mended by hand. Raises ConfigurationError rather than replace a file."""
    rows = [row_of(one) for one in wanted(settings, party, reason)]
    try:
        with file.open("x", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)
    except FileExistsError as error:
        raise ConfigurationError(f"{file} exists: it may hold what you have mended; give another name") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    unreadable = sum("event_type" not in row for row in rows)
    typer.echo(f"{file}: {len(rows)} rejects; `_reject` says what is wrong with each, and is ignored by --replay")
    if unreadable:
        typer.echo(f"{unreadable} of them cannot be read as events, and can be mended only where they were made")


def mend(settings: "Settings", party: str, reason: str | None, rules: Sequence[str]) -> "UploadResult":
    """Mend by rules and publish what came of it."""
    mendings = [Mending.parse(rule) for rule in rules]
    rows = mended(wanted(settings, party, reason), mendings)
    with tempfile.TemporaryDirectory(prefix="weaklink-rejects-") as folder:
        file = Path(folder) / "mended.ndjson"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        result = replay(settings, party, file)
    if not rows:
        typer.echo(f"no reject of {party} is about {', '.join(rule.field for rule in mendings)}")
    return result


def replay(settings: "Settings", party: str, file: Path) -> "UploadResult":
    """Publish mended rows."""
    from weaklink.cli.partner_publish import publish_files

    return publish_files(
        settings, [str(file)], party=party, party_column=None, file_format="ndjson", key_file=None, bad_shown=20
    )


def as_json(reject: Reject) -> dict[str, Any]:
    """One reject for a script."""
    return {
        "reason": reject.reason,
        "field": reject.field,
        "detail": reject.detail,
        "explanation": reject.explanation,
        "topic": reject.topic,
        "partition": reject.partition,
        "offset": reject.offset,
        "last_offset": reject.last_offset,
        "value": reject.value.hex(),
    }


def as_text(reject: Reject) -> str:
    """One reject for a person."""
    where = f"{reject.topic} partition {reject.partition} offset {reject.offset}"
    where += f" to {reject.last_offset}" if reject.last_offset > reject.offset else ""
    return f"{where}: {reject.reason}{f' ({reject.field})' if reject.field else ''}: {reject.detail}"


def _plain(group: Group) -> dict[str, Any]:
    return {
        "reason": group.reason,
        "field": group.field,
        "count": group.count,
        "how_to_mend": group.explanation,
        "example": row_of(group.example),
    }


def _text(group: Group) -> str:
    row = row_of(group.example)
    shown = json.dumps({name: value for name, value in row.items() if name != "_reject"})
    if len(shown) <= len("{}"):
        shown = "bytes " + (group.example.value.hex() or "none")
    shown = shown if len(shown) <= _TEXT_MAX else shown[: _TEXT_MAX - 3] + "..."
    field = f" in {group.field}" if group.field else ""
    return (
        f"{group.count} x {group.reason}{field}: {group.explanation}\n  e.g. {as_text(group.example)}\n       {shown}\n"
    )
