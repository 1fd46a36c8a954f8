"""The short form of faults around enforce: a party that does not read, and a database that goes away. One laboratory for both."""

from pathlib import Path

import pytest
from chaos.faults import database, slow_consumer
from chaos.lab import Lab
from chaos.scale import SHORT

from tests.chaos.short_forms import BUSY_STALL_SECONDS, unharmed


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("own_brokers", "own_postgres")
def test_neither_a_party_that_was_away_for_a_day_nor_a_database_that_goes_away_costs_an_action(tmp_path: Path) -> None:
    """The party finds every action once, with the SDK, and `weaklink lag` told of them. The database dies, freezes and cuts connections
    under decisions and receipts, and no message is taken for the culprit."""
    with Lab(tmp_path, postgres=True, environment={"WEAKLINK_CLOCK": "event"}) as lab, database.behind_proxy(lab) as proxy:  # fmt: skip
        slow = slow_consumer.torment(lab, SHORT)
        unharmed(slow, BUSY_STALL_SECONDS)
        assert not slow.missed, slow.missed
        assert slow.extra["actions_read"] == slow.extra["actions_waiting"]
        away = database.torment(lab, proxy, SHORT)
        unharmed(away, BUSY_STALL_SECONDS)
        assert away.extra["decisions"] > 0
        assert max(behind for _, _, behind in away.extra["outages"]) <= BUSY_STALL_SECONDS
