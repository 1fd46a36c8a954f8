"""A small history for the tests of the backtest: one operator among ordinary customers, over four days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weaklink.backtest.table import COLUMNS

START = datetime(2026, 3, 2, tzinfo=UTC)
RING = 24
"""Accounts of the operator."""


def row(party: str, kind: str, record: str, at: datetime, account: str | None, **rest: Any) -> dict[str, Any]:
    identifiers = [{"kind": kind_, "value": value} for kind_, value in rest.pop("identifiers", [])]
    return {
        "party": party,
        "party_kind": kind,
        "event_type": record,
        "occurred_at": at,
        "account": account,
        "identifiers": identifiers,
    } | rest


def operator(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Accounts at two labs that share cards, devices and templates and grade rubrics around the clock."""
    rows = []
    for i in range(RING):
        party = ("lab-a", "lab-b")[i % 2]
        opened = START + timedelta(hours=float(rng.uniform(0, 20)))
        card, device = ("CARD", f"ring-card-{i // 6}"), ("DEVICE", f"ring-device-{i // 4}")
        rows.append(
            row(
                party,
                "lab",
                "AccountOpened",
                opened,
                f"ring-{i}",
                identifiers=[card, device],
                plan="TRIAL",
                verified="CARD",
            )
        )
        rows.append(
            row(
                "pay-a",
                "payment",
                "PaymentAttempt",
                opened,
                f"payer-{i // 6}",
                identifiers=[card],
                instrument="PREPAID",
                outcome="APPROVED",
            )
        )
        for hour in range(24, 96, 3):
            used = START + timedelta(hours=hour + float(rng.uniform(0, 1)))
            rows.append(
                row(party, "lab", "ApiUsage", used, f"ring-{i}", identifiers=[device, ("PHONE", f"+1555000{i // 3:04d}")],
                    model="atlas", task="RUBRIC_GRADING" if hour % 2 else "REASONING_ELICITATION", window_seconds=3600, requests=40,
                    input_tokens=4000, output_tokens=60_000)
            )  # fmt: skip
    return rows


def customers(rng: np.random.Generator, count: int = 150) -> list[dict[str, Any]]:
    """People with identifiers of their own, some of them two accounts on one device."""
    rows = []
    for i in range(count):
        party = ("lab-a", "lab-b")[i % 2]
        opened = START + timedelta(hours=float(rng.uniform(0, 40)))
        own = [("DEVICE", f"device-{i - i % 2 if i % 10 < 2 else i}"), ("CARD", f"card-{i}")]
        rows.append(
            row(party, "lab", "AccountOpened", opened, f"person-{i}", identifiers=own, plan="PAID", verified="CARD")
        )
        for _ in range(6):
            used = opened + timedelta(hours=float(rng.uniform(0, 50)))
            rows.append(
                row(party, "lab", "ApiUsage", used, f"person-{i}", identifiers=own[:1], model="atlas", task="OTHER",
                    window_seconds=3600, requests=int(rng.lognormal(1.5, 1)) + 1, input_tokens=3000, output_tokens=1500)
            )  # fmt: skip
    return rows


def history(seed: int = 1) -> pl.DataFrame:
    """The input of a backtest, in order of time."""
    rng = np.random.default_rng(seed)
    released = row(
        "lab-a",
        "lab",
        "ModelReleased",
        START + timedelta(hours=30),
        None,
        model="atlas-2",
        released_at=START + timedelta(hours=30),
    )
    rows = [*operator(rng), *customers(rng), released]
    return pl.DataFrame(rows, schema=COLUMNS).sort("occurred_at")


def written(folder: Path, frame: pl.DataFrame, name: str = "events") -> Path:
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return path
