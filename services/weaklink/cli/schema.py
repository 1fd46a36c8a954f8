"""`weaklink schema check|show|export`: for the CI of both sides, that versions of a schema read each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weaklink.records.schemas import Schema


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Schemas of events and actions: show them, check a change.")
    group.command("check")(check)
    group.command("show")(show)
    group.command("export")(export)
    app.add_typer(group, name="schema")


def check(
    old: Annotated[
        Path, typer.Argument(metavar="[OLD]", help="A schema file; alone, it is checked against the shipped versions.")
    ],
    new: Annotated[Path | None, typer.Argument(metavar="NEW", help="The schema file that is to come.")] = None,
) -> None:
    """Whether two versions read each other, in both directions: by Avro's rules, and executed on values. Exit code 1 if not.

    With one file: against every version of that record that this installation ships.
    """
    from weaklink.errors import SchemaError
    from weaklink.records.evolution import breaks
    from weaklink.records.schemas import all_schemas, read_schema

    if new is not None:
        pairs = [(read_schema(old), str(old), read_schema(new), str(new))]
    else:
        mine = read_schema(old)
        shipped = [one for (record, _), one in sorted(all_schemas().items()) if record == mine.record]
        if not shipped:
            raise SchemaError(
                f"{old} is a {mine.record}, and no record of that name is shipped; give two files to compare"
            )
        pairs = [(one, f"{one.record} v{one.version}", mine, str(old)) for one in shipped]
    found = [one for first, its, second, that in pairs for one in breaks(first, second, old_name=its, new_name=that)]
    for one in found:
        typer.echo(str(one))
    if found:
        raise typer.Exit(1)
    typer.echo(f"{pairs[0][3]} and {', '.join(pair[1] for pair in pairs)} read each other: {_numbers(pairs)}")


def show(
    record: Annotated[
        str | None, typer.Argument(metavar="[RECORD]", help="A record's name; without it, what there is.")
    ] = None,
    version: Annotated[int | None, typer.Option("--version", help="By default the newest.")] = None,
) -> None:
    """Print a shipped schema as JSON, for another language's Avro library; without a name, the records with their fingerprints."""
    import json

    from weaklink.errors import SchemaError
    from weaklink.records.schemas import EVENT_RECORDS, all_schemas, latest

    if record is None:
        for (name, number), one in sorted(all_schemas().items()):
            if name in (*EVENT_RECORDS, "EnforcementAction"):
                typer.echo(f"{name} v{number}  fingerprint {one.fingerprint.hex()}")
        return
    chosen = latest(record) if version is None else all_schemas().get((record, version))
    if chosen is None:
        raise SchemaError(f"there is no version {version} of {record}; the newest is {latest(record).version}")
    typer.echo(json.dumps(chosen.json, indent=2))


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write them; made if it is not there.")],
) -> None:
    """Write the newest schema of each record that a party publishes or reads, and headers.json: the 10 bytes that begin a message of each, in hexadecimal."""
    import json

    from weaklink.folders import writing
    from weaklink.records.codec import SINGLE_OBJECT_MARKER
    from weaklink.records.schemas import EVENT_RECORDS, latest

    records = {name: latest(name) for name in (*EVENT_RECORDS, "EnforcementAction")}
    headers = {name: (SINGLE_OBJECT_MARKER + one.fingerprint).hex() for name, one in records.items()}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, one in records.items():
            (folder / f"{name}.avsc").write_text(json.dumps(one.json, indent=2) + "\n", encoding="utf-8")
        (folder / "headers.json").write_text(json.dumps(headers, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{folder}: {len(records)} schemas and headers.json")


def _numbers(pairs: "list[tuple[Schema, str, Schema, str]]") -> str:
    from weaklink.records.evolution import samples

    values = sum(1 for pair in pairs for schema in (pair[0], pair[2]) for _ in samples(schema))
    return f"{values} values written by one and read by the other"
