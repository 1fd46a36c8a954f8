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
from weaklink.ops.access import Access, Difference, Grant

_USER: Final = "User:"
_SETTLED_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.05
_MATCH_ANY: Final = 2  # DescribeClientQuotas: any entity of this type that has a name
_NO_AUTHORIZER: Final = (
    "the cluster has no authorizer, so nobody is refused anything: set authorizer.class.name on every broker "
    "(docs/security.md), or WEAKLINK_ACCESS__MANAGED=false"
)


def read_access(admin: KafkaAdminClient) -> Access:
    """Every ACL, user quota and SCRAM secret of the cluster. Raises BrokerError where there is no authorizer."""
    return Access(read_grants(admin), read_quotas(admin), read_secrets(admin))


def read_grants(admin: KafkaAdminClient) -> frozenset[Grant]:
    """Every ACL. Raises BrokerError where there is no authorizer."""
    try:
        acls, _ = admin.describe_acls(_filter(None))
    except SecurityDisabledError as error:
        raise BrokerError(_NO_AUTHORIZER) from error
    return frozenset(_grant(acl) for acl in acls)


def read_quotas(admin: KafkaAdminClient) -> dict[str, dict[str, float]]:
    """Quotas by user, for users that have any (kafka-python has no call for them: the request itself)."""
    part = DescribeClientQuotasRequest.ComponentData(entity_type="user", match_type=_MATCH_ANY, match=None)
    response = _send(admin, DescribeClientQuotasRequest(components=[part], strict=True))
    _raise_for(response.error_code, "describe quotas", response.error_message)
    return {
        str(entry.entity[0].entity_name): {value.key: value.value for value in entry.values}
        for entry in response.entries or ()
        if entry.entity[0].entity_name is not None
    }


def read_secrets(admin: KafkaAdminClient) -> frozenset[str]:
    """Users with a SCRAM-SHA-512 secret."""
    users = admin.describe_user_scram_credentials()
    return frozenset(
        name
        for name, one in users.items()
        if any(info["mechanism"] is ScramMechanism.SCRAM_SHA_512 for info in one["credential_infos"])
    )


def apply_differences(admin: KafkaAdminClient, steps: Sequence[Difference]) -> None:
    """Mend what can be mended; permissions before what is taken away, so that nothing that runs is stopped on the way."""
    mendable = [step for step in steps if step.mendable]
    add_grants(admin, [step.grant for step in mendable if step.change == "grant" and step.grant])
    remove_grants(admin, [step.grant for step in mendable if step.change == "revoke" and step.grant])
    for step in mendable:
        if step.change == "quota" and step.principal and step.quotas is not None:
            set_quotas(admin, step.principal, step.quotas)
        if step.change == "secret" and step.principal:
            remove_secret(admin, step.principal)


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


def set_quotas(admin: KafkaAdminClient, principal: str, quotas: Mapping[str, float | None]) -> None:
    """Set a user's quotas by Kafka's names; None removes one."""
    entry = AlterClientQuotasRequest.EntryData
    request = AlterClientQuotasRequest(
        entries=[
            entry(
                entity=[entry.EntityData(entity_type="user", entity_name=principal)],
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
        have = read_quotas(admin).get(principal, {})
        return kept.items() <= have.items() and not gone & have.keys()

    _settle(settled, f"quotas of {principal}")


def set_secret(admin: KafkaAdminClient, principal: str, secret: str, iterations: int) -> None:
    """Make or replace a user's SCRAM secret. It never leaves this process: the cluster gets salted keys."""
    change = UserScramCredentialUpsertion(principal, ScramMechanism.SCRAM_SHA_512, secret, iterations=iterations)
    _alter_secret(admin, principal, change)
    _settle(lambda: principal in read_secrets(admin), f"the secret of {principal}")


def remove_secret(admin: KafkaAdminClient, principal: str) -> None:
    """Delete a user's SCRAM secret; without one nothing happens."""
    if principal not in read_secrets(admin):
        return
    _alter_secret(admin, principal, UserScramCredentialDeletion(principal, ScramMechanism.SCRAM_SHA_512))
    _settle(lambda: principal not in read_secrets(admin), f"the secret of {principal}")


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
