"""The whole service on a real Kafka: decisions in, actions out, receipts back, and kill -9 at random moments."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from tests.enforce.samples import decision, decoded, proposal, receipt
from tests.enforce.service import World
from weaklink import topology
from weaklink.cli.actions import register
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.tables import action_history, actions, outbox
from weaklink.enforce.transport import aiokafka_options, faust_credentials
from weaklink.kafka_options import KafkaConfig

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def world(kafka: KafkaConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service for all tests of this module: starting Faust is what takes the time."""
    world = World(kafka, tmp_path_factory.mktemp("enforce"))
    try:
        world.start()
        yield world
    finally:
        world.close()


def query(world: World, statement: Any) -> list[dict[str, Any]]:
    """Read the service's ledger from outside."""

    async def run() -> list[dict[str, Any]]:
        database = Database(ledger_url(world.settings))
        try:
            async with database.read() as connection:
                return [dict(row) for row in (await connection.execute(statement)).mappings()]
        finally:
            await database.close()

    return asyncio.run(run())


def cli(world: World, *arguments: str) -> str:
    """`weaklink actions ...` as a person runs it, in this process: starting another takes seconds."""
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    run = CliRunner().invoke(app, ["actions", *arguments], env=world.environment)
    assert run.exit_code == 0, run.output
    return run.stdout


def test_only_committed_decisions_become_actions(world: World) -> None:
    """An aborted transaction's decision has no effect; poison between two decisions stops nothing."""
    ghost = decision(proposal(party=world.lab, target_account="ghost"), campaign_id=f"c-{world.mark}", at_us=1)
    world.decide(ghost, commit=False)
    world.publish(topology.DECISIONS, f"c-{world.mark}", b"\xc3\x01 this is no decision")
    world.decide(decision(proposal(party=world.lab, target_account="real"), campaign_id=f"c-{world.mark}", at_us=2))
    world.wait(lambda: bool(world.actions))
    (action,) = world.actions
    assert (action["target_account"], action["revision"], action["state"]) == ("real", 1, "ACTIVE")
    assert "UNKNOWN_SCHEMA" in cli(world, "dead-letters")


def test_receipts_become_feedback_and_a_dispute_withdraws(world: World) -> None:
    """ACCEPTED, then DISPUTED: campaigns hears both, the party gets revision 2."""
    world.decide(decision(proposal(party=world.lab, target_account="d"), campaign_id=f"d-{world.mark}", at_us=3))
    world.wait(lambda: any(one["target_account"] == "d" for one in world.actions))
    ident = next(one["action_id"] for one in world.actions if one["target_account"] == "d")

    def verdicts() -> list[str]:
        return [one["verdict"] for one in world.on(topology.FEEDBACK) if one["action_id"] == ident]

    for appended_at, status in enumerate(("ACCEPTED", "DISPUTED"), 4):
        world.publish(topology.RECEIPTS, ident, receipt(ident, status, party=world.lab, appended_at=appended_at))
    world.wait(lambda: len(verdicts()) == 2 and any(one["state"] == "WITHDRAWN" for one in world.actions))
    assert verdicts() == ["ACCEPTED", "DISPUTED"]
    assert [one["revision"] for one in world.actions if one["action_id"] == ident] == [1, 2]


def test_a_receipt_for_anothers_action_comes_back_to_its_sender(world: World) -> None:
    """In the other lab's rejects, with the reason; the action stands."""
    ident = next(one["action_id"] for one in world.actions if one["target_account"] == "real")
    world.publish(topology.RECEIPTS, ident, receipt(ident, "DISPUTED", party=world.other, source_offset=44))
    rejects = f"party.{world.other}.rejects"
    world.wait(lambda: bool(world.on(rejects)))
    (record,) = (record for record in world.records if record.topic == rejects)
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["weaklink-reason"] == "UNKNOWN_ACTION"
    assert (record.key, headers["weaklink-offset"]) == (b"1:44", "44")
    assert decoded(record.value)["action_id"] == ident
    (row,) = query(world, sa.select(actions).where(actions.c.action_id == ident))
    assert (row["state"], row["answer"]) == ("ACTIVE", None)


def test_the_service_shows_its_work_to_prometheus(world: World) -> None:
    """Decisions, changes and receipts as they came; what stands in the ledger, measured now and then."""
    shown = world.metrics()
    assert shown['weaklink_decisions_total{outcome="applied"}'] >= 2
    assert shown['weaklink_action_changes_total{cause="ISSUED",measure="SUSPEND"}'] >= 2
    assert shown[f'weaklink_receipts_total{{outcome="NOT_YOUR_ACTION",party="{world.other}"}}'] == 1
    assert shown['weaklink_ledger_seconds_count{work="decision"}'] >= 2
    assert shown['weaklink_records_total{stage="enforce"}'] >= 5
    in_ledger = sa.select(sa.func.count().label("n")).select_from(actions).where(actions.c.state == "WITHDRAWN")
    (row,) = query(world, in_ledger)
    world.wait(lambda: world.metrics().get('weaklink_actions{state="WITHDRAWN"}') == row["n"])
    world.wait(lambda: world.metrics().get("weaklink_outbox_messages") == 0)


