"""ACLs, quotas and SCRAM secrets on the cluster: read, and brought to what `access` wants.

Kafka's admin calls answer refusals instead of raising, and a read right after a write may be stale: every answer is looked at, and what
was written is awaited.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import SecurityDisabledError, for_code
from kafka.protocol.admin import AlterClientQuotasRequest, DescribeClientQuotasRequest

from weaklink.errors import BrokerError
from weaklink.ops.access import EVERYBODY, Access, Grant, QuotaEntity, quotas_apart
from weaklink.ops.access_differences import Difference, Mechanism

_USER: Final = "User:"
_SETTLED_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.05
_MECHANISMS: Final[dict[Mechanism, ScramMechanism]] = {
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
}
_NO_AUTHORIZER: Final = (
    "the cluster has no authorizer, so nobody is refused anything: set authorizer.class.name on every broker "
    "(docs/security.md), or WEAKLINK_ACCESS__MANAGED=false"
)


def read_access(admin: KafkaAdminClient) -> Access:
    """Every ACL, quota and SCRAM secret of the cluster. Raises BrokerError where there is no authorizer."""
    grants, users = read_grants(admin), _read_mechanisms(admin)
    own, others = quotas_apart(read_quotas(admin))
    sha_512, sha_256 = (_having(users, one) for one in (ScramMechanism.SCRAM_SHA_512, ScramMechanism.SCRAM_SHA_256))
    return Access(grants, own, sha_512, others, sha_256)


def read_grants(admin: KafkaAdminClient) -> frozenset[Grant]:
    """Every ACL. Raises BrokerError where there is no authorizer."""
    try:
        acls, _ = admin.describe_acls(_filter(None))
    except SecurityDisabledError as error:
        raise BrokerError(_NO_AUTHORIZER) from error
    return frozenset(_grant(acl) for acl in acls)


def read_quotas(admin: KafkaAdminClient) -> dict[QuotaEntity, dict[str, float]]:
    """Every quota of the cluster (kafka-python has no call for them: the request itself)."""
    # Not strict, and without a filter: a strict one for users hides what outranks a user's quota.
    response = _send(admin, DescribeClientQuotasRequest(components=[], strict=False))
    _raise_for(response.error_code, "describe quotas", response.error_message)
    return {
        _entity((part.entity_type, part.entity_name) for part in entry.entity): {
            one.key: one.value for one in entry.values
        }
        for entry in response.entries or ()
    }


def _entity(parts: Iterable[tuple[str, str | None]]) -> QuotaEntity:
    """Kafka's kinds and names; of a name that it does not give everybody is meant."""
    named = {kind: EVERYBODY if name is None else name for kind, name in parts}
    return QuotaEntity(named.get("user", ""), named.get("client-id", ""), named.get("ip", ""))


def read_secrets(admin: KafkaAdminClient) -> frozenset[str]:
    """Users with a SCRAM-SHA-512 secret."""
    return _having(_read_mechanisms(admin), ScramMechanism.SCRAM_SHA_512)


def _read_mechanisms(admin: KafkaAdminClient) -> dict[str, frozenset[ScramMechanism]]:
    """The kinds of secrets that each user has."""
    users = admin.describe_user_scram_credentials()
    return {name: frozenset(info["mechanism"] for info in one["credential_infos"]) for name, one in users.items()}


def _having(users: Mapping[str, frozenset[ScramMechanism]], mechanism: ScramMechanism) -> frozenset[str]:
    return frozenset(name for name, mechanisms in users.items() if mechanism in mechanisms)


def apply_differences(admin: KafkaAdminClient, steps: Sequence[Difference]) -> None:
    """Mend what can be mended; permissions before what is taken away, so that nothing that runs is stopped on the way."""
    mendable = [step for step in steps if step.mendable]
    add_grants(admin, [step.grant for step in mendable if step.change == "grant" and step.grant])
    remove_grants(admin, [step.grant for step in mendable if step.change == "revoke" and step.grant])
    for step in mendable:
        if step.change == "quota" and step.principal and step.quotas is not None:
            set_quotas(admin, step.principal, step.quotas, step.client)
        if step.change == "secret" and step.principal:
            _remove_secret(admin, step.principal, _MECHANISMS[step.mechanism])


def add_grants(admin: KafkaAdminClient, grants: Iterable[Grant]) -> None:
    """Create ACLs (those that exist stay) and wait until the cluster shows them. Raises BrokerError on a refusal."""
    grants = list(grants)
    if not grants:
        return
    result = admin.create_acls([_acl(grant) for grant in grants])
    if result["failed"]:
        names = sorted({error.__name__ for error in result["failed"]})
        advice = f": {_NO_AUTHORIZER}" if "SecurityDisabledError" in names else ""
        raise BrokerError(f"Kafka refused {len(result['failed'])} of {len(grants)} ACLs: {', '.join(names)}{advice}")
    _settle(lambda: set(grants) <= read_grants(admin), "ACLs")


