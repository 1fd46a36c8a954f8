"""Decisions to actions, by enforce's own policy, on a ledger that is kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from weaklink.enforce.action import Action, Cause, Target
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.policy import apply_policy
from weaklink.enforce.view import LedgerView
from weaklink.records.identifiers import IdentifierKind

_ACTIONS_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "action_id": pl.String,
    "issued_at": pl.Datetime("us", "UTC"),
    "party": pl.String,
    "measure": pl.String,
    "target_account": pl.String,
    "target_kind": pl.String,  # ACCOUNT, or the kind of the identifier
    "target_value": pl.String,  # the account's name, or the raw value as it stood in the input
    "campaign_id": pl.String,
    "confidence": pl.Float64,
    "expected_cut": pl.Float64,
    "benign_accounts_touched": pl.Int32,
    "withdrawn_at": pl.Datetime("us", "UTC"),
}
ACTIONS: Final = pl.Schema(_ACTIONS_COLUMNS)
"""One row per time that an action stood: from its issue to its withdrawal, and another one where it was issued again later. Issues that only
renew it are none; what waits for a person is not issued."""


@dataclass
class _Stood:
    action: Action  # as it was issued
    issued_us: int
    ended_us: int | None = None


class MemoryLedger:
    """Actions of one run. There are no receipts and no person: what would wait for one, waits."""

    def __init__(self, config: EnforceConfig) -> None:
        self._config = config
        self._view = LedgerView()
        self._stood: list[_Stood] = []
        self._stands: dict[str, _Stood] = {}  # those that do, by action
        self.held: set[str] = set()

    def decide(self, campaign_id: str, measures: Sequence[Mapping[str, Any]], now_us: int, evidence_at_us: int) -> None:
        """Take the changes of one decision."""
        if not measures:
            return
        outcome = apply_policy(
            measures,
            self._view,
            now_us,
            self._config,
            campaign_id=campaign_id,
            decided_at_us=now_us,
            evidence_at_us=evidence_at_us,
        )
        self._view.take(outcome.changes, outcome.proposals)
        for change in outcome.changes:
            ident = change.action.action_id
            if change.cause is Cause.HELD_FOR_PERSON:
                self.held.add(ident)
            elif change.cause is Cause.ISSUED:
                if ident not in self._stands:
                    self._stands[ident] = _Stood(change.action, change.at_us)
                    self._stood.append(self._stands[ident])
            elif change.cause in (Cause.CAMPAIGNS_WITHDREW, Cause.REPLACED) and ident in self._stands:
                self._stands.pop(ident).ended_us = change.at_us

    def frame(self, values: pl.DataFrame) -> pl.DataFrame:
        """ACTIONS, in order of issue. values: [token, value] of the input's identifiers."""
        rows = pl.DataFrame([_row(one) for one in self._stood], schema=_ROWS, orient="row")
        return (
            rows.join(values, on="token", how="left", maintain_order="left")
            .with_columns(
                pl.coalesce("target_account", "value").alias("target_value"),
                *(
                    pl.from_epoch(pl.col(f"{name}_us"), time_unit="us").dt.replace_time_zone("UTC").alias(name)
                    for name in ("issued_at", "withdrawn_at")
                ),
            )
            .select(ACTIONS.names())
            .sort("issued_at", "party", "target_kind", "target_value", "action_id")
            .cast(ACTIONS)
        )

    def measures(self) -> pl.DataFrame:
        """[campaign_id, party, measure, target_account, target_token, issued_at_us, until_us] of every time that an action stood."""
        rows = pl.DataFrame([_row(one) for one in self._stood], schema=_ROWS, orient="row")
        return rows.select(
            "campaign_id",
            "party",
            "measure",
            "target_account",
            pl.col("token").alias("target_token"),
            "issued_at_us",
            pl.col("withdrawn_at_us").alias("until_us"),
        )


_ROWS: Final = {
    "action_id": pl.String,
    "issued_at_us": pl.Int64,
    "party": pl.String,
    "measure": pl.String,
    "target_account": pl.String,
    "target_kind": pl.String,
    "token": pl.Binary,
    "campaign_id": pl.String,
    "confidence": pl.Float64,
    "expected_cut": pl.Float64,
    "benign_accounts_touched": pl.Int32,
    "withdrawn_at_us": pl.Int64,
}


def _row(one: _Stood) -> tuple[Any, ...]:
    action, target = one.action, one.action.target
    return (
        action.action_id,
        one.issued_us,
        target.party,
        action.measure,
        target.account,
        _kind(target),
        target.token,
        action.campaign_id,
        action.confidence,
        action.expected_cut,
        action.benign_accounts_touched,
        one.ended_us,
    )


def _kind(target: Target) -> str:
    return "ACCOUNT" if target.token is None else IdentifierKind(target.token[0]).name
