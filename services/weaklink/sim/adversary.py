"""An operator: keeps a set of accounts alive on shared means, extracts, hides, and replaces what it loses."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.frames import ADDRESS_CLASS, CLOSE_REASON, MAIL_CLASS, PLAN, VERIFIED
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import tables
from weaklink.sim.addresses import AddressBook
from weaklink.sim.benign import BenignLife
from weaklink.sim.conduct import Ints
from weaklink.sim.extraction import Extraction
from weaklink.sim.fleet import FLEET, NEVER, Fleet
from weaklink.sim.market import parties_of
from weaklink.sim.payers import Payers
from weaklink.sim.pools import SharedPool
from weaklink.sim.resellers import Resellers
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, HOUR_US
from weaklink.sim.vocabulary import Ids

_PAYMENTS_PER_DAY: Final = 1 / 15
_PLANS: Final = PLAN.categories.to_list()
_FREE_PLANS: Final = [_PLANS.index(name) for name in ("EDUCATION", "STARTUP", "FREE")]
"""Plans that an account gets without a card."""


class Operator:
    """One campaign. `step` advances it; without restrictions it is what happens without Weaklink."""

    def __init__(self, index: int, scene: Scene, life: BenignLife, resellers: Resellers) -> None:
        spec, vocabulary = scene.spec, scene.vocabulary
        self._world, self.spec, self._index, self._seed = spec, spec.operators[index], index, scene.seed
        self._vocabulary, self._accounts = vocabulary, scene.accounts
        self._random = random = np.random.default_rng([scene.seed, 2, index])
        own = self.spec
        self._devices, self._cards, self._phones, self._referrals, self._organisations = (
            SharedPool(kind, each, own.pool_window, vocabulary, random)
            for kind, each in (
                (Kind.DEVICE, own.accounts_per_device),
                (Kind.CARD, own.accounts_per_card),
                (Kind.PHONE, own.accounts_per_phone),
                (Kind.REFERRAL, own.accounts_per_referral),
                (Kind.ORGANISATION, own.accounts_per_organisation),
            )
        )
        self._tls = random.choice(np.unique(life.people.tls), 2)
        self._templates = [vocabulary.template() for _ in range(own.templates)]
        self._plain = vocabulary.mint_prompts([vocabulary.paraphrase(t, 0.0) for t in self._templates])
        self.start_us = spec.start_us + int(own.start_day * DAY_US)
        self.end_us = spec.start_us + int(min(own.end_day, spec.days) * DAY_US)
        self._parties = [
            i
            for i in parties_of(spec, PartyKind.LAB, PartyKind.ROUTER)
            if not own.parties or spec.parties[i].id in own.parties
        ]
        self.fleet = np.zeros(0, dtype=FLEET)
        self._book = AddressBook(index, scene, life, self._cards, random)
        self._payers = Payers(index, scene, self._book)
        self._extraction = Extraction(index, scene, life, resellers, self._book, self._plain)
        self._waiting: list[int] = []
        self._cards_budget = float(own.accounts / own.accounts_per_card)
        self._to_build_up, self._has_lost = own.accounts, False
        self._openings_budget = float(own.accounts)
        self._step = 0

    def step(self, start_us: int, end_us: int, taken: Restrictions) -> pl.DataFrame:
        """Its events in [start_us, end_us), unordered, given what has been taken from it until `start_us`."""
        self._random = np.random.default_rng([self._seed, 3, self._index, self._step])
        self._step += 1
        if end_us <= self.start_us or start_us >= self.end_us:
            return tables.events("ApiUsage", np.zeros(0, dtype=np.int64))
        self._notice(start_us, taken)
        until, random = min(end_us, self.end_us), self._random
        fresh, openings = self._recruit(max(start_us, self.start_us), until)
        in_use = np.unique(self.fleet["addresses"][self.fleet["alive"]])
        parts = [
            *self._book.renew(in_use, start_us, until, taken),
            self._opening_events(fresh, openings),
            self._payers.pay(fresh, fresh["opened_us"], taken, random),
            self._extraction.use(self.fleet, until, taken, random),
            self._extraction.resell(max(start_us, self.start_us), until, taken, random),
            self._pay_again(start_us, until, taken),
            self._leave(end_us),
        ]
        return pl.concat(parts)

    def reveal_cards(self, count: int) -> Ids:
        """Cards that it will pay with first."""
        return self._cards.peek(count)

    def _notice(self, now_us: int, taken: Restrictions) -> None:
        """Bans are noticed at the next step; the replacement comes after a delay."""
        self._cards.block(taken.cards)
        lost = self.fleet["alive"] & np.isin(self.fleet["account"], list(taken.dead))
        self.fleet["alive"][lost] = False
        self._has_lost = self._has_lost or bool(lost.any())
        delays = self._random.exponential(self.spec.replacement_hours * HOUR_US, int(lost.sum()))
        self._waiting += (now_us + delays).astype(np.int64).tolist()

    def _target(self, at_us: int) -> int:
        ramp = (at_us - self.start_us) / max(1.0, self.spec.ramp_days * DAY_US)
        return 0 if at_us >= self.end_us else int(self.spec.accounts * min(1.0, max(0.0, ramp)))

    def _recruit(self, start_us: int, end_us: int) -> tuple[Fleet, Ints]:
        """New accounts in place of those missing, and when each was opened: bought ones long ago."""
        own, random = self.spec, self._random
        self._cards_budget += own.fresh_cards_per_day * (end_us - start_us) / DAY_US
        self._openings_budget = self._openings(start_us, end_us)
        self._waiting = [due for due in self._waiting if due > end_us]
        missing = self._target(end_us) - int(self.fleet["alive"].sum()) - len(self._waiting)
        plans, cards = self._afford(max(0, min(missing, int(self._openings_budget))))
        count = len(cards)
        self._openings_budget -= count
        self._to_build_up = max(0, self._to_build_up - count)
        opened = np.sort(random.integers(start_us, end_us, count))
        aged = random.random(count) < own.aged_share
        openings = np.where(
            aged,
            self._world.start_us
            - (random.uniform(0.6, 1, count) * self._world.benign.history_days * DAY_US).astype(int),
            opened,
        )
        fresh = self._enlist(plans, cards, opened, openings)
        self.fleet = np.concatenate([self.fleet, fresh])
        return fresh, openings

    def _openings(self, start_us: int, end_us: int) -> float:
        """Accounts that it can open until `end_us`. From its first loss on hands are not saved up beyond a day's worth: it needs them at once."""
        a_day = self.spec.openings_per_day_share * self.spec.accounts
        grown = self._openings_budget + a_day * (end_us - start_us) / DAY_US
        return min(grown, max(a_day, float(self._to_build_up))) if self._has_lost else grown

    def _afford(self, wanted: int) -> tuple[Ints, Ids]:
        """Plans of up to `wanted` new accounts and their cards, 0 where the plan needs none; fewer when cards run out."""
        plan = self._random.choice([_PLANS.index(name) for name in self.spec.entry_plans], wanted)
        paid = np.flatnonzero(~np.isin(plan, _FREE_PLANS))
        minted = len(self._vocabulary)
        taken = self._cards.take(len(paid), int(self._cards_budget))
        self._cards_budget -= int(np.count_nonzero(np.unique(taken) >= minted))
        cards = np.zeros(wanted, dtype=np.int32)
        cards[paid[: len(taken)]] = taken
        opened = np.ones(wanted, dtype=np.bool_)
        opened[paid[len(taken) :]] = False
        return plan[opened], cards[opened]

    def _enlist(self, plans: Ints, cards: Ids, opened: Ints, openings: Ints) -> Fleet:
        own, random, count = self.spec, self._random, len(cards)
        fresh = np.zeros(count, dtype=FLEET)
        labs = [i for i in self._parties if self._world.parties[i].kind is PartyKind.LAB]
        routers = [i for i in self._parties if self._world.parties[i].kind is PartyKind.ROUTER]
        to_labs = (random.random(count) < own.labs_share) if routers and labs else np.full(count, bool(labs))
        fresh["party"][to_labs] = random.choice(labs or [0], int(to_labs.sum()))
        fresh["party"][~to_labs] = random.choice(routers or [0], int((~to_labs).sum()))
        fresh["account"] = self._accounts.add(fresh["party"], openings, operator=self._index)
        fresh["opened_us"], fresh["card"], fresh["plan"], fresh["alive"] = opened, cards, plans, True
        life = random.exponential(own.account_life_days, count)
        if own.account_life_days_max is not None:
            life = own.account_life_days_max * np.maximum(0.1, 1 - np.exp(-life / own.account_life_days_max))
        leaves = opened + (life * DAY_US).astype(np.int64)
        found = opened + (random.exponential(1 / max(own.ban_per_day, 1e-9), count) * DAY_US).astype(np.int64)
        fresh["leaves_us"], fresh["banned"] = np.minimum(leaves, found), found < leaves
        wait = np.minimum(DAY_US / own.windows_per_day, 0.5 * (fresh["leaves_us"] - opened))
        fresh["next_us"] = opened + (random.random(count) * wait).astype(np.int64)
        fresh["device"] = self._devices.take(count)
        fresh["tls"], fresh["api_key"] = random.choice(self._tls, count), self._vocabulary.mint(Kind.API_KEY, count)
        fresh["template"] = self._account_templates(count)
        fresh["addresses"] = self._book.positions(count)
        fresh["log_mean"] = np.log(own.requests_per_window) + random.normal(0, 0.2, count)
        moves = random.random(count) < own.pivot_share
        fresh["pivot_us"] = np.where(moves, random.integers(0, DAY_US, count), NEVER)
        return fresh

    def _account_templates(self, count: int) -> Ids:
        which = self._random.integers(0, len(self._plain), count)
        if self.spec.paraphrase_share == 0:
            return self._plain[which]
        return self._vocabulary.mint_prompts(
            [self._vocabulary.paraphrase(self._templates[i], self.spec.paraphrase_share) for i in which]
        )

    def _opening_events(self, fresh: Fleet, openings: Ints) -> pl.DataFrame:
        own, shown, random, count = self.spec, self._world.shown, self._random, len(fresh)
        phone = np.zeros(count, dtype=np.int32)
        phoned = random.random(count) < own.phone_share
        phone[phoned] = self._phones.take(int(phoned.sum()))
        carded = fresh["card"] > 0
        nothing = np.zeros(count, dtype=np.int32)
        organisation = self._organisations.take(count) if own.accounts_per_organisation else nothing
        address, address_class = self._book.at(self._book.working(fresh["addresses"], np.zeros(count, dtype=np.int64)))
        matrix = np.stack(
            [
                tables.some(address, shown.address_share, random),
                tables.some(fresh["device"], shown.device_share, random),
                tables.some(fresh["tls"], shown.tls_share, random),
                self._vocabulary.mint(Kind.EMAIL, count),
                phone,
                np.where(random.random(count) < 0.8, fresh["card"], 0),
                organisation,
                self._referrals.take(count) if own.accounts_per_referral else nothing,
            ],
            axis=1,
        ).astype(np.int32)
        verified = VERIFIED.categories.to_list()
        return tables.events(
            "AccountOpened",
            openings,
            matrix,
            party=fresh["party"],
            account=fresh["account"],
            plan=tables.symbols(PLAN, fresh["plan"]),
            verified=tables.symbols(
                VERIFIED,
                np.where(
                    carded,
                    verified.index("CARD"),
                    np.where(phone > 0, verified.index("PHONE"), verified.index("EMAIL")),
                ),
            ),
            mail_class=tables.symbols(MAIL_CLASS, random.choice([1, 2], count, p=[0.75, 0.25])),
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        )

    def _pay_again(self, start_us: int, end_us: int, taken: Restrictions) -> pl.DataFrame:
        due = self.fleet["alive"] & (
            self._random.random(len(self.fleet)) < _PAYMENTS_PER_DAY * (end_us - start_us) / DAY_US
        )
        members = self.fleet[due]
        at = self._random.integers(start_us, end_us, len(members))
        late = at > members["opened_us"]
        blocked = self.fleet["alive"] & np.isin(self.fleet["card"], list(taken.cards)) & due
        self.fleet["leaves_us"][blocked] = np.minimum(self.fleet["leaves_us"][blocked], end_us)  # no money, no service
        self.fleet["banned"][blocked] = False
        return self._payers.pay(members[late], at[late], taken, self._random)

    def _leave(self, end_us: int) -> pl.DataFrame:
        """Accounts that end in this step: abandoned silently, or found and closed by their own party."""
        gone = self.fleet["alive"] & (self.fleet["leaves_us"] < end_us)
        self.fleet["alive"][gone] = False
        closed = self.fleet[gone & self.fleet["banned"]]
        reasons = CLOSE_REASON.categories.to_list()
        reason = self._random.choice(
            [reasons.index(r) for r in ("DISTILLATION", "FRAUD", "TERMS")], len(closed), p=[0.4, 0.4, 0.2]
        )
        return tables.events(
            "AccountClosed",
            closed["leaves_us"],
            None,
            party=closed["party"],
            account=closed["account"],
            reason=tables.symbols(CLOSE_REASON, reason),
        )
