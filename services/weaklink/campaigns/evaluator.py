"""When what is evaluated: what was touched at every tick, communities when the hot part has changed, everything now and then."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns import chains, fast, reporters
from weaklink.campaigns.adherents import Candidates, hanging, wide_only
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import glance, judge, resellers
from weaklink.campaigns.graph import Bools, Ints
from weaklink.campaigns.incremental import Incremental
from weaklink.campaigns.live_sums import Region
from weaklink.campaigns.outcome import Belief, Case, Evaluation, organisations
from weaklink.campaigns.planning import HOLDER
from weaklink.campaigns.population import Population
from weaklink.campaigns.profiles import JUDGED, TOLD, US_PER_DAY, US_PER_HOUR
from weaklink.campaigns.state import CampaignsState
from weaklink.weaklinks.holdings import FEEDING_KINDS


class Evaluator:
    """Evaluations of a state, one after the other. The full one is the reference; those between reuse its population."""

    def __init__(self, config: CampaignsConfig, state: CampaignsState) -> None:
        self._config: Final = config
        self.state: Final = state
        self._incremental: Final = Incremental(config)
        self._full_us = 0
        self._disputed = False
        self._full_accounts = self._full_used = 0
        self._communities_us = 0
        self._members = pl.DataFrame(schema={"account": pl.UInt64, "campaign_id": pl.String})
        self._campaigns: tuple[str, ...] = ()

    def evaluate(self, now_us: int, *, whole: bool, eager: bool = False) -> Evaluation | None:
        """As of now. None: nobody can have joined a campaign. `whole`: look for communities in any case; `eager`: when anything has moved that
        may change them."""
        news, incremental, config = self.state.news(), self._incremental, self._config.incremental
        self._disputed |= news.disputed
        hours = config.full_after_dispute_hours if self._disputed else config.full_hours
        long = now_us - self._full_us >= hours * US_PER_HOUR
        if news.all or long or incremental.population is None:
            return self._evaluate_all(now_us)
        touched = self.state.accounts(now_us, pl.concat(news.accounts), JUDGED)
        evaluated = incremental.update(touched, self.state.usable(pl.concat(news.links), now_us))
        if self._outgrown(incremental.population):
            return self._evaluate_all(now_us)
        if whole or news.refused or self._communities_due(now_us, eager=eager):
            self._communities_us = now_us
            incremental.moved = np.zeros(0, np.int64)
            case, region = self._case(now_us, incremental.suspects())
            return judge(case, incremental.rings(region), self._config)
        return self._newcomers(now_us, evaluated)

    def know(self, members: pl.DataFrame) -> None:
        """Take in who belongs, or belonged, to which campaign: [account, campaign_id]."""
        self._members = members
        ids = members["campaign_id"].unique().sort()
        number = members["campaign_id"].replace_strict(ids, range(len(ids)), return_dtype=pl.Int64) if len(ids) else ids
        self._campaigns = tuple(ids)
        self._incremental.know(members["account"].to_numpy(), number.cast(pl.Int64).to_numpy())

    def surroundings(self, members: pl.Series, evaluation: Evaluation) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(links of whatever two or more of these accounts hold, and of what else its idle holders have to feed others by; their accounts).

        SHARED rows, and planning.HOLDER. More links than were asked for may be among them: those of other time slots.
        """
        live, now_us = self._incremental.live, evaluation.now_us
        node, many = np.unique(live.links.held(live.links.accounts.find(members.to_numpy()))[0], return_counts=True)
        shared = node[many > 1]
        accounts = self._holders(np.unique(live.links.holders(shared)[0]), evaluation)
        idle = accounts.filter(pl.col("requests") == 0)["account"].to_numpy()
        fed = np.unique(live.links.held(live.links.accounts.find(idle))[0])
        fed = fed[np.isin(live.node["kind"][fed], FEEDING_KINDS)]
        more = np.unique(live.links.holders(fed)[0])
        more = more[~np.isin(live.account["key"][more], accounts["account"].to_numpy())]
        links = self.state.links_of(pl.Series(live.node["identifier"][np.union1d(shared, fed)]))
        return self.state.unlisted(links, now_us), pl.concat([accounts, self._holders(more, evaluation)])

    def _holders(self, accounts: Ints, evaluation: Evaluation) -> pl.DataFrame:
        live = self._incremental.live
        known = self.state.accounts(evaluation.now_us, pl.Series(live.account["key"][accounts]), TOLD)
        p = live.account["p"][live.links.accounts.find(known["account"].to_numpy())]
        told = evaluation.accounts.select("account", pl.col("score").alias("told"))
        return (
            known.with_columns(pl.Series("p", p))
            .join(told, on="account", how="left", maintain_order="left")
            .with_columns(
                pl.coalesce("told", "p").alias("score"), pl.Series("organisation_verified", organisations(known))
            )
            .select(HOLDER)
        )

    def _outgrown(self, population: Population) -> bool:
        """Whether the population that was measured is no longer who there is: many more accounts, or accounts with usage, than there were, or a
        party with usage that had none. Whatever is held against a population of accounts that had only just been opened says little."""
        config, accounts = self._config.incremental, len(self._incremental.live.links.accounts)
        used = self._incremental.used_accounts()
        before = max(self._full_used, config.full_used_share_min * accounts, 1)
        grown = max(accounts / max(self._full_accounts, 1), sum(used.values()) / before) >= 1 + config.full_growth_share
        return grown or any(used.get(party, 0) >= config.full_speaking_accounts for party in population.silent)

    def _evaluate_all(self, now_us: int) -> Evaluation:
        evaluation, case, orphans = self.state.evaluate_all(now_us)
        assert evaluation.ring is not None
        self._incremental.adopt(case, evaluation.ring, orphans)
        self.know(self._members)
        self._full_us = self._communities_us = now_us
        self._disputed = False
        self._full_accounts = case.graph.n_accounts
        self._full_used = sum(self._incremental.used_accounts().values())
        return evaluation

    def _communities_due(self, now_us: int, *, eager: bool) -> bool:
        config, columns = self._config.incremental, self._incremental.live.account
        hot, inside = columns["p"] > self._config.cluster.hot, columns["campaign"] >= 0
        # Whom the fast path has taken in meanwhile, or who cooled down again, is no news.
        moved = int(np.count_nonzero((hot != inside)[self._incremental.moved]))
        long = now_us - self._communities_us >= config.communities_hours * US_PER_HOUR
        return moved > 0 and (eager or long or moved >= config.communities_change_share * int(np.count_nonzero(hot)))

    def _newcomers(self, now_us: int, evaluated: Ints) -> Evaluation | None:
        """The young and the hot among these accounts beside the members whose nodes they hold, if members take any of them in by these."""
        live, config = self._incremental.live, self._config
        columns = live.account
        young = columns["first_seen_us"] >= now_us - int(config.fast.new_account_days * US_PER_DAY)
        hot = columns["p"] > config.cluster.hot
        outside = evaluated[((young | hot) & (columns["campaign"] < 0))[evaluated]]
        tied = self._incremental.tied(outside)
        if len(tied) == 0:
            return None
        holders = live.links.beside(tied)
        near = np.intersect1d(outside, holders)
        members = holders[columns["campaign"][holders] >= 0]
        asked = live.with_mates(np.concatenate((near, members)))
        key, closed = self.state.profiles.accounts.columns_of(
            np.sort(live.account["key"][asked]), "account", "closed_distillation"
        )
        nodes = live.links.nodes_of(near)
        region = live.region(live.links.accounts.find(key), nodes)
        graph, at, belief = region.graph, region.accounts, self._incremental.belief(region)
        reseller = resellers(graph, columns["reseller"][at], belief.p, config)
        free = np.isin(at, near) & ~columns["disputed"][at] & ~reseller
        labels = columns["campaign"][at].astype(np.int64)
        who, joins = fast.newcomers(graph, labels, free & young[at], belief.evidenced, config.fast)
        labels[who] = joins
        self._hang(region, belief, labels, free & hot[at])
        joined = np.flatnonzero((labels != NONE) & (columns["campaign"][at] < 0))
        if len(joined) == 0:
            return None
        assert self._incremental.population is not None
        frame = self.state.accounts(now_us, pl.Series(graph.accounts[joined]), TOLD)
        people = chains.people(graph, config.structure.person_accounts_max)
        case = Case(graph, frame, people, belief, self._incremental.population, now_us)
        return glance(
            case, labels, joined, closed=(closed == 1)[np.argsort(key)], campaigns=self._campaigns, config=config
        )

    def _hang(self, region: Region, belief: Belief, labels: Ints, candidates: Bools) -> None:
        """Give candidates that hang on a campaign its label. What they hold is in the region with all members on it."""
        graph, config, population = region.graph, self._config, self._incremental.population
        assert population is not None
        free = candidates & ~self._incremental.rings(region).judged
        credible = reporters.credible(graph, population.trust, config.reporters)
        heard = belief.evidenced & credible[graph.party]
        asked = Candidates(free, free, np.zeros(len(free), bool), heard, belief.b)
        wide = wide_only(graph, config.cluster)
        for _ in range(config.adherents.rounds):
            at, joins = hanging(
                graph, labels, asked, wide, config=config.adherents, tie_config=config.fast, cluster=config.cluster
            )
            if len(at) == 0:
                break
            labels[at] = joins

    def _case(self, now_us: int, accounts: Ints) -> tuple[Case, Region]:
        """These accounts, as far as their profiles are kept, with what is believed of them."""
        live = self._incremental.live
        frame = self.state.accounts(now_us, pl.Series(live.account["key"][accounts]), TOLD)
        region = live.region(live.links.accounts.find(frame["account"].to_numpy()))
        population = self._incremental.population
        assert population is not None
        people = chains.people(region.graph, self._config.structure.person_accounts_max)
        return Case(region.graph, frame, people, self._incremental.belief(region), population, now_us), region
