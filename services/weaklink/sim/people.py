"""Ordinary people: who lives, works and travels together, and so shares addresses, cards, devices and organisations."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim.conduct import HARNESS, PERSONA_SHARE, Ints
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, BenignSpec
from weaklink.sim.vocabulary import Ids, Vocabulary


@dataclass(frozen=True, slots=True)
class People:
    """One array element per person; identifiers are numbers in the vocabulary, 0 for none."""

    household: Ints
    office: Ints
    """Index of the office, -1 for none. Agencies and lab rooms are offices too."""
    carrier: Ints
    """Index of the carrier's group of addresses, -1: never on mobile."""
    vpn: npt.NDArray[np.bool_]
    persona: Ints
    device: Ids
    room: Ints
    """Index of the lab room whose computers the person uses, -1 for an own device."""
    card: Ids
    email: Ids
    phone: Ids
    organisation: Ids
    tls: Ids
    template: Ids
    """The popular template that the person likes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses and computers that people share."""

    home: Ids
    """(address epochs, households): homes are given each other's former addresses."""
    office: Ids
    carrier: Ids
    """(carrier groups, addresses a day)"""
    vpn: Ids
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


def build_people(spec: BenignSpec, vocabulary: Vocabulary, random: np.random.Generator) -> People:
    """Draw the people. Agencies come first, then lab rooms, then harnesses, then everyone else."""
    agency = np.repeat(np.arange(spec.agencies), spec.agency_people)
    room = np.repeat(np.arange(spec.lab_rooms), spec.lab_room_people)
    special = len(agency) + len(room) + spec.harness_accounts
    count = max(spec.people, special)
    order = np.arange(count)
    household = (random.permutation(count) / spec.household_people).astype(np.int64)
    ordinary = order >= special
    offices = max(1, int(count * spec.office_share / spec.office_people))
    office = np.where(random.random(count) < spec.office_share, random.integers(0, offices, count), -1)
    office[: len(agency)] = offices + agency
    office[len(agency) : len(agency) + len(room)] = offices + spec.agencies + room
    room_of = np.full(count, -1)
    room_of[len(agency) : len(agency) + len(room)] = room
    persona = random.choice(len(PERSONA_SHARE), size=count, p=PERSONA_SHARE)
    persona[special - spec.harness_accounts : special] = HARNESS
    own_device = vocabulary.mint(Kind.DEVICE, count)
    own_card = vocabulary.mint(Kind.CARD, count)
    groups = household.max() + 1
    shared_card = vocabulary.mint(Kind.CARD, groups)
    shared_device = vocabulary.mint(Kind.DEVICE, groups)
    family_card = random.random(groups) < spec.household_card_share
    family_device = random.random(groups) < spec.household_device_share
    card = np.where(family_card[household], shared_card[household], own_card)
    card[: len(agency)] = vocabulary.mint(Kind.CARD, spec.agencies)[agency]
    device = np.where(family_device[household] & ordinary, shared_device[household], own_device)
    organisations = vocabulary.mint(Kind.ORGANISATION, offices + spec.agencies + spec.lab_rooms)
    known = vocabulary.mint(Kind.TLS, 30)
    popularity = 1 / np.arange(1, 31)
    templates = popular_templates(spec, vocabulary)
    liked = 1 / np.arange(1, len(templates) + 1) ** 0.8
    carriers = max(1, int(count * spec.mobile_share / (spec.carrier_address_people * 4)))
    return People(
        household=household,
        office=office,
        carrier=np.where(random.random(count) < spec.mobile_share, random.integers(0, carriers, count), -1),
        vpn=random.random(count) < spec.vpn_share,
        persona=persona,
        device=device,
        room=room_of,
        card=np.where(random.random(count) < 0.6, card, 0).astype(np.int32) * (room_of < 0),
        email=vocabulary.mint(Kind.EMAIL, count),
        phone=np.where(random.random(count) < 0.35, vocabulary.mint(Kind.PHONE, count), 0).astype(np.int32),
        organisation=np.where(office >= 0, organisations[office], 0).astype(np.int32),
        tls=random.choice(known, size=count, p=popularity / popularity.sum()),
        template=random.choice(templates, size=count, p=liked / liked.sum()),
    )


def popular_templates(spec: BenignSpec, vocabulary: Vocabulary) -> Ids:
    """Templates that go round among ordinary people."""
    return vocabulary.mint_prompts([" ".join(vocabulary.template()) for _ in range(max(1, spec.popular_templates))])


def build_places(scene: Scene, people: People, random: np.random.Generator) -> Places:
    """Draw the places where these people are online."""
    spec, vocabulary = scene.spec.benign, scene.vocabulary
    households = int(people.household.max()) + 1
    pool = vocabulary.mint(Kind.IP, households)
    epochs = int(scene.spec.days / spec.address_days) + 1
    groups = max(1, int(people.carrier.max()) + 1)
    rooms = max(1, spec.lab_rooms)
    return Places(
        home=np.stack([random.permutation(pool) for _ in range(epochs)]),
        office=vocabulary.mint(Kind.IP, int(people.office.max()) + 1 if (people.office >= 0).any() else 1),
        carrier=vocabulary.mint(Kind.IP, groups * 4).reshape(groups, 4),
        vpn=vocabulary.mint(Kind.IP, max(1, spec.vpn_exits)),
        room_devices=vocabulary.mint(Kind.DEVICE, rooms * 8).reshape(rooms, 8),
        templates=np.unique(people.template),
        start_us=scene.spec.start_us,
        address_us=int(spec.address_days * DAY_US),
    )
