"""Belief between two full evaluations: only what new links and usage touch is worked out again, and what that moves.

The population is that of the last full evaluation. An account is evaluated when its conduct or its new links speak against it, when it is warm
and touched at all, or when what the holders of its nodes tell it may move its p by `p_moved`; its boundary is what all others believe at
that moment. What speaks for cold accounts waits for the next full evaluation: it could only make them colder.
"""

from typing import Final

import numpy as np
import polars as pl
from scipy.special import expit

from weaklink.campaigns import evidence
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import Own, believe, chain_evidence, named_resellers
from weaklink.campaigns.graph import IS_HARD, UNLINKED_KINDS, Bools, Ints, Keys, counts, paths
from weaklink.campaigns.live import LiveGraph, NewLinks
from weaklink.campaigns.live_sums import Region
from weaklink.campaigns.outcome import Belief, Case
from weaklink.campaigns.population import Population
from weaklink.campaigns.rings import Rings, judged
from weaklink.records.identifiers import IdentifierKind

_LONG: Final = 3
"""A component of so many times `chains.persons_full` is long: more accounts hardly tell more."""
_MOVED: Final = 0.01
"""Nats that count as a difference."""


class Incremental:
    """The live graph and what is believed of it. `adopt` takes a full evaluation, `update` what came since."""

    def __init__(self, config: CampaignsConfig) -> None:
        self._config: Final = config
        self._forget()

    def _forget(self) -> None:
        self.live = LiveGraph(self._config.cluster.hot, self._config.structure.person_accounts_max)
        self.population: Population | None = None
        self._orphans: list[pl.DataFrame] = []  # links whose account's activity has not come yet
        self._unsettled = np.zeros(0, np.int64)
        self.moved = np.zeros(0, np.int64)
        """Accounts that became hot or cooled down, or are hot, in no campaign, and have new links, since communities were last looked for."""
        self._used_by_party = np.zeros(0, np.int64)

    def adopt(self, case: Case, ring: Rings, orphans: pl.DataFrame) -> None:
        """Begin again from a full evaluation. `orphans`: SHARED rows of accounts that are not in it, as their activity has not come yet."""
        accounts, belief = case.accounts, case.belief
        self._forget()
        self._orphans = [orphans]
        self.population = case.population
        assert case.population.pi is not None
        self._pi = case.population.pi
        self.live.adopt(case.graph, belief.logit_q, belief.p)
        state = self.live.account
        for name, column in (
            ("b", belief.b),
            ("b_reckoned", belief.b),
            ("structure", belief.structure),
            ("chain", belief.chain),
            ("evidenced", belief.evidenced),
            ("ring", ring.labels),
            ("ring_score", ring.score),
            ("disputed", accounts["disputed"].to_numpy()),
            ("reseller", named_resellers(accounts, self._config)),
            ("first_seen_us", accounts["first_seen_us"].to_numpy()),
            ("used", accounts["windows"].to_numpy() > 0),
        ):
            state[name][:] = column
        self._used_by_party = counts(state["party"][state["used"]], len(self.live.parties))

    def used_accounts(self) -> dict[str, int]:
        """How many accounts of each party have usage."""
        return dict(zip(self.live.parties, self._used_by_party.tolist(), strict=True))

    def update(self, accounts: pl.DataFrame, links: pl.DataFrame) -> Ints:
        """Evaluate what changed. `accounts`: those touched, as evaluate takes them; `links`: SHARED.

        Returns the accounts that were evaluated or have new links.
        """
        live, config = self.live, self._config.incremental
        number = self._take(accounts)
        new = self._link(links)
        linked = live.links.distinct(new.account)
        asked = np.concatenate((new.uncounted, number, self._heard(new), self._chain(new), self._unsettled))
        asked = live.with_mates(asked)
        groups, evaluated = live.links.all_groups(new.group), [asked]
        was = live.account["p"] > self._config.cluster.hot
        for sweep in range(config.sweeps_max):
            if len(asked):
                groups = live.links.all_groups(groups, self._evaluate(asked).groups)
            groups, moved = live.sums.news(groups, self._pi, config.news_min)
            settled = np.zeros(len(live.links.accounts), bool)
            settled[asked] = True
            asked = live.with_mates(live.sums.hear(groups, moved, settled, config.p_moved))
            if sweep + 1 < config.sweeps_max:
                evaluated.append(asked)
            groups = groups[:0]
        self._unsettled = asked
        done = live.links.distinct(np.concatenate(evaluated))
        self._note(done, linked, was)
        return live.links.distinct(np.concatenate((done, linked)))

    def _note(self, done: Ints, linked: Ints, was_hot: Bools) -> None:
        """Remember who may change the communities."""
        now = self.live.account["p"] > self._config.cluster.hot
        outside = self.live.account["campaign"] < 0
        flipped = done[now[done] != was_hot[done]]
        self.moved = np.union1d(self.moved, np.union1d(flipped, linked[(now & outside)[linked]]))

    def _take(self, accounts: pl.DataFrame) -> Ints:
        """Note the touched accounts; returns those whose conduct speaks against them more than before, or that are under suspicion."""
        assert self.population is not None
        live = self.live
        number, new = live.add_accounts(accounts["account"].to_numpy(), accounts["party"].to_list())
        b = evidence.conduct(accounts, self.population.conduct, self._config.conduct)["b"].to_numpy()
        disputed = accounts["disputed"].to_numpy()
        columns = live.account
        # An account on its own is what its conduct makes it.
        fresh = number[new]
        columns["b_reckoned"][fresh] = b[new]
        columns["logit_q"][fresh] = self._config.belief.prior_logit + b[new]
        columns["p"][fresh] = expit(columns["logit_q"][fresh])
        change = b - columns["b_reckoned"][number]
        p, config = columns["p"][number], self._config.incremental
        moved: Bools = (change > config.conduct_moved) | (
            (p >= config.warm) & (np.abs(change) * p * (1 - p) >= config.p_moved)
        )
        moved |= disputed != columns["disputed"][number]
        used = accounts["windows"].to_numpy() > 0
        began = counts(columns["party"][number[used & ~columns["used"][number]]], len(live.parties))
        began[: len(self._used_by_party)] += self._used_by_party
        self._used_by_party = began
        for name, column in (
            ("b", b),
            ("disputed", disputed),
            ("reseller", named_resellers(accounts, self._config)),
            ("first_seen_us", accounts["first_seen_us"].to_numpy()),
            ("used", used),
        ):
            columns[name][number] = column
        return number[moved]

    def _link(self, links: pl.DataFrame) -> NewLinks:
        """Take SHARED rows; those of accounts without activity wait for it."""
        live = self.live
        links = pl.concat([*self._orphans, links.filter(~pl.col("kind").is_in([int(kind) for kind in UNLINKED_KINDS]))])
        held = live.links.accounts.find(links["account"].to_numpy())
        self._orphans = [links.filter(pl.Series(held < 0))] if (held < 0).any() else []
        there = np.flatnonzero(held >= 0)
        identifier, slot, kind, holders = (
            links[name].to_numpy()[there] for name in ("identifier", "slot", "kind", "holders")
        )
        whole = (column.astype(np.int64) for column in (slot, kind, holders))
        return live.add_links(held[there], identifier, *whole)

    def _heard(self, new: NewLinks) -> Ints:
        """Accounts to which their new links say something: on nodes under suspicion, hard ones that others hold too, or warm themselves."""
        live = self.live
        kind = live.node["kind"][new.node]
        says = live.sums.suspicion(new.node) > self._pi[kind]
        says |= IS_HARD[kind] & (live.node["known"][new.node] > 1)
        says |= live.account["p"][new.account] >= self._config.incremental.warm
        return np.unique(new.account[says])

    def _chain(self, new: NewLinks) -> Ints:
        """What the chains tell of accounts with new links and of those that the links joined to them; returns whom they tell otherwise now.

        A component too long to be followed to its end is one that everybody in it knows to be long: it tells all what it told any.
        """
        assert self.population is not None
        live, known = self.live, self.population
        kind = live.node["kind"][new.node]
        joins = (IS_HARD[kind] | (kind == IdentifierKind.EMAIL)) & (live.node["known"][new.node] > 1)
        found, label, whole = live.components(
            np.unique(new.account[joins]), self._config.chains.holders_max, self._config.incremental.chain_rounds_max
        )
        before = live.account["chain"][found]
        size, most = counts(label, int(label.max(initial=-1)) + 1), np.zeros(int(label.max(initial=-1)) + 1)
        np.maximum.at(most, label, before)
        config = self._config.chains
        told = ~whole & (most > 0)[label] & (size >= _LONG * config.persons_full)[label]
        asked = np.flatnonzero((size > config.persons_min)[label] & ~told)
        now = np.where(told, most[label], 0.0)
        if len(asked):
            region = live.region(found[asked])
            evidence_now = chain_evidence(region.graph, known.chains, known.trust, self._config)
            now[np.searchsorted(found, region.accounts)] = evidence_now
        now = np.where(whole, now, np.maximum(now, most[label]))
        live.account["chain"][found] = now
        moved: Ints = found[np.abs(now - before) > _MOVED]
        return moved

    def _evaluate(self, accounts: Ints) -> Region:
        assert self.population is not None
        live = self.live
        region = live.region(accounts)
        at = region.accounts
        own = Own(*(live.account[name][at] for name in ("b", "chain", "disputed")))
        along = paths(region.graph)
        degrees = evidence.degrees(region.graph, along)
        belief, _ = believe(region.graph, own, self.population, self._config, along=along, degrees=degrees)
        live.account["structure"][at] = belief.structure
        live.account["evidenced"][at] = belief.evidenced
        live.account["b_reckoned"][at] = own.b
        live.believe(region, belief.logit_q, belief.p)
        return region

    def rings(self, region: Region) -> Rings:
        """The rings of the accounts of a region, as they were when everything was last evaluated."""
        assert self.population is not None
        columns, known = self.live.account, self.population.rings
        ring = columns["ring"][region.accounts].astype(np.int64)
        return Rings(ring, columns["ring_score"][region.accounts], judged(region.graph, known), known)

    def belief(self, region: Region) -> Belief:
        """What is believed of the accounts of a region."""
        columns = self.live.account
        names = ("b", "structure", "chain", "logit_q", "p", "evidenced")
        return Belief(*(columns[name][region.accounts] for name in names))

    def suspects(self) -> Ints:
        """Accounts among which communities are looked for: hot ones, members, rings, resellers, chains, and who shares with them what few others hold.

        An address that one of them has with one other account brings that one in: such addresses join pieces of chains, and who rents them is behind them.
        """
        live = self.live
        columns, fast = live.account, self._config.fast
        hot = columns["p"] > self._config.cluster.hot
        core = np.flatnonzero(
            hot | (columns["campaign"] >= 0) | (columns["ring"] >= 0) | columns["reseller"] | (columns["chain"] > 0)
        )
        many = counts(live.links.held(core)[0], len(live.node["kind"]))
        node = np.flatnonzero(many)
        held = many[node]
        largest = np.maximum(live.node["holders"][node], live.node["known"][node])
        hard = IS_HARD[live.node["kind"][node]]
        mostly = held >= fast.flagged_share_min * (largest - 1)
        near = node[(held < largest) & ((mostly & (hard | (held > 1))) | (hard & (held > 1)))]
        paired = node[(held == 1) & (held < largest) & mostly & (live.node["kind"][node] == IdentifierKind.IP)]
        return live.with_mates(np.concatenate((core, live.links.holders(near)[0], live.links.holders(paired)[0])))

    def tied(self, accounts: Ints) -> Ints:
        """Nodes of these accounts that members hold so much of that others may be taken in by them (see `fast.ties`)."""
        live, config = self.live, self._config.fast
        node = live.links.nodes_of(accounts)
        members = live.node["members"][node]
        largest = np.maximum(live.node["holders"][node], live.node["known"][node])
        enough = np.where(IS_HARD[live.node["kind"][node]], 1, config.flagged_holders_min)
        known = (members >= enough) & (members >= config.flagged_share_min * (largest - 1))
        found: Ints = node[known]
        return found

    def know(self, members: Keys, campaigns: Ints) -> None:
        """Take in who belongs to which campaign (any numbers)."""
        live = self.live
        number = live.links.accounts.find(members)
        there = np.flatnonzero(number >= 0)
        now = np.full(len(live.links.accounts), -1, np.int64)
        now[number[there]] = campaigns[there]
        before = live.account["campaign"]
        came, gone = np.flatnonzero((now >= 0) & (before < 0)), np.flatnonzero((now < 0) & (before >= 0))
        np.add.at(live.node["members"], live.links.held(came)[0], 1)
        np.subtract.at(live.node["members"], live.links.held(gone)[0], 1)
        before[:] = now
