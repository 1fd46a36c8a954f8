"""`weaklink partner export|signing-key|indicators`: a party's actions in the formats of other tools, and others' indicators."""

import csv
import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weaklink.formats.xarf import Source
    from weaklink.partner.models import EnforcementAction

PartyOption = Annotated[str, typer.Option("--party", help="The party's id.")]


class Format(StrEnum):
    """Formats of an export."""

    RISC = "risc"
    STIX = "stix"
    XARF = "xarf"


def register(group: typer.Typer) -> None:
    """Add these commands to `weaklink partner`."""
    group.command("export")(export)
    group.command("signing-key")(signing_key)
    group.command("indicators")(indicators)


def export(
    *,
    party: PartyOption,
    form: Annotated[Format, typer.Option("--format", help="What other tools read.")],
    signing_key_file: Annotated[
        Path | None, typer.Option("--signing-key", help="risc: the key that signs (weaklink partner signing-key).")
    ] = None,
    issuer: Annotated[str, typer.Option("--issuer", help="risc: URL of who transmits.")] = "https://weaklink.example",
    audience: Annotated[
        str | None, typer.Option("--audience", help="risc: who receives; by default the party.")
    ] = None,
    subject_issuer: Annotated[
        str | None,
        typer.Option(
            "--subject-issuer", help="risc: URL under which your accounts are known; by default the issuer's."
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            "--sources", help="xarf: CSV of account, address, requests, first_seen, and if known last_seen, port."
        ),
    ] = None,
    reporter: Annotated[
        str | None, typer.Option("--reporter", metavar="ORG,MAIL,DOMAIN", help="xarf: who reports.")
    ] = None,
) -> None:
    """The party's actions, of each the latest revision, for other tools: on standard output, what was left out on standard error."""
    from weaklink.partner.reading import read_actions
    from weaklink.settings import load_settings

    latest: dict[str, EnforcementAction] = {}
    for action in read_actions(load_settings().kafka, party):
        # A revision may be published again after a later one.
        if action.action_id not in latest or action.revision >= latest[action.action_id].revision:
            latest[action.action_id] = action
    actions = list(latest.values())
    if form is Format.STIX:
        from weaklink.formats.stix import actions_bundle

        typer.echo(json.dumps(actions_bundle(actions), indent=1))
    elif form is Format.RISC:
        _risc(actions, signing_key_file, issuer, audience or party, subject_issuer or issuer)
    else:
        _xarf(actions, sources, reporter)


def _risc(
    actions: "list[EnforcementAction]", key_file: Path | None, issuer: str, audience: str, subject_issuer: str
) -> None:
    from weaklink.errors import ConfigurationError
    from weaklink.formats.risc import claims_of, load_signing_key, signed

    if key_file is None:
        raise ConfigurationError("--signing-key is missing: weaklink partner signing-key FILE makes one")
    key = load_signing_key(key_file)
    made = [claims_of(one, issuer=issuer, audience=audience, subject_issuer=subject_issuer) for one in actions]
    for claims in made:
        if claims is not None:
            typer.echo(signed(claims, key))
    _left_out(
        sum(claims is None for claims in made), "on identifiers, which RISC has no event for (--format stix has them)"
    )


def _xarf(actions: "list[EnforcementAction]", sources: Path | None, reporter: str | None) -> None:
    from weaklink.errors import ConfigurationError
    from weaklink.formats.xarf import Reporter, report

    words = (reporter or "").split(",")
    if sources is None or len(words) != 3:
        raise ConfigurationError(
            "XARF needs --sources FILE (which address an account came from) and --reporter ORG,MAIL,DOMAIN"
        )
    seen = _sources(sources)
    who = Reporter(*(word.strip() for word in words))
    missing = 0
    for action in actions:
        own = seen.get(action.target_account or "", [])
        missing += not own
        for source in own:
            if (made := report(action, source, who)) is not None:
                typer.echo(json.dumps(made))
    _left_out(missing, f"whose account is not in {sources}")


def _sources(file: Path) -> "dict[str, list[Source]]":
    from weaklink.errors import ConfigurationError
    from weaklink.formats.xarf import Source

    found: dict[str, list[Source]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            for row in reader:
                try:
                    source = Source(
                        row["address"],
                        int(row["requests"]),
                        datetime.fromisoformat(row["first_seen"]),
                        datetime.fromisoformat(row["last_seen"]) if row.get("last_seen") else None,
                        int(row["port"]) if row.get("port") else None,
                    )
                except (KeyError, TypeError, ValueError) as error:
                    raise ConfigurationError(f"{file}:{reader.line_num}: {error!r}; columns are account, address, requests, first_seen") from error  # fmt: skip
                found.setdefault(row["account"], []).append(source)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    return found


def _left_out(count: int, why: str) -> None:
    if count:
        typer.echo(f"{count} actions left out {why}", err=True)


def signing_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the key; must not exist.")],
) -> None:
    """Make the key that signs security event tokens (mode 0600), and print its public half as a JWK set for receivers."""
    from weaklink.formats.risc import jwks, new_signing_key

    typer.echo(json.dumps(jwks(new_signing_key(file)), indent=1))


def indicators(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A STIX 2.1 bundle (.json) or CSV: kind, value, source, expires_at.")
    ],
    benign: Annotated[bool, typer.Option("--benign", help="Only those that their source calls benign.")] = False,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Keys for raw values (default: WEAKLINK_PARTNER__KEY_FILE).")
    ] = None,
) -> None:
    """Others' indicators as listed identifiers: tokens with source and expiry, one JSON object a line on standard output.

    What cannot be listed is told on standard error. `weaklink benign import` takes the output of --benign. Malicious ones are for the
    party's own screening: they have no effect on what Weaklink finds.
    """
    from datetime import UTC

    from weaklink.errors import ConfigurationError
    from weaklink.formats.indicators import Unused, read_indicators
    from weaklink.partner.remote import open_tokeniser
    from weaklink.settings import load_settings

    tokeniser = open_tokeniser(load_settings().partner, key_file)
    if tokeniser is None:
        raise ConfigurationError(
            "raw values need keys: pass --key-file, or set WEAKLINK_PARTNER__KEY_FILE or WEAKLINK_PARTNER__TOKENISER_URL"
        )
    for one in read_indicators(file, tokeniser.tokens, datetime.now(UTC)):
        if isinstance(one, Unused):
            typer.echo(f"{file}: {one.name}: {one.why}", err=True)
        elif one.benign or not benign:
            typer.echo(json.dumps(one.row()))
