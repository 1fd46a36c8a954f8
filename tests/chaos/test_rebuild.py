"""What a row of rebuilt state counts, and which logs it takes for damaged enough. Rebuilding itself: test_services.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chaos.faults import rebuild
from chaos.lab import Lab
from chaos.publishing import Publisher
from chaos.row import Row
from chaos.verifier.findings import Findings
from chaos.watch import Watch

from weaklink import topology
from weaklink.kafka_options import KafkaConfig

_RECORDS = {"intact": 0, "older": 5, "damaged": 5}
_ABORTED = {
    topology.LINKS: 1, topology.ACTIVITY: 1, topology.SHARED: 1, topology.CAMPAIGNS: 1, topology.DECISIONS: 0
}  # fmt: skip


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Row]:
    """The row of a comparison in which these ways gave another state, over a log with so many aborted records by topic."""

    def compare(*, other: tuple[str, str] | None = None, aborted: dict[str, int] = _ABORTED, repeated: int = 3) -> Row:
        def rebuilt(_lab: Lab, stage: str, name: str, _prepare: object) -> dict[str, Any]:
            state = "other" if (stage, name) == other else "same"
            return {"units": {"0": state}, "frames": {"0": {"f": state}}, "rows": {"0": 7}, "records": _RECORDS.get(name, 9), "seconds": 1.0}  # fmt: skip

        monkeypatch.setattr(rebuild, "rebuilt", rebuilt)
        monkeypatch.setattr(rebuild, "verify", lambda *_, **__: Findings(counted={"events": 10, "repeated": repeated}))
        monkeypatch.setattr(rebuild, "_speeds", lambda *_: {})
        monkeypatch.setattr(rebuild, "_aborted_offsets", lambda _: aborted)
        monkeypatch.setattr(Lab, "kafka", KafkaConfig())
        lab = Lab(Path())
        lab.publisher = object.__new__(Publisher)
        lab.publisher.handed_over, lab.publisher.failed = set(), {}
        lab.watch = Watch(KafkaConfig(), [])
        return rebuild.compare(lab)

    return compare


def test_ingest_without_snapshots_counts_once(compared: Callable[..., Row]) -> None:
    """Five ways each of correlate and campaigns; of ingest the log, whose second reading must give the first one's state."""
    row = compared()
    assert (row.trials, row.failures()) == (11, [])
    assert set(row.extra["rebuilt"]["ingest"]) == {"none", "none_again"}
    assert "ingest rebuilt none_again: another state in 0 (f)" in compared(other=("ingest", "none_again")).failures()
    assert compared(repeated=2).failures() == ["ingest rebuilt: it knows 7 event ids, and its topics have 8"]
    assert "campaigns rebuilt older: another state in 0 (f)" in compared(other=("campaigns", "older")).failures()


@pytest.mark.parametrize("topic", [topology.LINKS, topology.ACTIVITY, topology.SHARED, topology.CAMPAIGNS])
def test_a_log_without_aborted_transactions_of_a_stage_misses_a_bar(compared: Callable[..., Row], topic: str) -> None:
    """Of campaigns, too: one in its campaigns or its decisions is enough, since a transaction need not write both."""
    (missed,) = compared(aborted=_ABORTED | {topic: 0}).failures()
    assert topic in missed
    assert compared(aborted=_ABORTED | {topology.CAMPAIGNS: 0, topology.DECISIONS: 1}).failures() == []
