"""The world of `make campaign-full`, and what happens in it by day: with measures, and without any."""

from dataclasses import dataclass, field

from weaklink.sim.loop import ClosedLoop
from weaklink.sim.parties import SimulatedParty
from weaklink.sim.presets import preset, scaled
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.spec import DAY_US, WorldSpec
from weaklink.sim.worlds import World


def full_spec(size: float = 1.0) -> WorldSpec:
    """The base world with usage by the hour, and two operators: one as was reported by a lab, one that is a proxy network.

    Identities are scarce: what is lost comes back at a tenth, and a twentieth, of an operator's size a day.
    """
    base = preset("base")
    giant = preset("giant").operators[0].model_copy(update={"name": "giant", "openings_per_day_share": 0.1})
    hydra = (
        preset("hydra").operators[0].model_copy(update={"openings_per_day_share": 0.05, "requests_per_window": 60.0})
    )
    spec = base.model_copy(
        update={
            "name": "campaign-full",
            "parties": tuple(party.model_copy(update={"window_seconds": 3600}) for party in base.parties),
            "benign": base.benign.model_copy(
                update={"people": 84_000, "windows_per_day": 8.5, "requests_log_mean": 0.7}
            ),
            "operators": (giant, hydra),
        }
    )
    return spec if size == 1 else scaled(spec, size)


def exchanges_by_day(spec: WorldSpec, seed: int) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Requests that each operator makes on each day when nothing is ever taken from it, and the accounts that it uses in all."""
    world, empty = World(spec, seed), Restrictions()
    days = {operator.spec.name: [0] * (int(spec.days) + 1) for operator in world.operators}
    for start, end in world.steps():
        for operator in world.operators:
            days[operator.spec.name][(start - spec.start_us) // DAY_US] += int(
                operator.step(start, end, empty)["requests"].sum()
            )
    users = [
        operator
        for operator, role in zip(world.accounts.operator, world.accounts.role, strict=True)
        if role == "CONSUMER"
    ]
    return days, {operator.spec.name: users.count(index) for index, operator in enumerate(world.operators)}


@dataclass
class Diary:
    """What happened by day of the world: exchanges of each operator up to its end, and answers of each party."""

    exchanges: dict[int, dict[str, int]] = field(default_factory=dict)
    answers: dict[int, dict[str, int]] = field(default_factory=dict)
    first_answer_day: dict[str, float] = field(default_factory=dict)

    def note(self, loop: ClosedLoop, parties: list[SimulatedParty]) -> None:
        """Take the present totals as those of the present day."""
        at = (loop.state.now_us - loop.world.spec.start_us) / DAY_US
        self.exchanges[int(at)] = dict(loop.state.exchanges)
        self.answers[int(at)] = {party.spec.id: party.answered for party in parties}
        for party in parties:
            if party.answered:
                self.first_answer_day.setdefault(party.spec.id, round(at, 2))


def by_day(totals: dict[int, dict[str, int]], days: int) -> dict[str, list[int]]:
    """Running totals by day -> what each day added. A day without a note added nothing."""
    found: dict[str, list[int]] = {}
    for name in sorted({name for one in totals.values() for name in one}):
        last, found[name] = 0, []
        for day in range(days):
            now = totals.get(day, {}).get(name, last)
            found[name].append(now - last)
            last = now
    return found


def until(days: list[int], day: float) -> int:
    """What these days come to up to this one: a run that stopped early is held against as much of the month, not against all of it."""
    whole = int(day)
    return sum(days[:whole]) + int((day - whole) * sum(days[whole : whole + 1]))
