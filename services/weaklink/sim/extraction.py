"""What an operator takes: the usage of its own accounts, and what it buys from resellers."""

import numpy as np
import polars as pl

from weaklink.frames import ADDRESS_CLASS, TASK
from weaklink.sim import conduct, tables
from weaklink.sim.addresses import AddressBook
from weaklink.sim.benign import BenignLife
from weaklink.sim.conduct import Ints
from weaklink.sim.fleet import NEVER, Fleet
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US
from weaklink.sim.vocabulary import Ids


class Extraction:
    """Turns an operator's accounts and time into usage events."""

    def __init__(self, operator: int, scene: Scene, life: BenignLife, book: AddressBook, plain: Ids) -> None:
        self._index, self._world, self._own = operator, scene.spec, scene.spec.operators[operator]
        self._life, self._book, self._plain = life, book, plain

    def use(self, fleet: Fleet, until: int, taken: Restrictions, random: np.random.Generator) -> pl.DataFrame:
        """Usage of the fleet's own accounts before `until`; moves their next windows on."""
        own, rounds = self._own, []
        while (due := np.flatnonzero(fleet["alive"] & (fleet["next_us"] < np.minimum(until, fleet["leaves_us"])))).size:
            rounds.append(np.stack([due, fleet["next_us"][due]]))
            fleet["next_us"][due] += (DAY_US / own.windows_per_day * random.uniform(0.7, 1.3, len(due))).astype(
                np.int64
            )
        if not rounds:
            return tables.events("ApiUsage", np.zeros(0, dtype=np.int64))
        index, at = np.concatenate(rounds, axis=1)
        members, count = fleet[index], len(index)
        ordinary = (random.random(count) < own.benign_mix) | own.benign_conduct
        persona = random.choice(len(conduct.PERSONA_SHARE), count, p=conduct.PERSONA_SHARE)
        mixes = np.where(ordinary[:, None], conduct.PERSONAS[persona], conduct.CAMPAIGN_TASKS)
        ratio = np.exp(random.normal(np.where(ordinary, -0.5, 0.5), 0.4))
        amount = conduct.volume(
            members["log_mean"], np.where(own.benign_conduct, 0.95, own.requests_log_sigma), ratio, random
        )
        left = np.array([taken.throttled.get(account, 1.0) for account in members["account"].tolist()])
        requests = np.floor(amount.requests * left + random.random(count)).astype(np.int64)
        passed = requests > 0
        address, address_class = self._book.at(members["addresses"][np.arange(count), random.integers(0, 2, count)])
        common = np.where(
            random.random(count) < self._world.benign.template_share,
            random.choice(self._life.places.templates, count),
            0,
        )
        matrix = np.stack(
            [
                address,
                members["device"],
                members["tls"],
                members["api_key"],
                np.where(ordinary, common, members["template"]),
            ],
            axis=1,
        )
        return tables.events(
            "ApiUsage",
            at,
            matrix.astype(np.int32),
            party=members["party"],
            account=members["account"],
            window_seconds=3600,
            model=self._models(members, at),
            task=tables.symbols(TASK, conduct.pick_rows(mixes, random)),
            requests=requests,
            input_tokens=(amount.input_tokens * left).astype(np.int64),
            output_tokens=(amount.output_tokens * left).astype(np.int64),
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        ).filter(pl.Series(passed))

    def _models(self, members: Fleet, at_us: Ints) -> list[str]:
        """The party's best model of the time, once the account has moved to it."""
        releases = {release.model: self._world.start_us + int(release.day * DAY_US) for release in self._world.releases}
        names = []
        for party, pivot, at in zip(
            members["party"].tolist(), members["pivot_us"].tolist(), at_us.tolist(), strict=True
        ):
            models = self._world.parties[party].models
            old = [m for m in models if m not in releases]
            reached = [m for m in models if m in releases and pivot < NEVER and at >= releases[m] + pivot]
            names.append((reached or old or list(models))[-1])
        return names

    def resell(self, start_us: int, end_us: int, taken: Restrictions, random: np.random.Generator) -> pl.DataFrame:
        """What it asks for through resellers, as a few of their end users."""
        own = self._own
        accounts, parties, means = self._life.resellers
        rate = own.resold_share * own.accounts * own.windows_per_day * (end_us - start_us) / DAY_US
        count = int(random.poisson(rate)) if len(accounts) else 0
        which = random.integers(0, max(1, len(accounts)), count)
        end_user = (
            self._life.end_users[which, self._index * 7 % 100 + random.integers(0, 5, count)]
            if count
            else np.zeros(0, dtype=np.int32)
        )
        left = np.array(
            [taken.end_users.get(key, 1.0) for key in zip(accounts[which].tolist(), end_user.tolist(), strict=True)]
        )
        amount = conduct.volume(
            np.full(count, np.log(own.requests_per_window)), own.requests_log_sigma, np.full(count, 1.6), random
        )
        at = random.integers(start_us, end_us, count)
        template = random.choice(self._plain, count)
        return tables.events(
            "ApiUsage",
            at,
            np.stack([means[which, 0], means[which, 4], template], axis=1).astype(np.int32),
            party=parties[which],
            account=accounts[which],
            window_seconds=3600,
            model=[self._world.parties[i].models[-1] for i in parties[which].tolist()],
            task=tables.symbols(TASK, conduct.pick_rows(np.tile(conduct.CAMPAIGN_TASKS, (count, 1)), random)),
            requests=np.floor(amount.requests * left).astype(np.int64),
            input_tokens=amount.input_tokens,
            output_tokens=amount.output_tokens,
            end_user=end_user,
            address_class="HOSTING",
        ).filter(pl.col("requests") > 0)
