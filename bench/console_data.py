"""What the console is measured on: a topic and a ledger (SQLite) of the size of a bad year, and people that look at them."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka import KafkaProducer

from weaklink import topology
from weaklink.console.users import Role, Users
from weaklink.enforce.clock import Clock
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import decode, encode
from weaklink.records.examples import examples
from weaklink.settings import Settings

NOW = datetime(2026, 9, 23, tzinfo=UTC)
PASSWORD = uuid.uuid4().hex
LARGEST = f"c-{0:016x}"
DECIDED_TOGETHER, WAITING_EACH = 2_000, 10


@dataclass(frozen=True)
class Size:
    """How much there is: campaigns, the accounts in all of them and in the largest, actions on the largest.

    Every tenth action waits for a person: it touches too many benign accounts. So do those above the hourly limit of a campaign (5,000).
    """

    campaigns: int = 1_000
    accounts: int = 100_000
    largest: int = 20_000
    actions: int = 20_000

    def of_each(self) -> list[int]:
        """Accounts of each campaign: the first has its own number, the others share the rest alike."""
        rest = (self.accounts - self.largest) // (self.campaigns - 1)
        return [self.largest] + [rest] * (self.campaigns - 1)


def sample(record: str) -> dict[str, Any]:
    """The values of a shipped example."""
    return next(dict(one.values) for one in examples() if one.schema.record == record)


def messages(size: Size) -> Iterator[tuple[bytes, bytes]]:
    """The topic: every campaign with its course and graph, every account with its evidence."""
    head, evidence, course, graph = (
        sample(name) for name in ("Campaign", "MemberEvidence", "CampaignCourse", "CampaignGraph")
    )
    day = course["days"][0]
    days = [day | {"day": NOW - timedelta(days=35 - n), "requests": 1000 * n} for n in range(35)]
    identifier, account = graph["identifiers"][0], graph["accounts"][0]
    for number, many in enumerate(size.of_each()):
        name = f"c-{number:016x}"
        party = [f"lab-{n}" for n in range(8)]
        volume = 1000.0 * many
        own = {"campaign_id": name, "state": "OPEN", "accounts": many, "parties": party, "requests_per_day": volume}
        yield name.encode(), encode("Campaign", head | own)
        yield f"case/course/{name}".encode(), encode("CampaignCourse", course | {"campaign_id": name, "days": days})
        shown = [
            account | {"party": party[n % 8], "account": f"acct-{number}-{n}", "holds": [n % 40, (n * 7) % 40]}
            for n in range(100)
        ]
        parties = [graph["parties"][0] | {"party": one} for one in party]
        full: dict[str, Any] = {
            "campaign_id": name,
            "identifiers": [identifier] * 40,
            "accounts": shown,
            "parties": parties,
        }
        full |= {"accounts_total": max(many, len(shown)), "identifiers_total": len(full["identifiers"])}
        yield f"case/graph/{name}".encode(), encode("CampaignGraph", graph | full)
        for n in range(many):
            who = {"campaign_id": name, "party": party[n % 8], "account": f"acct-{number}-{n}"}
            member = who | {
                "score": 0.99,
                "since": NOW,
                "flagged": True,
                "fast": False,
                "missed_since": None,
                "grounds": 3,
            }
            yield f"member/{number}-{n}".encode(), encode("CampaignMember", member)
            yield f"case/evidence/{number}-{n}".encode(), encode("MemberEvidence", evidence | who)


def fill_topic(kafka: KafkaConfig, size: Size) -> None:
    """Publish everything."""
    producer = KafkaProducer(**kafka.client_options(), linger_ms=50, compression_type="lz4", batch_size=1 << 18)
    for key, value in messages(size):
        producer.send(topology.CAMPAIGNS, key=key, value=value)
    producer.flush(300)
    producer.close()


async def fill_ledger(settings: Settings, size: Size) -> None:
    """Actions of the largest campaign, and an operator and a party that look."""
    database = Database(ledger_url(settings))
    await database.migrate()
    ledger = Ledger(database, settings.enforce, Clock("append", 1))
    measure = sample("Decision")["measures"][0]
    fields = {"op": "ISSUE", "measure": "CHALLENGE", "target_token": None, "slice_model": None, "slice_end_user": None}
    wide = settings.enforce.benign_accounts_touched_max + 1
    for first in range(0, size.actions, DECIDED_TOGETHER):
        asked = [
            measure | fields | {"party": f"lab-{n % 8}", "target_account": f"acct-0-{n}"}
            | {"benign_accounts_touched": 0 if n % WAITING_EACH else wide}
            for n in range(first, min(first + DECIDED_TOGETHER, size.actions))
        ]  # fmt: skip
        head = {"campaign_id": LARGEST, "decided_at": NOW + timedelta(hours=2 * first), "measures": asked}
        value = encode("Decision", sample("Decision") | head)
        await ledger.handle_decision(decode(value)[1], value)
    users = Users(database, settings.console)
    await users.create_tables()
    await users.add("operator", Role.OPERATOR, None, PASSWORD)
    await users.add("party", Role.PARTY, "lab-1", PASSWORD)
    await database.close()
