"""Actions of a backtest: from when to when each stood."""

import polars as pl

from tests.enforce.samples import proposal
from weaklink.backtest.actions import MemoryLedger
from weaklink.campaigns.profiles import US_PER_DAY
from weaklink.enforce.config import EnforceConfig


def test_what_is_withdrawn_and_issued_again_does_not_stand_in_between() -> None:
    """Else requests of that time would count as reached. A renewal is no new issue."""
    ledger = MemoryLedger(EnforceConfig())
    for op, day in (("ISSUE", 1), ("ISSUE", 2), ("WITHDRAW", 3), ("ISSUE", 7)):
        ledger.decide("c-1", [proposal(op=op, measure="CHALLENGE")], day * US_PER_DAY, day * US_PER_DAY)
    stood = ledger.measures().select("issued_at_us", "until_us").rows()
    assert stood == [(1 * US_PER_DAY, 3 * US_PER_DAY), (7 * US_PER_DAY, None)]
    assert ledger.frame(pl.DataFrame(schema={"token": pl.Binary, "value": pl.String})).height == 2
