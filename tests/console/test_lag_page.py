"""The page of lag, with a report of which the figures are known."""

import pytest
from starlette.testclient import TestClient

from tests.console.conftest import sign_in
from weaklink.ops.lag import History, PartitionLag, ReaderLag
from weaklink.ops.lag_report import LagReport

pytestmark = pytest.mark.kafka


class Report:
    """Stands in the place of the feed that asks the broker."""

    def __init__(self, report: LagReport) -> None:
        self.report = report.to_json()
        self.sampled_at = 0.0


def stopped() -> LagReport:
    """Five samples of ten seconds: partition 1 of lab-b's events stands still with 1,234 records, the others are read."""
    history, rows = History(), []
    for step in range(6):
        at_us = 1_700_000_000_000_000 + step * 10_000_000
        partitions = (
            PartitionLag("party.lab-a.events", 0, 100 + step, 100 + step, 0, True, None),
            PartitionLag("party.lab-b.events", 1, 50, 1_284, 1_234, True, 1_700_000_000_000_000),
        )
        rows = history.add([ReaderLag("ingest", "weaklink.ingest", at_us, partitions, members=1)])
    return LagReport(at_us, rows)


def test_the_partition_that_waits_is_named_with_its_verdict_to_operators_alone(client: TestClient) -> None:
    """As in `weaklink lag --partitions`; those in which nothing waits are left out, and a party sees no stage at all."""
    state = client.app.state  # type: ignore[attr-defined]
    feed, state.lag = state.lag, Report(stopped())
    try:
        text = client.get("/lag", headers=sign_in(client, "olga")).text
        party = client.get("/lag", headers=sign_in(client, "ana")).text
    finally:
        state.lag = feed
    row = text[text.index("party.lab-b.events-1") :]
    row = row[: row.index("</tr>")]
    assert "1,234" in row
    assert "50.0" in row
    assert "stopped" in row
    assert "party.lab-a.events-0" not in text
    assert "party.lab-b.events" not in party
