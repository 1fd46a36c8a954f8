"""How accounts use models: task mixes, volumes and hours, for ordinary people and for campaigns."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from weaklink.frames import TASK
from weaklink.sim.spec import DAY_US, HOUR_US

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

TASKS: Final = TASK.categories.to_list()
# Columns as TASKS: OTHER, REASONING_ELICITATION, RUBRIC_GRADING, SYNTHETIC_DATA, AGENTIC_CODING, TOOL_USE, VISION.
PERSONAS: Final = np.array(
    [
        [0.84, 0.03, 0.00, 0.01, 0.05, 0.02, 0.05],  # chat
        [0.30, 0.05, 0.01, 0.02, 0.47, 0.14, 0.01],  # developer
        [0.44, 0.34, 0.02, 0.06, 0.10, 0.02, 0.02],  # researcher
        [0.45, 0.02, 0.02, 0.28, 0.06, 0.12, 0.05],  # data worker
        [0.05, 0.25, 0.42, 0.10, 0.10, 0.06, 0.02],  # evaluation harness
        [0.12, 0.24, 0.10, 0.22, 0.16, 0.12, 0.04],  # batch jobs
    ]
)
PERSONA_SHARE: Final = np.array([0.56, 0.24, 0.12, 0.08])
"""Of the first personas; the others are given to people of their own."""
HARNESS: Final = 4
SCRIPTED: Final = 5
# What the reports say that campaigns are after (the distribution of DETECTION.md, step 2).
CAMPAIGN_TASKS: Final = np.array([0.08, 0.25, 0.15, 0.12, 0.20, 0.12, 0.08])
_HOURS: Final = np.array([1, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 7, 8, 8, 8, 7, 7, 6, 6, 5, 4, 3, 2], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Volume:
    """Requests and tokens of usage windows, one array element each."""

    requests: Ints
    input_tokens: Ints
    output_tokens: Ints


def pick_rows(mixes: Floats, random: np.random.Generator) -> Ints:
    """One column index per row of a matrix of probabilities."""
    drawn = random.random(len(mixes))[:, None] > np.cumsum(mixes, axis=1)
    column: Ints = np.minimum(drawn.sum(axis=1), mixes.shape[1] - 1)
    return column


def waking_times(start_us: Ints, end_us: Ints, random: np.random.Generator) -> Ints:
    """A time of day that people keep, in each of the intervals; short intervals are simply uniform."""
    span = np.maximum(end_us - start_us, 1)
    uniform = start_us + (random.random(len(span)) * span).astype(np.int64)
    hour = random.choice(24, size=len(span), p=_HOURS / _HOURS.sum())
    kept = uniform // DAY_US * DAY_US + hour * HOUR_US + uniform % HOUR_US
    times: Ints = np.where((kept >= start_us) & (kept < end_us), kept, uniform)
    return times


def volume(log_mean: Floats, log_sigma: Floats | float, output_ratio: Floats, random: np.random.Generator) -> Volume:
    """Requests lognormal, tokens in proportion with their own spread."""
    requests = np.maximum(1, np.rint(np.exp(random.normal(log_mean, log_sigma)))).astype(np.int64)
    inputs = np.maximum(1, requests * np.exp(random.normal(6.2, 0.6, len(requests)))).astype(np.int64)
    outputs = np.maximum(1, inputs * output_ratio * np.exp(random.normal(0.0, 0.35, len(requests)))).astype(np.int64)
    return Volume(np.minimum(requests, 100_000), inputs, outputs)
