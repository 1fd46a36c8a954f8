"""`main.py BOOTSTRAP EVENTS PAIRS OUTPUT STATE_FOLDER`: the job on faust-streaming, until SIGTERM.

`take` and `gather`: many sends are under way at once, and each is awaited before its event counts as done, without which a kill loses some.
"""

import asyncio
import sys

import faust
from job import Status, add, pairs

EVENTS_AT_ONCE = 500


def main(bootstrap: str, events: str, pairs_topic: str, output: str, folder: str) -> None:
    """Two agents and a table in memory with its changelog."""
    status = Status()
    app = faust.App(
        output,
        broker=[f"kafka://{one}" for one in bootstrap.split(",")],
        store="memory://",
        datadir=folder,
        topic_partitions=4,
        topic_replication_factor=1,
        web_enabled=False,
        broker_commit_interval=1.0,
        producer_compression_type="lz4",
        producer_linger_ms=20,
        producer_max_batch_size=262_144,
        producer_acks=-1,
        consumer_max_fetch_size=8 << 20,
        stream_buffer_maxsize=16_384,
        stream_wait_empty=False,
        value_serializer="raw",
    )
    raw = {"key_serializer": "raw", "value_serializer": "raw"}
    source = app.topic(events, key_type=bytes, value_type=bytes, internal=False, **raw)
    middle = app.topic(pairs_topic, key_type=bytes, value_type=bytes, partitions=4, **raw)
    target = app.topic(output, key_type=bytes, value_type=bytes, **raw)
    members = app.Table("members", default=str, partitions=4, key_type=str, value_type=str)

    @app.agent(source)
    async def expand(stream: "faust.StreamT[bytes]") -> None:
        async for values in stream.take(EVENTS_AT_ONCE, within=0.05):
            status.reading()
            found = [[(token, account.encode()) for token, account in pairs(value)] for value in values]
            sends = [await middle.send(key=token, value=account) for event in found for token, account in event]
            await asyncio.gather(*sends)
            for event in found:
                status.passed_on(len(event))

    @app.agent(middle)
    async def fold(stream: "faust.StreamT[bytes]") -> None:
        # One by one: a table takes changes only for the event at hand.
        async for token, account in stream.items():
            name = token.hex()
            before = members[name]
            after, enough = add(before, account.decode())
            if after is not before:
                members[name] = after
            if enough:
                await (await target.send(key=token, value=after.encode()))
            status.fold()

    sys.argv = ["main", "worker", "--loglevel", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
