"""The demo on a real broker, with real services, of which one after the other is killed."""

import json
import os
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.sim.test_score import SUMMARY_KEYS
from weaklink.ops.kafka_jars import missing_tools
from weaklink.sim.demo import DemoOptions, run_demo


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_a_small_demo_survives_kills_and_accounts_for_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With services killed all the time every event is still counted once, the audit passes, and nothing is left running."""
    if missing := missing_tools():
        pytest.skip("; ".join(missing))
    # A cluster of its own: ingest follows every party's topic by pattern.
    monkeypatch.delenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    options = DemoOptions(tmp_path, events=6_000, seed=1, seconds=12, world="small", kill_seconds=9, keep=False)
    said = Console(file=StringIO(), width=200)
    summary = run_demo(options, said)
    assert set(summary) == SUMMARY_KEYS
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    counted = summary["events_accepted"] + summary["events_rejected"] + summary["events_duplicate"]
    assert summary["events_published"] == counted > 4_000
    assert summary["events_rejected"] > 0
    assert summary["events_duplicate"] > 0
    details = json.loads((tmp_path / "details.json").read_text())
    assert details["audit"]["passed"], details["audit"]["said"]
    assert details["restarts"] >= 1
    assert set(summary["peak_memory_mib"]) == {"broker", "ingest", "correlate", "campaigns", "enforce"}
    assert {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)} <= before
