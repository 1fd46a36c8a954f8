"""Who may do what on the cluster, as it should be: parties, services, operators. Pure: the table from which ACLs and quotas follow.

Whatever is not granted is refused: the cluster must run with an authorizer and `allow.everyone.if.no.acl.found=false`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from weaklink import topology
from weaklink.ops.access_config import AccessConfig
from weaklink.parties import Party

Resource = Literal["TOPIC", "GROUP", "TRANSACTIONAL_ID", "CLUSTER"]
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

_PREFIXES: Final = ("weaklink.", "party.")
_RECALLS: Final[dict[str, tuple[str, ...]]] = {
    "weaklink.ingest": (topology.PARTIES, topology.EPOCHS),
    "weaklink.correlate": (topology.EPOCHS,),
    "weaklink.campaigns": (topology.PARTIES, topology.EPOCHS, topology.CAMPAIGNS),
    "weaklink.enforce": (topology.EPOCHS,),
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
    resources: tuple[tuple[Resource, str], ...] = (
        ("TOPIC", "*"),
        ("GROUP", "*"),
        ("TRANSACTIONAL_ID", "*"),
        ("CLUSTER", CLUSTER_NAME),
    )
    return frozenset(Grant(party.principal, resource, name, "ALL", deny=True) for resource, name in resources)


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
    return found | {Grant(CONSOLE, "TOPIC", topology.CAMPAIGNS, "READ")}


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
    found = set(service_grants(parties))
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


@dataclass(frozen=True, slots=True)
class Access:
    """Principals' ACLs, quotas and secrets: as they should be, or as they are."""

    grants: frozenset[Grant]
    quotas: Mapping[str, Mapping[str, float]]
    secrets: frozenset[str]
    """Principals that have a SCRAM secret."""


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


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of what differs. `mendable`: `weaklink provision` mends it; else `advice` says who does."""

    change: Literal["grant", "revoke", "quota", "secret"]
    what: str
    advice: str = ""
    grant: Grant | None = None
    principal: str | None = None
    quotas: Mapping[str, float | None] | None = None

    @property
    def mendable(self) -> bool:
        """Whether provisioning can do it by itself."""
        return not self.advice


def is_own(principal: str) -> bool:
    """Whether Weaklink keeps this principal: its ACLs, quotas and secret are then exactly what the table says."""
    return principal.startswith(("party.", "weaklink.")) and principal != ADMINISTRATOR


def differences(wanted: Access, found: Access, config: AccessConfig, login: str | None = None) -> list[Difference]:
    """What has to happen so that `found` becomes `wanted`: permissions first, then what is taken away.

    `login`: the principal that is connected, and must not lock itself out. It and the administrator are left as they are.
    """
    found = _without(found, {ADMINISTRATOR, *((login,) if login and login not in wanted.secrets else ())})
    steps = [Difference("grant", str(one), grant=one) for one in sorted(wanted.grants - found.grants)]
    for grant in sorted(found.grants - wanted.grants):
        if is_own(grant.principal):
            steps.append(Difference("revoke", str(grant), grant=grant))
        elif f"User:{grant.principal}" not in config.other_principals and _touches(grant):
            steps.append(
                Difference(
                    "revoke",
                    str(grant),
                    "none of Weaklink's principals: remove it with kafka-acls, or name it in WEAKLINK_ACCESS__OTHER_PRINCIPALS",
                )
            )
    return steps + _quota_differences(wanted, found) + _secret_differences(wanted, found)


def _without(access: Access, principals: set[str]) -> Access:
    return Access(
        frozenset(grant for grant in access.grants if grant.principal not in principals),
        {name: quotas for name, quotas in access.quotas.items() if name not in principals},
        access.secrets - principals,
    )


def _touches(grant: Grant) -> bool:
    """Whether an ACL of a stranger concerns Weaklink's resources (a denial takes nothing from anybody's safety)."""
    if grant.deny:
        return False
    if grant.resource == "CLUSTER" or grant.name == "*":
        return True
    own = ("weaklink.", "party.")
    return grant.name.startswith(own) or (grant.prefixed and any(prefix.startswith(grant.name) for prefix in own))


def _quota_differences(wanted: Access, found: Access) -> list[Difference]:
    steps = []
    for principal in sorted({*wanted.quotas, *(name for name in found.quotas if is_own(name))}):
        want, have = wanted.quotas.get(principal, {}), found.quotas.get(principal, {})
        changes: dict[str, float | None] = {key: value for key, value in want.items() if have.get(key) != value}
        changes |= dict.fromkeys(have.keys() - want.keys())
        if changes:
            told = ", ".join(
                f"{key} {have.get(key, 'unset')} -> {value if value is not None else 'unset'}"
                for key, value in sorted(changes.items())
            )
            steps.append(Difference("quota", f"{principal}: {told}", principal=principal, quotas=changes))
    return steps


def _secret_differences(wanted: Access, found: Access) -> list[Difference]:
    steps = []
    for principal in sorted(wanted.secrets - found.secrets):
        command = "weaklink principal secret" if principal in SERVICE_PRINCIPALS else "weaklink party rotate"
        name = principal.removeprefix("party.")
        steps.append(Difference("secret", f"{principal} has no secret", f"{command} {name}", principal=principal))
    surplus = sorted(name for name in found.secrets - wanted.secrets if is_own(name))
    return steps + [
        Difference("secret", f"{principal} has a secret and should have none", principal=principal)
        for principal in surplus
    ]
