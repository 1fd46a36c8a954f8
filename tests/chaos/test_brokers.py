"""The short form of killed brokers: a cluster of three, under load."""

from pathlib import Path

import pytest
from chaos.faults import brokers
from chaos.scale import SHORT

from tests.chaos.short_forms import BUSY_STALL_SECONDS, unharmed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("own_brokers"),
]


def test_a_broker_that_plays_many_parts_dies_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    """The controller, which leads and coordinates a third of everything, too, and is started again; events, campaigns, actions and receipts on their way."""
    row = brokers.run(tmp_path, SHORT)
    unharmed(row, BUSY_STALL_SECONDS)
    assert row.trials == 1
    assert row.extra["counted"]["actions"] > 0
