"""A worker's membership in its stage's consumer group: when its partitions change, as which member it commits, and what nobody has."""

from collections.abc import Callable, Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from weaklink.group_member import complete_joins, end_when_replaced, leave_when_closed, unassigned
from weaklink.kafka_options import KafkaConfig


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    """Counts rebalances, as the listener of a consumer's subscription. Called on the consumer's own thread, so it does no more than to wait for a
    commit: the runner looks at the count after each poll.

    `before_revoked` is called before the group is joined anew. `is_static`: the consumer has a `group_instance_id`.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        kafka: KafkaConfig,
        group: str,
        before_revoked: Callable[[], None],
        *,
        is_static: bool,
    ) -> None:
        self._consumer, self._kafka, self._group, self._is_static = consumer, kafka, group, is_static
        self._before_revoked = before_revoked
        self.changes = self._seen_changes = 0
        self.joining = True
        """Whether the group is between two assignments: nothing may be committed, so nothing need be processed."""
        self.was_lost = False
        """Whether the group had given up on this worker since this was last set to False."""
        self.metadata: Any = None
        """As which member of which generation the group's partitions are held (kafka's ConsumerGroupMetadata). Not as it is when a transaction is
        committed: the library's heartbeat may have learnt meanwhile that the group has given up on this worker, and then says "no member", whose
        offsets a broker takes from anybody, as from producers of before KIP-447."""
        self._partitions: dict[str, int] = {}  # of each topic, as of the assignment
        complete_joins(consumer)
        end_when_replaced(consumer)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group is about to be joined anew."""
        self.joining = True
        self.changes += 1
        self._before_revoked()

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """The group has given up on this worker, and others may have had what was its own."""
        self.was_lost = True
        self.on_partitions_revoked(lost)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The group was joined."""
        self.joining = False
        self.changes += 1

    @property
    def changed(self) -> bool:
        """Whether the assignment has changed since `accept_changes`: what was polled and not committed must be dropped."""
        return self.changes != self._seen_changes

    def accept_changes(self) -> set[TopicPartition]:
        """The assignment as it is now; `metadata` is that to which it belongs."""
        self._seen_changes = self.changes
        first, self._partitions = not self._partitions, self._partitions_of_topics()
        if first and self._is_static:
            self._look_for_what_nobody_has()
        self.metadata = self._consumer.group_metadata()
        return set(self._consumer.assignment())

    @property
    def given_up(self) -> bool:
        """Whether the group had given up on this worker, and the library known of it, when the assignment was accepted."""
        return self.metadata is None or self.metadata.generation_id < 0

    def look_for_new_partitions(self) -> None:
        """Have the group joined anew where a topic has grown.

        The group's leader watches for new partitions: but one that was killed and is back as a static member does not know that it leads.
        """
        if not self._is_static:
            return
        counts = self._partitions_of_topics()
        if any(counts.get(topic, 0) > count for topic, count in self._partitions.items()):
            self._consumer._coordinator.request_rejoin()

    def leave(self) -> None:
        """Have the consumer leave the group when it is closed, so that others need not wait for the session to time out."""
        leave_when_closed(self._consumer)

    def _look_for_what_nobody_has(self) -> None:
        """Who is back in its slot has what it had. If it was the only worker, or led the others, nobody has what was created meanwhile.

        Asks once: where the group cannot be asked just then, that waits for the next rebalance.
        """
        known = [TopicPartition(topic, number) for topic, count in self._partitions.items() for number in range(count)]
        if unassigned(self._kafka, self._group, known):
            self._consumer._coordinator.request_rejoin()

    def _partitions_of_topics(self) -> dict[str, int]:
        known = self._consumer._cluster  # asks nobody, other than the consumer's own method for a topic that is gone
        return {topic: len(known.partitions_for_topic(topic) or ()) for topic in self._consumer.subscription() or ()}
