"""A cluster's topics, read and changed through Kafka's admin protocol as a plan of `topics` says."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from kafka.admin import ConfigResource, ConfigResourceType, ConfigSourceType, KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.admin import open_admin
from weaklink.ops.topics import Change, Step, Topic, compare

_DELETED_SECONDS: Final = 30
_RECORDS_IN_REQUEST_MAX: Final = 2_000
"""Kafka's controller refuses a request that would make more than 10,000 records ("excessively large batch operation")."""
_PAUSE_SECONDS: Final = 0.1
_OVERRIDE: Final = ConfigSourceType.DYNAMIC_TOPIC_CONFIG.name
_Item = TypeVar("_Item")


def _read_topics(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, Topic]:
    """Those of `names` that exist."""
    wanted = set(names)
    described = [one for one in admin.describe_topics() if one["name"] in wanted and not one["error_code"]]
    if not described:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, one["name"]) for one in described]
    configs: dict[str, dict[str, Any]] = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        one["name"]: Topic(
            one["name"],
            len(one["partitions"]),
            min(len(partition["replica_nodes"]) for partition in one["partitions"]),
            {name: str(entry["value"]) for name, entry in configs.get(one["name"], {}).items()},
            frozenset(
                name for name, entry in configs.get(one["name"], {}).items() if entry["config_source"] == _OVERRIDE
            ),
        )
        for one in described
    }


def plan_topics(kafka: KafkaConfig, targets: Sequence[Topic]) -> list[Step]:
    """Compare these topics with the cluster's. Raises BrokerError when it cannot be reached."""
    with open_admin(kafka) as admin:
        return compare(targets, _read_topics(admin, (target.name for target in targets)))


def apply(kafka: KafkaConfig, steps: Sequence[Step]) -> None:
    """Execute a plan; returns when every topic has its leaders. Raises BrokerError on a conflict (before any change) or a refusal."""
    conflicts = [step for step in steps if step.change is Change.CONFLICT]
    if conflicts:
        raise BrokerError("; ".join(f"{step.topic.name} {'; '.join(step.details)}" for step in conflicts))
    created = [step.topic for step in steps if step.change is Change.CREATE]
    configured = {step.topic.name: step.configs for step in steps if step.change is Change.CONFIGURE}
    if not created and not configured:
        return
    with open_admin(kafka) as admin:
        for topics in _requests(created, lambda topic: 1 + topic.partitions + len(topic.configs)):
            _create(admin, topics)
        for changes in _requests(list(configured.items()), lambda change: len(change[1] or {})):
            _configure(admin, dict(changes))


def _requests(items: Sequence[_Item], records: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """In order, as many at a time as Kafka's controller takes in one request: a topic, a partition, a setting is a record each."""
    gathered: list[_Item] = []
    count = 0
    for item in items:
        if gathered and count + records(item) > _RECORDS_IN_REQUEST_MAX:
            yield gathered
            gathered, count = [], 0
        gathered.append(item)
        count += records(item)
    if gathered:
        yield gathered


def _configure(admin: KafkaAdminClient, configured: Mapping[str, Mapping[str, str] | None]) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(configs or {}))
        for name, configs in configured.items()
    ]
    # Refusals come back as text, they are not raised.
    results = admin.alter_configs(resources).get("topic", {})
    refused = [f"{name}: {results.get(name)}" for name in configured if results.get(name) != "OK"]
    if refused:
        raise BrokerError(f"Kafka refused topic settings: {'; '.join(refused)}")


def _create(admin: KafkaAdminClient, topics: Sequence[Topic]) -> None:
    request = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication_factor,
            "configs": dict(topic.configs),
        }
        for topic in topics
    }
    response = admin.create_topics(request, raise_errors=False)
    for result in response["topics"]:
        error = for_code(result["error_code"])
        # Somebody else may provision at the same moment: the topic exists, which is what was wanted.
        if result["error_code"] and error is not TopicAlreadyExistsError:
            raise BrokerError(
                f"Kafka did not create {result['name']}: {error.__name__} {result.get('error_message') or ''}"
            )
    admin.wait_for_topics([topic.name for topic in topics], timeout_ms=30_000)


def drop_topics(kafka: KafkaConfig, names: Sequence[str]) -> None:
    """Delete topics; returns when no broker shows them any more: Kafka's answer comes before that."""
    with open_admin(kafka) as admin:
        response = admin.delete_topics(list(names), raise_errors=False)
        for result in response["topics"]:
            error = for_code(result["error_code"])
            if result["error_code"] and error is not UnknownTopicOrPartitionError:
                raise BrokerError(f"Kafka did not delete {result['name']}: {error.__name__}")
        deadline = time.monotonic() + _DELETED_SECONDS
        while left := set(names) & set(admin.list_topics()):
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka still shows {', '.join(sorted(left))} {_DELETED_SECONDS} s after deleting them"
                )
            time.sleep(_PAUSE_SECONDS)
