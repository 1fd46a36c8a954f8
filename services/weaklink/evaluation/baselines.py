"""The simple rules that Weaklink must beat, on the same data (DETECTION: What does not work).

Addresses count by the day, as they do for Weaklink: who had one at another time is a stranger to them, too.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from weaklink.backtest.feed import Feed
from weaklink.backtest.table import read_table
from weaklink.backtest.tokenise import tokenise
from weaklink.campaigns.cluster import leiden
from weaklink.campaigns.cluster_config import ClusterConfig
from weaklink.campaigns.graph import Bools, Ints, counts
from weaklink.campaigns.state import CampaignsState
from weaklink.correlate.runs import LinkRuns
from weaklink.evaluation.judged import ACCOUNT
from weaklink.partner.tokens import LocalTokeniser
from weaklink.settings import Settings

NAMES: Final = ("components", "degree_cap", "two_shared", "communities", "conduct_same_budget", "conduct_one_in_256")
_ACCOUNTS_MIN: Final = 12
"""Fewer accounts than this are no campaign, for the rules as for the method's clusters."""
_ITERATIONS: Final = 3
"""Rounds of Leiden."""
_CAP: Final = 20
_HUB_HOLDERS_MAX: Final = 1000
_ONE_IN: Final = 256
"""Conduct alone, at the share of honest customers that 461 of 119,000 are."""
_DAY_US: Final = 86_400_000_000


class Holdings:
    """Who holds what, as a sparse matrix (accounts, identifiers) of ones. `accounts`: [party, account] of its rows."""

    def __init__(self, events: pl.DataFrame, accounts: pl.DataFrame) -> None:
        self.accounts = accounts.select(ACCOUNT).with_row_index("row")
        pairs = (
            events.filter(pl.col("account").is_not_null())
            .select(*ACCOUNT, "identifiers", pl.col("occurred_at").dt.epoch("d").alias("day"))
            .explode("identifiers")
            .drop_nulls("identifiers")
            .unnest("identifiers")
            .with_columns(pl.when(pl.col("kind") == "IP").then("day").otherwise(0).alias("slot"))
            .filter(~pl.col("kind").is_in(["TLS", "END_USER"]))  # neither links accounts, for the method neither
            .join(self.accounts, on=ACCOUNT)
            .select("row", pl.struct("kind", "value", "slot").rank("dense").alias("column") - 1)
            .unique()
        )
        self._row = pairs["row"].to_numpy().astype(np.int64)
        self._column = pairs["column"].to_numpy().astype(np.int64)
        self.matrix = self._made(np.ones(len(self._row), bool))
        self.holders = counts(self._column, self.matrix.shape[1])

    def capped(self, holders_max: int) -> csr_array:
        """Without identifiers that more accounts hold."""
        return self._made(self.holders[self._column] <= holders_max)

    def _made(self, keep: Bools) -> csr_array:
        shape = (self.accounts.height, int(self._column.max(initial=-1)) + 1)
        row, column = self._row[keep], self._column[keep]
        return csr_array((np.ones(len(row), np.int32), (row, column)), shape=shape)


def components(matrix: csr_array) -> Ints:
    """Component of each account in the graph of accounts and identifiers."""
    n, m = matrix.shape
    coo = matrix.tocoo()
    square = csr_array((coo.data, (coo.row, coo.col + n)), shape=(n + m, n + m))
    _, label = connected_components(square, directed=False)
    return np.asarray(label[:n], np.int64)


def large(label: Ints, accounts_min: int = _ACCOUNTS_MIN) -> Bools:
    """Accounts whose group has at least so many."""
    return counts(label, int(label.max(initial=-1)) + 1)[label] >= accounts_min


def two_shared(matrix: csr_array, rows_at_once: int = 2000) -> Bools:
    """Accounts that share two identifiers with some other account."""
    found = np.zeros(matrix.shape[0], bool)
    turned = matrix.T.tocsr()
    for start in range(0, matrix.shape[0], rows_at_once):
        common = (matrix[start : start + rows_at_once] @ turned).tocoo()
        pairs = (common.data >= 2) & (common.row + start != common.col)
        found[common.row[pairs] + start] = True
    return found


