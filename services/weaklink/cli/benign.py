"""`weaklink benign add|remove|list|history|import`: identifiers and accounts that are known to be in order."""

from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weaklink.records.identifiers import IdentifierKind

if TYPE_CHECKING:
    from weaklink.benign import BenignRecord, Tokens
    from weaklink.partner.tokens import Tokeniser
    from weaklink.settings import Settings

Kind = Annotated[
    str | None,
    typer.Option("--kind", help="Kind of the raw identifier that --value gives; it is hashed here, with the key file."),
]
Value = Annotated[
    str | None,
    typer.Option("--value", help="The raw identifier; - reads it from standard input, out of the shell's history."),
]
Token = Annotated[str | None, typer.Option("--token", help="The identifier's token, in hexadecimal.")]
Account = Annotated[str | None, typer.Option("--account", metavar="PARTY/ACCOUNT", help="An account of a party.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; recorded in the history.")]
By = Annotated[str, typer.Option("--by", help="Who decides; recorded in the history.", default_factory=getuser)]
Expires = Annotated[str, typer.Option("--expires", help="never, a number of days such as 180d, or a date.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="Keys for raw identifiers (default: WEAKLINK_PARTNER__KEY_FILE).")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

_EXPIRES = "365d"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="What is known to be in order: listed identifiers link nobody, listed accounts are not flagged.",
    )
    group.command("add")(add)
    group.command("remove")(remove)
    group.command("list")(list_entries)
    group.command("history")(history)
    group.command("import")(import_file)
    app.add_typer(group, name="benign")


def add(
    *,
    reason: Reason,
    by: By,
    kind: Kind = None,
    value: Value = None,
    token: Token = None,
    account: Account = None,
    expires: Expires = _EXPIRES,
    key_file: KeyFile = None,
) -> None:
    """List an identifier or an account; again, to change its reason or expiry."""
    from weaklink.benign import ADD, expiry

    now = datetime.now(UTC)
    entries = _entries(kind, value, token, account, key_file)
    _write(entries, op=ADD, reason=reason, by=by, recorded_at=now, expires_at=expiry(expires, now))


def remove(
    *,
    reason: Reason,
    by: By,
    kind: Kind = None,
    value: Value = None,
    token: Token = None,
    account: Account = None,
    key_file: KeyFile = None,
) -> None:
    """Take an identifier or an account off the list; its history stays."""
    from weaklink.benign import ADD, REMOVE, latest
    from weaklink.benign_topic import read_records
    from weaklink.errors import ConfigurationError

    entries = _entries(kind, value, token, account, key_file)
    known = latest(read_records(_settings().kafka))
    listed = [entry for entry in entries if entry in known and known[entry].op == ADD]
    if not listed:
        raise ConfigurationError(f"{entries[0]} is not on the benign list (weaklink benign list)")
    _write(listed, op=REMOVE, reason=reason, by=by, recorded_at=datetime.now(UTC))


def list_entries(
    expired: Annotated[bool, typer.Option("--expired", help="Those that have expired, instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is listed now."""
    from weaklink.benign import ADD, latest
    from weaklink.benign_topic import read_records

    now = datetime.now(UTC)
    found = latest(read_records(_settings().kafka)).values()
    _show([one for one in found if one.op == ADD and one.holds(now) != expired], as_json)


def history(
    entry: Annotated[str | None, typer.Argument(metavar="[ENTRY]", help="Only this entry, as `list` names it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every change of the list, oldest first."""
    from weaklink.benign_topic import read_records

    records = sorted(read_records(_settings().kafka), key=lambda one: one.recorded_at)
    _show([one for one in records if entry in (None, one.entry)], as_json)


def import_file(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, NDJSON or Parquet; columns as in the documentation.")
    ],
    by: By,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for rows that do not say.")] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--as", help="Kinds under which values without one are listed; may be repeated.")
    ] = None,
    expires: Expires = _EXPIRES,
    key_file: KeyFile = None,
) -> None:
    """List every row of a file. Nothing is listed when a row cannot be."""
    from weaklink.benign import expiry
    from weaklink.benign_files import read_benign
    from weaklink.benign_topic import write_records
    from weaklink.partner.builder import kind_of

    now = datetime.now(UTC)
    records = list(
        read_benign(
            file,
            _tokens(key_file),
            [kind_of(kind) for kind in kinds or ()],
            by=by,
            now=now,
            expires_at=expiry(expires, now),
            reason=reason,
        )
    )
    typer.echo(f"{write_records(_settings().kafka, records)} entries of {file} are listed")


def _entries(
    kind: str | None, value: str | None, token: str | None, account: str | None, key_file: Path | None
) -> list[str]:
    """Names of the entries that the options mean: one, or one for each epoch in use."""
    from weaklink.benign import token_entry
    from weaklink.errors import ConfigurationError
    from weaklink.partner.builder import kind_of

    if [kind is not None and value is not None, token is not None, account is not None].count(True) != 1:
        raise ConfigurationError("say one of --kind KIND --value VALUE, --token HEX, or --account PARTY/ACCOUNT")
    if account is not None:
        return [f"account:{account}"]
    if token is not None:
        return [f"token:{token.lower()}"]
    raw = typer.get_text_stream("stdin").readline().rstrip("\n") if value == "-" else value
    return [token_entry(one) for one in _tokeniser(key_file).tokens(kind_of(kind or ""), raw or "")]


def _write(entries: list[str], **fields: object) -> None:
    from weaklink.benign import record
    from weaklink.benign_topic import write_records

    records = [record(entry=entry, **fields) for entry in entries]
    write_records(_settings().kafka, records)
    _show(records, as_json=False)


def _show(records: "list[BenignRecord]", as_json: bool) -> None:
    if as_json:
        for one in records:
            typer.echo(one.to_json().decode())
        return
    from rich.table import Table
    from rich.text import Text

    from weaklink.cli.tables import print_table

    table = Table("entry", "kind", "change", "reason", "by", "recorded", "expires", box=None, pad_edge=False)
    for one in records:
        expires = f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "never"
        cells = (one.entry, one.kind, one.op, one.reason, one.by, f"{one.recorded_at:%Y-%m-%d %H:%M}", expires)
        # As plain text: a party chooses the names of its accounts, and rich must not read markup in them.
        table.add_row(*(Text(str(cell)) for cell in cells))
    print_table(table)


def _tokens(key_file: Path | None) -> "Tokens":
    """Tokens by the key file, which is looked at when the first raw value comes: a list of tokens needs none."""
    loaded: list[Tokeniser] = []

    def tokens(kind: IdentifierKind, value: str) -> tuple[bytes, ...]:
        if not loaded:
            loaded.append(_tokeniser(key_file))
        return loaded[0].tokens(kind, value)

    return tokens


def _tokeniser(key_file: Path | None) -> "Tokeniser":
    from weaklink.errors import ConfigurationError
    from weaklink.partner.tokens import LocalTokeniser

    config = _settings().partner
    path = key_file or config.key_file
    if path is None:
        raise ConfigurationError(
            "raw identifiers are hashed with a key: say --key-file, or set WEAKLINK_PARTNER__KEY_FILE; or give --token"
        )
    return LocalTokeniser.load(path, config)


def _settings() -> "Settings":
    from weaklink.settings import load_settings

    return load_settings()
