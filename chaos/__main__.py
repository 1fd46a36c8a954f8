"""`python -m chaos`: faults one after another, a line for each, build/chaos/results.json and, of the whole run, run.json. Exit status 1: a bar was missed."""

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos import faults
from chaos.row import Row, write_results
from chaos.scale import FIFTH, FULL, SHORT, Scale
from weaklink.sim.services import interruptible


def main() -> int:
    """0: every fault that was asked for held its bars, and a run of all of them its minutes."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the full counts (under 150 minutes); without it, a fifth")
    size.add_argument("--short", action="store_true", help="the form that the tests run (minutes)")
    parser.add_argument("--faults", default="", help=f"only these, by comma: {', '.join(faults.names())}")
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"), help="where results.json and logs go")
    parser.add_argument(
        "--seed",
        type=int,
        help="of what kill_services, commit_edges, zombie, members and rebuild draw by lot (the clock; --short: 1)",
    )
    parser.add_argument("--keep", action="store_true", help="keep topics, ledger and logs of what held its bars, too")
    given = parser.parse_args()
    scale = FULL if given.full else SHORT if given.short else FIFTH
    if given.seed is not None or not given.short:
        scale = replace(scale, seed=int(time.time()) if given.seed is None else given.seed)
    wanted = given.faults.split(",") if given.faults else faults.names()
    (given.folder / "run.json").unlink(missing_ok=True)
    if not given.faults:
        (given.folder / "results.json").unlink(missing_ok=True)  # rows of another run are not this one's
    begun = time.monotonic()
    with interruptible():  # a time limit's SIGTERM, too, stops brokers and services in order
        held = {name: run_one(name, given.folder, scale, keep=given.keep) for name in wanted}
    run = run_of(held, scale, time.monotonic() - begun)
    (given.folder / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(
        f"{sum(held.values())} of {len(held)} faults held, in {run['minutes']} minutes (seed {scale.seed})", flush=True
    )
    for sentence in run["missed"]:
        print(f"MISSED: {sentence}", flush=True)
    return 1 if run["missed"] else 0


def run_of(held: Mapping[str, bool], scale: Scale, seconds: float) -> dict[str, Any]:
    """What run.json says of a run in which these faults held their bars, or did not. Only a run of all faults has a bar of minutes."""
    minutes = round(seconds / 60, 1)
    whole = set(held) == set(faults.names())
    missed = [f"{name} did not hold its bars" for name, ok in held.items() if not ok]
    if whole and scale.minutes_max is not None and seconds > scale.minutes_max * 60:
        missed.append(f"the run took {minutes} minutes, {scale.minutes_max:.0f} are allowed")
    return {
        "scale": scale.name, "seed": scale.seed, "faults": list(held), "whole": whole, "minutes": minutes,
        "minutes_max": scale.minutes_max if whole else None, "missed": missed,
    }  # fmt: skip


def run_one(name: str, folder: Path, scale: Scale, *, keep: bool = False) -> bool:
    """Run a fault, print its line, put its row into results.json, also when it did not come to its end. Whether every bar was held."""
    own = (folder / name).resolve()
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    begun = time.monotonic()
    try:
        row = faults.load(name)(own, scale)
    except Exception as error:  # the next fault is still worth running
        traceback.print_exc()
        row = Row(name, 0, 0, 0, 0, 0, 0.0, 0.0)
        row.bar(False, f"it did not come to its end: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    row.extra |= {"scale": scale.name, "seconds": round(time.monotonic() - begun)}
    write_results(folder / "results.json", [row.to_json()], faults.ORDER)
    print(line(row), flush=True)
    if not row.failures() and not keep:
        shutil.rmtree(own, ignore_errors=True)
    return not row.failures()


def line(row: Row) -> str:
    """One fault for a person."""
    verdict = "held" if not row.failures() else "MISSED: " + "; ".join(row.failures())
    return (
        f"{row.fault:14} {row.trials:4} trials {row.events:9,} events  lost {row.lost}  twice {row.duplicate_effects}  "
        f"rejected wrongly {row.rejected_wrongly}  stall {row.stall_seconds_max:5.1f} s  memory +{row.memory_growth_mib:.0f} MiB  {verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
