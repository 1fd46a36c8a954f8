"""The addresses that an operator comes from: leased at clouds for some days at a time, or residential proxies."""

import numpy as np
import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import tables
from weaklink.sim.benign import HOSTING, RESIDENTIAL, BenignLife
from weaklink.sim.conduct import Ints
from weaklink.sim.market import parties_of, pick_parties
from weaklink.sim.pools import SharedPool
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US
from weaklink.sim.vocabulary import Ids

_POSITIONS_PER_LESSEE = 8


class AddressBook:
    """Positions (where an account comes from) and the address that each has at a time."""

    def __init__(  # what addresses come from, once
        self, operator: int, scene: Scene, life: BenignLife, cards: SharedPool, random: np.random.Generator
    ) -> None:
        spec, vocabulary = scene.spec, scene.vocabulary
        own = spec.operators[operator]
        self._operator, self._world, self._own = operator, spec, own
        self._vocabulary, self._accounts, self._cards, self._random = vocabulary, scene.accounts, cards, random
        self._scene, self._places = scene, life.places
        self._residential = self._at_home = np.zeros(0, dtype=np.bool_)
        self._current = np.zeros(0, dtype=np.int32)
        self._until_us = self._lessee = self._cloud = np.zeros(0, dtype=np.int64)
        self._next = 0
        self._grow(max(2, -(-2 * own.accounts // own.accounts_per_address)))

    def positions(self, count: int) -> Ints:
        """Two positions for each of `count` new accounts: any, or in a chain the next in turn, so that neighbours share."""
        first = np.arange(self._next, self._next + count)
        self._next += count
        if self._own.pool_window > 1:
            return self._random.integers(0, len(self._current), (count, 2))
        link = first // max(1, self._own.accounts_per_address // 2)
        self._grow((int(link.max()) + 2 if count else 0) - len(self._current))
        return np.stack([link, link + 1], axis=1)

    def _grow(self, count: int) -> None:
        """More positions, without an address yet."""
        if count <= 0:
            return
        own, random = self._own, self._random
        residential = random.random(count) < own.residential_share
        at_home = residential & (random.random(count) < own.home_proxy_share)
        self._residential = np.concatenate([self._residential, residential])
        self._at_home = np.concatenate([self._at_home, at_home])
        self._current = np.concatenate([self._current, np.zeros(count, dtype=np.int32)])
        self._until_us = np.concatenate([self._until_us, np.zeros(count, dtype=np.int64)])
        self._lessee = np.concatenate([self._lessee, np.full(count, -1)])
        self._cloud = np.concatenate([self._cloud, np.zeros(count, dtype=np.int64)])

    def at(self, position: Ints) -> tuple[Ids, Ints]:
        """Present address and its class; leases change only between steps."""
        return self._current[position], np.where(self._residential[position], RESIDENTIAL, HOSTING)

    def renew(self, in_use: Ints, start_us: int, end_us: int, taken: Restrictions) -> list[pl.DataFrame]:
        """Addresses for positions in use that have none, whose lease ends, or whose address was taken back; open cloud accounts where the old ones are gone."""
        stale = (
            (self._until_us <= start_us)
            | np.isin(self._current, list(taken.addresses))
            | np.isin(self._lessee, list(taken.dead))
        )
        due = in_use[stale[in_use]]
        if not due.size:
            return []
        self._current[due] = self._new_addresses(due, start_us)
        spread = self._random.uniform(0.7, 1.3, len(due)) * self._own.lease_days * DAY_US
        self._until_us[due] = start_us + spread.astype(np.int64)
        leased = due[~self._residential[due]]
        opened = self._open_lessees(leased, start_us, taken)
        lease = tables.events(
            "AddressLease",
            np.full(len(leased), start_us) + self._random.integers(0, max(1, (end_us - start_us) // 8), len(leased)),
            self._current[leased][:, None],
            party=self._cloud[leased],
            account=self._lessee[leased],
            released_at_us=self._until_us[leased],
        )
        return [opened, lease]

    def _new_addresses(self, due: Ints, now_us: int) -> Ids:
        """Fresh ones; for proxies in homes a home's present address, for some leases one that honest tenants had."""
        fresh, random = self._vocabulary.mint(Kind.IP, len(due)), self._random
        home = np.flatnonzero(self._at_home[due])
        household = random.integers(0, self._places.home.shape[1], len(home))
        fresh[home] = self._places.home_at(household, np.full(len(home), now_us))
        again = ~self._residential[due] & (random.random(len(due)) < self._own.recycled_lease_share)
        for row in np.flatnonzero(again).tolist():
            if not self._scene.freed or self._scene.freed[0].from_us > now_us:
                break
            fresh[row] = self._scene.freed.pop(0).address
        return fresh

    def _open_lessees(self, positions: Ints, at_us: int, taken: Restrictions) -> pl.DataFrame:
        """A cloud account for every few positions that have none that works."""
        without = positions[(self._lessee[positions] < 0) | np.isin(self._lessee[positions], list(taken.dead))]
        count = -(-len(without) // _POSITIONS_PER_LESSEE)
        clouds = pick_parties(self._world, parties_of(self._world, PartyKind.CLOUD), count, self._random)
        times = np.full(count, at_us, dtype=np.int64)
        lessees = self._accounts.add(clouds, times, operator=self._operator, role="LESSEE")
        group = np.arange(len(without)) // _POSITIONS_PER_LESSEE
        self._lessee[without], self._cloud[without] = lessees[group], clouds[group]
        identifiers = np.stack([self._cards.take(count), self._vocabulary.mint(Kind.EMAIL, count)], axis=1)
        return tables.events(
            "AccountOpened",
            times,
            identifiers,
            party=clouds,
            account=lessees,
            plan="PAID",
            verified="CARD",
            mail_class="FREE",
            address_class="UNKNOWN",
        )
