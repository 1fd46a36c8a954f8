"""`load.py BOOTSTRAP TOPIC FILE`: publishes a file of events as `bench/encode.py` writes it, lz4, in batches of at most 64 KiB."""

import mmap
import sys
from pathlib import Path

from confluent_kafka import Producer

PREFIX_BYTES = 3


def main(bootstrap: str, topic: str, path: str) -> None:
    """Return when the broker has them all."""
    failed: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "batch.size": 65_536,
            "linger.ms": 50,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 262_144,
            "on_delivery": delivered,
            "delivery.report.only.error": True,
        }
    )
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, number = 0, 0
        while at < len(data):
            partition, key_bytes, value_bytes = data[at : at + PREFIX_BYTES]
            key_end = at + PREFIX_BYTES + key_bytes
            end = key_end + value_bytes
            while True:
                try:
                    producer.produce(topic, data[key_end:end], data[at + PREFIX_BYTES : key_end], partition)
                    break
                except BufferError:
                    producer.poll(0.05)
            at, number = end, number + 1
            if number % 10_000 == 0:
                producer.poll(0)
        left = producer.flush(120)
    if left or failed:
        sys.exit(f"{left} events were not delivered in time; {failed[:3]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
