"""The short form of faults that strike the services themselves: real Kafka, a real ledger, kill -9 and SIGSTOP."""

from pathlib import Path

import pytest
from chaos.faults import commit_edges, kill_services, members, rebuild, zombie
from chaos.lab import Lab
from chaos.row import Row

from chaos import edges, postgres
from weaklink.ops.kafka_jars import missing_tools

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(missing_tools()), reason="; ".join(missing_tools())),
]


def unharmed(row: Row) -> None:
    """Nothing lost, nothing twice, nothing refused wrongly, and the fault really struck. How long it took is a matter of the machine."""
    assert (row.lost, row.duplicate_effects, row.rejected_wrongly) == (0, 0, 0), row.to_json()
    assert row.trials > 0


def test_workers_that_die_come_and_go_harm_nothing(tmp_path: Path) -> None:
    """Four of any stage killed; then members of two groups, half of them killed. One laboratory: what the first leaves behind the second has to
    live with."""
    with Lab(tmp_path, environment={"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000"}) as lab:
        lab.start_all(scalable=2, single=2)
        unharmed(kill_services.torment(lab, kills=3, events=6_000, pauses=(3.0, 5.0)))
        unharmed(members.torment(lab, rounds=1, few=1, many=2, stages=("correlate", "campaigns")))


@pytest.mark.postgres
@pytest.mark.skipif(not postgres.installed(), reason="PostgreSQL is not installed")
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
        assert rebuild.compare(lab, ways=("intact", "damaged", "none")).failures() == []
