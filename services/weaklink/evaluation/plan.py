"""Which runs an evaluation is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from weaklink.errors import ConfigurationError
from weaklink.evaluation.ablations import ABLATIONS
from weaklink.evaluation.spec import LOOP, MONTH, REAL, REAL_TICK_SECONDS_MIN, DataFiles, Family, RunSpec
from weaklink.evaluation.worlds import world_names


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asks for. `worlds`: names, or `all` for every simulated one. Ablations and loops run on worlds that are asked for only."""

    worlds: tuple[str, ...]
    seeds: tuple[int, ...]
    size: float
    family: Family
    tick_seconds: int
    baselines: bool
    ablation_worlds: tuple[str, ...]
    ablation_seeds: int
    loop_worlds: tuple[str, ...]
    loop_seeds: int
    loop_size: float
    cuts: int
    cut_seeds: int


def specs_of(options: Options, data: DataFiles) -> tuple[list[RunSpec], list[dict[str, Any]]]:
    """(runs, skipped worlds with their reason), seed by seed, so that a run that is stopped early has some of every world.

    Raises ConfigurationError for an unknown world.
    """
    known = world_names()
    names = list(dict.fromkeys(n for name in options.worlds for n in (known if name == "all" else (name,))))
    _check(names, (*known, *REAL, MONTH), "--worlds")
    _check(options.loop_worlds, known, "--loop-worlds")
    _check(options.ablation_worlds, known, "--ablation-worlds")
    specs, skipped = [], []
    for name in names:
        if name not in REAL:
            continue
        if missing := data.missing(name):
            skipped.append({"world": name, "reason": f"{', '.join(missing)} not in {data.folder}"})
        else:
            specs.append(
                RunSpec(
                    name,
                    seed=0,
                    size=1.0,
                    tick_seconds=max(options.tick_seconds, REAL_TICK_SECONDS_MIN),
                    family=options.family,
                )
            )
    if MONTH in names:
        specs.append(RunSpec(MONTH, options.seeds[0], 1.0, options.tick_seconds, options.family))
    simulated = [name for name in names if name not in (*REAL, MONTH)]
    for number, seed in enumerate(options.seeds):
        for name in simulated:
            one = RunSpec(name, seed, options.size, options.tick_seconds, options.family)
            cuts = options.cuts if number < options.cut_seeds else 0
            specs.append(replace(one, baselines=options.baselines, cuts=cuts))
            if name in options.loop_worlds and number < options.loop_seeds:
                specs.append(replace(one, size=options.loop_size, variant=LOOP))
    for seed in options.seeds[: options.ablation_seeds]:
        specs += [
            RunSpec(name, seed, options.size, options.tick_seconds, options.family, variant)
            for name in simulated
            if name in options.ablation_worlds
            for variant in ABLATIONS
        ]
    return specs, skipped


def _check(names: Sequence[str], known: Sequence[str], option: str) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"{option}: no world named {', '.join(unknown)}; there are: {', '.join(known)}")
