"""Firms that sell access on: resellers that name their end users, and relays that do not."""

import numpy as np
import polars as pl

from weaklink.frames import TASK
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import conduct, tables
from weaklink.sim.benign import BenignLife
from weaklink.sim.conduct import Ints
from weaklink.sim.market import current_models, parties_of, pick_parties, windows_of
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US
from weaklink.sim.vocabulary import Ids

_END_USERS_EACH = 5
"""End users as whom one operator buys from one reseller."""


class Resellers:
    """Their accounts, and what their ordinary customers ask for."""

    def __init__(self, scene: Scene, life: BenignLife) -> None:
        self._spec, self._vocabulary, self._accounts, self._life = scene.spec, scene.vocabulary, scene.accounts, life
        self._random = np.random.default_rng([scene.seed, 11])
        benign = scene.spec.benign
        self.party = pick_parties(scene.spec, parties_of(scene.spec, PartyKind.LAB), benign.resellers, self._random)
        self._opened_us = self._long_ago(benign.resellers)
        self.account = self._accounts.add(self.party, self._opened_us, role="RESELLER")
        kinds = (Kind.IP, Kind.EMAIL, Kind.CARD, Kind.ORGANISATION, Kind.API_KEY)
        self._means = np.stack([self._vocabulary.mint(kind, benign.resellers) for kind in kinds], axis=1)
        columns = benign.reseller_end_users + _END_USERS_EACH * len(scene.spec.operators)
        end_users = self._vocabulary.mint(Kind.END_USER, max(1, benign.resellers) * columns)
        self._end_users = end_users.reshape(max(1, benign.resellers), columns)

    def end_users_of(self, operator: int) -> Ids:
        """(resellers, a few): the end users as whom an operator buys from each."""
        first = self._spec.benign.reseller_end_users + _END_USERS_EACH * operator
        return self._end_users[:, first : first + _END_USERS_EACH]

    def usage_means(self, which: Ints) -> Ids:
        """Address and key of resellers, as their usage shows them."""
        return self._means[which][:, [0, 4]]

    def events(self) -> pl.DataFrame:
        """All of it, unordered."""
        return pl.concat([self._openings(), self._usage(), self._relays()])

    def _long_ago(self, count: int) -> Ints:
        spec, random = self._spec, self._random
        return spec.start_us - (random.uniform(0.4, 1, count) * spec.benign.history_days * DAY_US).astype(np.int64)

    def _openings(self) -> pl.DataFrame:
        return tables.events(
            "AccountOpened",
            self._opened_us,
            self._means,
            party=self.party,
            account=self.account,
            plan="ENTERPRISE",
            verified="ORGANISATION",
            mail_class="BUSINESS",
            address_class="HOSTING",
        )

    def _usage(self) -> pl.DataFrame:
        spec, benign, random = self._spec, self._spec.benign, self._random
        windows = random.poisson(benign.reseller_windows_per_day * spec.days, benign.resellers)
        which = np.repeat(np.arange(benign.resellers), windows)
        end_user = self._end_users[which, random.integers(0, benign.reseller_end_users, len(which))]
        return self._sold(which, self.party, self.account, self.usage_means(which)).with_columns(
            end_user=pl.Series(end_user)
        )

    def _sold(self, which: Ints, party: Ints, account: Ids, means: Ids) -> pl.DataFrame:
        """Ordinary customers' windows through the accounts `account[which]` of a firm."""
        spec, benign, random, count = self._spec, self._spec.benign, self._random, len(which)
        at = conduct.waking_times(np.full(count, spec.start_us), np.full(count, spec.end_us), random)
        templated = random.random(count) < benign.template_share
        template = np.where(templated, random.choice(self._life.places.templates, count), 0)
        amount = conduct.volume(
            np.full(count, benign.requests_log_mean + 0.8), 1.0, np.exp(random.normal(-0.4, 0.5, count)), random
        )
        personas = conduct.PERSONAS[random.choice(len(conduct.PERSONA_SHARE), count, p=conduct.PERSONA_SHARE)]
        return tables.events(
            "ApiUsage",
            at,
            np.concatenate([means, template[:, None]], axis=1),
            party=party[which],
            account=account[which],
            window_seconds=windows_of(spec, party[which]),
            model=current_models(spec, party[which], at, random),
            task=tables.symbols(TASK, conduct.pick_rows(personas, random)),
            requests=amount.requests,
            input_tokens=amount.input_tokens,
            output_tokens=amount.output_tokens,
            address_class="HOSTING",
        )

    def _relays(self) -> pl.DataFrame:
        """A firm's pool of accounts: one card, one organisation, one machine, the relay's addresses, everybody's requests."""
        spec, benign, random, vocabulary = self._spec, self._spec.benign, self._random, self._vocabulary
        firm = np.repeat(np.arange(benign.relays), benign.relay_accounts)
        party = pick_parties(spec, parties_of(spec, PartyKind.LAB, PartyKind.ROUTER), len(firm), random)
        opened = self._long_ago(len(firm))
        late = random.random(len(firm)) < 0.4
        opened = np.where(
            late, spec.start_us + (random.random(len(firm)) * 0.7 * spec.days * DAY_US).astype(int), opened
        )
        account = self._accounts.add(party, opened, role="RELAY")
        common = [vocabulary.mint(k, benign.relays)[firm] for k in (Kind.DEVICE, Kind.CARD, Kind.ORGANISATION)]
        own = [vocabulary.mint(k, len(firm)) for k in (Kind.EMAIL, Kind.API_KEY)]
        addresses = self._life.places.relay
        address = addresses[firm, random.integers(0, addresses.shape[1], len(firm))]
        openings = tables.events(
            "AccountOpened",
            opened,
            np.stack([address, *common, own[0]], axis=1),
            party=party,
            account=account,
            plan="PAID",
            verified="CARD",
            mail_class="BUSINESS",
            address_class="HOSTING",
        )
        active = np.minimum(spec.end_us - opened, spec.end_us - spec.start_us) / DAY_US
        which = np.repeat(np.arange(len(firm)), random.poisson(benign.relay_windows_per_day * active))
        used = addresses[firm[which], random.integers(0, addresses.shape[1], len(which))]
        means = np.stack([used, common[0][which], own[1][which]], axis=1)
        usage = self._sold(which, party, account, means)
        # A window cannot come before its account.
        begins = pl.Series(np.maximum(opened, spec.start_us)[which])
        return pl.concat([openings, usage.filter(pl.col("occurred_at_us") >= begins)])
