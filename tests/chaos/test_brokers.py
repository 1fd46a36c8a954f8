"""The short form of killed brokers: a cluster of three, under load."""

from pathlib import Path

import pytest
from chaos.faults import brokers
from chaos.scale import SHORT

from weaklink.ops.kafka_jars import missing_tools

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing_tools()), reason="; ".join(missing_tools())),
]


def test_a_broker_that_plays_many_parts_dies_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    """The controller, which leads and coordinates a third of everything, too, and is started again; events, campaigns, actions and receipts on their way."""
    row = brokers.run(tmp_path, SHORT)
    assert (row.lost, row.duplicate_effects, row.rejected_wrongly) == (0, 0, 0), row.to_json()
    assert row.trials == 1
    assert row.extra["counted"]["actions"] > 0
