"""`weaklink run exporter`: lag, members and parties as metrics. It joins no group and commits nothing; one is enough, two do no harm."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from weaklink import metrics
from weaklink.errors import BrokerError
from weaklink.health import Health
from weaklink.metrics import Listed
from weaklink.ops.lag_report import LagReport
from weaklink.ops.lag_watch import LagWatch
from weaklink.ops.silence import Silence
from weaklink.ops.verdict import Verdict
from weaklink.settings import Settings

_VERDICTS: Final = {verdict: float(number) for number, verdict in enumerate(Verdict)}
_STALE_SAMPLES: Final = 4
"""A report older than so many intervals is not shown: no number is better than one that is no longer true."""
_log = structlog.get_logger()


class LagCollector(Collector):
    """The newest report, as metrics. Empty before the first, and when Kafka has not answered for a while."""

    def __init__(self, stale_seconds: float) -> None:
        self._stale_seconds = stale_seconds
        self._newest: tuple[float, LagReport, Mapping[str, float]] | None = None

    def show(self, report: LagReport, silent_seconds: Mapping[str, float]) -> None:
        """From now on show this report, and by party how long it has sent nothing."""
        self._newest = (time.monotonic(), report, silent_seconds)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics of the exporter, as `weaklink.metrics` lists them."""
        newest = self._newest
        if newest is None or time.monotonic() - newest[0] > self._stale_seconds:
            return iter(())
        return families(*newest[1:])


def families(report: LagReport, silent_seconds: Mapping[str, float]) -> Iterator[GaugeMetricFamily]:
    """A report, and parties' silence, as Prometheus' metric families."""
    rows = list(report.rows)
    places = [
        ((lag.group, one.topic, str(one.partition)), one, ahead.verdicts[one.topic, one.partition])
        for lag, ahead in rows
        for one in lag.partitions
    ]
    yield _family(metrics.LAG_RECORDS, ((key, one.records) for key, one, _ in places))
    yield _family(metrics.LAG_SECONDS, ((key, one.seconds(report.at_us)) for key, one, _ in places))
    yield _family(metrics.GROUP_OFFSET, ((key, one.committed) for key, one, _ in places if one.committed is not None))
    yield _family(metrics.LAG_VERDICT, ((key, _VERDICTS[verdict]) for key, _, verdict in places))
    ends = {key[1:]: one.end for key, one, _ in places}
    yield _family(metrics.PARTITION_END, ends.items())
    yield _family(metrics.LAG_RECORDS_SUM, (((lag.group,), lag.records) for lag, _ in rows))
    yield _family(metrics.LAG_SECONDS_MAX, (((lag.group,), lag.seconds) for lag, _ in rows))
    yield _family(metrics.LAG_SKEW, (((lag.group,), lag.skew) for lag, _ in rows))
    caught_up = (((lag.group,), ahead.caught_up_seconds) for lag, ahead in rows)
    yield _family(metrics.LAG_CAUGHT_UP, ((key, float("inf") if ahead is None else ahead) for key, ahead in caught_up))
    yield _family(metrics.GROUP_MEMBERS, (((lag.group,), lag.members) for lag, _ in rows if lag.members is not None))
    parties = report.parties
    yield _family(metrics.PARTY_EVENTS_WAITING, (((one.party,), one.events_waiting) for one in parties))
    yield _family(metrics.PARTY_ACTIONS_UNREAD, (((one.party,), one.actions_unread) for one in parties))
    yield _family(metrics.PARTY_ACTIONS_UNREAD_SECONDS, (((one.party,), one.actions_seconds) for one in parties))
    yield _family(metrics.PARTY_SILENT, (((party,), seconds) for party, seconds in silent_seconds.items()))


def _family(listed: Listed, values: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(listed.name, listed.meaning, labels=listed.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def run_exporter(settings: Settings, health: Health) -> None:
    """Sample until SIGTERM or Ctrl-C. A broker that does not answer is said and tried again; the metrics of lag are absent meanwhile."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _log.info("started", brokers=settings.kafka.bootstrap_servers)
    interval = settings.exporter.interval_seconds
    collector = LagCollector(_STALE_SAMPLES * interval)
    REGISTRY.register(collector)
    try:
        watching = LagWatch(settings.kafka, settings.exporter.window_seconds)
        with watching as watch, contextlib.closing(Silence(settings.kafka)) as silence:
            while not stopping.is_set():
                try:
                    report = watch.sample()
                    collector.show(report, silence.seconds(report))
                    health.turned(ready=True)
                except BrokerError as error:
                    metrics.LAG_SAMPLES_FAILED.inc()
                    health.turned(ready=False)
                    _log.warning("lag_not_sampled", error=str(error), next="retry")
                stopping.wait(interval)
    finally:
        REGISTRY.unregister(collector)
    _log.info("stopped")
