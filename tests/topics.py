"""Topics of a test alone, on the cluster that all tests share."""

from collections.abc import Iterable, Mapping

from kafka.admin import KafkaAdminClient

from tests.waiting import PATIENCE_SECONDS
from weaklink.kafka_options import KafkaConfig


def no_ingest(seconds: float) -> None:
    """How long to wait between a party's leaving the registry and its topics' end where no ingest reads them: not at all."""


def create_topics(
    kafka: KafkaConfig, names: Iterable[str], partitions: int = 2, configs: Mapping[str, str] | None = None
) -> None:
    """With append times, as `weaklink provision` makes them; returns when every client that asks can see them.

    The broker's answer says only that they will be there: a consumer that asks at once may find no partitions.
    """
    names = list(names)
    wanted = {
        "num_partitions": partitions,
        "replication_factor": kafka.replication_factor,
        "configs": {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "16777216", **(configs or {})},
    }
    admin = KafkaAdminClient(**kafka.client_options())
    try:
        admin.create_topics(dict.fromkeys(names, wanted))
        admin.wait_for_topics(names, timeout_ms=PATIENCE_SECONDS * 1000)
    finally:
        admin.close()
