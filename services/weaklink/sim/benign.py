"""Events of ordinary customers: they open accounts, use models, pay, sometimes charge back, and some close their accounts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.frames import ADDRESS_CLASS, CLOSE_REASON, INSTRUMENT, MAIL_CLASS, OUTCOME, PLAN, TASK, VERIFIED
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import conduct, people, tables
from weaklink.sim.conduct import HARNESS, SCRIPTED, Ints
from weaklink.sim.market import current_models, parties_of, pick_parties, windows_of
from weaklink.sim.people import Bools
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US
from weaklink.sim.vocabulary import Ids

RESIDENTIAL, MOBILE, HOSTING, VPN = (
    ADDRESS_CLASS.categories.to_list().index(c) for c in ("RESIDENTIAL", "MOBILE", "HOSTING", "VPN")
)
_PLANS: Final = {name: index for index, name in enumerate(PLAN.categories)}
_VERIFIED: Final = {name: index for index, name in enumerate(VERIFIED.categories)}
_REASONS: Final = {name: index for index, name in enumerate(CLOSE_REASON.categories)}
_HARNESS_WINDOWS_PER_DAY: Final = (0.3, 0.9)
_RATE_MAX_PER_DAY: Final = 4.0
_REGULAR_LOG_SIGMA: Final = 0.4
_INSTRUMENTS: Final = (0.43, 0.38, 0.05, 0.06, 0.08)
"""Shares of CREDIT, DEBIT, PREPAID, VIRTUAL and WALLET."""
_DAYS_PER_PAYMENT: Final = 30


@dataclass(frozen=True, slots=True)
class Customers:
    """Accounts of ordinary people at labs and routers, one array element each."""

    account: Ids
    person: Ints
    party: Ints
    opened_us: Ints
    closed_us: Ints
    """When it ends; after the world for those that go on."""
    reason: Ints
    api_key: Ids


class BenignLife:
    """What ordinary customers do in a world, as one table of events."""

    def __init__(self, scene: Scene) -> None:
        self._spec, self._vocabulary, self._accounts = scene.spec, scene.vocabulary, scene.accounts
        self._random = np.random.default_rng([scene.seed, 1])
        self.people = people.build_people(scene.spec, scene.vocabulary, self._random)
        self.places = people.build_places(scene, self.people, self._random)
        self.customers = self._open_accounts()

    def events(self) -> pl.DataFrame:
        """All of it, unordered."""
        return pl.concat([self._openings(), self._usage(), self._payments(), self._closures()])

    def networks(self, person: Ints, at_us: Ints) -> tuple[Ids, Ints]:
        """Address and its class for people at times: home, office, relay, carrier or VPN."""
        random, who, places, groups = self._random, self.people, self.places, self.people.groups
        drawn = random.random(len(person))
        office, carrier, relay = groups.office[person], who.carrier[person], groups.relay[person]
        weekday = (at_us // DAY_US + 3) % 7 < 5
        always = (groups.room[person] >= 0) | (groups.team[person] >= 0)
        at_office = (office >= 0) & ((drawn < self._spec.benign.office_online_share) & weekday | always)
        on_relay = ~at_office & (relay >= 0) & (drawn < 0.7)
        elsewhere = ~at_office & ~on_relay
        on_mobile = elsewhere & (carrier >= 0) & (drawn > 0.6)
        on_vpn = elsewhere & ~on_mobile & who.vpn[person] & (drawn > 0.25)
        address = places.home_at(groups.household[person], at_us)
        address = np.where(at_office, places.office[np.maximum(office, 0)], address)
        of_relay = places.relay[np.maximum(relay, 0), random.integers(0, places.relay.shape[1], len(person))]
        address = np.where(on_relay, of_relay, address)
        of_day = places.carrier[np.maximum(carrier, 0), random.integers(0, 4, len(person))]
        address = np.where(on_mobile, of_day, address)
        address = np.where(on_vpn, random.choice(places.vpn, len(person)), address)
        kind = np.select([on_mobile, on_vpn, on_relay], [MOBILE, VPN, HOSTING], RESIDENTIAL)
        return address.astype(np.int32), kind

    def _open_accounts(self) -> Customers:
        spec, benign, random, groups = self._spec, self._spec.benign, self._random, self.people.groups
        count = len(groups.household)
        second = np.where(groups.team >= 0, 0.6, benign.second_account_share)
        holdings = 1 + (random.random(count) < second) + (random.random(count) < second / 4)
        person = np.repeat(np.arange(count), holdings)
        party = pick_parties(spec, parties_of(spec, PartyKind.LAB, PartyKind.ROUTER), len(person), random)
        _, first = np.unique(np.stack([person, party]), axis=1, return_index=True)
        person, party = person[np.sort(first)], party[np.sort(first)]
        existing = random.random(len(person)) < benign.existing_share
        before = -random.random(len(person)) * benign.history_days
        since = np.where(existing, before, random.random(len(person)) * spec.days * 0.95)
        opened = spec.start_us + (since * DAY_US).astype(np.int64)
        account = self._accounts.add(party, opened)
        self._accounts.set_role(account[groups.team[person] >= 0], "HARNESS")
        self._accounts.set_role(account[groups.agency[person] >= 0], "AGENCY")
        closed, reason = self._ends(opened)
        key = self._vocabulary.mint(Kind.API_KEY, len(person))
        return Customers(account, person, party, opened, closed, reason, key)

    def _ends(self, opened_us: Ints) -> tuple[Ints, Ints]:
        """When and why accounts end: most do not, some are closed by their owners, a few wrongly by their party."""
        spec, benign, random, count = self._spec, self._spec.benign, self._random, len(opened_us)
        drawn, wrongly = random.random(count), benign.wrongly_closed_share
        wrong = random.choice([_REASONS[r] for r in ("DISTILLATION", "FRAUD", "TERMS")], count, p=[0.1, 0.5, 0.4])
        willing = random.choice([_REASONS[r] for r in ("CUSTOMER_REQUEST", "PAYMENT")], count, p=[0.8, 0.2])
        ends = drawn < wrongly + benign.closed_share
        begin = np.maximum(opened_us, spec.start_us)
        at = begin + (random.uniform(0.05, 1, count) * (spec.end_us - begin)).astype(np.int64)
        return np.where(ends, at, spec.end_us), np.where(drawn < wrongly, wrong, willing)

    def _devices(self, person: Ints, at_us: Ints) -> Ids:
        random, (room, computers) = self._random, (self.people.groups.room[person], self.places.room_devices)
        shared = computers[np.maximum(room, 0), random.integers(0, computers.shape[1], len(person))]
        device = np.where(room >= 0, shared, self.people.device_at(person, at_us))
        return tables.some(device, self._spec.shown.device_share, random)

    def _openings(self) -> pl.DataFrame:
        random, who, c = self._random, self.people, self.customers
        count, shown = len(c.account), self._spec.shown
        address, address_class = self.networks(c.person, c.opened_us)
        card = np.where(random.random(count) < 0.7, who.card[c.person], 0)
        organisation = np.where(random.random(count) < 0.7, who.organisation[c.person], 0)
        phone = who.phone_at(c.person, c.opened_us)
        referral = np.where(random.random(count) < 0.8, who.referral[c.person], 0)
        net = [
            tables.some(address, shown.address_share, random),
            tables.some(who.tls[c.person], shown.tls_share, random),
        ]
        own = [self._devices(c.person, c.opened_us), who.email[c.person], phone, card, organisation, referral]
        matrix = np.stack([*net, *own], axis=1)
        plan, proven = self._terms(organisation > 0, card > 0, phone > 0)
        mail = np.where(organisation > 0, 0, np.where(random.random(count) < 0.93, 1, 2))
        return tables.events(
            "AccountOpened",
            c.opened_us,
            matrix,
            party=c.party,
            account=c.account,
            plan=tables.symbols(PLAN, plan),
            verified=tables.symbols(VERIFIED, proven),
            mail_class=tables.symbols(MAIL_CLASS, mail),
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        )

    def _terms(self, firm: Bools, card: Bools, phone: Bools) -> tuple[Ints, Ints]:
        """Plan and verification of the customers' accounts."""
        random, count, groups = self._random, len(firm), self.people.groups
        person = self.customers.person
        proven = np.select(
            [firm & (random.random(count) < 0.5), card, phone, random.random(count) < 0.9],
            [_VERIFIED[v] for v in ("ORGANISATION", "CARD", "PHONE", "EMAIL")],
            _VERIFIED["NONE"],
        )
        free, paid, programme, business = (
            random.choice([_PLANS[name] for name in names], count, p=shares)
            for names, shares in (
                (("FREE", "TRIAL"), (0.75, 0.25)),
                (("PAID", "TRIAL"), (0.85, 0.15)),
                (("EDUCATION", "STARTUP"), (0.7, 0.3)),
                (("ENTERPRISE", "PAID"), (0.4, 0.6)),
            )
        )
        supported = (groups.room[person] >= 0) | (random.random(count) < self._spec.benign.education_share)
        plan = np.select([supported, firm, card], [programme, business, paid], free)
        return plan, proven

    def _usage(self) -> pl.DataFrame:
        spec, benign, random, who, c = self._spec, self._spec.benign, self._random, self.people, self.customers
        persona = who.persona[c.person]
        begin = np.maximum(c.opened_us, spec.start_us)
        days = (c.closed_us - begin) / DAY_US
        sigma = benign.windows_log_sigma
        rate = benign.windows_per_day * np.exp(random.normal(-(sigma**2) / 2, sigma, len(days)))
        harness = persona == HARNESS
        rate[harness] = random.uniform(*_HARNESS_WINDOWS_PER_DAY, int(harness.sum()))
        used = np.repeat(np.arange(len(c.account)), random.poisson(np.minimum(rate, _RATE_MAX_PER_DAY) * days))
        person, kind = c.person[used], persona[used]
        steady = (kind == HARNESS) | (kind == SCRIPTED)
        at = conduct.waking_times(begin[used], c.closed_us[used], random)
        address, address_class = self.networks(person, at)
        templated = (random.random(len(person)) < benign.template_share) | (kind == HARNESS)
        matrix = np.stack(
            [
                tables.some(address, spec.shown.address_share, random),
                self._devices(person, at),
                tables.some(who.tls[person], spec.shown.tls_share, random),
                c.api_key[used],
                np.where(templated, who.template[person], 0),
            ],
            axis=1,
        )
        busy = random.normal(benign.requests_log_mean, benign.requests_person_log_sigma, len(c.account))
        ratio = random.normal(-0.5, benign.output_person_log_sigma, len(c.account))
        amount = conduct.volume(
            busy[used] + 0.9 * steady,
            np.where(steady, _REGULAR_LOG_SIGMA, benign.requests_log_sigma),
            np.exp(ratio[used] + np.where(steady, 0.5, 0.0)),
            random,
        )
        return tables.events(
            "ApiUsage",
            at,
            matrix,
            party=c.party[used],
            account=c.account[used],
            window_seconds=windows_of(spec, c.party[used]),
            model=current_models(spec, c.party[used], at, random),
            task=tables.symbols(TASK, conduct.pick_rows(conduct.PERSONAS[kind], random)),
            requests=amount.requests,
            input_tokens=amount.input_tokens,
            output_tokens=amount.output_tokens,
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        )

    def _payments(self) -> pl.DataFrame:
        spec, random, who, c = self._spec, self._random, self.people, self.customers
        paying = np.flatnonzero((who.card[c.person] > 0) | (who.bank[c.person] > 0))
        begin, end = np.maximum(c.opened_us, spec.start_us)[paying], c.closed_us[paying]
        times = 1 + random.poisson(np.maximum(0, (end - begin) / DAY_US / _DAYS_PER_PAYMENT))
        paid = np.repeat(paying, times)
        at = conduct.waking_times(np.repeat(begin, times), np.repeat(end, times), random)
        person = c.person[paid]
        address = tables.some(self.networks(person, at)[0], spec.shown.payment_address_share, random)
        email = tables.some(who.email[person], spec.shown.payment_email_share, random)
        by_bank = (who.bank[person] > 0) & ((who.card[person] == 0) | (random.random(len(person)) < 0.5))
        means = np.where(by_bank, who.bank[person], who.card[person])
        payers, index = np.unique(means, return_inverse=True)
        processor = pick_parties(spec, parties_of(spec, PartyKind.PAYMENT), len(payers), random)
        first = np.full(len(payers), spec.end_us)
        np.minimum.at(first, index, at)
        payer = self._accounts.add(processor, first, role="PAYER")
        own = random.choice(5, len(payers), p=_INSTRUMENTS)
        transfer = INSTRUMENT.categories.to_list().index("BANK_TRANSFER")
        return tables.events(
            "PaymentAttempt",
            at,
            np.stack([means, address, email], axis=1),
            party=processor[index],
            account=payer[index],
            merchant=tables.labels([party.id for party in spec.parties], c.party[paid]),
            outcome=tables.symbols(OUTCOME, random.choice(4, len(paid), p=self._outcomes())),
            instrument=tables.symbols(INSTRUMENT, np.where(by_bank, transfer, own[index])),
        )

    def _outcomes(self) -> list[float]:
        """Shares of APPROVED, DECLINED, CHARGEBACK, REFUNDED."""
        benign = self._spec.benign
        others = [benign.declined_share, benign.chargeback_share, benign.refund_share]
        return [1 - sum(others), *others]

    def _closures(self) -> pl.DataFrame:
        c = self.customers
        ended = c.closed_us < self._spec.end_us
        return tables.events(
            "AccountClosed",
            c.closed_us[ended],
            None,
            party=c.party[ended],
            account=c.account[ended],
            reason=tables.symbols(CLOSE_REASON, c.reason[ended]),
        )
