"""The work of `weaklink partner publish`: files, progress and the summary on stderr."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from weaklink.errors import PartyError
from weaklink.partner.builder import EventBuilder
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.connectors import connector
from weaklink.partner.files import FileFormat, format_of, size_of
from weaklink.partner.outside_lists import OutsideLists
from weaklink.partner.pace import Pace
from weaklink.partner.publisher import Publisher
from weaklink.partner.remote import open_tokeniser
from weaklink.partner.upload import BadRow, Upload, UploadResult, bad_path

if TYPE_CHECKING:
    from weaklink.settings import Settings


def publish_files(
    settings: "Settings",
    files: list[str],
    *,
    party: str | None,
    party_column: str | None,
    file_format: str | None,
    key_file: Path | None,
    bad_shown: int,
    speed: float | None = None,
    source: str | None = None,
    fields: Sequence[str] = (),
) -> UploadResult:
    """Publish the files one after the other and print what became of them. Returns the sum over all files.

    `source` names the connector whose lines they are, `fields` what the lines name differently; without it they are events.
    """
    config = settings.partner
    tokeniser = open_tokeniser(config, key_file)
    classes = OutsideLists() if config.outside_lists else None
    builder = EventBuilder(tokeniser, classes) if tokeniser else None
    # Formats first: a wrong name in the list must not be found out after half of the files are published.
    # One connector for all files: what ends in one of them (a lease, a payment that is disputed) may have begun in an earlier one.
    lines = connector(source, fields) if source else None
    jobs = [(name, cast("FileFormat", file_format) if file_format else format_of(name)) for name in files]
    console = Console(stderr=True)
    total = UploadResult()
    with Publisher(settings.kafka, config) as publisher, _progress(console) as progress:
        clients: dict[str, WeaklinkClient] = {}

        def client_of(name: str) -> WeaklinkClient:
            if name not in clients:
                if not publisher.has_topic(f"party.{name}.events"):
                    raise PartyError(f"party {name} is not added here (weaklink party add {name} --kind ...)")
                clients[name] = WeaklinkClient(name, settings.kafka, config, publisher=publisher)
            return clients[name]

        def on_bad(name: str, bad: BadRow) -> None:
            total.bad += 1
            if total.bad <= bad_shown:
                where = f" ({bad.field})" if bad.field else ""
                progress.console.print(
                    escape(f"{name}:{bad.line}: {bad.reason}{where}: {bad.detail}"), highlight=False, soft_wrap=True
                )
            elif total.bad == bad_shown + 1:
                progress.console.print(
                    "... more bad rows are only written to the .bad file", highlight=False, soft_wrap=True
                )

        if party is not None:
            client_of(party)
        for name, form in jobs:
            task = progress.add_task(escape(name), total=size_of(name, form), published=0)

            def on_progress(consumed: int, published: int, task: TaskID = task) -> None:
                progress.update(task, completed=consumed, published=published)

            upload = Upload(
                client_of,
                builder,
                party=party,
                party_column=party_column,
                on_bad=on_bad,
                on_progress=on_progress,
                pace=Pace(speed) if speed else None,
                connector=lines,
            )
            result = upload.run(name, form)
            progress.update(task, completed=size_of(name, form), published=result.published)
            _add(total, result)
            _report(name, result, "no events of this source" if source else "of other parties")
    return total


def _progress(console: Console) -> Progress:
    """On a terminal a bar; elsewhere nothing moves."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[published]:,} published"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _add(total: UploadResult, result: UploadResult) -> None:
    # `bad` is counted as it comes, so that the limit on shown rows holds over all files.
    total.published += result.published
    total.skipped += result.skipped


def _report(name: str, result: UploadResult, skipped: str) -> None:
    parts = [f"{result.published:,} published"]
    if len(result.by_party) > 1:
        parts.append(f"for {len(result.by_party)} parties")
    if result.skipped:
        parts.append(f"{result.skipped:,} {skipped} skipped")
    if result.bad:
        parts.append(f"{result.bad:,} bad, kept in {bad_path(name)}")
    typer.echo(f"{name}: {', '.join(parts)}", err=True)
