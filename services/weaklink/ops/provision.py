"""Topics as they should be, compared with topics as they are: a plan first, then its execution. Idempotent.

The pure part (`internal_topics`, `party_topics`, `compare`) knows no broker; the rest reads and changes one through Kafka's admin protocol.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from weaklink import topology
from weaklink.errors import BrokerError, PartyError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import membership
from weaklink.ops.access import Difference
from weaklink.ops.admin import open_admin
from weaklink.parties import Party
from weaklink.party_registry import find_party, read_parties, write_party
from weaklink.settings import Settings

_DAY_MS: Final = 86_400_000
_CHUNK_HEADROOM_BYTES: Final = 1 << 20
"""Record framing and the audit header come on top of a chunk; the limit is on the batch that holds them."""
_EVENTS_RETENTION_DAYS: Final = 7
_REJECTS_RETENTION_DAYS: Final = 14
_ACTIONS_RETENTION_DAYS: Final = 30
_ACTIONS_MESSAGE_BYTES_MAX: Final = 1 << 20
_DELETED_SECONDS: Final = 30
_RECORDS_IN_REQUEST_MAX: Final = 2_000
"""Kafka's controller refuses a request that would make more than 10,000 records ("excessively large batch operation")."""
_PAUSE_SECONDS: Final = 0.1
_Item = TypeVar("_Item")


class Change(StrEnum):
    """What has to happen to a topic."""

    CREATE = "create"
    CONFIGURE = "configure"
    FINE = "fine"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be, or as it is (then with every config value that the broker reports)."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan. `details` says for a person what differs; `configs` are the values to set."""

    change: Change
    topic: Topic
    details: tuple[str, ...] = ()
    configs: Mapping[str, str] | None = None


def _configs(settings: Settings, cleanup: str, retention_days: int | None, message_bytes_max: int) -> dict[str, str]:
    configs = {
        # A party's clock must not falsify lag or retention.
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": cleanup,
        "max.message.bytes": str(message_bytes_max),
        # With three replicas one may be lost without a stall and without a loss; with fewer there is no such choice.
        "min.insync.replicas": "2" if settings.kafka.replication_factor >= 3 else "1",
    }
    if retention_days is not None:
        configs["retention.ms"] = str(retention_days * _DAY_MS)
    elif cleanup == "delete":
        configs["retention.ms"] = "-1"  # the broker's own default is seven days
    return configs


def internal_topics(settings: Settings) -> list[Topic]:
    """Every internal topic of the topology."""
    sizes = settings.topics
    partitions = {
        "links": sizes.links_partitions,
        "activity": sizes.activity_partitions,
        "shared": sizes.shared_partitions,
        "decisions": sizes.decisions_partitions,
        "single": 1,
    }
    message_bytes_max = sizes.chunk_bytes_max + _CHUNK_HEADROOM_BYTES
    return [
        Topic(
            spec.name,
            partitions[spec.partitions_setting],
            settings.kafka.replication_factor,
            _configs(settings, spec.cleanup, spec.retention_days, message_bytes_max),
        )
        for spec in topology.TOPICS
    ]


def party_topics(settings: Settings, party: Party) -> list[Topic]:
    """The three topics of a party. Rejects takes larger messages than events: the original bytes come back with headers."""
    sizes = settings.topics
    size = sizes.party_partition_bytes_max
    unbounded: dict[str, str] = {}
    bounded = unbounded if size is None else {"retention.bytes": str(size)}
    rows = (
        (party.events_topic, party.events_partitions, _EVENTS_RETENTION_DAYS, sizes.events_message_bytes_max, bounded),
        (party.rejects_topic, 1, _REJECTS_RETENTION_DAYS, sizes.rejects_message_bytes_max, bounded),
        (party.actions_topic, 1, _ACTIONS_RETENTION_DAYS, _ACTIONS_MESSAGE_BYTES_MAX, unbounded),
    )
    return [
        Topic(
            name,
            partitions,
            settings.kafka.replication_factor,
            _configs(settings, "delete", days, bytes_max) | own,
        )
        for name, partitions, days, bytes_max, own in rows
    ]


def compare(targets: Iterable[Topic], existing: Mapping[str, Topic]) -> list[Step]:
    """The plan that turns `existing` into `targets`, one step a topic, in their order."""
    return [_compare_one(target, existing.get(target.name)) for target in targets]


def _compare_one(target: Topic, found: Topic | None) -> Step:
    if found is None:
        return Step(Change.CREATE, target)
    if found.partitions != target.partitions:
        # More partitions would send a key elsewhere than its history; fewer is impossible.
        detail = (
            f"has {found.partitions} partitions, should have {target.partitions}: counts are fixed once a topic exists"
        )
        return Step(Change.CONFLICT, target, (detail,))
    if found.replication_factor != target.replication_factor:
        detail = (
            f"has {found.replication_factor} replicas, should have {target.replication_factor}: "
            "move them with kafka-reassign-partitions, or set WEAKLINK_KAFKA__REPLICATION_FACTOR"
        )
        return Step(Change.CONFLICT, target, (detail,))
    differing = {name: value for name, value in target.configs.items() if found.configs.get(name) != value}
    if not differing:
        return Step(Change.FINE, target)
    details = tuple(f"{name}: {found.configs.get(name, 'unset')} -> {value}" for name, value in differing.items())
    return Step(Change.CONFIGURE, target, details, differing)


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
        )
        for one in described
    }