def communities(matrix: csr_array, holders: Ints) -> Ints:
    """Leiden's community of each account on the whole graph, identifiers weighing log2((2 + accounts) / holders) / sqrt(holders)."""
    n, m = matrix.shape
    coo = matrix.tocoo()
    held = np.maximum(holders[coo.col], 1).astype(np.float64)
    weight = np.maximum(np.log2((2 + n) / held), 0.02) / np.sqrt(held)
    config = ClusterConfig()
    label = leiden(
        coo.row.astype(np.int64),
        coo.col.astype(np.int64) + n,
        weight,
        n + m,
        resolution=config.resolution,
        iterations=_ITERATIONS,
        config=config,
    )
    return label[:n]


def conduct_of(path: Path, settings: Settings) -> pl.DataFrame:
    """[party, account, b]: conduct of every account at the end of the events, as the method measures it, and nothing else."""
    table, _ = read_table([path])
    events = tokenise(table, LocalTokeniser.reproducible(), lambda *_: None).events
    runs, state, now_us = LinkRuns(settings.correlate), CampaignsState(settings.campaigns), 0
    for tick in Feed(events, _DAY_US, settings.ingest):
        if tick.links.height:
            state.fold_shared(runs.add(tick.links))
        state.fold_activity(tick.activity)
        now_us = tick.end_us
    return state.evaluate(now_us).accounts.select("party", pl.col("account_name").alias("account"), "b")


def judged(
    events: pl.DataFrame, truth: pl.DataFrame, conduct: pl.DataFrame, false_flags: int
) -> dict[str, dict[str, Any]]:
    """Name (NAMES) -> flagged, false_flags, precision, recall, recall_worst.

    false_flags: how many the method had, which is what conduct alone is allowed at `conduct_same_budget`: the threshold is set
    with hindsight, to its favour.
    """
    holdings = Holdings(events, truth)
    operator = truth["operator"]
    guilty = operator.is_not_null().to_numpy()
    b = truth.select(ACCOUNT).join(conduct, on=ACCOUNT, how="left", maintain_order="left")["b"].fill_null(-1e9)
    nats = b.to_numpy()
    flagged = {
        "components": large(components(holdings.matrix)),
        "degree_cap": large(components(holdings.capped(_CAP))),
        "two_shared": two_shared(holdings.capped(_HUB_HOLDERS_MAX)),
        "communities": large(communities(holdings.matrix, holdings.holders)),
        "conduct_same_budget": above(nats, guilty, false_flags),
        "conduct_one_in_256": above(nats, guilty, int((~guilty).sum()) // _ONE_IN),
    }
    return {name: score(flagged[name], operator) for name in NAMES}


def above(nats: "np.ndarray[Any, np.dtype[np.float64]]", guilty: Bools, false_flags: int) -> Bools:
    """Accounts above the lowest threshold that flags at most `false_flags` innocent ones."""
    innocent = np.sort(nats[~guilty])[::-1]
    if len(innocent) <= false_flags:
        return np.ones(len(nats), bool)
    flagged: Bools = nats > innocent[false_flags]
    return flagged


def score(flagged: Bools, operator: pl.Series) -> dict[str, Any]:
    """flagged, false_flags, precision, recall, recall_worst of a rule, against each account's operator (null: benign)."""
    frame = pl.DataFrame({"operator": operator, "flagged": flagged})
    hits = frame.filter("flagged", pl.col("operator").is_not_null()).height
    every = int(flagged.sum())
    by_campaign = frame.drop_nulls("operator").group_by("operator").agg(pl.col("flagged").mean())["flagged"]
    total = operator.count()
    return {
        "flagged": every,
        "false_flags": every - hits,
        "precision": hits / every if every else None,
        "recall": hits / total if total else None,
        "recall_worst": by_campaign.min(),
    }
