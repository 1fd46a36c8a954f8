"""A case for these tests: what the stage says of two campaigns, as it would stand on its topic, and a ledger with actions on them."""

import asyncio
from functools import cache
from typing import Any

from kafka import KafkaProducer

from tests.campaigns.test_casebook import told
from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_track import engine_of, world_with
from tests.enforce.samples import decision, decoded, proposal, receipt
from weaklink.campaigns.casebook import Casebook
from weaklink.campaigns.journal import Journal
from weaklink.campaigns.messages import Topics
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.stream.stage import Message

HOUR_US = 3_600_000_000


@cache
def case_messages() -> tuple[Message, ...]:
    """Everything that the stage writes on its topic after its first evaluation of two campaigns."""
    engine, book = engine_of(world_with("c", "d")), Casebook()
    found = told(engine, book, NOW_US)
    topic = Topics().campaigns
    return (*Journal(topic).changes(engine), *found)


def publish(kafka: KafkaConfig, topic: str) -> None:
    """Put the case on a topic."""
    producer = KafkaProducer(**kafka.client_options())
    for one in case_messages():
        producer.send(topic, key=one.key, value=one.value)
    producer.flush(60)
    producer.close()


async def fill(database: Database, campaign_id: str, accounts: list[tuple[str, str]]) -> list[str]:
    """Actions on these (party, account), of which the first is answered and the last waits for a person; their ids in that order."""
    ledger = Ledger(database, EnforceConfig(benign_accounts_touched_max=5), Clock("append", 1))
    measures: list[dict[str, Any]] = [proposal(party=party, target_account=name) for party, name in accounts]
    measures[-1]["benign_accounts_touched"] = 50
    value = decision(*measures, campaign_id=campaign_id, at_us=NOW_US, evidence_us=NOW_US)
    outcome = await ledger.handle_decision(decoded(value), value)
    assert outcome is not None
    by_target = {(c.action.target.party, c.action.target.account): c.action.action_id for c in outcome.changes}
    idents = [by_target[one] for one in accounts]
    opened_us = outcome.changes[0].action.opened_at_us
    done = receipt(idents[0], "DONE", party=accounts[0][0], appended_at=opened_us + 2 * HOUR_US, occurred_at=NOW_US)
    await ledger.handle_receipts([decoded(done)])
    return idents


def filled(url: Any, campaign_id: str, accounts: list[tuple[str, str]]) -> list[str]:
    """`fill` on a database of this URL, migrated."""

    async def run() -> list[str]:
        database = Database(url)
        try:
            await database.migrate()
            return await fill(database, campaign_id, accounts)
        finally:
            await database.close()

    return asyncio.run(run())
