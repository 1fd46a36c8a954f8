"""`python -m chaos.state_hash STAGE`: rebuild a stage's state as a worker does after an assignment, print a hash of every unit, and leave.

It joins the stage's group, which must have no other member, and commits nothing. Printed as JSON: `units` (unit -> SHA-256 of the state's
rows, in an order of their own), `rows` of state by unit, `records` replayed, `seconds` of the rebuild.
"""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import polars as pl

from weaklink import topology
from weaklink.cli.run import COLUMNAR, _load
from weaklink.logs import configure_logging
from weaklink.settings import load_settings
from weaklink.stream.runner import Runner


def main(name: str) -> None:
    """Print the JSON."""
    settings = load_settings()
    configure_logging(name, json=True, level="warning")
    stage = _load(COLUMNAR[name])(settings)
    replayed, seconds = [0], [0.0]
    process = stage.process

    def counted(batches: Any, *, replaying: bool) -> Any:
        assert replaying, "nothing may be said here"
        replayed[0] += sum(getattr(one, "records_count", 1) for one in batches)
        return process(batches, replaying=replaying)

    stage.process = counted
    runner = Runner(stage, topology.stage(name), settings, slot="state-hash")
    recovery = runner._recovery
    recover = recovery.recover

    def timed(assigned: Any) -> None:
        begun = time.perf_counter()
        recover(assigned)
        seconds[0] = time.perf_counter() - begun

    recovery.recover = timed  # type: ignore[method-assign]  # to time it
    try:
        while not (runner._recovered and recovery.held):
            runner._turn()
        units = {unit: _frames(stage, unit) for unit in sorted(recovery.held)}
    finally:
        runner._committer.close()
        runner._source.close()
    answer = {
        "units": {unit: _hash(frames) for unit, frames in units.items()},
        "rows": {unit: sum(frame.height for frame in frames.values()) for unit, frames in units.items()},
        "frames": {
            unit: {name: _hash({name: frame}) for name, frame in frames.items()} for unit, frames in units.items()
        },
        "records": replayed[0],
        "seconds": round(seconds[0], 3),
    }
    print(json.dumps(answer), flush=True)


def _frames(stage: Any, unit: str) -> Mapping[str, pl.DataFrame]:
    """What makes up the unit's state. ingest has no snapshots: its state is the event ids with their offsets."""
    if stage.name == "ingest":
        window = stage._windows[unit]
        tables = [pl.DataFrame(table.entries[: table.count]) for table in (window._older, window._younger) if table]
        return {"ids": pl.concat(tables) if tables else pl.DataFrame()}
    if stage.name == "correlate":
        # The links themselves: how they lie in runs is a matter of when they were merged.
        return {"links": stage._units[unit].links.links()}
    return dict(stage.snapshot(unit))


def _hash(frames: Mapping[str, pl.DataFrame]) -> str:
    """Of all rows, whatever order they lie in."""
    digest = hashlib.sha256()
    for name, frame in sorted(frames.items()):
        digest.update(f"{name} {frame.columns} {frame.dtypes}".encode())
        for row in sorted(repr(row) for row in frame.iter_rows()):
            digest.update(row.encode())
    return digest.hexdigest()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(sys.argv[1])
