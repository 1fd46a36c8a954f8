"""The demo: the whole of Weaklink on a local broker, with simulated parties and operators around it."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from weaklink.folders import alone_in
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.config import PartnerConfig
from weaklink.partner.publisher import Publisher
from weaklink.partner.tokens import LocalTokeniser
from weaklink.settings import Settings
from weaklink.sim.backlog import BacklogReader
from weaklink.sim.files import write_json
from weaklink.sim.loop import ClosedLoop, EventClock
from weaklink.sim.outcome import read_outcome
from weaklink.sim.parties import Ground, SimulatedParty
from weaklink.sim.presets import preset, scaled
from weaklink.sim.progress import CampaignWatch, Progress
from weaklink.sim.publishing import TokenTable
from weaklink.sim.report import print_summary
from weaklink.sim.score import campaign_scores, collateral, summarise
from weaklink.sim.services import Broker, Services, cluster, service_environment
from weaklink.sim.spec import DAY_US, WorldSpec
from weaklink.sim.worlds import World, exchanges_without_enforcement

_EVENTS: Final = 300_000
_EVENTS_OF_OTHERS: Final = 610_000
"""What the demo's own world, and the base world, come to without enforcement (`weaklink sim world`)."""
_AUDIT_TIMEOUT_SECONDS: Final = 120
_AUDIT_LINES: Final = 30


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a person may choose. `seconds`: wall time of the world; `kill_seconds`: kill a random service that often."""

    folder: Path
    events: int
    seed: int
    seconds: float
    world: str
    kill_seconds: float | None
    keep: bool


def demo_spec(options: DemoOptions) -> WorldSpec:
    """The chosen world with about the chosen number of events: with more the customers become more, the operators keep their size."""
    spec = preset(options.world)
    made = scaled(spec, options.events / (_EVENTS if options.world == "demo" else _EVENTS_OF_OTHERS))
    return made.model_copy(update={"operators": spec.operators}) if options.events > _EVENTS else made


def run_demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Run it all and return the summary, which is also in `summary.json` below the folder. Stops everything that it started."""
    spec = demo_spec(options)
    with alone_in(options.folder):
        for old in ("kafka", "services", "data"):
            shutil.rmtree(options.folder / old, ignore_errors=True)
        try:
            with cluster(options.folder / "kafka") as broker:  # first: what it lacks (Java) is told at once
                with console.status("making the world"):
                    world = World(spec, options.seed)
                    free = exchanges_without_enforcement(spec, options.seed)
                return _run(options, world, free, broker, console)
        finally:
            if not options.keep:
                shutil.rmtree(options.folder / "kafka", ignore_errors=True)


def _run(options: DemoOptions, world: World, free: dict[str, int], broker: Broker, console: Console) -> dict[str, Any]:
    kafka = broker.kafka
    members = join(kafka, world.spec)
    environment = service_environment(kafka, options.folder / "data")
    console.print(
        f"Kafka at {kafka.bootstrap_servers}, {len(members)} parties, {len(world.benign):,} events of ordinary customers, "
        f"{len(world.operators)} campaigns"
    )
    with Services(environment, options.folder / "services", others=broker.pids) as services:
        done = _close_loop(options, world, Pipeline(kafka, members, services), console)
        outcome = read_outcome(kafka, members)
        audit = _audit(services, environment)
        memory = dict(services.peak_memory_mib)
    made = done.state.exchanges
    summary = summarise(world, outcome, made, free, memory)
    details = {
        "campaigns": [asdict(score) for score in campaign_scores(world, outcome, made, free)],
        "collateral": collateral(world, outcome, done.ground.toll),
        "restarts": services.restarts,
        "notices": services.notices,
        "audit": audit,
    }
    write_json(options.folder / "summary.json", summary)
    write_json(options.folder / "details.json", details)
    print_summary(console, summary, details, world.spec.start_us, options.folder)
    return summary


