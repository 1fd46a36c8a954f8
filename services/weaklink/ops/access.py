"""Who may do what on the cluster, as it should be: parties, services, operators. Pure: the table from which ACLs and quotas follow.

Whatever is not granted is refused: the cluster must run with an authorizer. Kafka's `allow.everyone.if.no.acl.found=true` would open what
has no ACL to everybody, and cannot be seen from outside: `closures` leave nothing without one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from weaklink import topology
from weaklink.ops.access_config import AccessConfig
from weaklink.parties import Party

Resource = Literal["TOPIC", "GROUP", "TRANSACTIONAL_ID", "CLUSTER", "DELEGATION_TOKEN", "USER"]
CLUSTER_NAME: Final = "kafka-cluster"
OPERATOR: Final = "weaklink.operator"
"""Whoever looks after the pipeline by day: reads everything, writes the benign lists, ends epochs of keys, and changes no topic, party or secret."""
ADMINISTRATOR: Final = "weaklink.admin"
"""Whoever provisions, where that is no super user: made and kept by hand (or by Strimzi), never by Weaklink."""
SERVICES: Final = tuple(stage.group for stage in topology.STAGES)
"""A service's principal has the name of its consumer group."""
EXPORTER, CONSOLE = (f"weaklink.{service.name}" for service in topology.SERVICES)
"""What is seen on the network has no right to change anything."""
SERVICE_PRINCIPALS: Final = (*SERVICES, EXPORTER, CONSOLE, OPERATOR)

NOBODY: Final = "weaklink.nobody"
"""Whom the closures are of: it never has a login."""
EVERYBODY: Final = "<default>"
"""Kafka's tools write it so: whoever has no quota of his own."""
_PREFIXES: Final = ("weaklink.", "party.")
_ALL_RESOURCES: Final[tuple[tuple[Resource, str], ...]] = (
    ("TOPIC", "*"),
    ("GROUP", "*"),
    ("TRANSACTIONAL_ID", "*"),
    ("CLUSTER", CLUSTER_NAME),
)
_TOKENS: Final[tuple[tuple[Resource, str], ...]] = (("DELEGATION_TOKEN", "*"), ("USER", "*"))
"""Whoever may make another user's delegation token logs in as that user."""
_RECALLS: Final[dict[str, tuple[str, ...]]] = {
    "weaklink.ingest": (topology.PARTIES, topology.EPOCHS),
    "weaklink.correlate": (topology.EPOCHS,),
    "weaklink.campaigns": (topology.PARTIES, topology.EPOCHS, topology.CAMPAIGNS),
    "weaklink.enforce": (topology.PARTIES, topology.EPOCHS),
}
"""What a stage reads beside its input: the registry, expired epochs of keys, and what it wrote itself and recalls after a restart."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One ACL: a principal (without `User:`), what it may or may not do, and to what."""

    principal: str
    resource: str
    name: str
    operation: str
    prefixed: bool = False
    deny: bool = False
    host: str = "*"

    def __str__(self) -> str:
        verb = "may not" if self.deny else "may"
        what = f"{self.resource.lower().replace('_', ' ')} {self.name}{'*' if self.prefixed else ''}"
        where = "" if self.host == "*" else f" from {self.host}"
        return f"{self.principal} {verb} {self.operation} {what}{where}"


def party_grants(party: Party) -> frozenset[Grant]:
    """Write its events, read its actions and rejects, use groups under its own prefix; and nothing else.

    WRITE carries the right to write idempotently with it (KIP-679); there is no right to a transactional id.
    """
    who = party.principal
    return frozenset(
        {
            Grant(who, "TOPIC", party.events_topic, "WRITE"),
            Grant(who, "TOPIC", party.actions_topic, "READ"),
            Grant(who, "TOPIC", party.rejects_topic, "READ"),
            Grant(who, "GROUP", f"party.{party.id}.", "READ", prefixed=True),
        }
    )


def denials(party: Party) -> frozenset[Grant]:
    """What ends a party's live sessions at once: a denial outweighs every permission, and is asked for at every request."""
    return _denied(party.principal, _ALL_RESOURCES)


def closures() -> frozenset[Grant]:
    """An ACL for whatever there is, which is then closed to all who have no right to it. Denials, and of nobody: they give and take nothing."""
    return _denied(NOBODY, (*_ALL_RESOURCES, *_TOKENS))


def _denied(principal: str, resources: Iterable[tuple[Resource, str]]) -> frozenset[Grant]:
    return frozenset(Grant(principal, resource, name, "ALL", deny=True) for resource, name in resources)


def service_grants(parties: Iterable[Party]) -> frozenset[Grant]:
    """Each stage reads its input, writes its output, uses its group and its transactional ids. Parties' topics are named one by one:
    whoever may read `party.*` could read what others are told, and whoever may write it could speak for any party."""
    parties = list(parties)
    found: set[Grant] = set()
    for stage in topology.STAGES:
        reads = {*_topics(stage.reads, parties), *_RECALLS.get(stage.group, ())}
        found |= {Grant(stage.group, "TOPIC", topic, "READ") for topic in reads}
        found |= {Grant(stage.group, "TOPIC", topic, "WRITE") for topic in _topics(stage.writes, parties)}
        found.add(Grant(stage.group, "GROUP", stage.group, "READ"))
        if stage.runtime == "columnar":
            found.add(Grant(stage.group, "TRANSACTIONAL_ID", f"{stage.group}.", "WRITE", prefixed=True))
    return frozenset(found | _watcher_grants(parties) | _operator_grants())


