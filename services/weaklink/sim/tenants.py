"""Ordinary cloud customers: they hold addresses that others held before them and will hold after."""

import numpy as np
import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import tables
from weaklink.sim.benign import BenignLife
from weaklink.sim.market import parties_of, pick_parties
from weaklink.sim.scene import Freed, Scene
from weaklink.sim.spec import DAY_US

_LEASES_EACH = 2
_TURN_OVER_DAYS = 1.5
"""Time after the begin of a turn by which the leases of the turn before are over."""


def tenant_events(scene: Scene, life: BenignLife) -> pl.DataFrame:
    """Openings and leases of the people who rent machines."""
    spec, vocabulary, accounts = scene.spec, scene.vocabulary, scene.accounts
    random = np.random.default_rng([scene.seed, 4])
    person = np.flatnonzero(random.random(len(life.people.email)) < spec.benign.tenant_share)
    party = pick_parties(spec, parties_of(spec, PartyKind.CLOUD), len(person), random)
    opened = spec.start_us - (random.random(len(person)) * spec.benign.history_days * DAY_US).astype(np.int64)
    account = accounts.add(party, opened, role="LESSEE")
    who = life.people
    identifiers = np.stack([who.card[person], who.email[person], who.organisation[person]], axis=1)
    openings = tables.events(
        "AccountOpened",
        opened,
        identifiers,
        party=party,
        account=account,
        plan="PAID",
        verified="CARD",
        mail_class="BUSINESS",
        address_class="UNKNOWN",
    )
    # Each tenant holds an address of the pool for half of the world; the other half somebody else has it, or nobody of them.
    pool = vocabulary.mint(Kind.IP, len(person))
    leases = []
    for turn in range(_LEASES_EACH):
        stay = len(person) - (int(spec.benign.freed_address_share * len(person)) if turn else 0)
        held, pool = pool, random.permutation(pool)
        person, party, account = person[:stay], party[:stay], account[:stay]
        begin = spec.start_us + int(turn * spec.days / _LEASES_EACH * DAY_US)
        at = begin + (random.random(len(person)) * DAY_US).astype(np.int64)
        until = np.minimum(at + int((spec.days / _LEASES_EACH - 1) * DAY_US), spec.end_us)
        leases.append(
            tables.events(
                "AddressLease",
                at,
                pool[:stay, None],
                party=party,
                account=account,
                released_at_us=np.maximum(until, at),
            )
        )
        free_from = begin + int(_TURN_OVER_DAYS * DAY_US)
        scene.freed += [Freed(int(address), free_from) for address in np.setdiff1d(held, pool[:stay])]
    return pl.concat([openings, *leases])
