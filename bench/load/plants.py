"""Campaigns planted in the load, and newcomers to them: all events of one come at one known moment, from which its actions are awaited.

What an operator does is modest and clear: accounts at three labs, on trials, with the tasks and the long outputs of extraction, on its devices, cards,
addresses and templates. A newcomer is one more account on means of a campaign that was planted before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.load.people import NAME_BYTES, PARTIES, event_ids, tokens
from weaklink.records.identifiers import IdentifierKind

LABS: Final = 3
ACCOUNTS_OF_CAMPAIGN: Final = 24
NEWCOMERS_OF_CAMPAIGN: Final = 12
_WINDOWS: Final = 4
_ACCOUNTS_PER_DEVICE: Final = 4
_ACCOUNTS_PER_CARD: Final = 6
_ACCOUNTS_PER_ADDRESS: Final = 8
_TEMPLATES: Final = 2
_BANDS: Final = 2
_MEANS_OF_CAMPAIGN: Final = 64
_FIRST_MEANS: Final = 1 << 40  # beyond whatever ordinary customers hold
_FIRST_SERIAL: Final = 1 << 50
_TASKS: Final = ("REASONING_ELICITATION", "RUBRIC_GRADING", "SYNTHETIC_DATA", "REASONING_ELICITATION")
_WINDOW_SECONDS: Final = 60
_WINDOW_GAP_US: Final = 300_000_000


@dataclass(frozen=True, slots=True)
class Plant:
    """Accounts of campaign number `campaign` whose events are all published at `due_us` after the start. `newcomer`: the campaign stands already."""

    due_us: int
    campaign: int
    accounts: tuple[int, ...]
    newcomer: bool


def schedule(seconds: float, every_seconds: float, newcomer_seconds: float, known_seconds: float) -> list[Plant]:
    """A campaign each `every_seconds`, and a newcomer each `newcomer_seconds` to the campaigns in turn that are `known_seconds` old; in order of time.

    None begins within the last second: its events are part of the load.
    """
    last_us = int((seconds - 1) * 1e6)
    campaigns = [
        Plant(due, number, tuple(range(ACCOUNTS_OF_CAMPAIGN)), newcomer=False)
        for number, due in enumerate(range(0, last_us, int(every_seconds * 1e6)))
    ]
    came = [0] * len(campaigns)
    plants = list(campaigns)
    for due in range(0, last_us, int(newcomer_seconds * 1e6)):
        open_to = [one.campaign for one in campaigns if one.due_us + known_seconds * 1e6 <= due and came[one.campaign] < NEWCOMERS_OF_CAMPAIGN]  # fmt: skip
        if open_to:
            chosen = min(open_to, key=lambda number: (came[number], number))
            plants.append(Plant(due, chosen, (ACCOUNTS_OF_CAMPAIGN + came[chosen],), newcomer=True))
            came[chosen] += 1
    return sorted(plants, key=lambda plant: (plant.due_us, plant.campaign))


def account_name(campaign: int, account: int) -> str:
    """8 ASCII characters, none of an ordinary customer."""
    name = f"x{campaign:04d}{account:03d}"
    assert len(name) == NAME_BYTES, f"campaign {campaign}, account {account}: too many"
    return name


def party_of(account: int) -> int:
    """Index in PARTIES."""
    return account % LABS


def events(plant: Plant, at_us: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(party index, record, values) of every event, as of `at_us` (microseconds since 1970): usage lies a few minutes apart before it."""
    for account in plant.accounts:
        random = np.random.default_rng([plant.campaign, account])
        serial = _FIRST_SERIAL + ((plant.campaign << 10 | account) << 4)
        common = {"account": account_name(plant.campaign, account), "identifiers": _shown(plant.campaign, account)}
        opened = {"plan": "TRIAL", "verified": "NONE", "mail_class": "DISPOSABLE", "address_class": "HOSTING"}
        begin_us = at_us - (_WINDOWS + 1) * _WINDOW_GAP_US
        yield party_of(account), "AccountOpened", common | opened | _stamp(serial, begin_us)
        for window in range(_WINDOWS):
            requests = int(40 * random.lognormal(0, 0.3))
            usage = {
                "window_seconds": _WINDOW_SECONDS, "model": "large-4", "task": _TASKS[(account + window) % len(_TASKS)],
                "requests": requests, "input_tokens": requests * 300, "output_tokens": requests * 900,
                "end_user": None, "address_class": "HOSTING",
            }  # fmt: skip
            yield party_of(account), "ApiUsage", common | usage | _stamp(serial + 1 + window, begin_us + (window + 1) * _WINDOW_GAP_US)  # fmt: skip


def _stamp(serial: int, at_us: int) -> dict[str, Any]:
    return {"event_id": event_ids(np.array([serial]))[0].tobytes(), "occurred_at": at_us}


def _shown(campaign: int, account: int) -> list[bytes]:
    """A device, a card, an address and the bands of a template. A newcomer gets what others have as those before it did."""
    first = _FIRST_MEANS + campaign * _MEANS_OF_CAMPAIGN
    account %= ACCOUNTS_OF_CAMPAIGN
    template = account % _TEMPLATES
    means = [
        (IdentifierKind.DEVICE, first + account // _ACCOUNTS_PER_DEVICE),
        (IdentifierKind.CARD, first + account % (ACCOUNTS_OF_CAMPAIGN // _ACCOUNTS_PER_CARD)),
        (IdentifierKind.IP, first + account // _ACCOUNTS_PER_ADDRESS),
        *((IdentifierKind.PROMPT, first + template * _BANDS + band) for band in range(_BANDS)),
    ]
    return [tokens(kind, np.array([number]))[0].tobytes() for kind, number in means]


def parties() -> tuple[str, ...]:
    """Ids of the parties whose customers are planted."""
    return tuple(party.id for party in PARTIES[:LABS])
