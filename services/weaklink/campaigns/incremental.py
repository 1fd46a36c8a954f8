"""Belief between two full evaluations: only what new links and usage touch is worked out again, and what that moves.

The population is that of the last full evaluation. An account is evaluated when its conduct moved, when it has a new link, or when what the
holders of its nodes tell it moved by more than `news_min` nats; its boundary is what all others believe at that moment.
"""

from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns import evidence
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import Belief, Case, Own, believe, chain_evidence, named_resellers
from weaklink.campaigns.graph import IS_HARD, UNLINKED_KINDS, Bools, Ints, Keys, counts
from weaklink.campaigns.live import LiveGraph, Region
from weaklink.campaigns.population import Population
from weaklink.campaigns.rings import Rings, judged

_LONG: Final = 3
"""A component of so many times `chains.persons_full` is long: more accounts hardly tell more."""
_CONDUCT_MOVED: Final = 0.01
"""Nats by which conduct must differ from what was reckoned with."""


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

    def adopt(self, case: Case, ring: Rings) -> None:
        """Begin again from a full evaluation."""
        accounts, belief = case.accounts, case.belief
        self._forget()
        self.population = case.population
        assert case.population.pi is not None
        self._pi = case.population.pi
        self.live.adopt(case.graph, belief.logit_q, belief.p)
        state = self.live.account
        for name, column in (
            ("b", belief.b),
            ("structure", belief.structure),
            ("chain", belief.chain),
            ("evidenced", belief.evidenced),
            ("ring", ring.labels),
            ("ring_score", ring.score),
            ("disputed", accounts["disputed"].to_numpy()),
            ("reseller", named_resellers(accounts, self._config)),
            ("first_seen_us", accounts["first_seen_us"].to_numpy()),
        ):
            state[name][:] = column

    def update(self, accounts: pl.DataFrame, links: pl.DataFrame) -> Ints:
        """Evaluate what changed. `accounts`: those touched, as evaluate takes them; `links`: SHARED. Returns the accounts evaluated."""
        assert self.population is not None
        live, hot = self.live, self._config.cluster.hot
        number = self._take(accounts)
        links = pl.concat([*self._orphans, links.filter(~pl.col("kind").is_in([int(kind) for kind in UNLINKED_KINDS]))])
        held = live.accounts.find(links["account"].to_numpy())
        self._orphans = [links.filter(pl.Series(held < 0))] if (held < 0).any() else []
        there = np.flatnonzero(held >= 0)
        columns = [links[name].to_numpy()[there] for name in ("identifier", "slot", "kind", "holders")]
        identifier, slot, kind, holders = columns
        linked, chained = live.add_links(
            held[there], identifier, slot.astype(np.int64), kind.astype(np.int64), holders.astype(np.int64)
        )
        chained = self._chain(chained)
        asked = live.with_mates(np.unique(np.concatenate((linked, number, chained, self._unsettled))))
        was = live.account["p"] > hot
        evaluated = [asked]
        for _ in range(self._config.incremental.sweeps_max):
            if len(asked) == 0:
                break
            region = self._evaluate(asked)
            groups = live.news(region, self._pi, self._config.incremental.news_min)
            asked = live.with_mates(np.setdiff1d(live.holders_at(groups), asked))
            evaluated.append(asked)
        self._unsettled = asked
        done = np.unique(np.concatenate(evaluated[: self._config.incremental.sweeps_max]))
        now = live.account["p"] > hot
        outside = live.account["campaign"] < 0
        flipped = done[now[done] != was[done]]
        self.moved = np.union1d(self.moved, np.union1d(flipped, linked[(now & outside)[linked]]))
        return done

    def _take(self, accounts: pl.DataFrame) -> Ints:
        """Note the touched accounts; returns those whose conduct or standing moved, or that are new."""
        assert self.population is not None
        live, before = self.live, len(self.live.accounts)
        number = live.add_accounts(accounts["account"].to_numpy(), accounts["party"].to_list())
        b = evidence.conduct(accounts, self.population.conduct, self._config.conduct)["b"].to_numpy()
        disputed = accounts["disputed"].to_numpy()
        moved: Bools = np.abs(b - live.account["b"][number]) > _CONDUCT_MOVED
        moved |= (disputed != live.account["disputed"][number]) | (number >= before)
        for name, column in (
            ("b", b),
            ("disputed", disputed),
            ("reseller", named_resellers(accounts, self._config)),
            ("first_seen_us", accounts["first_seen_us"].to_numpy()),
        ):
            live.account[name][number] = column
        return number[moved]

    def _chain(self, chained: Ints) -> Ints:
        """What the chains tell of accounts with new links and of those that the links joined to them; returns whom they tell otherwise now.

        A component too long to be followed to its end is one that everybody in it knows to be long: it tells all what it told any.
        """
        assert self.population is not None
        live, known = self.live, self.population
        found, label, whole = live.components(
            chained, self._config.chains.holders_max, self._config.incremental.chain_rounds_max
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
        moved: Ints = found[np.abs(now - before) > _CONDUCT_MOVED]
        return moved

    def _evaluate(self, accounts: Ints) -> Region:
        assert self.population is not None
        live = self.live
        region = live.region(accounts)
        at = region.accounts
        own = Own(*(live.account[name][at] for name in ("b", "chain", "disputed")))
        belief, _ = believe(region.graph, own, self.population, self._config)
        live.account["structure"][at] = belief.structure
        live.account["evidenced"][at] = belief.evidenced
        live.believe(region, belief.logit_q, belief.p)
        return region

    def rings(self, region: Region) -> Rings:
        """The rings of the accounts of a region, as they were when everything was last evaluated."""
        assert self.population is not None
        columns, known = self.live.account, self.population.rings
        return Rings(
            columns["ring"][region.accounts], columns["ring_score"][region.accounts], judged(region.graph, known), known
        )

    def belief(self, region: Region) -> Belief:
        """What is believed of the accounts of a region."""
        columns = self.live.account
        names = ("b", "structure", "chain", "logit_q", "p", "evidenced")
        return Belief(*(columns[name][region.accounts] for name in names))

    def suspects(self) -> Ints:
        """Accounts among which communities are looked for: hot ones, members, rings, resellers, and who shares with them what few others hold."""
        live = self.live
        columns, fast = live.account, self._config.fast
        hot = columns["p"] > self._config.cluster.hot
        core = np.flatnonzero(hot | (columns["campaign"] >= 0) | (columns["ring"] >= 0) | columns["reseller"])
        node, held = np.unique(live.held(core)[0], return_counts=True)
        largest = np.maximum(live.node["holders"][node], live.node["known"][node])
        hard = IS_HARD[live.node["kind"][node]]
        mostly = held >= fast.flagged_share_min * (largest - 1)
        near = node[(held < largest) & ((mostly & (hard | (held > 1))) | (hard & (held > 1)))]
        return live.with_mates(np.union1d(core, live.holders(near)[0]))

    def tied(self, accounts: Ints) -> Ints:
        """Nodes of these accounts that members hold so much of that a newcomer may be taken in by them (see `fast.ties`)."""
        live, config = self.live, self._config.fast
        node = np.unique(live.held(accounts)[0])
        members = live.node["members"][node]
        largest = np.maximum(live.node["holders"][node], live.node["known"][node])
        known = (members >= config.flagged_holders_min) & (members >= config.flagged_share_min * (largest - 1))
        found: Ints = node[known]
        return found

    def know(self, members: Keys, campaigns: Ints) -> None:
        """Take in who belongs to which campaign (any numbers)."""
        live = self.live
        number = live.accounts.find(members)
        there = np.flatnonzero(number >= 0)
        live.account["campaign"][:] = -1
        live.account["campaign"][number[there]] = campaigns[there]
        live.node["members"][:] = 0
        np.add.at(live.node["members"], live.held(number[there])[0], 1)