def remove_grants(admin: KafkaAdminClient, grants: Iterable[Grant]) -> None:
    """Delete exactly these ACLs and wait until they are gone."""
    grants = list(grants)
    if not grants:
        return
    for _, _, error in admin.delete_acls([_filter(grant) for grant in grants]):
        _raise_for(error.errno, "delete ACLs")
    _settle(lambda: not set(grants) & read_grants(admin), "ACLs")


def set_quotas(admin: KafkaAdminClient, principal: str, quotas: Mapping[str, float | None], client: str = "") -> None:
    """Set a user's quotas by Kafka's names, or those of one of its clients; None removes one."""
    entry = AlterClientQuotasRequest.EntryData
    of_client = [entry.EntityData(entity_type="client-id", entity_name=None if client == EVERYBODY else client)]
    request = AlterClientQuotasRequest(
        entries=[
            entry(
                entity=[entry.EntityData(entity_type="user", entity_name=principal), *(of_client if client else ())],
                ops=[entry.OpData(key=key, value=value or 0.0, remove=value is None) for key, value in quotas.items()],
            )
        ],
        validate_only=False,
    )
    for one in _send(admin, request).entries:
        _raise_for(one.error_code, f"set the quotas of {principal}", one.error_message)
    kept = {key: value for key, value in quotas.items() if value is not None}
    gone = quotas.keys() - kept.keys()

    def settled() -> bool:
        have = read_quotas(admin).get(QuotaEntity(principal, client), {})
        return kept.items() <= have.items() and not gone & have.keys()

    _settle(settled, f"quotas of {principal}")


def remove_quotas(admin: KafkaAdminClient, principal: str) -> None:
    """Delete every quota of a user: its own, and those of its clients."""
    for entity, quotas in read_quotas(admin).items():
        if entity.user == principal:
            set_quotas(admin, principal, dict.fromkeys(quotas), entity.client)


def set_secret(admin: KafkaAdminClient, principal: str, secret: str, iterations: int) -> None:
    """Make or replace a user's SCRAM secret. It never leaves this process: the cluster gets salted keys.

    One of another kind goes first: it would let in whoever knows it, for as long as it is there.
    """
    _remove_secret(admin, principal, ScramMechanism.SCRAM_SHA_256)
    change = UserScramCredentialUpsertion(principal, ScramMechanism.SCRAM_SHA_512, secret, iterations=iterations)
    _alter_secret(admin, principal, change)
    _settle(lambda: principal in read_secrets(admin), f"the secret of {principal}")


def remove_secrets(admin: KafkaAdminClient, principal: str) -> None:
    """Delete a user's SCRAM secrets of every kind; without one nothing happens."""
    for mechanism in _MECHANISMS.values():
        _remove_secret(admin, principal, mechanism)


def _remove_secret(admin: KafkaAdminClient, principal: str, mechanism: ScramMechanism) -> None:
    def is_there() -> bool:
        return principal in _having(_read_mechanisms(admin), mechanism)

    if is_there():
        _alter_secret(admin, principal, UserScramCredentialDeletion(principal, mechanism))
        _settle(lambda: not is_there(), f"the secret of {principal}")


def _alter_secret(admin: KafkaAdminClient, principal: str, change: Any) -> None:
    refused = admin.alter_user_scram_credentials([change])
    if refused.get(principal, "no answer") is not None:
        raise BrokerError(f"Kafka did not change the secret of {principal}: {refused.get(principal, 'no answer')}")


def _send(admin: KafkaAdminClient, request: Any) -> Any:
    manager = admin._manager
    return manager.run(manager.send, request)


def _raise_for(code: int, what: str, detail: str | None = None) -> None:
    if code:
        raise BrokerError(f"Kafka did not {what}: {for_code(code).__name__} {detail or ''}".rstrip())


def _settle(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SETTLED_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise BrokerError(f"Kafka took the change of {what} and does not show it after {_SETTLED_SECONDS} s")
        time.sleep(_PAUSE_SECONDS)


def _acl(grant: Grant) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if grant.prefixed else ACLResourcePatternType.LITERAL
    return ACL(
        _USER + grant.principal,
        grant.host,
        ACLOperation[grant.operation],
        ACLPermissionType.DENY if grant.deny else ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType[grant.resource], grant.name, pattern),
    )


def _filter(grant: Grant | None) -> ACLFilter:
    """The filter that finds this ACL alone, or all of them."""
    if grant is None:
        everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        return ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
    acl = _acl(grant)
    one = acl.resource_pattern
    pattern = ResourcePatternFilter(one.resource_type, one.resource_name, one.pattern_type)
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, pattern)


def _grant(acl: ACL) -> Grant:
    one = acl.resource_pattern
    return Grant(
        acl.principal.removeprefix(_USER),
        one.resource_type.name,
        one.resource_name,
        acl.operation.name,
        prefixed=one.pattern_type is ACLResourcePatternType.PREFIXED,
        deny=acl.permission_type is ACLPermissionType.DENY,
        host=acl.host,
    )
