"""The simulated worlds that the evaluation runs on: by default the family for testing, whose parameters nothing was fitted on."""

from typing import Final

import polars as pl

from weaklink.evaluation.spec import MONTH, RunSpec
from weaklink.sim.presets import PRESETS, preset
from weaklink.sim.worlds import generate

_FOR_THE_EYE: Final = ("demo",)
_MONTH_SIZE: Final = 0.84
_UNSEEN: Final = ("mail_class", "address_class")
"""Columns that a party's own SDK derives and that the form of the backtest need not have: detection is judged without them."""


def world_names() -> tuple[str, ...]:
    """Every world that `all` stands for."""
    return tuple(name for name in PRESETS if name not in _FOR_THE_EYE)


def make_world(spec: RunSpec) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(events in the input form of `weaklink backtest`, truth: [party, account, operator, role, victim, ...]).

    Raises ConfigurationError for a name that no preset has.
    """
    world = (
        preset("base", _MONTH_SIZE, spec.family) if spec.world == MONTH else preset(spec.world, spec.size, spec.family)
    )
    made = generate(world, spec.seed)
    return made.events.drop(_UNSEEN, strict=False), made.truth.rename({"campaign": "operator"})
