"""Who is let in: the cluster's ACLs, quotas and secrets follow the registry of parties.

Taking rights away goes in this order: a denial first, which ends live sessions at their next request, then the secret, so that nobody
logs in again, also not when the broker asks anew (`connections.max.reauth.ms`); what the principal was granted goes last.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from weaklink.errors import ConfigurationError, PartyError
from weaklink.ops.access import (
    SERVICE_PRINCIPALS,
    all_grants,
    denials,
    party_quotas,
    wanted_access,
)
from weaklink.ops.access_admin import (
    add_grants,
    apply_differences,
    read_access,
    read_grants,
    read_secrets,
    remove_grants,
    remove_quotas,
    remove_secrets,
    set_quotas,
    set_secret,
)
from weaklink.ops.access_differences import Difference, differences
from weaklink.ops.admin import open_admin
from weaklink.parties import Party
from weaklink.party_registry import find_party, write_party
from weaklink.settings import Settings


def is_managed(settings: Settings) -> bool:
    """Whether Weaklink keeps principals, ACLs and quotas of this cluster."""
    managed = settings.access.managed
    return settings.kafka.security_protocol != "PLAINTEXT" if managed is None else managed


def is_kept_by_others(settings: Settings) -> bool:
    """Whether there are principals that somebody else keeps: Strimzi's operators, mostly. Then the registry alone changes here."""
    return settings.kafka.security_protocol != "PLAINTEXT" and not is_managed(settings)


def _needs_principals(settings: Settings, what: str) -> None:
    if not is_kept_by_others(settings):
        _needs_management(settings, what)


def _needs_management(settings: Settings, what: str) -> None:
    if not is_managed(settings):
        raise ConfigurationError(
            f"{what} needs a cluster whose principals Weaklink keeps: this connection is {settings.kafka.security_protocol} "
            "(WEAKLINK_KAFKA__SECURITY_PROTOCOL, WEAKLINK_ACCESS__MANAGED; docs/security.md)"
        )


def plan_access(settings: Settings, parties: Mapping[str, Party]) -> list[Difference]:
    """What differs from what these parties and the services should have. Raises BrokerError where there is no authorizer."""
    with open_admin(settings.kafka) as admin:
        found = read_access(admin)
    return differences(wanted_access(parties, settings.access), found, settings.access, settings.kafka.username)


def apply_access(settings: Settings, steps: Sequence[Difference]) -> None:
    """Mend what can be mended without a person."""
    if any(step.mendable for step in steps):
        with open_admin(settings.kafka) as admin:
            apply_differences(admin, steps)


def admit(settings: Settings, party: Party, others: Mapping[str, Party]) -> None:
    """A party's ACLs and quotas, and the services' ACLs on its topics. Without effect where Weaklink does not keep them."""
    if not is_managed(settings):
        return
    with open_admin(settings.kafka) as admin:
        add_grants(admin, all_grants([*others.values(), party]) - read_grants(admin))
        set_quotas(admin, party.principal, party_quotas(settings.access))


def issue_secret(settings: Settings, principal: str) -> str | None:
    """Make or replace a principal's secret and return it: nobody can ever read it again. None under mutual TLS, where there is none.

    The old secret lets nobody in from now on; sessions that it opened live until the brokers ask again (`connections.max.reauth.ms`).
    """
    _needs_management(settings, "a secret")
    if settings.access.authentication == "certificate":
        return None
    secret = secrets.token_urlsafe(settings.access.secret_bytes)
    with open_admin(settings.kafka) as admin:
        set_secret(admin, principal, secret, settings.access.scram_iterations)
    return secret


def has_secret(settings: Settings, principal: str) -> bool:
    """Whether the cluster holds a secret for this principal."""
    with open_admin(settings.kafka) as admin:
        return principal in read_secrets(admin)


def issue_service_secret(settings: Settings, principal: str) -> str | None:
    """`issue_secret` for a service or the operators. Raises ConfigurationError with the known ones for another name."""
    if principal not in SERVICE_PRINCIPALS:
        raise ConfigurationError(f"no principal {principal!r}; there are {', '.join(SERVICE_PRINCIPALS)}")
    return issue_secret(settings, principal)


def rotate_party(settings: Settings, party_id: str) -> str | None:
    """A new secret for a party; None where others keep them, who then make it. Raises PartyError while it is suspended."""
    party = find_party(settings.kafka, party_id)
    if party.suspended_at:
        raise PartyError(
            f"{party_id} is suspended: weaklink party resume {party_id} lets it in again, with a new secret"
        )
    return None if is_kept_by_others(settings) else issue_secret(settings, party.principal)


def suspend_party(settings: Settings, party_id: str) -> Party:
    """Keep a party out from this moment: live sessions end at their next request. What it has published stays, and counts.

    Where others keep principals, it is out once they apply what the registry then says (`ops.strimzi.party_user`).
    """
    _needs_principals(settings, "suspending a party")
    party = find_party(settings.kafka, party_id)
    lock_out(settings, party)
    if not party.suspended_at:
        party = party.model_copy(update={"suspended_at": datetime.now(UTC)})
        write_party(settings.kafka, party.id, party)
    return party


def resume_party(settings: Settings, party_id: str) -> str | None:
    """Let a suspended party in again, with a new secret (None: others make it). Raises PartyError when it is not suspended."""
    _needs_principals(settings, "resuming a party")
    party = find_party(settings.kafka, party_id)
    if not party.suspended_at:
        raise PartyError(f"{party_id} is not suspended: weaklink party rotate {party_id} gives it a new secret")
    resumed = party.model_copy(update={"suspended_at": None})
    if is_kept_by_others(settings):
        write_party(settings.kafka, party.id, resumed)
        return None
    # The secret before the rights: with the old one nobody gets in again.
    secret = issue_secret(settings, party.principal)
    write_party(settings.kafka, party.id, resumed)
    with open_admin(settings.kafka) as admin:
        remove_grants(admin, denials(party) & read_grants(admin))
    return secret


def lock_out(settings: Settings, party: Party) -> None:
    """Deny a party everything, then take its secrets, of whichever kind. Without effect where Weaklink does not keep principals."""
    if not is_managed(settings):
        return
    with open_admin(settings.kafka) as admin:
        add_grants(admin, denials(party))
        remove_secrets(admin, party.principal)


def forget(settings: Settings, party: Party, *, topics_too: bool) -> None:
    """Delete a party's ACLs and quotas, after `lock_out`. Whoever is still connected as this party then has no right at all.

    `topics_too`: and the services' ACLs on its topics. Without it they stay, until `weaklink provision`: services may be reading them.
    """
    if not is_managed(settings):
        return
    topics = {party.events_topic, party.actions_topic, party.rejects_topic} if topics_too else set()
    with open_admin(settings.kafka) as admin:
        found = read_grants(admin)
        gone = [one for one in found if one.principal == party.principal or one.name in topics]
        remove_grants(admin, [one for one in gone if not one.deny])
        remove_grants(
            admin, [one for one in gone if one.deny]
        )  # last: else a session that lives on might be let in between
        remove_quotas(admin, party.principal)
