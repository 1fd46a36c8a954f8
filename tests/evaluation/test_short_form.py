"""The short form of `make evaluate`, which every run of the tests holds detection to: few small worlds, coarse ticks, bars of their own."""

from pathlib import Path
from typing import Any

import pytest

from weaklink.evaluation.bars import SHORT_BARS, SHORT_SIZE, SHORT_TICK_SECONDS
from weaklink.evaluation.one_run import run
from weaklink.evaluation.spec import DataFiles, RunSpec

WORLDS = sorted({bar.world for bar in SHORT_BARS})


@pytest.fixture(scope="module", params=WORLDS)
def short(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Figures of one world of the short form."""
    cuts = 1 if any(bar.metric == "causal_agreement" for bar in SHORT_BARS if bar.world == request.param) else 0
    spec = RunSpec(request.param, seed=101, size=SHORT_SIZE, tick_seconds=SHORT_TICK_SECONDS, cuts=cuts)
    return request.param, run(spec, DataFiles(Path("/nowhere")))["figures"]


def test_detection_holds_the_bars_of_the_short_form(short: tuple[str, dict[str, Any]]) -> None:
    """A figure that drops below its bar fails here, with the figure and the bar."""
    world, figures = short
    held = {bar.metric: bar for bar in SHORT_BARS if bar.world == world}
    missed = [f"{name} {figures[name]}, bar {bar.value}" for name, bar in held.items() if not bar.holds(figures[name])]
    assert not missed, f"{world}: {'; '.join(missed)}"
