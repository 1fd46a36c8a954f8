"""A ring of accounts among honest ones, as a lab tells of them through the SDK: with raw identifiers that a search can know again."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.campaigns.worlds import DAY_US, START_US, World, benign_life, campaign
from tests.events_of_worlds import Publisher, Value
from weaklink.partner import AccountOpened, ApiUsage, WeaklinkClient
from weaklink.records.identifiers import IdentifierKind as Kind

RING = "ring"
NEEDLES = (b"planted", b"198.18.", b"5555334155", b"5555 3341 55")
"""What would show of the values, as they are given or normalised, in small letters."""
_HONEST_ACCOUNTS = 150
_RING_ACCOUNTS = 40
_PROMPT_WORDS = 60


def raw_value(value: Value) -> tuple[Kind, str]:
    """The identifier of that number, as a party has it."""
    kind, number = Kind(value[0]), value[1]
    match kind:
        case Kind.IP:
            return kind, f"198.18.{number // 250}.{number % 250}"
        case Kind.CARD:
            digits = f"5555334155{number:05}"
            return kind, digits + _check_digit(digits)
        case Kind.EMAIL:
            return kind, f"planted.{number}@example.org"
        case Kind.PROMPT:
            words = (hashlib.sha256(f"{number} {place}".encode()).hexdigest()[:7] for place in range(_PROMPT_WORDS))
            return kind, " ".join(f"planted {word}" for word in words)
        case _:
            return kind, f"planted-{kind.name}-{number}"


def _check_digit(digits: str) -> str:
    """By Luhn, as cards have it."""
    doubled = [int(one) * (2 - place % 2) for place, one in enumerate(reversed(digits))]
    return str(-sum(one // 10 + one % 10 for one in doubled) % 10)


def tell(client: WeaklinkClient, party: str, prefix: str) -> None:
    """Publish what honest accounts and the ring, whose names begin so, did in the last day."""
    world = World(1)
    benign_life(world, _HONEST_ACCOUNTS, labs=(party,), pay="nobody")
    campaign(world, RING, _RING_ACCOUNTS, parties=(party,), pay=None)
    for event in _events(client, Publisher(world), party, prefix):
        client.send(event)
    client.flush()


def _events(client: WeaklinkClient, world: Publisher, party: str, prefix: str) -> Iterator[AccountOpened | ApiUsage]:
    start = datetime.now(UTC) - timedelta(days=1, minutes=1)  # of the world's only day

    def at(us: int) -> datetime:
        return start + timedelta(microseconds=us - START_US)

    assert all(one["at"] <= START_US + DAY_US for some in world.usage.values() for one in some)
    for account in (one for one in world.opened if one[0] == party):
        name, opened = f"{prefix}-{account[1]}", world.opened[account]
        identifiers = [raw_value(value) for value in world.values[account]]
        own = {"account": name, "plan": opened["plan"], "verified": opened["verified"]}
        yield client.build(AccountOpened, **own, occurred_at=at(opened["opened_us"]), identifiers=[])
        yield client.build(AccountOpened, **own, occurred_at=start, identifiers=identifiers)
        for one in world.usage[account]:
            numbers = {key: one[key] for key in ("task", "requests", "input_tokens", "output_tokens")}
            yield client.build(
                ApiUsage, account=name, occurred_at=at(one["at"]), window_seconds=60, model="m", identifiers=[], **numbers
            )  # fmt: skip
