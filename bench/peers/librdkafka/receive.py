"""`receive.py BOOTSTRAP TOPIC GROUP EVENTS`: receives so many messages by librdkafka in Python and does nothing with them."""

import json
import sys
import time

from confluent_kafka import Consumer


def main(bootstrap: str, topic: str, group: str, events: str) -> None:
    """Count messages and the bytes of their values; one line of status at the end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.max.bytes": 67_108_864,
            "max.partition.fetch.bytes": 16_777_216,
            "queued.max.messages.kbytes": 262_144,
            "queued.min.messages": 1_000_000,
            "socket.receive.buffer.bytes": 4_194_304,
        }
    )
    consumer.subscribe([topic])
    wanted, read, value_bytes, first_us = int(events), 0, 0, 0
    while read < wanted:
        messages = consumer.consume(20_000, 0.1)
        if messages and not first_us:
            first_us = time.time_ns() // 1000
        for message in messages:
            if message.error():
                sys.exit(str(message.error()))
            value_bytes += len(message.value())
        read += len(messages)
    last_us = time.time_ns() // 1000
    status = {
        "first_us": first_us,
        "last_us": last_us,
        "read": read,
        "sent": 0,
        "folded": 0,
        "value_bytes": value_bytes,
    }
    print("STATUS", json.dumps(status), flush=True)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
