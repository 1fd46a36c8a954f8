"""The short forms of what comes in, and of what the machine does: poison, bombs, full disks and wrong clocks."""

from pathlib import Path

import pytest
from chaos.scale import SHORT

from chaos import faults
from tests.prerequisites import in_ci

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600), pytest.mark.usefixtures("own_brokers")]
_BUSY_MEMORY_MIB = 320
"""Beside other tests more of what is fetched, inflated and committed is held at the same time; the bar of 256 MiB is `make chaos`'s."""


@pytest.mark.parametrize("fault", ["poison", "bombs", "machine"])
def test_it_holds_its_bars(fault: str, tmp_path: Path) -> None:
    """Nothing lost, nothing twice, nothing rejected wrongly, and the fault's own bars."""
    row = faults.load(fault)(tmp_path, SHORT)
    missed = [sentence for sentence in row.failures() if not sentence.startswith("memory grew")]
    assert missed == [], row.to_json()
    assert row.memory_growth_mib < _BUSY_MEMORY_MIB
    assert row.events > 1_000
    skipped = [part for part in row.extra.get("skipped", []) if "compiler" in part]
    assert not (skipped and in_ci()), skipped  # one can be installed; the right to mount a disk cannot
