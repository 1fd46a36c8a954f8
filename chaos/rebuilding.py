"""A stage's state rebuilt as a worker does after an assignment, in a process of its own, from snapshots that were prepared in some way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chaos.lab import Lab
from chaos.verifier.findings import Findings

_PATIENCES: Final = 2
"""A laboratory's; hashing every row takes longer than rebuilding it."""


def intact(folder: Path) -> None:
    """As the workers left them: the newest is of the end."""


def none(folder: Path) -> None:
    """The log alone."""
    shutil.rmtree(folder, ignore_errors=True)


def rebuilt(lab: Lab, stage: str, name: str, prepare: Callable[[Path], None]) -> dict[str, Any]:
    """What a worker of the stage rebuilds when it finds the snapshots so: what `chaos.state_hash` prints. The stage's workers were stopped."""
    snapshots = lab.folder / f"snapshots-{name}"
    shutil.rmtree(snapshots, ignore_errors=True)
    shutil.copytree(lab.folder / "data" / "snapshots", snapshots)
    prepare(snapshots / stage)
    environment = {**os.environ, **lab.service_environment(), "WEAKLINK_STREAM__SNAPSHOT_URL": str(snapshots)}
    run = subprocess.run(
        [sys.executable, "-m", "chaos.state_hash", stage], cwd=Path(__file__).parents[1], env=environment, capture_output=True,
        text=True, check=False, timeout=_PATIENCES * lab.patience_seconds,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"{stage} could not be rebuilt ({name}): {run.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def differing(hashes: dict[str, str], others: dict[str, str]) -> list[str]:
    """Names whose hashes are not the same in both."""
    return [name for name in sorted(hashes.keys() | others.keys()) if hashes.get(name) != others.get(name)]


def compare_campaigns(lab: Lab, found: Findings) -> None:
    """What campaigns' workers held when they were stopped (their last snapshot) is what the log gives: nothing was folded twice, nothing left out."""
    if not (lab.folder / "data" / "snapshots" / "campaigns").exists():
        return
    held, logged = (rebuilt(lab, "campaigns", way.__name__, way) for way in (intact, none))
    found.counted["campaigns_rows"] = sum(logged["rows"].values())
    for unit in differing(held["units"], logged["units"]):
        frames = differing(held["frames"].get(unit, {}), logged["frames"].get(unit, {}))
        more = held["rows"].get(unit, 0) > logged["rows"].get(unit, 0)
        (found.duplicate if more else found.loss)(
            1, f"campaigns held another state than the log gives, in {', '.join(frames)}"
        )
