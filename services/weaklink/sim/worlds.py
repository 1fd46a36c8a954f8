"""A whole world: benign life and campaigns, from a spec and a seed, with the truth about who is who.

`generate` gives the world as it is when nobody enforces anything; the closed loop takes the same `World` and advances its
operators step by step, under restrictions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from weaklink.sim import tables
from weaklink.sim.adversary import Operator
from weaklink.sim.bad_members import flood_events, framing_events
from weaklink.sim.benign import BenignLife
from weaklink.sim.resellers import Resellers
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, HOUR_US, WorldSpec
from weaklink.sim.tampering import told
from weaklink.sim.tenants import tenant_events
from weaklink.sim.variation import varied

_END_USERS: Final = dict.fromkeys(("party", "account", "end_user", "campaign"), pl.String)


class World:
    """Benign events ready, operators at their start. Equal spec and seed: equal world."""

    def __init__(self, spec: WorldSpec, seed: int) -> None:
        spec = varied(spec, seed)
        self.spec, self.seed = spec, seed
        self.scene = scene = Scene(spec, seed)
        self.vocabulary, self.accounts = scene.vocabulary, scene.accounts
        life = BenignLife(scene)
        self.resellers = resellers = Resellers(scene, life)
        parts = [life.events(), resellers.events(), tenant_events(scene, life), _releases(spec)]
        self.operators = [Operator(i, scene, life, resellers) for i in range(len(spec.operators))]
        if spec.framing:
            parts.append(framing_events(scene, spec.framing, life))
        if spec.flood:
            cards = np.concatenate([operator.reveal_cards(spec.flood.cards) for operator in self.operators])
            parts.append(flood_events(scene, spec.flood, cards))
        self.benign = pl.concat(parts).sort("occurred_at_us", maintain_order=True)

    def steps(self) -> Iterator[tuple[int, int]]:
        """[start, end) of every step of the operators, microseconds."""
        length = int(self.spec.step_hours * HOUR_US)
        for start in range(self.spec.start_us, self.spec.end_us, length):
            yield start, min(start + length, self.spec.end_us)


@dataclass(frozen=True, slots=True)
class GeneratedWorld:
    """`events` in the input form of `weaklink backtest`, in order of occurred_at; `truth` as `tables.truth_frame` says, of the
    accounts that events name; `end_users`: [party, account, end_user, campaign], as whom operators buy from resellers.
    """

    events: pl.DataFrame
    truth: pl.DataFrame
    end_users: pl.DataFrame

    def write(self, folder: Path) -> None:
        """`events.parquet`, `truth.parquet` and `end_users.parquet` below the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.events.write_parquet(folder / "events.parquet")
        self.truth.write_parquet(folder / "truth.parquet")
        self.end_users.write_parquet(folder / "end_users.parquet")


def generate(spec: WorldSpec, seed: int) -> GeneratedWorld:
    """The world without any enforcement."""
    world = World(spec, seed)
    parts = [world.benign]
    for start, end in world.steps():
        parts += [operator.step(start, end, Restrictions()) for operator in world.operators]
    real = pl.concat(parts).filter(pl.col("occurred_at_us") < spec.end_us).with_columns(_due_us="occurred_at_us")
    table = told(real, world.spec, seed).filter(pl.col("_due_us") < spec.end_us)
    events = tables.backtest_frame(table, world.spec, world.accounts, world.vocabulary)
    truth = tables.truth_frame(world.spec, world.accounts)
    named = events.select("party", "account").unique()
    known = truth.join(named, on=["party", "account"], how="semi", maintain_order="left")
    return GeneratedWorld(events, known, _end_users(table, world))


def _end_users(table: pl.DataFrame, world: World) -> pl.DataFrame:
    """Of the end users in these events those that are operators."""
    values, parties = world.vocabulary.values(), [party.id for party in world.spec.parties]
    seen = set(table["end_user"].drop_nulls().to_list())
    rows = []
    for index, operator in enumerate(world.operators):
        users = world.resellers.end_users_of(index)
        for row, (account, party) in enumerate(zip(world.resellers.account, world.resellers.party, strict=True)):
            rows += [
                (parties[party], world.accounts.name[account], values[user], operator.spec.name)
                for user in users[row].tolist()
                if user in seen
            ]
    return pl.DataFrame(rows, schema=_END_USERS, orient="row")


def exchanges_without_enforcement(spec: WorldSpec, seed: int) -> dict[str, int]:
    """Requests that each operator of this world makes when nothing is ever taken from it."""
    world, empty = World(spec, seed), Restrictions()
    totals = dict.fromkeys((operator.spec.name for operator in world.operators), 0)
    for start, end in world.steps():
        for operator in world.operators:
            totals[operator.spec.name] += int(operator.step(start, end, empty)["requests"].sum())
    return totals


def _releases(spec: WorldSpec) -> pl.DataFrame:
    parties = [party.id for party in spec.parties]
    at = np.array([spec.start_us + int(release.day * DAY_US) for release in spec.releases], dtype=np.int64)
    return tables.events(
        "ModelReleased",
        at,
        None,
        party=[parties.index(release.party) for release in spec.releases],
        account=-1,
        model=[release.model for release in spec.releases],
        released_at_us=at,
    )
