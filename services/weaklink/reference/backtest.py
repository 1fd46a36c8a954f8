"""The page of `weaklink backtest`'s files: columns of its input, and of what it writes."""

from typing import Final

import polars as pl

from weaklink.backtest.actions import ACTIONS
from weaklink.backtest.findings import CURVES, REPLAYS, WEAK_LINKS
from weaklink.backtest.replay import ACCOUNTS, CAMPAIGNS
from weaklink.backtest.run import OUTPUTS
from weaklink.backtest.table import COLUMNS, DEFAULTS, REJECTS, REQUIRED, SYMBOLS
from weaklink.parties import PartyKind
from weaklink.records.schemas import EVENT_RECORDS
from weaklink.weaklinks.scorecard import SCORECARDS

_WRITTEN: Final[dict[str, tuple[pl.Schema, str]]] = {
    "accounts": (ACCOUNTS, "every account of the input; `flagged_at`: end of the tick at which it first joined a campaign"),
    "campaigns": (CAMPAIGNS, "every campaign that was not merged into another, as it last stood; `taken_*` with its 95 % bounds"),
    "actions": (ACTIONS, "every action that was issued, at its first issue; targets as they stood in the input"),
    "rejects": (REJECTS, "rows that do not count, by file and row, with the reason"),
    "weak_links": (WEAK_LINKS, "classes of accounts with their lift, over all campaigns (`campaign_id` null) and by campaign"),
    "scorecards": (SCORECARDS, "what each party gave and got"),
    "replays": (REPLAYS, "each plan again: carried out by every party, by each alone, by none"),
    "curves": (CURVES, "volume cut by number of measures, beside measures on accounts alone"),
}  # fmt: skip


def page() -> str:
    """The page, as Markdown."""
    kinds = ", ".join(f"`{kind}`" for kind in PartyKind)
    lines = [
        "# Files of a backtest",
        "",
        "`weaklink backtest events.parquet --out FOLDER` reads Parquet with these columns, in any order of rows; `weaklink sim world --out FOLDER` writes "
        f"such a file. `party`, `party_kind` ({kinds}), `event_type` ({', '.join(f'`{name}`' for name in EVENT_RECORDS)}) and `occurred_at` are needed; "
        "a column may be missing, or null where the record has no such field. Identifiers are raw values or hashes of your own: none leaves the process.",
        "",
        "## Input",
        "",
        "| column | type | without a value | values |",
        "|---|---|---|---|",
    ]
    for name, dtype in COLUMNS.items():
        default = "needed" if name in REQUIRED else f"`{DEFAULTS[name]}`" if name in DEFAULTS else "null"
        values = ", ".join(f"`{one}`" for one in SYMBOLS[name].categories) if name in SYMBOLS else ""
        lines.append(f"| `{name}` | {_type(dtype)} | {default} | {values} |")
    for name in OUTPUTS:
        schema, meaning = _WRITTEN[name]
        lines += [
            "",
            f"## {name}.parquet",
            "",
            f"{meaning[0].upper()}{meaning[1:]}.",
            "",
            "| column | type |",
            "|---|---|",
        ]
        lines += [f"| `{column}` | {_type(dtype)} |" for column, dtype in schema.items()]
    return "\n".join(lines) + "\n"


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return f"list of {_type(dtype.inner)}"  # type: ignore[arg-type]  # an instance, as the schemas have them
    if isinstance(dtype, pl.Struct):
        return "{" + ", ".join(field.name for field in dtype.fields) + "}"
    return str(dtype).replace("time_unit='us', time_zone='UTC'", "us, UTC")
