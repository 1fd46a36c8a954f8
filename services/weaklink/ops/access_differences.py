"""How ACLs, quotas and secrets differ from what they should be. Pure: `access` says what should be, `access_admin` what is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from weaklink.ops.access import (
    ADMINISTRATOR,
    EVERYBODY,
    NOBODY,
    SERVICE_PRINCIPALS,
    Access,
    Grant,
    QuotaEntity,
    is_own,
)
from weaklink.ops.access_config import AccessConfig

Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]
_CLIENTS: Final = ("weaklink", "kafka-python", "aiokafka")
"""How the services' names of clients begin: their own, and those of the libraries."""
_ANYBODY: Final = "*"
"""As ACLs name everybody: Weaklink's own principals too."""
_OWN: Final = ("weaklink.", "party.", "__consumer_offsets", "__transaction_state")
"""How names of what is Weaklink's begin; its offsets and transactions are among everybody's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of what differs. `mendable`: `weaklink provision` mends it; else `advice` says who does."""

    change: Literal["grant", "revoke", "quota", "secret"]
    what: str
    advice: str = ""
    grant: Grant | None = None
    principal: str | None = None
    quotas: Mapping[str, float | None] | None = None
    client: str = ""
    """Of a quota that is not of all the principal's clients: of which (EVERYBODY: of each)."""
    mechanism: Mechanism = "SCRAM-SHA-512"

    @property
    def mendable(self) -> bool:
        """Whether provisioning can do it by itself."""
        return not self.advice


def differences(wanted: Access, found: Access, config: AccessConfig, login: str | None = None) -> list[Difference]:
    """What has to happen so that `found` becomes `wanted`: permissions first, then what is taken away.

    `login`: the principal that is connected, and must not lock itself out. It and the administrator are left as they are.
    """
    found = _without(found, {ADMINISTRATOR, *((login,) if login and login not in wanted.secrets else ())}, login)
    steps = [Difference("grant", _told(one), grant=one) for one in sorted(wanted.grants - found.grants)]
    surplus = sorted(found.grants - wanted.grants)
    steps += [Difference("revoke", str(one), grant=one) for one in surplus if is_own(one.principal)]
    return [
        *steps,
        *_strangers_differences(surplus, wanted, config),
        *_quota_differences(wanted, found),
        *_other_quota_differences(found, config),
        *_secret_differences(wanted, found),
    ]


def _without(access: Access, principals: set[str], login: str | None) -> Access:
    return Access(
        frozenset(grant for grant in access.grants if grant.principal not in principals),
        {name: quotas for name, quotas in access.quotas.items() if name not in principals},
        access.secrets - principals,
        {entity: quotas for entity, quotas in access.other_quotas.items() if entity.user not in principals},
        access.other_secrets - principals - {login or ""},
    )


def _told(grant: Grant) -> str:
    """A closure says what for: nobody misses it."""
    why = ": else it is open to everybody where allow.everyone.if.no.acl.found=true"
    return f"{grant}{why if grant.principal == NOBODY else ''}"


def _strangers_differences(surplus: Iterable[Grant], wanted: Access, config: AccessConfig) -> list[Difference]:
    """Rights of others to what is Weaklink's, and denials that hold for Weaklink's own principals (a stranger's own takes nothing from anybody)."""
    steps = []
    for grant in surplus:
        principal = f"User:{grant.principal}"
        if is_own(grant.principal) or principal in config.other_principals:
            continue
        if any(_stops(grant, one) for one in wanted.grants) if grant.deny else _touches(grant):
            who = "everybody, Weaklink's too" if grant.principal == _ANYBODY else "none of Weaklink's principals"
            advice = f"{who}: remove it with kafka-acls, or name {principal} in WEAKLINK_ACCESS__OTHER_PRINCIPALS"
            steps.append(Difference("revoke", str(grant), advice))
    return steps


def _touches(grant: Grant) -> bool:
    """Whether a right concerns Weaklink's resources."""
    name = grant.name.removeprefix("User:") if grant.resource == "USER" else grant.name
    if grant.resource == "CLUSTER" or name == "*":
        return True
    return name.startswith(_OWN) or (grant.prefixed and any(own.startswith(name) for own in _OWN))


def _stops(denial: Grant, grant: Grant) -> bool:
    """Whether a denial takes from a right of Weaklink's: whatever host it is for, services may run there.

    Reading and writing begin with DESCRIBE, which both allow and neither's denial denies (Kafka's StandardAuthorizer).
    """
    if denial.principal != _ANYBODY or grant.deny or denial.resource != grant.resource:
        return False
    return denial.operation in ("ALL", "DESCRIBE", grant.operation) and _overlap(denial, grant)


def _overlap(one: Grant, another: Grant) -> bool:
    """Whether two ACLs' patterns have a name in common."""
    if "*" in (one.name, another.name):
        return True
    return (
        one.name == another.name
        or (one.prefixed and another.name.startswith(one.name))
        or (another.prefixed and one.name.startswith(another.name))
    )


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


def _other_quota_differences(found: Access, config: AccessConfig) -> list[Difference]:
    """A quota of a principal's client outranks the principal's own: it lifts a party's limit. One of everybody is a service's, which has none."""
    steps = []
    for entity, quotas in sorted(found.other_quotas.items()):
        told = ", ".join(f"{key} {value}" for key, value in sorted(quotas.items()))
        if is_own(entity.user):
            what = f"{entity}: {told}, which outranks what {entity.user} has for all its clients"
            gone: dict[str, float | None] = dict.fromkeys(quotas)
            steps.append(Difference("quota", what, principal=entity.user, quotas=gone, client=entity.client))
        elif _reaches_services(entity) and f"User:{EVERYBODY}" not in config.other_principals:
            advice = (
                "Weaklink's services have no quota, so it slows them: remove it with kafka-configs, "
                f"or name User:{EVERYBODY} in WEAKLINK_ACCESS__OTHER_PRINCIPALS"
            )
            steps.append(Difference("quota", f"{entity}: {told}", advice))
    return steps


def _reaches_services(entity: QuotaEntity) -> bool:
    """Whether a quota of no principal of Weaklink's is one of its services' all the same."""
    if entity.address or entity.user not in ("", EVERYBODY):
        return False
    return entity.client in ("", EVERYBODY) or entity.client.startswith(_CLIENTS)


def _secret_differences(wanted: Access, found: Access) -> list[Difference]:
    steps = []
    for principal in sorted(wanted.secrets - found.secrets):
        command = "weaklink principal secret" if principal in SERVICE_PRINCIPALS else "weaklink party rotate"
        name = principal.removeprefix("party.")
        steps.append(Difference("secret", f"{principal} has no secret", f"{command} {name}", principal=principal))
    surplus = sorted(name for name in found.secrets - wanted.secrets if is_own(name))
    steps += [
        Difference("secret", f"{principal} has a secret and should have none", principal=principal)
        for principal in surplus
    ]
    return steps + [
        Difference(
            "secret",
            f"{principal} has a secret of the kind SCRAM-SHA-256 and should have none: it lets in whoever knows it",
            principal=principal,
            mechanism="SCRAM-SHA-256",
        )
        for principal in sorted(filter(is_own, found.other_secrets))
    ]
