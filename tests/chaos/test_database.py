"""The short form of faults around enforce: its database away, and a party that does not read."""

from pathlib import Path

import pytest
from chaos.faults import database, slow_consumer
from chaos.row import Row
from chaos.scale import SHORT

from chaos import postgres
from weaklink.ops.kafka_jars import missing_tools

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing_tools()), reason="; ".join(missing_tools())),
]


def unharmed(row: Row) -> None:
    """Nothing lost, nothing twice. How long it took is a matter of the machine."""
    assert (row.lost, row.duplicate_effects, row.rejected_wrongly) == (0, 0, 0), row.to_json()


@pytest.mark.postgres
@pytest.mark.skipif(not postgres.installed(), reason="PostgreSQL is not installed")
def test_a_database_that_dies_freezes_and_cuts_connections_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """Under decisions and receipts; and no message is taken for the culprit."""
    row = database.run(tmp_path, SHORT)
    unharmed(row)
    assert row.extra["decisions"] > 0
    assert not [sentence for sentence in row.missed if "dead letters" in sentence]


def test_a_party_that_was_away_for_a_day_finds_every_action_once(tmp_path: Path) -> None:
    """In their order, with the SDK; and `weaklink lag` told of them."""
    row = slow_consumer.run(tmp_path, SHORT)
    unharmed(row)
    assert not row.missed, row.missed
    assert row.extra["actions_read"] == row.extra["actions_waiting"]
