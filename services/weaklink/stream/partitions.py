"""What kafka-python's consumer does slowly for hundreds of partitions, or wrongly for paused ones. Relies on private names of the pinned library."""

from collections.abc import Iterable

from kafka import KafkaConsumer, TopicPartition


def committed_offsets(consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The group's committed offsets where there are any, as of now, in one request. `KafkaConsumer.committed` asks for one partition at a time.

    kafka-python 3.0.12 keeps a request for the offsets of a set of partitions until whoever made it has taken its answer. A poll that ends while
    it waits for that of its new assignment never does; whoever asks for the same set later is given the old answer: offsets as of before the
    last transaction of the worker that had these partitions, by which its input would be processed again. So what is kept is dropped first.
    """
    wanted = list(partitions)
    coordinator = consumer._coordinator
    coordinator._offset_fetch_futures.pop(frozenset(wanted), None)
    return {tp: one.offset for tp, one in coordinator.fetch_committed_offsets(wanted).items()}


def positions(consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Where reading goes on. `KafkaConsumer.position` looks at every assigned partition for the one that it is asked about: of hundreds that takes too long."""
    assignment, found = consumer._subscription.assignment, {}
    for tp in partitions:
        known = assignment[tp].position if tp in assignment else None
        found[tp] = consumer.position(tp) if known is None else known.offset
    return found


def resume(consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
    """Resume paused partitions for certain.

    A partition that is paused while some of its fetched records wait to be handed out has them parked in the fetcher. kafka-python 3.0.12 takes
    parked records up again only when `_next_partition_records` is None; once another partition's records have been handed out to their end, it
    holds those, used up, and never becomes None again. The parked partition then is neither handed out nor fetched: it stands still for ever.
    What is parked has not moved the position, so it may be dropped: it is fetched again.
    """
    partitions = list(partitions)
    if not partitions:
        return
    consumer.resume(*partitions)
    for tp in partitions:
        if (parked := consumer._fetcher._paused_partition_records.pop(tp, None)) is not None:
            parked.drain()
