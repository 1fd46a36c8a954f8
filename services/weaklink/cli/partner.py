"""`weaklink partner publish|import|actions|receipt|rejects|export|key`: what a party does by hand or from a script."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weaklink.cli import partner_export, partner_signals
from weaklink.partner.symbols import ReceiptStatus

if TYPE_CHECKING:
    from weaklink.settings import Settings

_BAD_ROWS_EXIT_CODE = 3
_BAD_ROWS_SHOWN = 20
_ACTION_ID = re.compile(r"[0-9a-f]{32}")

PartyOption = Annotated[str, typer.Option("--party", help="The party's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Publish events, read actions and rejects, answer, keep keys.")
    group.command("publish")(publish)
    group.command("import")(import_files)
    group.command("actions")(actions)
    group.command("receipt")(receipt)
    group.command("rejects")(rejects)
    partner_export.register(group)
    partner_signals.register(group)
    keys = typer.Typer(no_args_is_help=True, help="Keys that raw identifiers are hashed with.")
    keys.command("new")(key_new)
    keys.command("rotate")(key_rotate)
    group.add_typer(keys, name="key")
    app.add_typer(group, name="partner")


def publish(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="NDJSON, CSV or Parquet; - is standard input.")],
    party: Annotated[
        str | None,
        typer.Option("--party", help="Publish as this party; rows whose column `party` names another are skipped."),
    ] = None,
    party_column: Annotated[
        str | None, typer.Option("--party-column", help="Publish each row as the party that this column names.")
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="ndjson, csv or parquet; by default the file's suffix tells.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Keys for raw identifiers (default: WEAKLINK_PARTNER__KEY_FILE)."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            min=0.001,
            help="Recorded events in their time order: seconds of event time per second (for clock=event).",
        ),
    ] = None,
) -> None:
    """Publish events from files. Bad rows are told with their line, kept in FILE.bad, and make the exit code 3; the others go out."""
    from weaklink.cli.partner_publish import publish_files
    from weaklink.errors import ConfigurationError

    if (party is None) == (party_column is None):
        raise ConfigurationError("say either --party ID or --party-column NAME")
    if file_format not in (None, "ndjson", "csv", "parquet"):
        raise ConfigurationError(f"--format {file_format}: there are ndjson, csv and parquet")
    result = publish_files(
        _settings(),
        files,
        party=party,
        party_column=party_column,
        file_format=file_format,
        key_file=key_file,
        bad_shown=_BAD_ROWS_SHOWN,
        speed=speed,
    )
    if result.bad:
        raise typer.Exit(_BAD_ROWS_EXIT_CODE)


def import_files(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="otel, gateway, stripe or cloud.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON, CSV or a flow log; .gz too; - is standard input.")
    ],
    party: PartyOption,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="NAME=PATH", help="Where the lines have a field, e.g. account=consumer.username."
        ),
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="ndjson, csv or spaced; by default the file's suffix tells.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Keys for raw identifiers (default: WEAKLINK_PARTNER__KEY_FILE)."),
    ] = None,
) -> None:
    """Publish what you already have: OpenTelemetry GenAI spans, gateway logs, payment webhooks, cloud audit and flow logs.

    Raw values become tokens on the way. Bad lines are told with their number, kept in FILE.bad, and make the exit code 3.
    """
    from weaklink.cli.partner_publish import publish_files
    from weaklink.errors import ConfigurationError

    if file_format not in (None, "ndjson", "csv", "spaced"):
        raise ConfigurationError(f"--format {file_format}: there are ndjson, csv and spaced")
    result = publish_files(
        _settings(),
        files,
        party=party,
        party_column=None,
        file_format=file_format,
        key_file=key_file,
        bad_shown=_BAD_ROWS_SHOWN,
        source=source,
        fields=fields or (),
    )
    if result.bad:
        raise typer.Exit(_BAD_ROWS_EXIT_CODE)


def actions(party: PartyOption, follow: FollowOption = False, as_json: JsonOption = False) -> None:
    """Show the party's actions, every revision of each. Looks only: the SDK's subscription is what handles and answers them."""
    from weaklink.partner.models import EnforcementAction
    from weaklink.partner.reading import read_actions

    def target(action: EnforcementAction) -> str:
        return action.target_account or (action.target_token.hex() if action.target_token else "-")

    for action in read_actions(_settings().kafka, party, follow=follow):
        if as_json:
            typer.echo(action.model_dump_json(), nl=True)
            continue
        typer.echo(
            f"{action.issued_at:%Y-%m-%d %H:%M:%S}  {action.state:<9}  {action.measure:<20}  {target(action)}  "
            f"confidence {action.confidence:.2f}  campaign {action.campaign_id}  action {action.action_id} revision {action.revision}"
        )


def receipt(
    *,
    party: PartyOption,
    action_id: Annotated[str, typer.Option("--action", help="The action's id.")],
    status: Annotated[ReceiptStatus, typer.Option("--status", help="The answer.", case_sensitive=False)],
    revision: Annotated[int, typer.Option("--revision", min=1, help="Its revision.")] = 1,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; wanted for REFUSED, DISPUTED and NOT_OURS.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="Free text for a person.")] = None,
) -> None:
    """Answer one action by hand."""
    from weaklink.errors import ConfigurationError
    from weaklink.partner.client import WeaklinkClient

    if not _ACTION_ID.fullmatch(action_id):
        raise ConfigurationError(
            f"--action {action_id!r} is no action's id: 32 of 0-9 and a-f, as `weaklink partner actions` shows it"
        )

    settings = _settings()
    with WeaklinkClient(party, settings.kafka, settings.partner) as client:
        client.receipt(action_id, revision, status, reason, note)
    typer.echo(f"{status} for action {action_id} revision {revision} is delivered to {client.events_topic}")


def rejects(
    *,
    party: PartyOption,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those for this reason.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Every one on a line of its own, instead of groups.")] = False,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write them as rows to be mended.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="FILE", help="Publish the rows of a mended file.")
    ] = None,
    mend: Annotated[
        list[str] | None,
        typer.Option("--mend", metavar="FIELD=VALUE", help="Set the field in those it was wrong in, and publish them."),
    ] = None,
) -> None:
    """What came back, by reason, with an example and how to mend it; and back again once it is mended.

    A mended event keeps its id, so that it counts once however often it is replayed. --follow shows each as it comes.
    """
    import json

    from weaklink.cli import partner_rejects as work
    from weaklink.errors import ConfigurationError
    from weaklink.partner.reading import read_rejects

    if sum(bool(one) for one in (write, replay, mend, each or follow)) > 1:
        raise ConfigurationError("say one of --write, --replay, --mend and --each or --follow")
    settings = _settings()
    if write:
        work.write_rows(settings, party, reason, write)
    elif replay or mend:
        result = work.replay(settings, party, replay) if replay else work.mend(settings, party, reason, mend or ())
        if result.bad:
            raise typer.Exit(_BAD_ROWS_EXIT_CODE)
    elif each or follow:
        for reject in read_rejects(settings.kafka, party, follow=follow):
            if reason in (None, reject.reason):
                typer.echo(json.dumps(work.as_json(reject)) if as_json else work.as_text(reject))
    else:
        work.show_groups(settings, party, reason, as_json=as_json)


def key_new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the keys; must not exist.")],
) -> None:
    """Make a key file (mode 0600). Every party of a consortium needs the same one, or their tokens never meet."""
    import shlex
    from datetime import UTC, datetime

    from weaklink.partner.keys import new_keys, save_keys

    # From the beginning of time: an epoch's start says when it joins an older one, and the first has none.
    save_keys(file, new_keys(datetime(1970, 1, 1, tzinfo=UTC)))
    typer.echo(
        f"{file}: keys of epoch 1. Pass it on only over a secure channel; export WEAKLINK_PARTNER__KEY_FILE={shlex.quote(str(file))}"
    )


def key_rotate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file.")],
    overlap_days: Annotated[
        int,
        typer.Option(
            "--overlap-days",
            min=0,
            max=365,
            help="How long the old epoch stays in use beside the new; 0: not at all, after a leak.",
        ),
    ] = 90,
) -> None:
    """Add a new epoch of keys; the old one ends after the overlap."""
    from datetime import UTC, datetime, timedelta

    from weaklink.partner.keys import load_keys, rotated, save_keys

    keys = rotated(load_keys(file), datetime.now(UTC), timedelta(days=overlap_days))
    save_keys(file, keys, replace=True)
    epoch = max(key.epoch for key in keys)
    in_use = f"in use beside the old one for {overlap_days} days" if overlap_days else "in use alone"
    end = f"{overlap_days}d" if overlap_days else "now"
    typer.echo(
        f"{file}: epoch {epoch} is {in_use}; every party needs this file now. "
        f"The operators end what was before: weaklink epochs expire {epoch - 1} --at {end}"
    )


def _settings() -> "Settings":
    from weaklink.settings import load_settings

    return load_settings()
