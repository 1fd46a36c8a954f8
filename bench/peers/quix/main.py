"""`main.py BOOTSTRAP EVENTS OUTPUT STATE_FOLDER`: the job on Quix Streams, until SIGTERM."""

import sys
from typing import Any

from job import Status, add, pairs
from quixstreams import Application, State
from quixstreams.models import SerializationContext, Serializer, TopicConfig


class Members(Serializer):
    """Of (token, members) the members; the token is the key."""

    def __call__(self, value: tuple[str, str], ctx: SerializationContext) -> bytes:
        """As bytes."""
        return value[1].encode()


def main(bootstrap: str, events: str, output: str, folder: str) -> None:
    """Decode, one message for each pair through Quix's own repartition topic, members in its RocksDB state with a changelog."""
    status = Status()
    app = Application(
        broker_address=bootstrap,
        consumer_group=output,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=2.0,
        state_dir=folder,
        loglevel="WARNING",
        consumer_extra_config={"fetch.max.bytes": 67_108_864, "queued.max.messages.kbytes": 131_072},
        producer_extra_config={"compression.type": "lz4", "linger.ms": 50, "batch.size": 262_144, "queue.buffering.max.messages": 500_000},
    )  # fmt: skip
    source = app.topic(events, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(
        output,
        key_serializer="bytes",
        value_serializer=Members(),
        config=TopicConfig(num_partitions=4, replication_factor=1),
    )

    def expand(value: bytes) -> list[list[str]]:
        status.reading()
        found = [[token.hex(), account] for token, account in pairs(value)]
        status.passed_on(len(found))
        return found

    def fold(pair: list[str], state: State) -> tuple[str, str] | None:
        before = state.get("members", "")
        after, enough = add(before, pair[1])
        if after is not before:
            state.set("members", after)
        status.fold()
        return (pair[0], after) if enough else None

    stream: Any = app.dataframe(source).apply(expand, expand=True)
    stream = stream.group_by(lambda pair: pair[0], name="token")
    stream = stream.apply(fold, stateful=True).filter(lambda shared: shared is not None)
    stream.to_topic(target, key=lambda shared: bytes.fromhex(shared[0]))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