def join(kafka: KafkaConfig, spec: WorldSpec) -> list[Party]:
    """Provision the cluster and add the world's parties."""
    settings = Settings(kafka=kafka, clock="event")
    provision(settings)
    return [add_party(settings, Party(id=party.id, kind=party.kind, name=party.id)) for party in spec.parties]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A cluster with its parties and services."""

    kafka: KafkaConfig
    members: list[Party]
    services: Services


def _close_loop(options: DemoOptions, world: World, pipeline: Pipeline, console: Console) -> ClosedLoop:
    """Parties, operators and pipeline until the world is over and everything is answered."""
    ground = Ground(world.accounts, TokenTable(world.vocabulary, LocalTokeniser.throwaway()))
    kills = Kills(pipeline.services, options.kill_seconds, options.seed)
    with ExitStack() as stack:
        backlog = stack.enter_context(closing(BacklogReader(pipeline.kafka, pipeline.members)))
        watch = stack.enter_context(closing(CampaignWatch(pipeline.kafka)))
        clock = EventClock(world.spec.start_us)
        publisher, parties = stack.enter_context(_parties(options, world, pipeline.kafka, clock))
        loop = ClosedLoop(world, parties, ground, backlog, publisher, clock)
        progress = stack.enter_context(Progress(console, pipeline.services, lambda: _rows(loop, parties, watch)))

        def each_slice() -> None:
            kills.maybe()
            progress.update()

        for party in parties:
            party.start()
        loop.run(options.seconds, each_slice)
    return loop


def _rows(loop: ClosedLoop, parties: list[SimulatedParty], watch: CampaignWatch) -> dict[str, str]:
    """What the live display shows."""
    state, spec, (running, confirmed) = loop.state, loop.world.spec, watch.read()
    behind = state.backlog.messages if state.backlog else {}
    day = max(0.0, (state.now_us - spec.start_us) / DAY_US)
    return {
        "day": f"{day:.1f} of {spec.days:.0f} ({state.phase})",
        "events": f"{state.published:,}",
        "lag": " ".join(f"{stage} {count:,}" for stage, count in behind.items()) or "-",
        "campaigns": f"{running} with {confirmed:,} accounts",
        "actions": f"{sum(party.received for party in parties):,}",
        "answers": f"{sum(party.answered for party in parties):,}",
    }


@contextmanager
def _parties(
    options: DemoOptions, world: World, kafka: KafkaConfig, clock: EventClock
) -> Iterator[tuple[Publisher, list[SimulatedParty]]]:
    """The simulated parties on one producer: on a laptop, twelve would only cost memory."""
    config = PartnerConfig(state_folder=options.folder / "data" / "partner")
    with Publisher(kafka, config) as publisher:
        parties = [
            SimulatedParty(
                i,
                spec,
                WeaklinkClient(spec.id, kafka, config, kind=spec.kind, publisher=publisher, clock=clock),
                world.seed,
            )
            for i, spec in enumerate(world.spec.parties)
        ]
        try:
            yield publisher, parties
        finally:
            for party in parties:
                party.stop()


class Kills:
    """kill -9 of a random service every so many seconds, from when the services had time to start."""

    def __init__(self, services: Services, seconds: float | None, seed: int) -> None:
        self._services, self._seconds, self._random = services, seconds, random.Random(seed)
        self._next = time.monotonic() + (seconds or 0)

    def maybe(self) -> None:
        """Kill when it is time."""
        if self._seconds is not None and time.monotonic() >= self._next:
            self._services.kill(self._random.choice(self._services.stages))
            self._next = time.monotonic() + self._seconds


def _audit(services: Services, environment: dict[str, str]) -> dict[str, Any]:
    """`weaklink audit` on what the run left behind: its exit code and what it said."""
    run = subprocess.run(
        services.command("audit"),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_AUDIT_TIMEOUT_SECONDS,
        check=False,
    )
    return {"passed": run.returncode == 0, "said": (run.stdout + run.stderr).strip().splitlines()[-_AUDIT_LINES:]}
