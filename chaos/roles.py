"""Which broker of a cluster plays which part at this moment. Raises kafka's errors while a part has no player."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import for_code
from kafka.protocol.metadata import CoordinatorType, FindCoordinatorRequest

from weaklink import topology

_LED: Final = tuple(
    TopicPartition(topic, 0)
    for topic in (topology.LINKS, "party.lab-a.events", topology.ACTIVITY, topology.DECISIONS, "party.lab-a.actions")
)
_GROUPS: Final = tuple(stage.group for stage in topology.STAGES)


def role_players(admin: KafkaAdminClient, transactional_ids: Sequence[str]) -> dict[str, Callable[[int], int]]:
    """Role -> function of a number that gives the node: of five leaders, four groups' and so many transactional ids' coordinators in turn."""
    return {
        "leader": lambda n: leader(admin, _LED[n % len(_LED)]),
        "group coordinator": lambda n: coordinator(admin, _GROUPS[n % len(_GROUPS)], CoordinatorType.GROUP),
        "transaction coordinator": lambda n: coordinator(
            admin, transactional_ids[n % len(transactional_ids)], CoordinatorType.TRANSACTION
        ),
        "controller": lambda _: controller(admin),
    }


def leader(admin: KafkaAdminClient, tp: TopicPartition) -> int:
    """The leader of a partition."""
    (topic,) = admin.describe_topics([tp.topic])
    return next(int(one["leader_id"]) for one in topic["partitions"] if one["partition_index"] == tp.partition)


def coordinator(admin: KafkaAdminClient, key: str, kind: CoordinatorType) -> int:
    """The coordinator of a group or of a transactional id."""
    request = FindCoordinatorRequest(key=key, key_type=kind.value, max_version=3)
    response = admin._manager.run(admin._manager.send, request)
    if response.error_code:
        raise for_code(response.error_code)(f"{kind.name} {key}")
    return int(response.node_id)


def controller(admin: KafkaAdminClient) -> int:
    """The active controller."""
    quorum: dict[str, Any] = admin.describe_metadata_quorum()
    return int(quorum["topics"][0]["partitions"][0]["leader_id"])


def out_of_sync(admin: KafkaAdminClient) -> list[str]:
    """Partitions that lack a leader or a replica, as topic-partition."""
    return [
        f"{topic['name']}-{one['partition_index']}"
        for topic in admin.describe_topics()
        for one in topic["partitions"]
        if one["leader_id"] < 0 or len(one["isr_nodes"]) < len(one["replica_nodes"])
    ]