def _watcher_grants(parties: Iterable[Party]) -> set[Grant]:
    """Lag is how old the oldest record is that waits: of what stages read, and of parties' actions. The console shows campaigns beside it."""
    parties = list(parties)
    topics = {party.actions_topic for party in parties}.union(
        *(_topics(stage.reads, parties) for stage in topology.STAGES)
    )
    found = {Grant(who, "TOPIC", topic, "READ") for who in (EXPORTER, CONSOLE) for topic in topics}
    found |= {Grant(who, "GROUP", prefix, "DESCRIBE", prefixed=True) for who in (EXPORTER, CONSOLE) for prefix in _PREFIXES}  # fmt: skip
    # The registry says since when a party that never sent anything could have.
    return found | {
        Grant(CONSOLE, "TOPIC", topology.CAMPAIGNS, "READ"),
        Grant(EXPORTER, "TOPIC", topology.PARTIES, "READ"),
    }


def _operator_grants() -> set[Grant]:
    found = {Grant(OPERATOR, "TOPIC", prefix, "READ", prefixed=True) for prefix in _PREFIXES}
    found |= {Grant(OPERATOR, "TOPIC", prefix, "DESCRIBE_CONFIGS", prefixed=True) for prefix in _PREFIXES}
    found |= {Grant(OPERATOR, "GROUP", prefix, "DESCRIBE", prefixed=True) for prefix in _PREFIXES}
    return found | {Grant(OPERATOR, "TOPIC", topic, "WRITE") for topic in (topology.BENIGN, topology.EPOCHS)}


def _topics(names: Iterable[str], parties: Iterable[Party]) -> set[str]:
    """The topics that names of the topology stand for."""
    found: set[str] = set()
    for name in names:
        found |= {name.replace("<id>", party.id) for party in parties} if "<id>" in name else {name}
    return found


def all_grants(parties: Iterable[Party]) -> frozenset[Grant]:
    """Every ACL that should be there."""
    parties = list(parties)
    found = set(service_grants(parties) | closures())
    for party in parties:
        found |= party_grants(party) | (denials(party) if party.suspended_at else frozenset())
    return frozenset(found)


def party_quotas(config: AccessConfig) -> dict[str, float]:
    """Kafka's quotas of a party's principal, by Kafka's names. Each holds per broker."""
    return {
        "producer_byte_rate": float(config.producer_bytes_per_second_max),
        "consumer_byte_rate": float(config.consumer_bytes_per_second_max),
        "request_percentage": config.request_percent_max,
        "controller_mutation_rate": config.controller_mutations_per_second_max,
    }


@dataclass(frozen=True, slots=True, order=True)
class QuotaEntity:
    """Whom a quota is of, by Kafka's kinds of entity: "" where it says nothing of that kind, EVERYBODY for all that have none of their own.

    Kafka takes the first that there is: user and client, user and every client, user, every user and client, every user and every
    client, every user, client, every client (KIP-55). Quotas of addresses bound new connections only.
    """

    user: str = ""
    client: str = ""
    address: str = ""

    @property
    def is_of_one_user(self) -> bool:
        """Whether it is of one user, with all its clients."""
        return self.user not in ("", EVERYBODY) and not self.client and not self.address

    def __str__(self) -> str:
        kinds = (("user", self.user), ("client", self.client), ("address", self.address))
        told = (f"every {kind}" if name == EVERYBODY else f"{kind} {name}" for kind, name in kinds if name)
        return ", ".join(told)


Quotas = Mapping[str, float]
"""By Kafka's names of what they bound."""


def quotas_apart(quotas: Mapping[QuotaEntity, Quotas]) -> tuple[dict[str, Quotas], dict[QuotaEntity, Quotas]]:
    """Those of one user and all its clients by user, and all others."""
    own = {one.user: found for one, found in quotas.items() if one.is_of_one_user}
    return own, {one: found for one, found in quotas.items() if not one.is_of_one_user}


@dataclass(frozen=True, slots=True)
class Access:
    """Principals' ACLs, quotas and secrets: as they should be, or as they are."""

    grants: frozenset[Grant]
    quotas: Mapping[str, Quotas]
    """By principal: those of nobody else, and of all its clients."""
    secrets: frozenset[str]
    """Principals that have a SCRAM-SHA-512 secret, the kind that Weaklink issues."""
    other_quotas: Mapping[QuotaEntity, Quotas] = field(default_factory=dict)
    """Every other quota of the cluster. Weaklink makes none."""
    other_secrets: frozenset[str] = frozenset()
    """Principals that have a SCRAM-SHA-256 secret. Weaklink issues none."""


def wanted_access(parties: Mapping[str, Party], config: AccessConfig) -> Access:
    """What should be there for these parties."""
    quotas = party_quotas(config)
    active = [party for party in parties.values() if not party.suspended_at]
    secrets = frozenset({*SERVICE_PRINCIPALS, *(party.principal for party in active)})
    return Access(
        all_grants(parties.values()),
        {party.principal: quotas for party in parties.values()},
        secrets if config.authentication == "scram" else frozenset(),
    )


def is_own(principal: str) -> bool:
    """Whether Weaklink keeps this principal: its ACLs, quotas and secret are then exactly what the table says."""
    return principal.startswith(("party.", "weaklink.")) and principal != ADMINISTRATOR
