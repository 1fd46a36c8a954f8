"""Topics and principals as Strimzi's resources, for a Kafka that Strimzi's operators keep: the same table as `weaklink provision` works from.

With Strimzi the operators create topics, users and ACLs, so Weaklink must not (`access.managed=false`). API: kafka.strimzi.io/v1beta2.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from weaklink.ops.access import NOBODY, Grant, closures, denials, party_grants, party_quotas, service_grants
from weaklink.ops.topics import Topic, internal_topics, party_topics
from weaklink.parties import Party
from weaklink.settings import Settings

API: Final = "kafka.strimzi.io/v1beta2"
ADMIN: Final = "weaklink.admin"
"""Whoever runs `weaklink provision --check` and `weaklink party add`: all rights to Weaklink's topics."""

_RESOURCES: Final = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactionalId", "CLUSTER": "cluster"}
"""All that a KafkaUser's ACLs may be about."""
_QUOTAS: Final = {
    "producer_byte_rate": "producerByteRate",
    "consumer_byte_rate": "consumerByteRate",
    "request_percentage": "requestPercentage",
    "controller_mutation_rate": "controllerMutationRate",
}


def resources(settings: Settings, parties: Iterable[Party], cluster: str) -> list[dict[str, Any]]:
    """KafkaTopic and KafkaUser resources for Weaklink and these parties, in the Kafka cluster of that name."""
    parties = sorted(parties, key=lambda party: party.id)
    topics = [*internal_topics(settings), *(topic for party in parties for topic in party_topics(settings, party))]
    by_principal: dict[str, list[Grant]] = defaultdict(list)
    for grant in sorted(service_grants(parties) | _admin_grants()):
        by_principal[grant.principal].append(grant)
    users = [_user(name, grants, cluster) for name, grants in by_principal.items()]
    closed = sorted(grant for grant in closures() if grant.resource in _RESOURCES)
    users.append(_user(NOBODY, closed, cluster, logs_in=False))
    users += [party_user(settings, party, cluster) for party in parties]
    return [*(_topic(topic, cluster) for topic in topics), *users]


def party_user(settings: Settings, party: Party, cluster: str) -> dict[str, Any]:
    """A party's KafkaUser resource. A suspended party's lets nobody in: applying it ends its live sessions at their next request.

    Without `authentication` Strimzi's user operator deletes the principal's secret, at the brokers and in Kubernetes, and keeps its ACLs:
    denials of everything. Applied again after `party resume`, with `authentication`, it makes a new secret.
    """
    quotas = {_QUOTAS[name]: _number(value) for name, value in party_quotas(settings.access).items()}
    grants = denials(party) if party.suspended_at else party_grants(party)
    return _user(party.principal, sorted(grants), cluster, quotas, logs_in=not party.suspended_at)


def _admin_grants() -> set[Grant]:
    prefixes = ("weaklink.", "party.")
    found = {Grant(ADMIN, "TOPIC", prefix, "ALL", prefixed=True) for prefix in prefixes}
    return found | {Grant(ADMIN, "GROUP", prefix, "DESCRIBE", prefixed=True) for prefix in prefixes}


def _labels(cluster: str) -> dict[str, str]:
    return {"strimzi.io/cluster": cluster, "app.kubernetes.io/part-of": "weaklink"}


def _topic(topic: Topic, cluster: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": _labels(cluster)},
        "spec": {
            "partitions": topic.partitions,
            "replicas": topic.replication_factor,
            "config": {name: _typed(value) for name, value in sorted(topic.configs.items())},
        },
    }


def _user(
    principal: str,
    grants: Iterable[Grant],
    cluster: str,
    quotas: dict[str, float] | None = None,
    *,
    logs_in: bool = True,
) -> dict[str, Any]:
    operations: dict[tuple[str, str, bool, bool], list[str]] = defaultdict(list)
    for grant in grants:
        operations[grant.resource, grant.name, grant.prefixed, grant.deny].append(grant.operation)
    acls = [
        {
            "type": "deny" if deny else "allow",
            "host": "*",
            "operations": [operation.replace("_", " ").title().replace(" ", "") for operation in sorted(found)],
            "resource": _resource(kind, name, prefixed),
        }
        for (kind, name, prefixed, deny), found in operations.items()
    ]
    spec: dict[str, Any] = {"authentication": {"type": "scram-sha-512"}} if logs_in else {}
    spec["authorization"] = {"type": "simple", "acls": acls}
    return {
        "apiVersion": API,
        "kind": "KafkaUser",
        "metadata": {"name": principal, "labels": _labels(cluster)},
        "spec": spec | ({"quotas": quotas} if quotas else {}),
    }


def _resource(kind: str, name: str, prefixed: bool) -> dict[str, str]:
    """What an ACL is about; a cluster is the one that the resource is of, and has no name in Strimzi's resources."""
    if kind == "CLUSTER":
        return {"type": _RESOURCES[kind]}
    return {"type": _RESOURCES[kind], "name": name, "patternType": "prefix" if prefixed else "literal"}


def _typed(value: str) -> str | int:
    """Numbers as numbers, as Strimzi's topic operator writes them back."""
    return int(value) if value.lstrip("-").isdigit() else value


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
