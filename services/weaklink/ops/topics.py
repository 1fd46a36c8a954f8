"""Topics as they should be, and what has to happen to those that are. Pure: `topics_admin` reads and changes a broker's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
