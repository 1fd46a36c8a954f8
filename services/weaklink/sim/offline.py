"""The closed loop without Kafka: a function decides, the parties carry out after their reaction times, the operators react."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl

from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ReceiptStatus
from weaklink.partner.tokens import LocalTokeniser
from weaklink.sim.enforced import EnforcedWorld
from weaklink.sim.parties import Ground, PartyDesk, Toll
from weaklink.sim.publishing import TokenTable
from weaklink.sim.spec import HOUR_US, WorldSpec
from weaklink.sim.tables import BacktestForm, truth_frame
from weaklink.sim.worlds import World, exchanges_without_enforcement


@dataclass(frozen=True, slots=True)
class Answer:
    """A receipt, as far as a decider needs it."""

    party: str
    action_id: str
    revision: int
    status: ReceiptStatus
    note: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What became known until `end_us`: at first the world's history, then one tick after the other.

    events: the columns of `weaklink backtest`'s input, with tokens instead of raw values: identifiers List(Binary), end_user Binary.
    """

    end_us: int
    events: pl.DataFrame
    answers: tuple[Answer, ...]


Decide = Callable[[Seen], Iterable[EnforcementAction]]
"""Actions to be issued at the end of a tick, withdrawals among them. Their parties learn of them at once."""


@dataclass(frozen=True, slots=True)
class LoopOutcome:
    """Exchanges of each operator with enforcement and without any; what it cost honest customers; truth as `tables.truth_frame`."""

    made: dict[str, int]
    free: dict[str, int]
    toll: Toll
    honest_requests: int
    honest_requests_lost: int
    truth: pl.DataFrame

    @property
    def prevented_share(self) -> float:
        """Of the exchanges of all operators, replacements included, those that were not made. 0 without operators."""
        total = sum(self.free.values())
        return 1 - sum(self.made.values()) / total if total else 0.0


@dataclass
class _Mailbox:
    """Stands for a partner's connection: keeps its receipts."""

    party: str
    answers: list[Answer] = field(default_factory=list)

    def receipt(
        self, action_id: str, revision: int, status: ReceiptStatus, reason: str | None = None, note: str | None = None
    ) -> None:
        self.answers.append(Answer(self.party, action_id, revision, status, note))


def closed_loop(
    spec: WorldSpec, seed: int, decide: Decide, tick_seconds: int = 3600, free: dict[str, int] | None = None
) -> LoopOutcome:
    """Run a world to its end under what `decide` issues. `free`: what is known already of the world without enforcement.

    `tick_seconds` must divide the operators' step (`WorldSpec.step_hours`), so that no tick sees beyond it.
    """
    world = World(spec, seed)
    if int(world.spec.step_hours * HOUR_US) % (tick_seconds * 1_000_000):
        raise ValueError(f"ticks of {tick_seconds} s do not divide steps of {world.spec.step_hours} h; choose another")
    ground = Ground(world.accounts, TokenTable(world.vocabulary, LocalTokeniser.reproducible()))
    form = BacktestForm(world.spec, world.accounts, world.vocabulary)
    boxes = [_Mailbox(party.id) for party in world.spec.parties]
    parties = [PartyDesk(i, party, boxes[i].receipt, seed) for i, party in enumerate(world.spec.parties)]
    by_id = {party.spec.id: party for party in parties}
    under = EnforcedWorld(world, ground.taken)

    def turn(events: pl.DataFrame, end_us: int) -> None:
        answers = tuple(answer for box in boxes for answer in box.answers)
        for box in boxes:
            box.answers.clear()
        for action in decide(Seen(end_us, form.tokenised(events, ground.tokens.tokens), answers)):
            by_id[action.party].inbox.put(action)

    turn(under.history(), world.spec.start_us)
    for start, end in under.slices(tick_seconds * 1_000_000):
        for party in parties:
            party.act(start, ground)
        turn(under.events(start, end), end)
    return LoopOutcome(
        made=under.exchanges,
        free=free if free is not None else exchanges_without_enforcement(spec, seed),
        toll=ground.toll,
        honest_requests=under.honest_requests,
        honest_requests_lost=under.honest_requests_lost,
        truth=truth_frame(world.spec, world.accounts),
    )
