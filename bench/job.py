"""One run of one engine: what it is given, and what came of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bench.processes import Meter
from bench.truth import Truth
from weaklink.kafka_options import KafkaConfig

PATIENCE_SECONDS: Final = 1_200
"""An engine that takes longer has failed: forty times what the slowest took on two cores."""
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Dataset:
    """Events on a topic, and what is right about them."""

    topic: str
    events: int
    mentions: int
    truth: Truth


@dataclass(frozen=True)
class Job:
    """`name` is unlike that of any other run: topics, groups and folders that an engine makes carry it."""

    name: str
    kafka: KafkaConfig
    broker_pid: int | None
    data: Dataset
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """Times of the first event read and of the last pair folded; processor seconds between the two; what is wrong with the output (nothing: right).
    `round` counts from 1; whoever runs the engine sets it."""

    first_us: int
    last_us: int
    cpu_seconds: float
    broker_cpu_seconds: float
    peak_mib: float
    wrong: list[str] = field(default_factory=list)
    round: int = 0

    @classmethod
    def of(cls, meter: Meter, first_us: int, last_us: int, wrong: list[str]) -> "Outcome":
        """With what the meter saw in between."""
        return cls(first_us, last_us, *meter.spent(first_us, last_us), meter.peak_mib, wrong)

    @property
    def seconds(self) -> float:
        """Time that counts."""
        return (self.last_us - self.first_us) / 1e6


class Engine(Protocol):
    """What is measured. `events_max` bounds the input of slow ones; `configured` says how it is set up, in a sentence."""

    @property
    def name(self) -> str: ...
    @property
    def guarantee(self) -> str: ...
    @property
    def events_max(self) -> int | None: ...
    @property
    def configured(self) -> str: ...
    def prepare(self) -> None:
        """Build what it needs. Raises Unavailable."""

    def run(self, job: Job) -> Outcome:
        """Do the job once. Raises EngineFailed."""
