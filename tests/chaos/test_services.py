"""The short form of faults that strike the services themselves: real Kafka, a real ledger, kill -9 and SIGSTOP."""

from pathlib import Path

import pytest
from chaos.faults import commit_edges, kill_services, members, rebuild, zombie
from chaos.lab import Lab

from chaos import edges
from tests.chaos.short_forms import BUSY_STALL_SECONDS, unharmed

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(1500),
    pytest.mark.usefixtures("own_brokers"),
]


def test_workers_that_die_come_and_go_harm_nothing(tmp_path: Path) -> None:
    """Four of any stage killed; then members of two groups, half of them killed. One laboratory: what the first leaves behind the second has to
    live with."""
    with Lab(tmp_path, environment={"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000"}) as lab:
        lab.start_all(scalable=2, single=2)
        unharmed(kill_services.torment(lab, kills=3, events=6_000, pauses=(3.0, 5.0)), BUSY_STALL_SECONDS)
        unharmed(members.torment(lab, rounds=1, few=1, many=2, stages=("correlate", "campaigns")))


@pytest.mark.postgres
@pytest.mark.usefixtures("own_postgres")
def test_workers_that_die_or_sleep_in_a_commit_harm_nothing_and_their_state_can_be_rebuilt(tmp_path: Path) -> None:
    """Every edge of a commit once; two sleepers; then the state, from snapshots and from a log with the transactions that were aborted by all this."""
    environment = {**zombie.ENVIRONMENT, "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "2"}
    with Lab(tmp_path, postgres=True, environment=environment) as lab:
        lab.start_all()
        killed = commit_edges.torment(lab, kills=1)
        unharmed(killed)
        assert set(killed.extra["struck"]) == {*edges.COLUMNAR, *edges.ENFORCE}
        sleepers = zombie.torment(lab, rounds=1, stages=("ingest", "enforce"))
        unharmed(sleepers)
        assert sleepers.extra["refused"] == {"ingest": 1}
        assert sleepers.extra["published_after_waking"] == 0
        again = rebuild.compare(lab, ways=("intact", "damaged", "none"))
        unharmed(again)
        assert again.trials == 1 + 3 + 3  # ingest has no snapshots
