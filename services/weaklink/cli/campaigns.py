"""`weaklink campaigns list|show|export|picture`: the campaigns as they stand, for people and for other tools."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from weaklink.cli.action_tables import print_json
from weaklink.cli.tables import print_table

if TYPE_CHECKING:
    from weaklink.cases.store import Cases

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="CSV with a line of names.")]
Ident = Annotated[str, typer.Argument(metavar="ID", help="A campaign's id, or its unmistakable beginning.")]
PartyOption = Annotated[
    str | None, typer.Option("--party", help="Only this party's accounts and actions, fit to give to it.")
]
COLUMNS: Final = (
    "campaign_id", "state", "detected_at", "updated_at", "confidence", "severity", "accounts", "parties", "requests",
    "requests_per_day", "growth_per_hour", "volume_cut_share", "measures", "traits",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Campaigns: what runs, why it is one, and what measures did to it.")
    group.command("list")(list_campaigns)
    group.command("show")(show)
    group.command("export")(export)
    group.command("picture")(picture)
    app.add_typer(group, name="campaigns")


def cases() -> "Cases":
    """The topic of campaigns as of now."""
    from weaklink.cases.reader import read_cases
    from weaklink.settings import load_settings

    return read_cases(load_settings().kafka)


def find_campaign(known: "Cases", prefix: str) -> dict[str, Any]:
    """By id or unmistakable beginning. Raises ConfigurationError for none or several."""
    from weaklink.errors import ConfigurationError

    found = [one for name, one in known.campaigns.items() if prefix and name.startswith(prefix)]
    if len(found) != 1:
        what = "several campaigns begin with" if found else "no campaign has the id"
        raise ConfigurationError(f"{what} {prefix!r}: see `weaklink campaigns list --all`")
    return found[0]


def list_campaigns(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that ended.")] = False,
    party: Annotated[str | None, typer.Option("--party", help="Only those that touch this party.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Campaigns, most volume first."""
    known = cases()
    rows = list(known.campaigns.values()) if everything else known.running()
    rows = [_row(one) for one in rows if party is None or party in one["parties"]]
    rows.sort(key=lambda row: (-row["requests_per_day"], row["campaign_id"]))
    if as_json:
        print_json(rows)
    elif as_csv:
        typer.echo(_csv(rows, COLUMNS), nl=False)
    else:
        _print_list(rows)


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    plan = one["plan"]
    flat = {**one, "volume_cut_share": plan["volume_cut_share"], "measures": plan["measures"]}
    return {name: plain(flat[name]) for name in COLUMNS}


