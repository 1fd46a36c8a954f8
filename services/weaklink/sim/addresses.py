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
from weaklink.sim.spec import DAY_US, HOUR_US
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
        self._residential = self._at_home = self._lost = np.zeros(0, dtype=np.bool_)
        self._current = np.zeros(0, dtype=np.int32)
        self._until_us = self._back_us = self._lessee = self._cloud = np.zeros(0, dtype=np.int64)
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
        self._back_us = np.concatenate([self._back_us, np.zeros(count, dtype=np.int64)])
        self._lost = np.concatenate([self._lost, np.zeros(count, dtype=np.bool_)])
        self._lessee = np.concatenate([self._lessee, np.full(count, -1)])
        self._cloud = np.concatenate([self._cloud, np.zeros(count, dtype=np.int64)])

    def at(self, position: Ints) -> tuple[Ids, Ints]:
        """Present address and its class; leases change only between steps."""
        return self._current[position], np.where(self._residential[position], RESIDENTIAL, HOSTING)

    def renew(self, in_use: Ints, start_us: int, end_us: int, taken: Restrictions) -> list[pl.DataFrame]:
        """Addresses for positions in use that have none, whose lease ends, or that lost theirs a while ago.

        Opens cloud accounts where the old ones are gone.
        """
        self._lose(in_use, start_us, taken)
        due = in_use[(np.maximum(self._until_us, self._back_us) <= start_us)[in_use]]
        if not due.size:
            return []
        self._current[due], self._lost[due] = self._new_addresses(due, start_us), False
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

    def _lose(self, in_use: Ints, now_us: int, taken: Restrictions) -> None:
        """Addresses that were taken back are gone, and another machine is found and paid for no sooner than another account."""
        gone = np.isin(self._current, list(taken.addresses)) | np.isin(self._lessee, list(taken.dead))
        lost = in_use[(gone & ~self._lost)[in_use]]
        if lost.size:
            delays = self._random.exponential(self._own.replacement_hours * HOUR_US, len(lost))
            self._current[lost], self._until_us[lost], self._lost[lost] = 0, 0, True
            self._back_us[lost] = now_us + delays.astype(np.int64)

    def working(self, positions: Ints, preferred: Ints) -> Ints:
        """Of each row's two positions the preferred one (0 or 1), or the other one where that one was taken back."""
        rows = np.arange(len(positions))
        first, second = positions[rows, preferred], positions[rows, 1 - preferred]
        return np.where(self._lost[first] & ~self._lost[second], second, first)

    def stranded(self, positions: Ints) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Rows both of whose positions were taken back."""
        return np.asarray(self._lost[positions].all(axis=1), dtype=np.bool_)

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
