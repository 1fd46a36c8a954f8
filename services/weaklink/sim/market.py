"""Who serves what to whom: parties by kind and market share, and the models that they offer at a time."""

import numpy as np
import polars as pl

from weaklink.parties import PartyKind
from weaklink.sim import tables
from weaklink.sim.conduct import Ints
from weaklink.sim.spec import DAY_US, WorldSpec


def parties_of(spec: WorldSpec, *kinds: PartyKind) -> Ints:
    """Indices of the parties of these kinds."""
    return np.array([i for i, party in enumerate(spec.parties) if party.kind in kinds], dtype=np.int64)


def pick_parties(spec: WorldSpec, among: Ints, count: int, random: np.random.Generator) -> Ints:
    """Parties by market share."""
    weights = np.array([spec.parties[i].market_share for i in among])
    return random.choice(among, size=count, p=weights / weights.sum())


def windows_of(spec: WorldSpec, party: Ints) -> Ints:
    """Seconds of a usage window at each party."""
    lengths: Ints = np.array([one.window_seconds for one in spec.parties])[party]
    return lengths


def releases_us(spec: WorldSpec) -> dict[str, int]:
    """Model -> when it was released, for those that are released within the world."""
    return {release.model: spec.start_us + int(release.day * DAY_US) for release in spec.releases}


def current_models(spec: WorldSpec, party: Ints, at_us: Ints, random: np.random.Generator) -> pl.Series:
    """A model that the party serves at that time: the newest released in half of the cases."""
    newest, other = random.random(len(party)) < 0.5, random.random(len(party))
    released = releases_us(spec)
    names = sorted({model for seller in spec.parties for model in seller.models})
    chosen = np.zeros(len(party), dtype=np.int64)
    for index, seller in enumerate(spec.parties):
        rows = np.flatnonzero(party == index)
        if not len(rows) or not seller.models:
            continue
        # Columns in the order of the catalogue; what is not yet released does not count.
        out = np.array([released.get(model, spec.start_us) for model in seller.models])
        served = (out[None, :] <= np.maximum(at_us[rows], spec.start_us)[:, None]).astype(np.int64)
        rank = np.where(newest[rows], served.sum(axis=1) - 1, (other[rows] * served.sum(axis=1)).astype(np.int64))
        column = np.argmax(np.cumsum(served, axis=1) > rank[:, None], axis=1)
        chosen[rows] = np.array([names.index(model) for model in seller.models])[column]
    return tables.labels(names, chosen)
