"""How an operator pays: each card belongs to one payer at one processor."""

import numpy as np
import polars as pl

from weaklink.frames import INSTRUMENT, OUTCOME
from weaklink.parties import PartyKind
from weaklink.sim import tables
from weaklink.sim.addresses import AddressBook
from weaklink.sim.conduct import Ints
from weaklink.sim.fleet import Fleet
from weaklink.sim.market import parties_of, pick_parties
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene


class Payers:
    """The operator's customers at payment processors, opened when a card is first used."""

    def __init__(self, operator: int, scene: Scene, book: AddressBook) -> None:
        self._index, self._world, self._accounts, self._book = operator, scene.spec, scene.accounts, book
        self._payers: dict[int, tuple[int, int]] = {}

    def pay(self, members: Fleet, at_us: Ints, taken: Restrictions, random: np.random.Generator) -> pl.DataFrame:
        """A payment for each member that has a card, by the payer that owns it. A blocked card is declined, and the account with it lost."""
        world = self._world
        charged = members["card"] > 0
        members, at_us = members[charged], at_us[charged]
        new = [card for card in np.unique(members["card"]).tolist() if card not in self._payers]
        processors = pick_parties(world, parties_of(world, PartyKind.PAYMENT), len(new), random)
        payers = self._accounts.add(
            processors, np.full(len(new), int(at_us.min()) if len(at_us) else 0), operator=self._index, role="PAYER"
        )
        self._payers.update({card: (int(p), int(a)) for card, p, a in zip(new, processors, payers, strict=True)})
        blocked = np.isin(members["card"], list(taken.cards))
        outcome = np.where(blocked, 1, random.choice(4, len(members), p=[0.86, 0.06, 0.07, 0.01]))
        address, _ = self._book.at(members["addresses"][:, 1])
        shown = world.shown.payment_address_share if world.operators[self._index].pays_from_addresses else 0.0
        known = [self._payers[card] for card in members["card"].tolist()]
        return tables.events(
            "PaymentAttempt",
            at_us,
            np.stack([members["card"], tables.some(address, shown, random)], axis=1),
            party=[party for party, _ in known],
            account=[account for _, account in known],
            merchant=tables.labels([party.id for party in world.parties], members["party"]),
            outcome=tables.symbols(OUTCOME, outcome),
            instrument=tables.symbols(INSTRUMENT, random.choice([2, 3], len(members))),
        )
