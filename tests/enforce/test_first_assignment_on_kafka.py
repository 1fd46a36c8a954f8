"""A worker that had no partitions before, and what comes while it looks up where to begin."""

import time
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.enforce.samples import decision, proposal
from tests.enforce.service import World
from weaklink import topology
from weaklink.kafka_options import KafkaConfig

_WORKERS = 5  # there are four partitions of each topic
_DECIDING_SECONDS = 8
_SLOWLY = """
import asyncio
from weaklink.enforce.consume import Handling
from weaklink.enforce.transport import CommittedConsumer
seek, handle = CommittedConsumer.perform_seek, Handling.handle_all
async def slow_seek(self):
    await seek(self)
    await asyncio.sleep(3)
async def slow_handle(self, messages):
    await asyncio.sleep(0.3)
    await handle(self, messages)
CommittedConsumer.perform_seek, Handling.handle_all = slow_seek, slow_handle
"""


def idle_member(admin: KafkaAdminClient) -> str | None:
    """The slot of a worker that has no partitions, once the group has settled on that."""
    group = topology.stage("enforce").group
    try:
        described = admin.describe_groups([group])[group]
    except KafkaError:  # the cluster has not had a group yet
        return None
    assignments = {one["group_instance_id"]: one["member_assignment"] for one in described["members"]}
    if described["group_state"] != "Stable" or len(assignments) != _WORKERS:
        return None
    if not all(assignments.values()):  # not told yet
        return None
    idle = [
        name
        for name, one in assignments.items()
        if not any(topic["partitions"] for topic in one["assigned_partitions"])
    ]
    return idle[0].removeprefix("enforce-") if idle else None


@pytest.mark.kafka
def test_nothing_is_read_into_queues_that_are_emptied_when_the_flow_begins(kafka: KafkaConfig, tmp_path: Path) -> None:
    """As on a busy machine, on which looking up committed offsets takes long: every decision is handled, though no rebalance follows."""
    world = World(kafka, tmp_path)
    admin = KafkaAdminClient(**kafka.client_options())
    workers = {str(slot): world.started(str(slot), before=_SLOWLY) for slot in range(_WORKERS)}
    try:
        world.wait(lambda: idle_member(admin) is not None)
        idle = idle_member(admin)
        for slot, worker in workers.items():
            if slot != idle:
                worker.kill()
        accounts: set[str] = set()
        until = time.monotonic() + kafka.session_timeout_ms / 1000 + _DECIDING_SECONDS
        while time.monotonic() < until:
            account = f"account-{len(accounts)}"
            made = proposal(party=world.lab, target_account=account)
            world.decide(decision(made, campaign_id=f"c-{world.mark}-{account}", at_us=len(accounts) + 1))
            accounts.add(account)
            world.poll(0.3)
        world.wait(lambda: {one["target_account"] for one in world.actions} == accounts)
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
        admin.close()
        world.close()
