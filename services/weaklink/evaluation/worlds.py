"""The simulated worlds that the evaluation runs on: presets of the family for testing, whose parameters nothing was fitted on."""

import inspect
from typing import Any

from weaklink.evaluation.spec import Family, RunSpec
from weaklink.sim.presets import PRESETS, preset
from weaklink.sim.worlds import GeneratedWorld, generate


def world_names(family: Family = "testing") -> tuple[str, ...]:
    """Every world of a family, by name."""
    del family
    return tuple(PRESETS)


def make_world(spec: RunSpec) -> GeneratedWorld:
    """The world of a run. Raises ConfigurationError for a name that no preset has."""
    options: dict[str, Any] = {"family": spec.family} if "family" in inspect.signature(preset).parameters else {}
    return generate(preset(spec.world, spec.size, **options), spec.seed)
