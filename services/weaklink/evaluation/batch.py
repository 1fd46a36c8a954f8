"""Many runs, each in a process of its own: its memory is its own, and a run that fails does not take the others with it."""

import json
import multiprocessing
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from weaklink.errors import ConfigurationError
from weaklink.evaluation.provenance import code
from weaklink.evaluation.spec import MONTH, DataFiles, RunSpec

_FAILED: Final = ".failed"


@dataclass(frozen=True, slots=True)
class Done:
    """A run that ended. `result` is null when it failed, and `error` says how."""

    spec: RunSpec
    result: dict[str, Any] | None
    error: str | None = None
    resumed: bool = False


def run_all(specs: Sequence[RunSpec], data: DataFiles, folder: Path, *, jobs: int, resume: bool) -> Iterator[Done]:
    """Run them, `jobs` at a time, and yield each as it ends. Each result is kept as `<folder>/<run>.json`.

    With `resume`, a run whose kept result is of the same spec, code and settings is not done again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    open_specs = []
    for spec in specs:
        kept = _kept(folder / f"{spec.name}.json", spec) if resume else None
        if kept:
            yield Done(spec, kept, resumed=True)
        else:
            open_specs.append(spec)
    # The month's bar is of time: nothing runs beside it.
    alone = [spec for spec in open_specs if spec.world == MONTH]
    yield from _in_processes(alone, data, folder, jobs=1)
    # One thread of Polars a process: with several, processes only wait for each other. Spawned children read it at import.
    if jobs > 1:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    yield from _in_processes([spec for spec in open_specs if spec not in alone], data, folder, jobs=jobs)


def _in_processes(specs: Sequence[RunSpec], data: DataFiles, folder: Path, *, jobs: int) -> Iterator[Done]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
        running = {pool.submit(run_one, spec, data): spec for spec in specs}
        for future in as_completed(running):
            spec = running[future]
            result, error = future.result()
            path = folder / f"{spec.name}.json"
            # What is there is of another time: neither may stand in for the other.
            path.unlink(missing_ok=True)
            path.with_suffix(_FAILED).unlink(missing_ok=True)
            if result is None:
                failure = {"world": spec.world, "variant": spec.variant, "seed": spec.seed, "error": error}
                path.with_suffix(_FAILED).write_text(json.dumps(failure), encoding="utf-8")
            else:
                result["cost"]["jobs"] = jobs
                path.write_text(json.dumps(result), encoding="utf-8")
            yield Done(spec, result, error)


def failures(folder: Path) -> list[dict[str, Any]]:
    """[world, variant, seed, error] of the runs that failed last time."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"*{_FAILED}"))]


def kept(folder: Path) -> list[dict[str, Any]]:
    """The results of all runs that a folder keeps. Raises ConfigurationError when there are none."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise ConfigurationError(f"{folder} keeps no runs; `weaklink evaluate` without --gather makes them")
    return found


def run_one(spec: RunSpec, data: DataFiles) -> tuple[dict[str, Any] | None, str | None]:
    """(result, None) or (None, what went wrong). Runs in a child process."""
    from weaklink.evaluation.one_run import run

    try:
        return run(spec, data), None
    except Exception:  # told in full by the parent, which goes on with the other runs and fails at the end
        return None, traceback.format_exc()


def _kept(path: Path, spec: RunSpec) -> dict[str, Any] | None:
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result if result.get("spec") == spec.to_json() and result.get("code") == code() else None
