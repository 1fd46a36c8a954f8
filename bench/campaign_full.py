"""`make campaign-full`: the campaigns that were reported in 2026 at full size, through the running pipeline, in a closed loop.

24,000 accounts that make 16 million exchanges, and beside them a proxy network of 20,000 accounts at once, among ordinary customers of more volume than both. A
month of event time passes in some minutes: parties publish, Weaklink joins and decides, parties act, operators replace what they lose. A person on duty
approves what waits for one, by the command line. Parties use the partner SDK; only its producer is replaced by one that sends whole batches
(`bench.load.bulk`).
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench.campaign_full_pictures import draw
from bench.campaign_full_world import Diary, by_day, exchanges_by_day, full_spec, until
from bench.duty import Duty
from bench.load.bulk import BulkPublisher
from weaklink import heap
from weaklink.errors import WeaklinkError
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import Party
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.config import PartnerConfig
from weaklink.partner.tokens import LocalTokeniser
from weaklink.sim.backlog import BacklogReader
from weaklink.sim.demo import join
from weaklink.sim.files import write_json
from weaklink.sim.loop import ClosedLoop, EventClock
from weaklink.sim.outcome import read_outcome
from weaklink.sim.parties import Ground, SimulatedParty
from weaklink.sim.publishing import TokenTable
from weaklink.sim.report import told
from weaklink.sim.score import campaign_scores, collateral, summarise
from weaklink.sim.services import Broker, Services, cluster, interruptible, service_environment
from weaklink.sim.spec import DAY_US
from weaklink.sim.worlds import World

_MINUTES_MAX: Final = 19.8
_PROGRESS_SECONDS: Final = 10.0
_MESSAGES_BEHIND_MAX: Final = 240
"""Messages that the later stages may be behind: some hours of event time, of which each second of a tick has two or three here."""
_DRAIN_MINUTES: Final = 1.2
"""Of the time there is, what is kept for what still lies in the pipeline when event time has to stop."""


class OutOfTime(WeaklinkError):
    """The world did not come to its end in the time that it was given."""


@contextmanager
def parties_of(
    world: World, kafka: KafkaConfig, members: list[Party], folder: Path, clock: EventClock
) -> Iterator[tuple[BulkPublisher, list[SimulatedParty]]]:
    """The simulated parties on one sender of batches."""
    config = PartnerConfig(state_folder=folder / "data" / "partner")
    with closing(BulkPublisher(kafka, {one.events_topic: one.events_partitions for one in members})) as publisher:
        parties = [
            SimulatedParty(index, spec, WeaklinkClient(spec.id, kafka, config, kind=spec.kind, publisher=publisher, clock=clock), world.seed)
            for index, spec in enumerate(world.spec.parties)
        ]  # fmt: skip
        try:
            yield publisher, parties
        finally:
            for party in parties:
                party.stop()


@dataclass
class Run:
    """One run: what it is given, and until when."""

    world: World
    free: "Future[tuple[dict[str, list[int]], dict[str, int]]]"
    folder: Path
    until: float
    console: Console
    diary: Diary = field(default_factory=Diary)
    shown: float = 0.0

    def close_loop(self, broker: Broker, members: list[Party], services: Services, duty: Duty) -> tuple[ClosedLoop, bool]:  # fmt: skip
        """The loop, and whether the world came to its end."""
        ground = Ground(self.world.accounts, TokenTable(self.world.vocabulary, LocalTokeniser.throwaway()))
        clock = EventClock(self.world.spec.start_us)
        with ExitStack() as stack:
            backlog = stack.enter_context(closing(BacklogReader(broker.kafka, members)))
            publisher, parties = stack.enter_context(parties_of(self.world, broker.kafka, members, self.folder, clock))
            stack.callback(duty.stop)
            loop = ClosedLoop(self.world, parties, ground, backlog, publisher, clock, _MESSAGES_BEHIND_MAX)

            def each_slice() -> None:
                services.check()
                self.diary.note(loop, parties)
                duty.maybe()
                self._show(loop, parties)
                if time.monotonic() > self.until:
                    raise OutOfTime(f"day {(loop.state.now_us - self.world.spec.start_us) / DAY_US:.1f} of {self.world.spec.days:.0f}")  # fmt: skip

            for party in parties:
                party.start()
            try:
                loop.run(0.0, each_slice)
            except OutOfTime as error:
                self.console.print(f"out of time at {error}: what follows is of the part that was run")
                publisher.flush()
                _settle(backlog)
                return loop, False
        return loop, True

    def _show(self, loop: ClosedLoop, parties: list[SimulatedParty]) -> None:
        if time.monotonic() - self.shown < _PROGRESS_SECONDS:
            return
        self.shown = time.monotonic()
        state, day = loop.state, (loop.state.now_us - self.world.spec.start_us) / DAY_US
        behind = state.backlog.messages if state.backlog else {}
        left = self.until - time.monotonic()
        self.console.print(
            f"day {day:4.1f}  events {state.published:,}  lag {' '.join(f'{name} {many:,}' for name, many in behind.items())}  "
            f"actions {sum(one.received for one in parties):,}  answers {sum(one.answered for one in parties):,}  {left:.0f} s left",
            soft_wrap=True,
        )


def _settle(backlog: BacklogReader) -> None:
    """Wait until ingest has taken every event, for as long as there is time."""
    until = time.monotonic() + 30 * _DRAIN_MINUTES
    while backlog.read().events and time.monotonic() < until:
        time.sleep(0.5)


def run_full(folder: Path, size: float, minutes: float, seed: int, console: Console) -> dict[str, Any]:
    """Run it all, write `summary.json` and the pictures below `folder`, and return the summary."""
    began = time.monotonic()
    for old in ("kafka", "services", "data"):
        shutil.rmtree(folder / old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    spec = full_spec(size)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        free = pool.submit(exchanges_by_day, spec, seed)
        world = World(spec, seed)
        console.print(f"{len(world.benign):,} events of ordinary customers after {time.monotonic() - began:.0f} s")
        heap.settle()  # millions of objects that stay: to go over them for garbage again and again took time from the pipeline
        run = Run(world, free, folder, began + 60 * (minutes - _DRAIN_MINUTES), console)
        try:
            with cluster(folder / "kafka") as broker:
                summary = _measured(run, broker)
        finally:
            shutil.rmtree(folder / "kafka", ignore_errors=True)
            shutil.rmtree(folder / "data", ignore_errors=True)
    summary["minutes"] = round((time.monotonic() - began) / 60, 1)
    write_json(folder / "summary.json", summary)
    draw(summary, folder)
    return summary


def _measured(run: Run, broker: Broker) -> dict[str, Any]:
    world, kafka = run.world, broker.kafka
    members = join(kafka, world.spec)
    environment = service_environment(kafka, run.folder / "data")
    with Services(environment, run.folder / "services", others=broker.pids) as services:
        duty = Duty(services, environment, run.folder / "duty.log")
        loop, finished = run.close_loop(broker, members, services, duty)
        memory, restarts = dict(services.peak_memory_mib), services.restarts
    outcome = read_outcome(kafka, members)
    days = int(world.spec.days) + 1
    free_days, free_accounts = run.free.result()
    day_reached = (loop.state.now_us - world.spec.start_us) / DAY_US
    free = {name: until(values, day_reached) for name, values in free_days.items()}
    made = dict(loop.state.exchanges)
    honest = loop.honest_requests
    return summarise(world, outcome, made, free, memory) | {
        "finished": finished,
        "day_reached": round(day_reached, 2),
        "events_settled": outcome.accepted + outcome.rejected + outcome.duplicates == outcome.published,
        "campaigns": [asdict(score) for score in campaign_scores(world, outcome, made, free)],
        "accounts_without_measures": free_accounts,
        "exchanges_by_day_without_measures": free_days,
        "exchanges_by_day_with_measures": by_day(run.diary.exchanges, days),
        "answers_by_day": by_day(run.diary.answers, days),
        "party_first_acted_day": run.diary.first_answer_day,
        "honest_exchanges": honest[0],
        "honest_exchanges_lost": honest[1],
        "collateral": collateral(world, outcome, loop.ground.toll),
        "approved_by_a_person": duty.approved,
        "restarts": restarts,
        "seed": world.seed,
        "machine": {"cores": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()]},
    }


def tell(summary: dict[str, Any], console: Console) -> None:
    """A few lines for people."""
    end = "" if summary["finished"] else ", NOT to its end"
    lines = [
        f"{summary['events_published']:,} events, {summary['minutes']} minutes, {summary['day_reached']} days{end}"
    ]
    for one in summary["campaigns"]:
        without = one["exchanges_without"]
        share = 1 - one["exchanges_with"] / without if without else 0.0
        lines += [
            f"  {one['operator']}: {summary['accounts_without_measures'][one['operator']]:,} accounts, {without:,} exchanges without measures",
            f"    with them {one['exchanges_with']:,} ({share:.0%} prevented), {one['found']:,} of {one['accounts']:,} accounts found",
        ]
    lines += [
        f"  ordinary customers: {summary['honest_exchanges']:,} exchanges, {summary['honest_exchanges_lost']:,} lost; {summary['collateral']}",
        f"  {summary['actions_issued']:,} actions, {summary['receipts']:,} receipts; {summary['approved_by_a_person']:,} approved by a person",
        f"  precision {told(summary['account_precision'], '.1%')}, recall {told(summary['account_recall'], '.1%')}",
        f"  every event accounted for: {'yes' if summary['events_settled'] else 'NO'}",
    ]
    console.print("\n".join(lines), soft_wrap=True, highlight=False)


def main() -> int:
    """0: the whole month was run, and every event is accounted for."""
    parser = argparse.ArgumentParser(prog="python -m bench.campaign_full", description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="of the world: 1 is as reported")
    parser.add_argument("--minutes", type=float, default=_MINUTES_MAX, help="wall time that it may take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/campaign-full"))
    given = parser.parse_args()
    console = Console()
    with interruptible():
        summary = run_full(given.folder, given.size, given.minutes, given.seed, console)
    tell(summary, console)
    return 0 if summary["finished"] and summary["events_settled"] else 1


if __name__ == "__main__":
    sys.exit(main())
