"""Events of ordinary customers: they open accounts, use models, pay, sometimes charge back; some resell to others."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from weaklink.frames import ADDRESS_CLASS, INSTRUMENT, MAIL_CLASS, OUTCOME, PLAN, TASK, VERIFIED
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import conduct, people, tables
from weaklink.sim.conduct import HARNESS, Ints
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, WorldSpec
from weaklink.sim.vocabulary import Ids

RESIDENTIAL, MOBILE, HOSTING, VPN = (
    ADDRESS_CLASS.categories.to_list().index(c) for c in ("RESIDENTIAL", "MOBILE", "HOSTING", "VPN")
)


@dataclass(frozen=True, slots=True)
class Customers:
    """Accounts of ordinary people at labs and routers, one array element each."""

    account: Ids
    person: Ints
    party: Ints
    opened_us: Ints
    api_key: Ids


def parties_of(spec: WorldSpec, *kinds: PartyKind) -> Ints:
    """Indices of the parties of these kinds."""
    return np.array([i for i, party in enumerate(spec.parties) if party.kind in kinds], dtype=np.int64)


def pick_parties(spec: WorldSpec, among: Ints, count: int, random: np.random.Generator) -> Ints:
    """Parties by market share."""
    weights = np.array([spec.parties[i].market_share for i in among])
    return random.choice(among, size=count, p=weights / weights.sum())


def current_models(spec: WorldSpec, party: Ints, at_us: Ints, random: np.random.Generator) -> list[str]:
    """A model that the party serves at that time: the newest released in half of the cases."""
    drawn = random.random((2, len(party)))
    released = {(r.party, r.model): spec.start_us + int(r.day * DAY_US) for r in spec.releases}
    names = []
    for index, at, newest, other in zip(party.tolist(), at_us.tolist(), drawn[0], drawn[1], strict=True):
        seller = spec.parties[index]
        models = [m for m in seller.models if released.get((seller.id, m), at) <= at]
        names.append(models[-1] if newest < 0.5 else models[int(other * len(models))])
    return names


class BenignLife:
    """Everything that ordinary customers do in a world, as one table of events."""

    def __init__(self, scene: Scene) -> None:
        self._spec, self._vocabulary, self._accounts = scene.spec, scene.vocabulary, scene.accounts
        self._random = np.random.default_rng([scene.seed, 1])
        self.people = people.build_people(scene.spec.benign, scene.vocabulary, self._random)
        self.places = people.build_places(scene, self.people, self._random)
        self.customers = self._open_accounts()

    def events(self) -> pl.DataFrame:
        """All of it, unordered."""
        return pl.concat([self._openings(), self._usage(), self._payments(), self._resellers()])

    def networks(self, person: Ints, at_us: Ints) -> tuple[Ids, Ints]:
        """Address and its class for people at times: home, office, carrier or VPN."""
        random, who, places = self._random, self.people, self.places
        drawn = random.random(len(person))
        office, carrier = who.office[person], who.carrier[person]
        weekday = (at_us // DAY_US + 3) % 7 < 5
        rooms = who.room[person] >= 0
        at_office = (office >= 0) & ((drawn < 0.5) & weekday | rooms)
        on_mobile = ~at_office & (carrier >= 0) & (drawn > 0.6)
        on_vpn = ~at_office & ~on_mobile & who.vpn[person] & (drawn > 0.25)
        address = places.home_at(who.household[person], at_us)
        address = np.where(at_office, places.office[np.maximum(office, 0)], address)
        of_day = places.carrier[np.maximum(carrier, 0), random.integers(0, 4, len(person))]
        address = np.where(on_mobile, of_day, address)
        address = np.where(on_vpn, random.choice(places.vpn, len(person)), address)
        kind = np.select([on_mobile, on_vpn], [MOBILE, VPN], RESIDENTIAL)
        return address.astype(np.int32), kind

    def _open_accounts(self) -> Customers:
        spec, random = self._spec, self._random
        count = len(self.people.household)
        holdings = 1 + (random.random(count) < 0.22) + (random.random(count) < 0.05)
        person = np.repeat(np.arange(count), holdings)
        party = pick_parties(spec, parties_of(spec, PartyKind.LAB, PartyKind.ROUTER), len(person), random)
        _, first = np.unique(np.stack([person, party]), axis=1, return_index=True)
        person, party = person[np.sort(first)], party[np.sort(first)]
        existing = random.random(len(person)) < spec.benign.existing_share
        before = -random.random(len(person)) * spec.benign.history_days
        since = np.where(existing, before, random.random(len(person)) * spec.days * 0.95)
        opened = spec.start_us + (since * DAY_US).astype(np.int64)
        harness = self.people.persona[person] == HARNESS
        account = self._accounts.add(party, opened)
        for index in account[harness].tolist():
            self._accounts.role[index] = "HARNESS"
        return Customers(account, person, party, opened, self._vocabulary.mint(Kind.API_KEY, len(person)))

    def _devices(self, person: Ints) -> Ids:
        room = self.people.room[person]
        shared = self.places.room_devices[np.maximum(room, 0), self._random.integers(0, 8, len(person))]
        return np.where(room >= 0, shared, self.people.device[person])

    def _openings(self) -> pl.DataFrame:
        random, who, c = self._random, self.people, self.customers
        count = len(c.account)
        address, address_class = self.networks(c.person, c.opened_us)
        card = np.where(random.random(count) < 0.7, who.card[c.person], 0)
        organisation = np.where(random.random(count) < 0.8, who.organisation[c.person], 0)
        phone = who.phone[c.person]
        matrix = np.stack(
            [address, self._devices(c.person), who.tls[c.person], who.email[c.person], phone, card, organisation],
            axis=1,
        )
        proven = np.select(
            [(organisation > 0) & (random.random(count) < 0.5), card > 0, phone > 0, random.random(count) < 0.9],
            [VERIFIED.categories.to_list().index(v) for v in ("ORGANISATION", "CARD", "PHONE", "EMAIL")],
            VERIFIED.categories.to_list().index("NONE"),
        )
        plans = PLAN.categories.to_list()
        free, paid = (
            random.choice([plans.index(a), plans.index(b)], count, p=[0.8, 0.2])
            for a, b in (("FREE", "TRIAL"), ("PAID", "STARTUP"))
        )
        plan = np.where(
            organisation > 0,
            random.choice([plans.index("ENTERPRISE"), plans.index("PAID"), plans.index("EDUCATION")], count),
            np.where(card > 0, paid, free),
        )
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

    def _usage(self) -> pl.DataFrame:
        spec, random, who, c = self._spec, self._random, self.people, self.customers
        harness = who.persona[c.person] == HARNESS
        begin = np.maximum(c.opened_us, spec.start_us)
        days = (spec.end_us - begin) / DAY_US
        sigma = 1.0
        rate = spec.benign.windows_per_day * np.exp(random.normal(-(sigma**2) / 2, sigma, len(days)))
        rate[harness] = random.uniform(2.5, 5.0, int(harness.sum()))
        who_used = np.repeat(np.arange(len(c.account)), random.poisson(np.minimum(rate, 12) * days))
        person, regular = c.person[who_used], harness[who_used]
        at = conduct.waking_times(begin[who_used], np.full(len(who_used), spec.end_us), random)
        address, address_class = self.networks(person, at)
        templated = (random.random(len(person)) < spec.benign.template_share) | regular
        matrix = np.stack(
            [
                address,
                self._devices(person),
                who.tls[person],
                c.api_key[who_used],
                np.where(templated, who.template[person], 0),
            ],
            axis=1,
        )
        habit = random.normal(1.4, 0.7, len(c.account))[who_used]
        ratio = np.exp(random.normal(-0.5, 0.5, len(c.account)))[who_used] * np.where(regular, 1.5, 1)
        amount = conduct.volume(np.where(regular, 3.0, habit), np.where(regular, 0.4, 0.95), ratio, random)
        task = conduct.pick_rows(conduct.PERSONAS[who.persona[person]], random)
        return tables.events(
            "ApiUsage",
            at,
            matrix,
            party=c.party[who_used],
            account=c.account[who_used],
            window_seconds=3600,
            model=current_models(spec, c.party[who_used], at, random),
            task=tables.symbols(TASK, task),
            requests=amount.requests,
            input_tokens=amount.input_tokens,
            output_tokens=amount.output_tokens,
            address_class=tables.symbols(ADDRESS_CLASS, address_class),
        )

    def _payments(self) -> pl.DataFrame:
        spec, random, who, c = self._spec, self._random, self.people, self.customers
        paying = np.flatnonzero(who.card[c.person] > 0)
        begin = np.maximum(c.opened_us, spec.start_us)[paying]
        paid = np.repeat(paying, 1 + random.poisson(np.maximum(0, (spec.end_us - begin) / DAY_US / 20)))
        at = conduct.waking_times(np.maximum(c.opened_us, spec.start_us)[paid], np.full(len(paid), spec.end_us), random)
        person = c.person[paid]
        address, _ = self.networks(person, at)
        payers, index = np.unique(who.card[person], return_inverse=True)
        processor = pick_parties(spec, parties_of(spec, PartyKind.PAYMENT), len(payers), random)
        first = np.full(len(payers), spec.end_us)
        np.minimum.at(first, index, at)
        payer = self._accounts.add(processor, first, role="PAYER")
        outcome = random.choice(4, len(paid), p=_outcomes(spec.benign.chargeback_share, spec.benign.refund_share))
        return tables.events(
            "PaymentAttempt",
            at,
            np.stack([who.card[person], address, who.email[person]], axis=1),
            party=processor[index],
            account=payer[index],
            merchant=[spec.parties[i].id for i in c.party[paid].tolist()],
            outcome=tables.symbols(OUTCOME, outcome),
            instrument=tables.symbols(
                INSTRUMENT, random.choice(5, len(payers), p=[0.45, 0.38, 0.03, 0.06, 0.08])[index]
            ),
        )

    def _resellers(self) -> pl.DataFrame:
        spec, random = self._spec, self._random
        count = spec.benign.resellers
        party = pick_parties(spec, parties_of(spec, PartyKind.LAB), count, random)
        opened = spec.start_us - (random.uniform(0.4, 1, count) * spec.benign.history_days * DAY_US).astype(np.int64)
        account = self._accounts.add(party, opened, role="RESELLER")
        own = np.stack(
            [
                self._vocabulary.mint(k, count)
                for k in (Kind.IP, Kind.EMAIL, Kind.CARD, Kind.ORGANISATION, Kind.API_KEY)
            ],
            axis=1,
        )
        self.resellers = (account, party, own)
        self.end_users = self._vocabulary.mint(Kind.END_USER, max(1, count) * spec.benign.reseller_end_users).reshape(
            max(1, count), -1
        )
        windows = random.poisson(spec.benign.reseller_windows_per_day * spec.days, count)
        which = np.repeat(np.arange(count), windows)
        at = conduct.waking_times(np.full(len(which), spec.start_us), np.full(len(which), spec.end_us), random)
        template = np.where(
            random.random(len(which)) < spec.benign.template_share, random.choice(self.places.templates, len(which)), 0
        )
        amount = conduct.volume(np.full(len(which), 2.2), 1.0, np.exp(random.normal(-0.4, 0.5, len(which))), random)
        personas = conduct.PERSONAS[random.choice(len(conduct.PERSONA_SHARE), len(which), p=conduct.PERSONA_SHARE)]
        openings = tables.events(
            "AccountOpened",
            opened,
            own,
            party=party,
            account=account,
            plan="ENTERPRISE",
            verified="ORGANISATION",
            mail_class="BUSINESS",
            address_class="HOSTING",
        )
        usage = tables.events(
            "ApiUsage",
            at,
            np.stack([own[which, 0], own[which, 4], template], axis=1),
            party=party[which],
            account=account[which],
            window_seconds=3600,
            model=current_models(spec, party[which], at, random),
            task=tables.symbols(TASK, conduct.pick_rows(personas, random)),
            requests=amount.requests,
            input_tokens=amount.input_tokens,
            output_tokens=amount.output_tokens,
            end_user=self.end_users[which, random.integers(0, self.end_users.shape[1], len(which))],
            address_class="HOSTING",
        )
        return pl.concat([openings, usage])


def _outcomes(chargeback: float, refund: float) -> list[float]:
    """Shares of APPROVED, DECLINED, CHARGEBACK, REFUNDED."""
    declined = 0.03
    return [1 - declined - chargeback - refund, declined, chargeback, refund]
