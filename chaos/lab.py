"""The laboratory: a real cluster, a ledger, parties, and Weaklink's services as child processes that faults may do anything to."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chaos.drained import Drained
from chaos.postgres import Postgres
from chaos.publishing import Publisher
from chaos.scale import SHORT, Scale
from chaos.traffic import PARTIES
from chaos.watch import Watch
from chaos.worker import Worker
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party
from weaklink.settings import Settings

PATIENCE_SECONDS: Final = 300
"""With a fifth of the counts; what grows with them is waited for as much longer as there is more of it."""
_PAUSE_SECONDS: Final = 0.2
STAGES: Final = tuple(stage.name for stage in topology.STAGES)


class NotSo(Exception):
    """Something did not come about in time; the message has the logs' ends."""


@dataclass
class Lab:
    """`with Lab(folder) as lab:`. `postgres`: the ledger is a PostgreSQL, else SQLite. `environment`: settings of every service.
    `broker`: further lines of the brokers' own settings. `scale`: how much there is to wait for.

    Services are started by `start`; what dies stays dead until `start` or `revive`.
    """

    folder: Path
    nodes: int = 1
    scram: bool = False
    postgres: bool = False
    parties: Sequence[Party] = PARTIES
    environment: dict[str, str] = field(default_factory=dict)
    broker: dict[str, str] = field(default_factory=dict)
    heap_mib: int = 512
    scale: Scale = SHORT
    workers: list[Worker] = field(default_factory=list)
    database: Postgres | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.folder = self.folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self.cluster = stack.enter_context(
                LocalCluster(
                    self.folder / "kafka",
                    nodes=self.nodes,
                    scram=self.scram,
                    heap_mib=self.heap_mib,
                    properties=self.broker,
                )
            )
            if self.postgres:
                self.database = stack.enter_context(Postgres(self.folder / "postgres"))
            provision(self.settings)
            for party in self.parties:
                add_party(self.settings, party)
            self.publisher = stack.enter_context(Publisher(self.kafka))
            stack.callback(self.stop)
            self.drained = stack.enter_context(closing(Drained(self.kafka, self.ledger_url)))
            self.watch = stack.enter_context(
                Watch(self.kafka, self.workers, None if self.database else self.ledger_url)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        if error is not None:  # nothing is to be counted any more
            for worker in self.workers:
                if worker.alive:
                    worker.kill()
        self._stack.close()

    @property
    def kafka(self) -> KafkaConfig:
        """How an administrator connects."""
        return self.cluster.kafka

    @property
    def ledger_url(self) -> str:
        """URL of the ledger's database, without a driver."""
        return self.database.url if self.database else f"sqlite:///{self.folder}/data/enforce/ledger.sqlite3"

    @property
    def settings(self) -> Settings:
        """As the services have them, for what the laboratory does itself."""
        return Settings(kafka=self.kafka, data_folder=self.folder / "data")

    @property
    def patience_seconds(self) -> float:
        """How long may be waited for what grows with the counts: input to be read, state to be rebuilt."""
        return PATIENCE_SECONDS * self.scale.patience_times

    def service_environment(self) -> dict[str, str]:
        """What a service sees."""
        return {
            **self.kafka.environment(),
            "WEAKLINK_DATA_FOLDER": str(self.folder / "data"),
            "WEAKLINK_LOG_JSON": "true",
            "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "5",
            # A transaction costs about the same whatever is in it, and here a dozen workers make them on two cores: fewer, larger ones.
            "WEAKLINK_STREAM__LINGER_MS": "150",
            "WEAKLINK_ENFORCE__LEDGER_URL": self.ledger_url,
            # One core each at most: there are a dozen processes and often only two cores.
            "POLARS_MAX_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            **self.environment,
        }

    def start(self, stage: str, count: int = 1, **environment: str) -> list[Worker]:
        """So many more workers of a stage, each in a slot of its own. Does not wait for them."""
        started = []
        for _ in range(count):
            slot = f"{stage}-{sum(one.stage == stage for one in self.workers)}"
            worker = Worker(stage, slot, self.folder / f"{slot}.log", self.service_environment() | environment)
            self.workers.append(worker)
            worker.start()
            started.append(worker)
        return started

    def start_all(self, scalable: int = 1, single: int = 1) -> None:
        """Every stage: so many workers of ingest and correlate, of campaigns and of enforce; returns when they are ready."""
        self.start("enforce", single)
        self.start("campaigns", single)
        self.start("correlate", scalable)
        self.start("ingest", scalable)
        self.await_ready()

    def grow(self, stages: Sequence[str], count: int) -> None:
        """Start workers until each of these stages has so many: first those that are dead, each in its slot. Does not wait for them."""
        for stage in stages:
            dead = [worker for worker in self.of(stage) if not worker.alive]
            wanted = count - len(self.of(stage)) + len(dead)
            for worker in dead[: max(0, wanted)]:
                worker.start()
            self.start(stage, max(0, wanted - len(dead)))

    def of(self, stage: str) -> list[Worker]:
        """The workers of a stage, dead ones too."""
        return [worker for worker in self.workers if worker.stage == stage]

    def revive(self, workers: Sequence[Worker] | None = None) -> list[Worker]:
        """Start what is dead again (of these workers), each in its slot, as an orchestrator would."""
        dead = [worker for worker in (self.workers if workers is None else workers) if not worker.alive]
        for worker in dead:
            worker.start()
        return dead

    def await_ready(self, workers: Sequence[Worker] | None = None) -> float:
        """Until these (all living) workers say that they are ready; how long it took in seconds. One that ends meanwhile, since the broker had too
        much to do to be asked, is revived."""
        begun = time.monotonic()
        waiting = [worker for worker in (self.workers if workers is None else workers) if worker.alive]

        def ready() -> bool:
            self.revive(waiting)
            return all(worker.ready() for worker in waiting)

        self.until(ready, "not every worker is ready", self.patience_seconds)
        return time.monotonic() - begun

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something. Raises NotSo."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {one.name} ({'alive' if one.alive else 'dead'})\n{one.tail()}" for one in self.workers)  # fmt: skip
                raise NotSo(f"{what}, after {seconds:.0f} s\n{logs}")
            time.sleep(_PAUSE_SECONDS)

    def settle(self, stages: Sequence[str] = STAGES, patiences: float = 1.0) -> float:
        """Until these stages have read everything, and the outbox is empty if enforce is among them; how long it took in seconds.

        patiences: how many times `patience_seconds` it may take.
        """
        begun = time.monotonic()
        self.publisher.flush()
        waits = ["nothing was looked at"]

        def done() -> bool:
            waits[:] = self.drained.waiting(stages)
            return not waits

        deadline = begun + patiences * self.patience_seconds
        try:
            while True:
                self.until(done, "input still waits", max(1.0, deadline - time.monotonic()))
                if self._still(stages):
                    return time.monotonic() - begun
        except NotSo as error:
            raise NotSo(f"{'; '.join(waits)}\n{error}") from error

    def _still(self, stages: Sequence[str]) -> bool:
        """Whether nothing new comes for a moment: a stage later in the flow may just have written for an earlier one."""
        time.sleep(1.5)
        return not self.drained.waiting(stages)

    def stop(self) -> None:
        """Stop every service in the flow's order, each once the one before it is silent, so that nothing is left half way."""
        for stage in STAGES:
            for worker in self.of(stage):
                worker.stop()

    def finish(self, stages: Sequence[str] = STAGES) -> None:
        """Let everything be read, then stop the stages one by one, the next one only once it has read what the one before left behind."""
        self.settle(stages)
        self.watch.pause()
        for number, stage in enumerate(stages):
            for worker in self.of(stage):
                worker.stop()
            if rest := stages[number + 1 :]:
                # feedback's reader is gone by then: only what lies ahead in the flow is waited for
                self.settle(rest)

    def logged(self, event: str, stage: str | None = None) -> list[dict[str, Any]]:
        """Entries of that name in the workers' logs."""
        found: list[dict[str, Any]] = []
        for worker in self.workers if stage is None else self.of(stage):
            for line in worker.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if f'"event": "{event}"' in line and line.startswith("{"):
                    found.append(json.loads(line) | {"worker": worker.name})
        return found
