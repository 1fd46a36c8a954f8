"""Membership in a consumer group that always comes to an end: a step around two defects of kafka-python 3.0.12, by private names; and leaving for good.

When metadata change (a new topic of a pattern, more partitions), the coordinator joins the group anew, within the time that `poll` was given.
If that runs out, the join goes on in the background, and the next `poll` should wait for it. It asks `need_rejoin()`: but the join under way
has already taken note of the new metadata, so the answer is no, nobody takes up the join's result, the old assignment is revoked, the
heartbeat stays off, and the consumer stands still for ever. With `rejoin_needed` set, which only a completed join clears, the answer is yes.

Before it joins by a pattern, the coordinator asks for all metadata, within that same time. Taking in the topics of a large cluster holds up
its event loop: if for longer than the time of one `poll`, each `poll` gives up just as its answer is there, the next asks again, and no join
ever begins. So a `poll` that has to join gets time to do so. It would have no records to give in any case.
"""

from collections.abc import Iterable
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import FencedInstanceIdError, KafkaError

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

_JOIN_MS: Final = 5_000
"""What a poll that has to join takes at the most, if it was given less."""


def complete_joins(consumer: KafkaConsumer) -> None:
    """Make this consumer see every join through. Raises BrokerError when the library is not the one this was written for."""
    coordinator: Any = getattr(consumer, "_coordinator", None)
    if not all(hasattr(coordinator, name) for name in ("need_rejoin", "request_rejoin", "rejoin_needed", "poll")):
        raise BrokerError(
            "this kafka-python has another group coordinator than 3.0.12, which Weaklink is pinned to: install from requirements.lock"
        )
    ask, poll = coordinator.need_rejoin, coordinator.poll

    def need_rejoin() -> bool:
        needed = bool(ask())
        if needed:
            coordinator.request_rejoin()
        return needed

    def poll_long_enough(timeout_ms: float | None = None) -> bool:
        short = timeout_ms is not None and timeout_ms < _JOIN_MS
        return bool(poll(timeout_ms=_JOIN_MS if short and need_rejoin() else timeout_ms))

    coordinator.need_rejoin, coordinator.poll = need_rejoin, poll_long_enough


def leave_when_closed(consumer: KafkaConsumer) -> None:
    """Make a static member (`group_instance_id`) leave the group when it is closed, as others do.

    The library, like Java's, lets its session end instead: whoever stops a worker for good would wait for that. A worker that is killed does not
    get as far as this: it is a member until its session ends, or is one again, with the same partitions and without a rebalance, when it is back before.
    """
    coordinator: Any = consumer._coordinator
    coordinator.is_dynamic_member = lambda: True


def end_when_replaced(consumer: KafkaConsumer) -> None:
    """Make a static member whose place another process has taken join anew, by which it learns of that (FencedInstanceIdError from `poll`).

    The library only stops its heartbeat: it would go on as a member that is none, and take over nothing. Where the other has left, it has its place again.
    """
    coordinator: Any = consumer._coordinator
    send = coordinator._send_heartbeat_request

    async def send_heartbeat() -> Any:
        try:
            return await send()
        except FencedInstanceIdError:
            coordinator.request_rejoin()
            raise

    coordinator._send_heartbeat_request = send_heartbeat


def unassigned(kafka: KafkaConfig, group: str, partitions: Iterable[TopicPartition]) -> set[TopicPartition]:
    """Those of the partitions that no member of the group has. None while it is not settled, or cannot be asked: then a rebalance is to come anyway."""
    admin = KafkaAdminClient(**kafka.client_options())
    try:
        told = admin.describe_groups([group])[group]
    except KafkaError:
        return set()
    finally:
        admin.close()
    assignments = [one["member_assignment"] for one in told["members"]]
    if told["group_state"] != "Stable" or not all(assignments):
        return set()
    parts = [part for one in assignments for part in one["assigned_partitions"]]
    return set(partitions) - {TopicPartition(part["topic"], number) for part in parts for number in part["partitions"]}
