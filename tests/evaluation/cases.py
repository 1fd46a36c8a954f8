"""Hand-made verdicts: one operator of four accounts, five customers, and what was said of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from weaklink.backtest.actions import ACTIONS
from weaklink.backtest.replay import ACCOUNTS, CAMPAIGNS
from weaklink.backtest.table import COLUMNS
from weaklink.evaluation.judged import Verdicts, judge

START = datetime(2026, 3, 2, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def truth(*rows: tuple[str, str | None, str, bool]) -> pl.DataFrame:
    """(account, operator, role, victim) of accounts of one lab."""
    schema = {"account": pl.String, "operator": pl.String, "role": pl.String, "victim": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(party=pl.lit("lab-a"))


def usage(account: str, hours: float, requests: int, *identifiers: tuple[str, str]) -> dict[str, Any]:
    """An ApiUsage event in the input form of the backtest."""
    return {
        "party": "lab-a",
        "party_kind": "lab",
        "event_type": "ApiUsage",
        "occurred_at": at(hours),
        "account": account,
        "identifiers": [{"kind": kind, "value": value} for kind, value in identifiers],
        "requests": requests,
    }


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=COLUMNS).sort("occurred_at")


def said(*rows: tuple[str, float, str | None, float | None]) -> pl.DataFrame:
    """(account, score, campaign, hours until it was flagged)."""
    made = [("lab-a", a, score, campaign, None if h is None else at(h)) for a, score, campaign, h in rows]
    return pl.DataFrame(made, schema=ACCOUNTS, orient="row")


def action(
    measure: str,
    hours: float,
    *,
    account: str | None = None,
    kind: str = "ACCOUNT",
    value: str = "",
    withdrawn: float | None = None,
) -> dict[str, Any]:
    return {
        "action_id": f"{measure}-{account}-{value}-{hours}",
        "issued_at": at(hours),
        "party": "lab-a",
        "measure": measure,
        "target_account": account,
        "target_kind": kind,
        "target_value": value or account,
        "campaign_id": "c-1",
        "withdrawn_at": None if withdrawn is None else at(withdrawn),
    }


def actions(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ACTIONS)


TRUTH = truth(
    *((f"bad-{i}", "heron", "CONSUMER", False) for i in range(4)),
    ("good-0", None, "CONSUMER", False),
    ("good-1", None, "CONSUMER", True),
    ("good-2", None, "RESELLER", False),
    ("good-3", None, "CONSUMER", False),
    ("good-4", None, "CONSUMER", False),
)
EVENTS = events(
    *(usage(f"bad-{i}", hour, 10, ("CARD", f"card-{i // 2}")) for i in range(4) for hour in (1, 5, 9, 13, 17)),
    *(usage(f"good-{i}", 2, 4, ("DEVICE", f"device-{i}")) for i in range(5)),
    usage("good-4", 18, 6, ("CARD", "card-0")),
)
SAID = said(
    ("bad-0", 0.95, "c-1", 4),
    ("bad-1", 0.95, "c-1", 4),
    ("bad-2", 0.85, "c-2", 12),
    ("bad-3", 0.40, None, None),
    ("good-0", 0.05, None, None),
    ("good-1", 0.65, "c-1", 8),
    ("good-2", 0.05, None, None),
    ("good-3", 0.05, None, None),
    ("good-4", 0.05, None, None),
)
PLANS = pl.DataFrame(
    {"campaign_id": ["c-1", "c-2"], "accounts": [3, 1], "volume_cut_share": [0.8, 0.4], "gap": [0.0, 0.01]},
    schema_overrides={"accounts": pl.Int64},
).match_to_schema(CAMPAIGNS, missing_columns="insert")
DONE = actions(
    action("SUSPEND", 4, account="bad-0"),
    action("SUSPEND", 4, account="bad-1", withdrawn=10),
    action("CHALLENGE", 8, account="good-1"),
    action("BLOCK_IDENTIFIER", 12, kind="CARD", value="card-0"),
    action("OBSERVE", 1, account="bad-3"),
)


def verdicts(
    said: pl.DataFrame = SAID, done: pl.DataFrame = DONE, truth: pl.DataFrame = TRUTH, events: pl.DataFrame = EVENTS
) -> Verdicts:
    return judge(events, truth, said, PLANS, done)