def test_a_person_approves_and_declines_from_the_command_line(world: World) -> None:
    """What waits is listed, unseen by its party; approval publishes it through the running relay, decline does not."""
    measures = [proposal(party=world.lab, target_account=name, benign_accounts_touched=99) for name in ("yes", "no")]
    world.decide(decision(*measures, campaign_id=f"p-{world.mark}", at_us=5))
    campaign = sa.select(actions).where(actions.c.campaign_id == f"p-{world.mark}")
    world.wait(lambda: len(query(world, campaign)) == 2)
    by_name = {row["target_account"]: row["action_id"] for row in query(world, campaign)}
    listed = cli(world, "list", "--waiting", "--campaign", f"p-{world.mark}")
    assert listed.count("would touch 99 benign accounts") == 2
    cli(world, "decline", by_name["no"], "--by", "eva", "--note", "a school")
    cli(world, "approve", by_name["yes"][:12], "--by", "eva", "--note", "checked")
    world.wait(lambda: any(one["target_account"] == "yes" for one in world.actions))
    assert all(one["target_account"] != "no" for one in world.actions)
    history = cli(world, "history", by_name["yes"])
    assert "APPROVED" in history
    assert "eva" in history
    assert "DECLINED by eva" in cli(world, "show", by_name["no"])


def test_kills_lose_nothing_and_do_nothing_twice(world: World) -> None:
    """Two kill -9 at random moments under a stream of decisions that come twice: every action reaches its party, each
    revision has one content, and the ledger holds exactly what an undisturbed run would."""
    chance = random.Random(20260901)
    campaign_id = f"k-{world.mark}"
    messages = []
    for i in range(90):
        account, op = f"kill-{i % 45}", "ISSUE" if i < 45 or i % 3 else "WITHDRAW"
        messages.append(
            decision(proposal(party=world.lab, target_account=account, op=op), campaign_id=campaign_id, at_us=1000 + i)
        )
    for part in range(0, 90, 45):
        before = len(world.actions)
        for message in messages[part : part + 45]:
            world.decide(message)
        world.decide(*chance.sample(messages[: part + 45], 10))
        world.wait(lambda before=before: len(world.actions) > before)  # type: ignore[misc]  # bound at once
        world.wait_some(chance)
        world.kill()
        world.start()
    expected = {f"kill-{i}": "WITHDRAWN" if (i + 45) % 3 == 0 else "ACTIVE" for i in range(45)}

    def told() -> dict[str, str]:
        ours = [one for one in world.actions if one["campaign_id"] == campaign_id]
        return {one["target_account"]: one["state"] for one in sorted(ours, key=lambda one: one["revision"])}

    world.wait(lambda: told() == expected)
    rows = query(world, sa.select(actions).where(actions.c.campaign_id == campaign_id))
    assert {row["target_account"]: row["state"] for row in rows} == expected
    changes = query(
        world, sa.select(action_history).where(action_history.c.action_id.in_([row["action_id"] for row in rows]))
    )
    assert len(changes) == 45 + sum(state == "WITHDRAWN" for state in expected.values())
    contents: dict[tuple[str, int], set[bytes]] = {}
    for record in world.records:
        if record.topic == f"party.{world.lab}.actions":
            one = decoded(record.value)
            contents.setdefault((one["action_id"], one["revision"]), set()).add(record.value)
    assert max(Counter({key: len(values) for key, values in contents.items()}).values()) == 1
    world.wait(lambda: not query(world, sa.select(outbox.c.id).where(outbox.c.closed_wall_us.is_(None))))


def test_sigterm_ends_the_service_in_order(world: World) -> None:
    """Status 0 and no traceback, after it has worked."""
    world.decide(decision(proposal(party=world.lab, target_account="last"), campaign_id=f"s-{world.mark}", at_us=2000))
    world.wait(lambda: any(one["target_account"] == "last" for one in world.actions))
    assert world.terminate() == 0
    log = (world.folder / "service.log").read_text()
    assert "Traceback" not in log, log


def test_the_connection_options_follow_the_settings() -> None:
    """SCRAM over plaintext and TLS, in Faust's and in aiokafka's terms."""
    scram = KafkaConfig(security_protocol="SASL_PLAINTEXT", username="enforce", password="secret")  # type: ignore[arg-type]
    credentials = faust_credentials(scram)
    assert (credentials.username, credentials.password) == ("enforce", "secret")
    assert (credentials.mechanism.value, credentials.protocol.value) == ("SCRAM-SHA-512", "SASL_PLAINTEXT")
    assert aiokafka_options(scram)["sasl_plain_password"] == "secret"
    assert faust_credentials(KafkaConfig()) is None
    tls = KafkaConfig(security_protocol="SSL")
    assert faust_credentials(tls).protocol.value == "SSL"
    assert aiokafka_options(tls)["ssl_context"] is not None
    assert faust_credentials(scram.model_copy(update={"security_protocol": "SASL_SSL"})).protocol.value == "SASL_SSL"
