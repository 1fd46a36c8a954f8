"""Ordinary people: who lives, works, studies and travels together, and so shares addresses, cards, devices and organisations."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim.conduct import HARNESS, PERSONA_SHARE, SCRIPTED, Ints
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, BenignSpec, WorldSpec
from weaklink.sim.vocabulary import Ids, Vocabulary

Bools = npt.NDArray[np.bool_]

_TLS_STACKS = 30
_HARNESS_PRIVATE_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Groups:
    """Who belongs where, one array element per person; -1 for nowhere."""

    household: Ints
    office: Ints
    """Agencies, universities and harness teams are offices too."""
    agency: Ints
    room: Ints
    team: Ints
    relay: Ints
    """Relay through which the person's own accounts are online."""
    offices: int


@dataclass(frozen=True, slots=True)
class People:
    """One array element per person; identifiers are numbers in the vocabulary, 0 for none."""

    groups: Groups
    carrier: Ints
    """Index of the carrier's group of addresses, -1: never on mobile."""
    vpn: Bools
    persona: Ints
    devices: Ids
    """(people, 2): the device until `moves_us`, and the one after it. They differ where it is passed on."""
    moves_us: Ints
    card: Ids
    bank: Ids
    email: Ids
    phones: Ids
    """(people, 2): as `devices`."""
    organisation: Ids
    referral: Ids
    tls: Ids
    template: Ids
    """The popular template that the person likes."""

    def device_at(self, person: Ints, at_us: Ints) -> Ids:
        """The device that each person uses at each time."""
        device: Ids = np.where(at_us < self.moves_us[person], self.devices[person, 0], self.devices[person, 1])
        return device

    def phone_at(self, person: Ints, at_us: Ints) -> Ids:
        """The phone number that each person has at each time."""
        phone: Ids = np.where(at_us < self.moves_us[person], self.phones[person, 0], self.phones[person, 1])
        return phone


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses and computers that people share."""

    home: Ids
    """(address epochs, households): homes are given each other's former addresses."""
    office: Ids
    carrier: Ids
    """(carrier groups, addresses a day)"""
    vpn: Ids
    relay: Ids
    """(relays, addresses)"""
    room_devices: Ids
    """(lab rooms, computers)"""
    templates: Ids
    start_us: int
    address_us: int

    def home_at(self, household: Ints, at_us: Ints) -> Ids:
        """The address of each household at each time."""
        epoch = np.clip((at_us - self.start_us) // self.address_us, 0, len(self.home) - 1)
        found: Ids = self.home[epoch, household]
        return found


def build_people(world: WorldSpec, vocabulary: Vocabulary, random: np.random.Generator) -> People:
    """Draw the people. Agencies come first, then lab rooms, then harness teams, then everyone else."""
    spec = world.benign
    groups = _build_groups(spec, random)
    count = len(groups.household)
    persona = random.choice(len(PERSONA_SHARE), size=count, p=PERSONA_SHARE)
    persona[random.random(count) < spec.scripted_share] = SCRIPTED
    persona[groups.team >= 0] = HARNESS
    organisations = vocabulary.mint(Kind.ORGANISATION, groups.offices)
    known = vocabulary.mint(Kind.TLS, _TLS_STACKS)
    popularity = 1 / np.arange(1, _TLS_STACKS + 1)
    templates = popular_templates(spec, vocabulary)
    liked = 1 / np.arange(1, len(templates) + 1) ** 0.7
    template = random.choice(templates, size=count, p=liked / liked.sum())
    template[groups.agency >= 0] = popular_house_templates(groups.agency, vocabulary)
    codes = vocabulary.mint(Kind.REFERRAL, max(20, count // 40))
    shared = 1 / np.arange(1, len(codes) + 1) ** 0.6
    carriers = max(1, int(count * spec.mobile_share / (spec.carrier_address_people * 4)))
    devices, phones = _means_that_pass_on(spec, groups, vocabulary, random)
    no_card = (groups.room >= 0) | (random.random(count) >= spec.card_share) & (groups.agency < 0) & (groups.team < 0)
    card = np.where(no_card, 0, _cards(spec, groups, vocabulary, random)).astype(np.int32)
    return People(
        groups=groups,
        carrier=np.where(random.random(count) < spec.mobile_share, random.integers(0, carriers, count), -1),
        vpn=random.random(count) < spec.vpn_share,
        persona=persona,
        devices=devices,
        phones=phones,
        moves_us=world.start_us + (random.uniform(0.2, 0.8, count) * world.days * DAY_US).astype(np.int64),
        card=card,
        bank=np.where(random.random(count) < spec.bank_share, vocabulary.mint(Kind.BANK_ACCOUNT, count), 0).astype(
            np.int32
        ),
        email=vocabulary.mint(Kind.EMAIL, count),
        organisation=np.where(groups.office >= 0, organisations[groups.office], 0).astype(np.int32),
        referral=np.where(
            random.random(count) < spec.referral_share, random.choice(codes, count, p=shared / shared.sum()), 0
        ).astype(np.int32),
        tls=random.choice(known, size=count, p=popularity / popularity.sum()),
        template=template,
    )


def _build_groups(spec: BenignSpec, random: np.random.Generator) -> Groups:
    agency = np.repeat(np.arange(spec.agencies), spec.agency_people)
    room = np.repeat(np.arange(spec.lab_rooms), spec.lab_room_people)
    team = np.arange(spec.harness_accounts) % max(1, spec.harness_teams)
    special = len(agency) + len(room) + len(team)
    count = max(spec.people, special + 50)
    sigma = spec.office_size_log_sigma
    mean = np.log(max(2.0, spec.office_people)) - sigma**2 / 2
    # Sizes are drawn until they hold everybody who has an office.
    staff = int(count * spec.office_share)
    sizes = np.maximum(2, np.exp(random.normal(mean, sigma, max(4, int(3 * staff / spec.office_people))))).astype(int)
    desks = np.repeat(np.arange(len(sizes)), sizes)[:staff]
    ordinary = int(desks.max()) + 1 if len(desks) else 1
    office = np.full(count, -1)
    office[special + random.permutation(count - special)[: len(desks)]] = desks[: count - special]
    universities = -(-spec.lab_rooms // max(1, spec.rooms_per_university))
    office[: len(agency)] = ordinary + agency
    office[len(agency) : len(agency) + len(room)] = ordinary + spec.agencies + room // max(1, spec.rooms_per_university)
    # Some harnesses are private people's: they have no organisation.
    firm = np.where(
        random.random(len(team)) < _HARNESS_PRIVATE_SHARE, -1, ordinary + spec.agencies + universities + team
    )
    office[special - len(team) : special] = firm
    relay = np.full(count, -1)
    customers = special + random.permutation(count - special)[: spec.relays * spec.relay_customers]
    relay[customers] = np.arange(len(customers)) % max(1, spec.relays)
    return Groups(
        household=_households(count, spec.household_people, random),
        office=office,
        agency=_placed(agency, 0, count),
        room=_placed(room, len(agency), count),
        team=_placed(team, special - len(team), count),
        relay=relay,
        offices=ordinary + spec.agencies + universities + spec.harness_teams + 1,
    )


def _households(count: int, people: float, random: np.random.Generator) -> Ints:
    sizes = random.geometric(1 / people, count)
    homes: Ints = np.repeat(np.arange(count), sizes)[:count]
    return homes[random.permutation(count)]


def _placed(values: Ints, at: int, count: int) -> Ints:
    placed = np.full(count, -1)
    placed[at : at + len(values)] = values
    return placed


def _cards(spec: BenignSpec, groups: Groups, vocabulary: Vocabulary, random: np.random.Generator) -> Ids:
    """Own cards, families' cards, cards of a company's fleet, an agency's one card, a harness team's one card."""
    count, households = len(groups.household), int(groups.household.max()) + 1
    family = random.random(households) < spec.household_card_share
    own, shared = vocabulary.mint(Kind.CARD, count), vocabulary.mint(Kind.CARD, households)
    card = np.where(family[groups.household], shared[groups.household], own)
    fleet = (random.random(groups.offices) < spec.fleet_share)[groups.office] & (groups.office >= 0)
    # A fleet's cards go round in its office: colleagues in the order of the list share one.
    members = np.flatnonzero(fleet)
    members = members[np.argsort(groups.office[members], kind="stable")]
    bundle = np.unique(
        groups.office[members] * 1_000_003 + np.arange(len(members)) // max(1, spec.fleet_card_people),
        return_inverse=True,
    )[1]
    fleet_cards = vocabulary.mint(Kind.CARD, int(bundle.max()) + 1 if len(bundle) else 0)
    card[members] = fleet_cards[bundle] if len(bundle) else 0
    for group, groups_count in ((groups.agency, spec.agencies), (groups.team, spec.harness_teams)):
        cards = vocabulary.mint(Kind.CARD, max(1, groups_count))
        card = np.where(group >= 0, cards[np.maximum(group, 0)], card)
    return card.astype(np.int32)


def _means_that_pass_on(
    spec: BenignSpec, groups: Groups, vocabulary: Vocabulary, random: np.random.Generator
) -> tuple[Ids, Ids]:
    """(devices, phones): people's own, a household's, and those that were another's before."""
    count, households = len(groups.household), int(groups.household.max()) + 1
    family = random.random(households) < spec.household_device_share
    own, shared = vocabulary.mint(Kind.DEVICE, count), vocabulary.mint(Kind.DEVICE, households)
    private = (groups.agency < 0) & (groups.room < 0) & (groups.team < 0)
    device = np.where(family[groups.household] & private, shared[groups.household], own).astype(np.int32)
    devices = np.stack([device, device], axis=1)
    heirs, givers = _pairs(count, spec.second_hand_share, random)
    devices[heirs, 1] = devices[givers, 0]
    devices[givers, 1] = vocabulary.mint(Kind.DEVICE, len(givers))
    phone = np.where(random.random(count) < spec.phone_share, vocabulary.mint(Kind.PHONE, count), 0).astype(np.int32)
    phones = np.stack([phone, phone], axis=1)
    heirs, givers = _pairs(count, spec.recycled_phone_share, random)
    phones[heirs, 1] = phones[givers, 0]
    phones[givers, 1] = 0
    return devices, phones


def _pairs(count: int, share: float, random: np.random.Generator) -> tuple[Ints, Ints]:
    """(heirs, givers), all different people."""
    chosen = random.permutation(count)[: 2 * int(count * share / 2)].reshape(2, -1)
    return chosen[0], chosen[1]


def popular_templates(spec: BenignSpec, vocabulary: Vocabulary) -> Ids:
    """Templates that go round among ordinary people."""
    return vocabulary.mint_prompts([" ".join(vocabulary.template()) for _ in range(max(1, spec.popular_templates))])


def popular_house_templates(agency: Ints, vocabulary: Vocabulary) -> Ids:
    """For each person of an agency, the template that its house uses."""
    members = agency[agency >= 0]
    houses = int(members.max()) + 1 if len(members) else 0
    return vocabulary.mint_prompts([" ".join(vocabulary.template()) for _ in range(houses)])[members]


def build_places(scene: Scene, people: People, random: np.random.Generator) -> Places:
    """Draw the places where these people are online."""
    spec, vocabulary = scene.spec.benign, scene.vocabulary
    households = int(people.groups.household.max()) + 1
    pool = vocabulary.mint(Kind.IP, households)
    epochs = int(scene.spec.days / spec.address_days) + 1
    carriers, rooms = max(1, int(people.carrier.max()) + 1), max(1, spec.lab_rooms)
    return Places(
        home=np.stack([random.permutation(pool) for _ in range(epochs)]),
        office=vocabulary.mint(Kind.IP, people.groups.offices),
        carrier=vocabulary.mint(Kind.IP, carriers * 4).reshape(carriers, 4),
        vpn=vocabulary.mint(Kind.IP, max(1, spec.vpn_exits)),
        relay=vocabulary.mint(Kind.IP, max(1, spec.relays) * 3).reshape(-1, 3),
        room_devices=vocabulary.mint(Kind.DEVICE, rooms * spec.lab_room_computers).reshape(rooms, -1),
        templates=np.unique(people.template[people.groups.agency < 0]),
        start_us=scene.spec.start_us,
        address_us=int(spec.address_days * DAY_US),
    )