def plain(value: Any) -> Any:
    """As JSON has it: times ISO 8601, bytes in hex."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _csv(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(names), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Lists with spaces between; what a spreadsheet would take for a formula is led by a quote (a party chose these texts)."""
    if isinstance(value, list):
        value = " ".join(str(one) for one in value)
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _print_list(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    heads = (
        "campaign",
        "state",
        "found",
        "p",
        "severity",
        "accounts",
        "parties",
        "requests/day",
        "plan cuts",
        "traits",
    )
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        cells = (
            row["campaign_id"], row["state"], row["detected_at"][:16], f"{row['confidence']:.2f}", f"{row['severity']:.1f}",
            f"{row['accounts']:,}", str(len(row["parties"])), f"{row['requests_per_day']:,.0f}",
            f"{row['volume_cut_share']:.0%}", " ".join(row["traits"]),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    print_table(table)
    if not rows:
        typer.echo("no campaign runs (--all shows those that ended)", err=True)


def show(ident: Ident, as_json: AsJson = False) -> None:
    """One campaign: evidence, doors, timeline, and what measures did to it."""
    from weaklink.cases.story import effect_lines, story, token_lines
    from weaklink.cli.ledger import read
    from weaklink.enforce.queries import on_tokens
    from weaklink.errors import LedgerError
    from weaklink.settings import load_settings

    known = cases()
    one = find_campaign(known, ident)
    course = known.courses.get(one["campaign_id"])
    if as_json:
        print_json([plain({**one, "course": course})])
        return
    row = _row(one)
    for name in COLUMNS:
        typer.echo(f"{name:18} {', '.join(row[name]) if isinstance(row[name], list) else row[name]}")
    _section(
        "evidence", [f"{e['weight']:+6.2f} nats  {_words(e['code'])} ({e['parties']} parties)" for e in one["evidence"]]
    )
    _section("timeline", [f"{entry.at:%Y-%m-%d %H:%M}  {entry.text}" for entry in story(one, course)])
    config, name = load_settings().weaklinks, one["campaign_id"]
    try:
        tokens = token_lines(read(lambda connection: on_tokens(connection, name)), known.graph(name), config)
    except LedgerError as error:
        tokens = [f"measures on identifiers are not told: {error}"]
    _section("what measures did", effect_lines(course, config) + tokens)


def _words(code: str) -> str:
    from weaklink.cases.words import code_words

    return f"{code}: {code_words(code)}"


def _section(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        typer.echo(f"\n{title}")
        for line in found:
            typer.echo(f"  {printable(line)}")


def printable(text: str) -> str:
    """Without characters that could steer a terminal: parties chose some of these texts."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def export(
    *,
    idents: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Campaigns; without, all that run.")
    ] = None,
    form: Annotated[
        Literal["json", "csv", "stix"],
        typer.Option(
            "--format",
            help="json: one object a line with members; csv: one line a member; stix: one STIX 2.1 bundle a line.",
        ),
    ] = "json",
    party: PartyOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file instead of stdout.")] = None,
) -> None:
    """Campaigns with their members, for other tools."""
    known = cases()
    chosen = [find_campaign(known, one) for one in idents] if idents else known.running()
    chosen = [one for one in chosen if party is None or party in one["parties"]]
    text = "".join(_exported(known, chosen, form, party))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"{len(chosen)} campaigns written to {out}", err=True)


_MEMBER: Final = ("campaign_id", "party", "account", "score", "since", "flagged", "fast")


def _exported(known: "Cases", chosen: list[dict[str, Any]], form: str, party: str | None) -> Iterable[str]:
    members = {
        one["campaign_id"]: [
            {name: getattr(member, name) for name in _MEMBER} for member in known.members(one["campaign_id"], party)
        ]
        for one in chosen
    }
    if form == "csv":
        yield _csv([plain(row) for rows in members.values() for row in rows], _MEMBER)
        return
    for one in chosen:
        own = members[one["campaign_id"]]
        if form == "stix":
            yield json.dumps(_bundle(one, own, party)) + "\n"
        else:
            shown = (
                one
                if party is None
                else {n: one[n] for n in ("campaign_id", "state", "detected_at", "updated_at", "confidence")}
            )
            yield json.dumps(plain({**shown, "members": own})) + "\n"


def _bundle(campaign: dict[str, Any], members: list[dict[str, Any]], party: str | None) -> dict[str, Any]:
    from weaklink.formats.stix import campaign_bundle

    return campaign_bundle(campaign, members, party=party)


def picture(
    ident: Ident,
    png: Annotated[Path, typer.Option("--png", help="The file to write.")],
    of: Annotated[
        Literal["graph", "exchanges"],
        typer.Option("--of", help="graph: who shares what; exchanges: a day, with and without measures."),
    ] = "graph",
) -> None:
    """A picture of a campaign as a PNG file."""
    from weaklink.cases.layout import layout
    from weaklink.cases.pictures import exchanges_png, graph_png
    from weaklink.errors import ConfigurationError

    known = cases()
    name = find_campaign(known, ident)["campaign_id"]
    graph, course = known.graph(name), known.courses.get(name)
    if of == "graph" and graph is not None:
        graph_png(layout(graph), name, png)
    elif of == "exchanges" and course is not None:
        exchanges_png(course, name, png)
    else:
        raise ConfigurationError(f"campaign {name} has not been planned yet: there is no picture of it")
    typer.echo(str(png))