def plan_topics(kafka: KafkaConfig, targets: Sequence[Topic]) -> list[Step]:
    """Compare these topics with the cluster's. Raises BrokerError when it cannot be reached."""
    with open_admin(kafka) as admin:
        return compare(targets, _read_topics(admin, (target.name for target in targets)))


def plan(settings: Settings) -> list[Step]:
    """The plan for everything: internal topics, and the three of every registered party."""
    steps = plan_topics(settings.kafka, internal_topics(settings))
    if any(step.topic.name == topology.PARTIES and step.change is Change.CREATE for step in steps):
        return steps
    parties = read_parties(settings.kafka)
    targets = [topic for _, party in sorted(parties.items()) for topic in party_topics(settings, party)]
    return steps + (plan_topics(settings.kafka, targets) if targets else [])


def unknown_topics(settings: Settings) -> list[str]:
    """Topics with Weaklink's prefixes that are none of its own: of parties that were removed, of another version, or made by somebody."""
    with open_admin(settings.kafka) as admin:
        found = set(admin.list_topics())
    known = {topic.name for topic in internal_topics(settings)}
    if topology.PARTIES in found:
        known |= {
            topic.name for party in read_parties(settings.kafka).values() for topic in party_topics(settings, party)
        }
    return sorted(name for name in found - known if name.startswith(("weaklink.", "party.")))


def apply(kafka: KafkaConfig, steps: Sequence[Step]) -> None:
    """Execute a plan; returns when every topic has its leaders. Raises BrokerError on a conflict (before any change) or a refusal."""
    conflicts = [step for step in steps if step.change is Change.CONFLICT]
    if conflicts:
        raise BrokerError("; ".join(f"{step.topic.name} {', '.join(step.details)}" for step in conflicts))
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


def plan_access(settings: Settings) -> list[Difference]:
    """What differs in principals, ACLs and quotas; nothing where Weaklink does not keep them (`access.managed`)."""
    if not membership.is_managed(settings):
        return []
    with open_admin(settings.kafka) as admin:
        registered = topology.PARTIES in admin.list_topics()
    return membership.plan_access(settings, read_parties(settings.kafka) if registered else {})


def provision(settings: Settings) -> list[Step]:
    """Plan and execute: topics, then principals, ACLs and quotas. Returns the topics' plan; a second call finds everything fine."""
    steps = plan(settings)
    apply(settings.kafka, steps)
    membership.apply_access(settings, plan_access(settings))
    return steps


def add_party(settings: Settings, party: Party) -> Party:
    """Create the party's topics and ACLs, then register it (in this order: ingest leaves topics of unknown parties alone).

    It has no secret yet (`membership.issue_secret`). Adding it again mends its topics and ACLs and changes its name.
    Returns the party as registered.
    Raises PartyError when the id is taken by a party of another kind, BrokerError when the cluster is not provisioned.
    """
    parties = read_parties(settings.kafka)
    known = parties.get(party.id)
    if known and known.kind is not party.kind:
        raise PartyError(
            f"{party.id} is a {known.kind} already: remove it first, or give the new {party.kind} another id"
        )
    if known:
        party = party.model_copy(update={"added_at": known.added_at, "suspended_at": known.suspended_at})
    apply(settings.kafka, plan_topics(settings.kafka, party_topics(settings, party)))
    membership.admit(settings, party, parties)
    if party != known:
        write_party(settings.kafka, party.id, party)
    return party


def remove_party(settings: Settings, party_id: str, *, delete_topics: bool = False) -> None:
    """End a party's sessions at once and take it out of the registry; on demand its topics go with all that they hold.

    Raises PartyError when it is unknown.
    """
    party = find_party(settings.kafka, party_id)
    membership.lock_out(settings, party)
    write_party(settings.kafka, party_id, None)
    if delete_topics:
        with open_admin(settings.kafka) as admin:
            _delete(admin, [topic.name for topic in party_topics(settings, party)])
    membership.forget(settings, party, topics_too=delete_topics)


def _delete(admin: KafkaAdminClient, names: Sequence[str]) -> None:
    """Returns when no broker shows the topics any more: Kafka's answer comes before that."""
    response = admin.delete_topics(list(names), raise_errors=False)
    for result in response["topics"]:
        error = for_code(result["error_code"])
        if result["error_code"] and error is not UnknownTopicOrPartitionError:
            raise BrokerError(f"Kafka did not delete {result['name']}: {error.__name__}")
    deadline = time.monotonic() + _DELETED_SECONDS
    while left := set(names) & set(admin.list_topics()):
        if time.monotonic() > deadline:
            raise BrokerError(f"Kafka still shows {', '.join(sorted(left))} {_DELETED_SECONDS} s after deleting them")
        time.sleep(_PAUSE_SECONDS)
