"""Lag as it is watched: a connection, a window of samples, and a report for each. What `weaklink lag`, the exporter and the console call."""

import time
from typing import Final, Self

from kafka.errors import KafkaError

from weaklink.errors import BrokerError, brief
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.lag import History
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.lag_report import LagReport

WINDOW_SECONDS: Final = 60.0


class LagWatch:
    """`with LagWatch(kafka) as watch: watch.sample()`, every few seconds. For one thread at a time."""

    def __init__(self, kafka: KafkaConfig, window_seconds: float = WINDOW_SECONDS) -> None:
        self._kafka = kafka
        self._history = History(window_seconds)
        self._probe: LagProbe | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sample(self) -> LagReport:
        """Lag now, with outlook and verdicts over the window. Raises BrokerError when Kafka cannot be asked; the next call connects anew."""
        try:
            self._probe = self._probe or LagProbe(self._kafka)
            last_event_us = self._probe.last_event_us()
            rows = self._history.add(self._probe.sample())
        except BrokerError:
            self.close()
            raise
        except KafkaError as error:
            self.close()
            raise BrokerError(
                f"{self._kafka.bootstrap_servers} cannot be asked for lag: {brief(error)}; is it running (WEAKLINK_KAFKA__BOOTSTRAP_SERVERS "
                "says where it is), and may this user describe groups?"
            ) from error
        return LagReport(rows[0][0].at_us if rows else time.time_ns() // 1000, rows, last_event_us)

    def close(self) -> None:
        """Leave the broker."""
        if self._probe is not None:
            probe, self._probe = self._probe, None
            probe.close()
