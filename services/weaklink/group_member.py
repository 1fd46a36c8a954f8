"""Membership in a consumer group that always comes to an end: a step around a defect of kafka-python 3.0.12, by private names.

When metadata change (a new topic of a pattern, more partitions), the coordinator joins the group anew, within the time that `poll` was given.
If that runs out, the join goes on in the background, and the next `poll` should wait for it. It asks `need_rejoin()`: but the join under way
has already taken note of the new metadata, so the answer is no, nobody takes up the join's result, the old assignment is revoked, the
heartbeat stays off, and the consumer stands still for ever. With `rejoin_needed` set, which only a completed join clears, the answer is yes.
"""

from typing import Any

from kafka import KafkaConsumer

from weaklink.errors import BrokerError


def complete_joins(consumer: KafkaConsumer) -> None:
    """Make this consumer see every join through. Raises BrokerError when the library is not the one this was written for."""
    coordinator: Any = getattr(consumer, "_coordinator", None)
    if not all(hasattr(coordinator, name) for name in ("need_rejoin", "request_rejoin", "rejoin_needed")):
        raise BrokerError(
            "this kafka-python has another group coordinator than 3.0.12, which Weaklink is pinned to: install from requirements.lock"
        )
    ask = coordinator.need_rejoin

    def need_rejoin() -> bool:
        needed = bool(ask())
        if needed:
            coordinator.request_rejoin()
        return needed

    coordinator.need_rejoin = need_rejoin
