"""The audit of actions: what parties read against what the ledger has, with every single fault found; then on a real broker."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from kafka import KafkaProducer
from tests.enforce.samples import decision, decoded, proposal

from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.outbox import Outbox
from weaklink.enforce.tables import actions
from weaklink.errors import LedgerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.audit_actions import ActionsAudit, Published, Told, audit_actions
from weaklink.ops.ledger_probe import audit_ledger, read_ledger
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings

A = Told("the ledger", "a1", 2, "ACTIVE", "lab", "c1", "SUSPEND", ("anna", None, None, None))
B = Told("the ledger", "b1", 1, "WITHDRAWN", "lab", "c1", "THROTTLE", ("anna", None, "m", None))
C = Told("the ledger", "c1", 0, "WAITING", "lab", "c1", "SUSPEND", ("bo", None, None, None))
LEDGER = [A, B, C]


def published(*messages: Told, complete: bool = True, party: str = "lab") -> Published:
    topic = Published(f"party.{party}.actions", party, complete, {}, [])
    for offset, message in enumerate(messages):
        topic.take(replace(message, where=f"{topic.topic}-0 offset {offset}"))
    return topic


READ = [
    replace(A, revision=1),
    A,
    replace(B, revision=1),
    replace(A, revision=1),
]  # the last one came again after a kill


def test_what_is_right_is_proved() -> None:
    assert audit_actions(LEDGER, {}, [published(*READ)]) == ActionsAudit(2, 1, (), ())


FAULTS = {
    "the party never got it": (LEDGER, [B], "the ledger has revision 2, the topic none"),
    "the party has an older revision": (LEDGER, [replace(A, revision=1), B], "the party reads revision 1, the ledger has 2"),
    "the party has a newer revision": (LEDGER, [replace(A, revision=3), B], "the party reads revision 3, the ledger has 2"),
    "it ended in the ledger alone": ([replace(A, state="EXPIRED"), B], [A, B], "the party reads ACTIVE, the ledger has EXPIRED"),
    "it was never let through again": ([replace(A, state="WAITING"), B], [A, B], "reads ACTIVE, in the ledger it is WAITING"),
    "another measure was sent": ([A, B], [replace(A, measure="CHALLENGE"), B], "the party reads ('c1', 'lab'"),
    "one revision with two contents": (LEDGER, [replace(A, state="EXPIRED"), A, B], "says something else than at"),
    "one that nobody decided": ([B], [A, B], "not in the ledger"),
    "another party's": (LEDGER, [*READ, replace(A, action_id="x", party="other", state="EXPIRED")], "an action for other on the topic of lab"),
    "two of one effect": ([*LEDGER, replace(A, action_id="a2")], [*READ, replace(A, action_id="a2")], "parties read 2 live actions SUSPEND"),
    "two of one effect, one unseen": ([A, B, replace(C, target=A.target)], READ, "the ledger has 2 live actions SUSPEND"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_single_fault_is_found_and_said_where(fault: str) -> None:
    ledger, messages, said = FAULTS[fault]
    findings = audit_actions(ledger, {}, [published(*messages)]).findings
    assert any(said in finding for finding in findings), findings
    assert all("offset" in one or "party.lab.actions" in one or "live actions" in one for one in findings)


def test_what_is_on_its_way_or_expired_is_no_fault() -> None:
    """A revision that still lies in the outbox, and records that the topic no longer holds."""
    verdict = audit_actions(LEDGER, {"a1": 2}, [published(replace(A, revision=1), B)])
    assert (verdict.findings, verdict.remarks) == (
        (),
        ("1 actions have a revision that waits to be published, or that nobody is there for",),
    )
    verdict = audit_actions(LEDGER, {}, [published(complete=False)])
    assert verdict.findings == ()
    assert "have expired" in verdict.remarks[0]
    ended = replace(A, state="EXPIRED")
    verdict = audit_actions([B], {}, [published(ended, B)])  # forgotten by the ledger after its days
    assert (verdict.findings, len(verdict.remarks)) == ((), 1)


async def lived(settings: Settings, party: str) -> Database:
    """A ledger with one action of the party: revision 1 active, in the outbox."""
    database = Database(ledger_url(settings))
    await database.migrate()
    message = decision(proposal(party=party))
    ledger = Ledger(database, settings.enforce, Clock("event", 24))
    await ledger.handle_decision(decoded(message), message)
    return database


@pytest.mark.kafka
async def test_the_ledger_is_compared_with_what_parties_can_read(kafka: KafkaConfig, tmp_path: Path) -> None:
    """On its way, there, there twice, and then changed behind enforce's back."""
    settings = Settings(data_folder=tmp_path, kafka=kafka)
    provision(settings)
    party = add_party(settings, Party(id=f"audit-{uuid.uuid4().hex[:8]}", kind=PartyKind.LAB)).id

    def findings() -> list[str]:
        """Of this party: other tests' actions are in no ledger here."""
        return [one for one in audit_ledger(settings).findings if party in one]

    database = await lived(settings, party)
    try:
        assert (findings(), audit_ledger(settings).live) == ([], 1)
        assert read_ledger(settings)[1] != {}
        box = Outbox(database, EnforceConfig(), "w1")
        rows = await box.claim()
        producer = KafkaProducer(**kafka.client_options())
        for _ in range(2):
            for row in rows:
                producer.send(row.topic, key=row.key, value=row.value)
        producer.close()
        await box.close_rows(rows)
        assert findings() == []
        async with database.write() as connection:
            await connection.execute(sa.update(actions).values(state="EXPIRED"))
        (finding,) = findings()
        assert "the party reads ACTIVE, the ledger has EXPIRED" in finding
        assert f"party.{party}.actions-0 offset 1" in finding or f"party.{party}.actions-0 offset 0" in finding
    finally:
        await database.close()


def test_a_ledger_that_is_none_is_said_and_one_that_was_never_made_is_empty(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path)
    assert read_ledger(settings) == ([], {})
    (tmp_path / "enforce").mkdir()
    (tmp_path / "enforce" / "ledger.sqlite3").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(LedgerError, match="cannot be read"):
        read_ledger(settings)
