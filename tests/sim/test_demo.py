"""The demo on a real broker, with real services, of which one after the other is killed."""

import json
import os
import re
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.prerequisites import require
from tests.sim.test_score import SUMMARY_KEYS
from weaklink.ops.kafka_jars import missing_tools
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim.demo import DemoOptions, run_demo
from weaklink.sim.vocabulary import Vocabulary

_RAW = re.compile(
    rb"user\.[0-9a-f]{16}@|(?<![0-9])49151[0-9]{8}(?![0-9])|fp_[0-9a-f]{16}|sk-[0-9a-f]{16}|organisation [0-9a-f]{16}",
    re.IGNORECASE,
)
"""What the world's e-mail addresses, telephone numbers, cards, keys and organisations look like (`sim.vocabulary`)."""


def test_what_raw_identifiers_look_like_is_known() -> None:
    """Else the search below would find nothing for a wrong reason."""
    vocabulary = Vocabulary(1)
    for kind in (Kind.EMAIL, Kind.PHONE, Kind.CARD, Kind.API_KEY, Kind.ORGANISATION):
        (number,) = vocabulary.mint(kind, 1)
        assert _RAW.search(vocabulary.raw(number)[1].encode()), kind


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_a_small_demo_survives_kills_and_accounts_for_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With services killed all the time every event is still counted once, the audit passes, no raw identifier is in what is left, and nothing runs on."""
    require(missing_tools())
    # A cluster of its own: ingest follows every party's topic by pattern.
    monkeypatch.delenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    options = DemoOptions(tmp_path, events=6_000, seed=1, seconds=12, world="small", kill_seconds=9, keep=True)
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
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {".sqlite3", ".snapshot", ".log", ".json"} <= {path.suffix for path in left}
    assert [path for path in left if _RAW.search(path.read_bytes())] == []
    assert not _RAW.search(said.file.getvalue().encode())  # type: ignore[attr-defined]  # a StringIO
