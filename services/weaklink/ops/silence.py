"""How long parties have sent nothing: also those whose last event has expired, and those that never sent any."""

from collections.abc import Mapping

import structlog

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.lag_report import LagReport
from weaklink.parties import Party
from weaklink.party_registry import PartyRegistry

_log = structlog.get_logger()


class Silence:
    """Reads the registry beside the samples of lag: a topic without an event does not say since when it has none. For one thread."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._registry: PartyRegistry | None = None
        self._parties: Mapping[str, Party] = {}
        self._last_us: dict[str, int] = {}

    def seconds(self, report: LagReport) -> dict[str, float]:
        """Of each party that has topics: since its last event, or, where none is left, since the last one seen here or since it was added.

        A party that is kept out counts only while its topic holds an event: that it goes on being silent is no news.
        """
        expected = {party_id: one for party_id, one in self._registered().items() if one.suspended_at is None}
        seen = {party: us for party, us in self._last_us.items() if party in expected}
        added = {party: round(one.added_at.timestamp() * 1e6) for party, one in expected.items()}
        self._last_us = seen | dict(report.last_event_us)
        since = added | self._last_us
        with_topics = (one.party for one in report.parties if one.party in since)
        return {party: max(0.0, (report.at_us - since[party]) / 1e6) for party in with_topics}

    def close(self) -> None:
        """Leave the broker."""
        if self._registry is not None:
            registry, self._registry = self._registry, None
            registry.close()

    def _registered(self) -> Mapping[str, Party]:
        """As it is, or, where it cannot be read, as it was: lag is shown all the same."""
        try:
            self._registry = self._registry or PartyRegistry(self._kafka)
            self._parties = self._registry.refresh()
        except BrokerError as error:
            self.close()
            _log.warning("registry_not_read", error=str(error), next="retry")
        return self._parties
