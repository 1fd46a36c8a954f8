"""What lies and pollution put into a world: members that frame honest people, and cards given away to look generic."""

import numpy as np
import polars as pl

from weaklink.frames import TASK
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.sim import conduct, tables
from weaklink.sim.benign import BenignLife
from weaklink.sim.market import current_models, parties_of, pick_parties, windows_of
from weaklink.sim.scene import Scene
from weaklink.sim.spec import DAY_US, FloodSpec, FramingSpec
from weaklink.sim.vocabulary import Ids


def framing_events(scene: Scene, framing: FramingSpec, life: BenignLife) -> pl.DataFrame:
    """Invented accounts of the lying parties, on the identifiers of honest customers, then closed for distillation."""
    spec, vocabulary, accounts = scene.spec, scene.vocabulary, scene.accounts
    random = np.random.default_rng([scene.seed, 5])
    liars = np.array([i for i, party in enumerate(spec.parties) if party.id in framing.parties])
    honest = np.flatnonzero(~np.isin(life.customers.party, liars))
    victims = random.choice(honest, framing.victims, replace=False)
    framed = np.isin(life.customers.person, life.customers.person[victims]) & ~np.isin(life.customers.party, liars)
    for index in life.customers.account[framed].tolist():
        accounts.victim[index] = True
    person = np.tile(np.repeat(life.customers.person[victims], framing.accounts_per_victim), len(liars))
    party = np.repeat(liars, framing.victims * framing.accounts_per_victim)
    at = spec.start_us + ((framing.start_day + random.random(len(person)) * 3) * DAY_US).astype(np.int64)
    account = accounts.add(party, at, role="FRAMER")
    who, template = life.people, vocabulary.mint_prompts([" ".join(vocabulary.template())])
    address, _ = life.networks(person, at)
    means = [who.device_at(person, at), who.email[person], who.phone_at(person, at), who.card[person]]
    matrix = np.stack([address, *means], axis=1)
    opened = tables.events(
        "AccountOpened",
        at,
        matrix,
        party=party,
        account=account,
        plan="TRIAL",
        verified="EMAIL",
        mail_class="FREE",
        address_class="UNKNOWN",
    )
    used = np.repeat(np.arange(len(person)), framing.windows)
    when = at[used] + (random.random(len(used)) * 2 * DAY_US).astype(np.int64)
    amount = conduct.volume(np.full(len(used), 5.0), 0.35, np.full(len(used), 1.3), random)
    usage = tables.events(
        "ApiUsage",
        when,
        np.concatenate([matrix[used][:, :2], np.tile(template, (len(used), 1))], axis=1),
        party=party[used],
        account=account[used],
        window_seconds=windows_of(spec, party[used]),
        model=current_models(spec, party[used], when, random),
        task=tables.symbols(TASK, conduct.pick_rows(np.tile(conduct.CAMPAIGN_TASKS, (len(used), 1)), random)),
        requests=amount.requests,
        input_tokens=amount.input_tokens,
        output_tokens=amount.output_tokens,
        address_class="UNKNOWN",
    )
    closed = tables.events("AccountClosed", at + 2 * DAY_US, None, party=party, account=account, reason="DISTILLATION")
    return pl.concat([opened, usage, closed]).filter(pl.col("occurred_at_us") < spec.end_us)


def flood_events(scene: Scene, flood: FloodSpec, cards: Ids) -> pl.DataFrame:
    """Strangers who hold the campaigns' cards: each opens an account and tries to pay; those whom a member invents open one and no more."""
    spec, vocabulary, accounts = scene.spec, scene.vocabulary, scene.accounts
    random = np.random.default_rng([scene.seed, 6])
    liars = np.array([i for i, party in enumerate(spec.parties) if party.id in flood.parties])
    card = np.tile(np.repeat(cards[: flood.cards], flood.strangers_per_card), max(1, len(liars)))
    count = len(card)
    at = spec.start_us + (
        (flood.start_day + random.random(count) * (spec.days - flood.start_day) * 0.9) * DAY_US
    ).astype(np.int64)
    if len(liars):
        consumer = np.repeat(liars, count // len(liars))
        account = accounts.add(consumer, at, role="FRAMER")
    else:
        consumer = pick_parties(spec, parties_of(spec, PartyKind.LAB, PartyKind.ROUTER), count, random)
        account = accounts.add(consumer, at)
    own = [vocabulary.mint(kind, count) for kind in (Kind.IP, Kind.DEVICE, Kind.EMAIL)]
    opened = tables.events(
        "AccountOpened",
        at,
        np.stack([*own, card], axis=1),
        party=consumer,
        account=account,
        plan="FREE",
        verified="EMAIL",
        mail_class="FREE",
        address_class="RESIDENTIAL",
    )
    if len(liars):
        return opened
    processor = pick_parties(spec, parties_of(spec, PartyKind.PAYMENT), count, random)
    paid = tables.events(
        "PaymentAttempt",
        at + 60_000_000,
        np.stack([card, own[0]], axis=1),
        party=processor,
        account=accounts.add(processor, at, role="PAYER"),
        merchant=tables.labels([one.id for one in spec.parties], consumer),
        outcome="DECLINED",
        instrument="CREDIT",
    )
    return pl.concat([opened, paid])
