"""What a person applies where Strimzi's operators keep the principals (`access.managed=false`): Weaklink may not, and changes its registry alone.

Names as in `deploy/kubernetes`: the namespace `weaklink`; a KafkaUser has the name of its principal, and so has the Secret that Strimzi
makes for it.
"""

from typing import Final

from weaklink.parties import Party

KUBECTL: Final = "kubectl --namespace weaklink"


def to_join(party_id: str) -> list[str]:
    """After `party add`, and its resources applied: how its secret is read. Its user name is its principal's."""
    return [_read_secret(party_id)]


def to_keep_out(party_id: str) -> list[str]:
    """After `party suspend`: the KafkaUser that lets nobody in."""
    return [_apply(party_id)]


def to_let_in(party_id: str) -> list[str]:
    """After `party resume`: the KafkaUser that lets it in; and how the new secret is read."""
    return [_apply(party_id), _read_secret(party_id)]


def to_rotate(party_id: str) -> list[str]:
    """For `party rotate`: Strimzi makes another Secret in place of the one that is deleted, and tells the brokers."""
    return [f"{KUBECTL} delete secret {Party.principal_of(party_id)}", _read_secret(party_id)]


def to_remove(party_id: str, *, topics_too: bool) -> list[str]:
    """After `party remove`: without its KafkaUser a party has neither secret nor rights. Strimzi makes topics anew that Kafka alone forgets."""
    principal = Party.principal_of(party_id)
    commands = [f"{KUBECTL} delete kafkauser {principal}"]
    if topics_too:
        topics = " ".join(f"{principal}.{what}" for what in ("events", "rejects", "actions"))
        commands.append(f"{KUBECTL} delete kafkatopic {topics}")
    # The services' rights to its topics, too.
    return [*commands, f"weaklink strimzi | {KUBECTL} apply -f -"]


def _apply(party_id: str) -> str:
    return f"weaklink strimzi --only {party_id} | {KUBECTL} apply -f -"


def _read_secret(party_id: str) -> str:
    return (
        f"{KUBECTL} get secret {Party.principal_of(party_id)} --output jsonpath='{{.data.password}}' | base64 --decode"
    )
