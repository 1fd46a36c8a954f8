"""Faust's connection to Kafka: options from our settings, and a consumer that reads committed messages only and steps over markers.

Faust has no setting for the isolation level. Its consumer thread makes the aiokafka consumer in `_create_worker_consumer`, a private
name: the version is pinned, and a test breaks loudly where that changes. The transport is registered as the URL scheme `weaklink`.
"""

import ssl
from typing import Any, Final

import aiokafka
import faust
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types.auth import AuthProtocol

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

SCHEME: Final = "weaklink"
_READ_COMMITTED: Final = 1  # aiokafka.consumer.fetcher.READ_COMMITTED
_AFTER_THE_FIRST: Final = 1  # what is committed when a partition's first message, at 0, is handled


class CommittedConsumerThread(driver.AIOKafkaConsumerThread):
    """Skips messages of transactions that are open or were aborted."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_isolation_level"):
            raise BrokerError(
                "aiokafka's consumer has no _isolation_level any more: read_committed cannot be set; use the pinned version"
            )
        # Read by the fetcher, which the consumer makes only when it starts.
        consumer._isolation_level = "read_committed"
        return consumer


class CommittedConsumer(driver.Consumer):
    """Faust's consumer on that thread."""

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Stop the flow first, until Faust resumes it.

        Faust stops it before a rebalance only where the worker had partitions. A worker that had none, such as one that was just started, would read on
        while it looks up where to begin; and resuming empties the agents' queues: what was read into them by then is handled by nobody.
        """
        self.stop_flow()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        # Offsets without a message, such as transaction markers. Faust counts the message after the gap to it, so that it is acked
        # twice and the run of acked offsets breaks there: then one commit a second moves only from one transaction to the next.
        await super()._add_gap(tp, offset_from, offset_to - 1)

    def _new_offset(self, tp: Any) -> int | None:
        # Faust takes a read offset of 0 for none, and sees no gap after a partition's first message. Two markers there, as when a broker
        # dies while it writes one, and nothing of the partition would be committed any more until a restart. Only there: what looks like a gap
        # anywhere else may be a message that was read and that nobody handled, which must stay uncommitted.
        acked, committed = self._acked[tp], self._committed_offset[tp]
        if (
            acked
            and committed == _AFTER_THE_FIRST
            and (first := min(acked)) > committed + 1
            and not self._handles_before(tp, first)
        ):
            self._gap[tp].addi(committed, first)
            self._gap[tp].merge_overlaps()
        offset: int | None = super()._new_offset(tp)
        return offset

    def _handles_before(self, tp: Any, offset: int) -> bool:
        """Whether a message that lies before this offset was read, and is not handled yet."""
        return any(one.tp == tp and one.offset < offset and not one.acked for one in self._unacked_messages)


class Transport(driver.Transport):
    """Faust's Kafka transport with that consumer."""

    Consumer = CommittedConsumer


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"


def broker_urls(kafka: KafkaConfig) -> list[str]:
    """The brokers as URLs of our transport."""
    return [f"{SCHEME}://{server.strip()}" for server in kafka.bootstrap_servers.split(",")]


def faust_credentials(kafka: KafkaConfig) -> Any:
    """Faust's `broker_credentials`; None for a plaintext connection."""
    context = ssl_context(kafka)
    if not kafka.security_protocol.startswith("SASL"):
        return faust.SSLCredentials(context) if context else None
    credentials = faust.SASLCredentials(
        username=kafka.username,
        password=kafka.secret(),
        ssl_context=context,
        mechanism=kafka.sasl_mechanism,
    )
    credentials.protocol = AuthProtocol(kafka.security_protocol)
    return credentials


def aiokafka_options(kafka: KafkaConfig) -> dict[str, Any]:
    """Connection options of an aiokafka client."""
    options = kafka.client_options()
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password", "bootstrap_timeout_ms"):
        options.pop(name, None)
    context = ssl_context(kafka)
    return options | ({"ssl_context": context} if context else {})


def ssl_context(kafka: KafkaConfig) -> ssl.SSLContext | None:
    """TLS as the settings say; None where the connection has none. Raises BrokerError for files that cannot be read."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        if kafka.ssl_certfile:
            password = kafka.ssl_password.get_secret_value() if kafka.ssl_password else None
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"kafka.ssl_cafile, ssl_certfile or ssl_keyfile cannot be used: {error}") from error
    return context
