"""Looking into topics to their end: what cannot be read to it is told, and not waited for."""

from pathlib import Path

import pytest
from kafka import KafkaProducer

from weaklink.errors import BrokerError
from weaklink.ops.broker import LocalCluster
from weaklink.ops.topics import Topic
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.partner import reading
from weaklink.partner.reading import read_topic

pytestmark = pytest.mark.kafka


@pytest.mark.usefixtures("own_brokers")
def test_a_broker_that_goes_away_is_told_with_the_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`weaklink partner actions` and `export` would hang for ever: the consumer polls on and says nothing."""
    monkeypatch.setattr(reading, "_STALL_SECONDS", 2)
    with LocalCluster(tmp_path, heap_mib=256) as cluster:
        apply(cluster.kafka, plan_topics(cluster.kafka, [Topic("long", 1, 1, {})]))
        producer = KafkaProducer(**cluster.kafka.client_options())
        for _ in range(40):  # more than one fetch takes
            producer.send("long", bytes(500_000))
        producer.close()
        records = read_topic(cluster.kafka, "long", follow=False)
        next(records)
        cluster.stop()
        with pytest.raises(BrokerError, match=r"no records came for 2 s: long-0 at \d+ of 40; is a broker down\?"):
            list(records)
