"""Topics as they should be, and what has to happen to those that are. Pure: `topics_admin` reads and changes a broker's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from weaklink import topology
from weaklink.parties import Party
from weaklink.settings import Settings

_DAY_MS: Final = 86_400_000
_CHUNK_HEADROOM_BYTES: Final = 1 << 20
"""Record framing and the audit header come on top of a chunk; the limit is on the batch that holds them."""
_EVENTS_RETENTION_DAYS: Final = 7
_REJECTS_RETENTION_DAYS: Final = 14
_ACTIONS_RETENTION_DAYS: Final = 30
_ACTIONS_MESSAGE_BYTES_MAX: Final = 1 << 20


class Change(StrEnum):
    """What has to happen to a topic."""

    CREATE = "create"
    CONFIGURE = "configure"
    FINE = "fine"
    SURPLUS = "surplus"
    """It has settings of its own that are none of Weaklink's, and nothing else differs: they are told, and left."""
    CONFLICT = "conflict"


Conflict = Literal["partitions", "replicas"]
"""What is fixed once a topic exists, so that a person has to decide."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be, or as it is (then with every config value that the broker reports)."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]
    overrides: frozenset[str] = frozenset()
    """Of a topic as it is: the configs that are set on itself, whatever the brokers' defaults are."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan. `details` says for a person all that differs; `configs` are the values to set."""

    change: Change
    topic: Topic
    details: tuple[str, ...] = ()
    configs: Mapping[str, str] | None = None
    conflicts: frozenset[Conflict] = frozenset()


def _configs(settings: Settings, cleanup: str, retention_days: int | None, message_bytes_max: int) -> dict[str, str]:
    configs = {
        # A party's clock must not falsify lag or retention.
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": cleanup,
        "max.message.bytes": str(message_bytes_max),
        # With three replicas one may be lost without a stall and without a loss; with fewer there is no such choice.
        "min.insync.replicas": "2" if settings.kafka.replication_factor >= 3 else "1",
        # A replica that lags and becomes the leader takes back what was acknowledged, and nobody is told.
        "unclean.leader.election.enable": "false",
    }
    if cleanup == "delete":
        # Both limits, whatever the brokers' defaults are: records that go before their time are lost in silence.
        configs["retention.ms"] = "-1" if retention_days is None else str(retention_days * _DAY_MS)
        configs["retention.bytes"] = "-1"
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
    """All that differs about one topic: what a person must decide first, then what is set, then what is left."""
    if found is None:
        return Step(Change.CREATE, target)
    conflicts = _conflicts(target, found)
    differing = {name: value for name, value in target.configs.items() if found.configs.get(name) != value}
    surplus = sorted(found.overrides - target.configs.keys())
    details = (
        *conflicts.values(),
        *(f"{name}: {found.configs.get(name, 'unset')} -> {value}" for name, value in differing.items()),
        *(
            f"{name}: {found.configs.get(name, 'unset')} is set on the topic and none of Weaklink's settings: left as it is "
            f"(kafka-configs --alter --delete-config {name})"
            for name in surplus
        ),
    )
    if conflicts:
        return Step(Change.CONFLICT, target, details, conflicts=frozenset(conflicts))
    if differing:
        return Step(Change.CONFIGURE, target, details, differing)
    return Step(Change.SURPLUS if surplus else Change.FINE, target, details)


def _conflicts(target: Topic, found: Topic) -> dict[Conflict, str]:
    """What differs and is fixed once a topic exists, with what to do about it."""
    told: dict[Conflict, str] = {}
    if found.partitions != target.partitions:
        # More partitions would send a key elsewhere than its history; fewer is impossible.
        told["partitions"] = (
            f"has {found.partitions} partitions, should have {target.partitions}: counts are fixed once a topic exists"
        )
    if found.replication_factor != target.replication_factor:
        told["replicas"] = (
            f"has {found.replication_factor} replicas, should have {target.replication_factor}: "
            "move them with kafka-reassign-partitions, or set WEAKLINK_KAFKA__REPLICATION_FACTOR"
        )
    return told
