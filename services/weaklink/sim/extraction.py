"""What an operator takes: the usage of its own accounts, and what it buys from resellers."""

import numpy as np
import polars as pl

from weaklink.frames import ADDRESS_CLASS, TASK
from weaklink.sim import conduct, tables
from weaklink.sim.addresses import AddressBook
from weaklink.sim.benign import BenignLife
from weaklink.sim.conduct import Ints
from weaklink.sim.fleet import NEVER, Fleet
from weaklink.sim.market import releases_us, windows_of
from weaklink.sim.resellers import Resellers
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US
from weaklink.sim.vocabulary import Ids


class Extraction:
    """Turns an operator's accounts and time into usage events."""

    def __init__(  # noqa: PLR0917  # what an operator draws on, once
        self, operator: int, scene: Scene, life: BenignLife, resellers: Resellers, book: AddressBook, plain: Ids
    ) -> None:
        self._index, self._world, self._own = operator, scene.spec, scene.spec.operators[operator]
        self._life, self._resellers, self._book, self._plain = life, resellers, book, plain
        self._tasks = np.array(self._own.task_shares) if self._own.task_shares else conduct.CAMPAIGN_TASKS

    def use(self, fleet: Fleet, until: int, taken: Restrictions, random: np.random.Generator) -> pl.DataFrame:
        """Usage of the fleet's own accounts before `until`; moves their next windows on."""
        own, shown, rounds = self._own, self._world.shown, []
        waits = self._book.stranded(fleet["addresses"])
        fleet["next_us"][waits] = np.maximum(fleet["next_us"][waits], until)  # until it has somewhere to come from
        while (due := np.flatnonzero(fleet["alive"] & (fleet["next_us"] < np.minimum(until, fleet["leaves_us"])))).size:
            rounds.append(np.stack([due, fleet["next_us"][due]]))
            fleet["next_us"][due] += (
                DAY_US / own.windows_per_day * (1 + own.windows_jitter * random.uniform(-1, 1, len(due)))
            ).astype(np.int64)
        if not rounds:
            return tables.events("ApiUsage", np.zeros(0, dtype=np.int64))
        index, at = np.concatenate(rounds, axis=1)
        members, count = fleet[index], len(index)
        ordinary = (random.random(count) < own.benign_mix) | own.benign_conduct
        persona = random.choice(len(conduct.PERSONA_SHARE), count, p=conduct.PERSONA_SHARE)
        mixes = np.where(ordinary[:, None], conduct.PERSONAS[persona], self._tasks)
        ratio = np.exp(random.normal(np.where(ordinary, -0.5, own.output_log_ratio), 0.5))
        amount = conduct.volume(
            members["log_mean"],
            np.where(own.benign_conduct, self._world.benign.requests_log_sigma, own.requests_log_sigma),
            ratio,
            random,
        )
        left = np.array([taken.throttled.get(account, 1.0) for account in members["account"].tolist()])
        requests = np.floor(amount.requests * left + random.random(count)).astype(np.int64)
        passed = requests > 0
        address, address_class = self._book.at(self._book.working(members["addresses"], random.integers(0, 2, count)))
        common = np.where(
            random.random(count) < self._world.benign.template_share,
            random.choice(self._life.places.templates, count),
            0,
        )
        matrix = np.stack(
            [
                tables.some(address, shown.address_share, random),
                tables.some(members["device"], shown.device_share, random),
                tables.some(members["tls"], shown.tls_share, random),
                members["api_key"],
                np.where(ordinary, common, np.where(random.random(count) < own.template_share, members["template"], 0)),
            ],
            axis=1,
        )
        return tables.events(
            "ApiUsage",
            at,
            matrix.astype(np.int32),
            party=members["party"],
            account=members["account"],
            window_seconds=windows_of(self._world, members["party"]),
            model=self._models(members, at),
            task=tables.symbols(TASK, conduct.pick_rows(mixes, random)),
            requests=requests,
            input_tokens=(amount.input_tokens * left).astype(np.int64),
            output_tokens=(amount.output_tokens * left).astype(np.int64),
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        ).filter(pl.Series(passed))

    def _models(self, members: Fleet, at_us: Ints) -> pl.Series:
        """The party's best model of the time, once the account has moved to it."""
        released = releases_us(self._world)
        names = sorted({model for party in self._world.parties for model in party.models})
        chosen = np.zeros(len(members), dtype=np.int64)
        for index, party in enumerate(self._world.parties):
            rows = np.flatnonzero(members["party"] == index)
            if not len(rows) or not party.models:
                continue
            old = [model for model in party.models if model not in released] or list(party.models)
            chosen[rows] = names.index(old[-1])
            delay = members["pivot_us"][rows]
            for model in (m for m in party.models if m in released):
                # A delay of NEVER is the largest number: what is added to it would overflow.
                moved = (delay < NEVER) & (at_us[rows] - released[model] >= delay)
                chosen[rows[moved]] = names.index(model)
        return tables.labels(names, chosen)

    def resell(self, start_us: int, end_us: int, taken: Restrictions, random: np.random.Generator) -> pl.DataFrame:
        """What it asks for through resellers, as a few of their end users."""
        own, sellers = self._own, self._resellers
        rate = own.resold_share * own.accounts * own.windows_per_day * (end_us - start_us) / DAY_US
        count = int(random.poisson(rate)) if len(sellers.account) else 0
        if not count:
            return tables.events("ApiUsage", np.zeros(0, dtype=np.int64))
        which = random.integers(0, len(sellers.account), count)
        users = sellers.end_users_of(self._index)
        end_user = users[which, random.integers(0, users.shape[1], count)]
        left = np.array(
            [
                min(taken.end_users.get((account, user), 1.0), taken.throttled.get(account, 1.0))
                for account, user in zip(sellers.account[which].tolist(), end_user.tolist(), strict=True)
            ]
        )
        left *= ~np.isin(sellers.account[which], list(taken.dead))
        amount = conduct.volume(
            np.full(count, np.log(own.requests_per_window)), own.requests_log_sigma, np.full(count, 1.1), random
        )
        template = np.where(random.random(count) < own.template_share, random.choice(self._plain, count), 0)
        return tables.events(
            "ApiUsage",
            random.integers(start_us, end_us, count),
            np.concatenate([sellers.usage_means(which), template[:, None]], axis=1).astype(np.int32),
            party=sellers.party[which],
            account=sellers.account[which],
            window_seconds=windows_of(self._world, sellers.party[which]),
            model=tables.labels(
                [party.models[-1] if party.models else "" for party in self._world.parties], sellers.party[which]
            ),
            task=tables.symbols(TASK, conduct.pick_rows(np.tile(self._tasks, (count, 1)), random)),
            requests=np.floor(amount.requests * left).astype(np.int64),
            input_tokens=(amount.input_tokens * left).astype(np.int64),
            output_tokens=(amount.output_tokens * left).astype(np.int64),
            end_user=end_user,
            address_class="HOSTING",
        ).filter(pl.col("requests") > 0)
