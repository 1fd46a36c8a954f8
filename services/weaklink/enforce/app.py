"""The service: Faust agents over decisions and receipts, timers, and the relay that publishes the outbox.

Faust serves here as consumer group, supervisor and timers. It keeps no tables, opens no port and creates no topic: the ledger is the state.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import faust
import structlog

from weaklink import heap, metrics, topology
from weaklink.enforce.batching import batches
from weaklink.enforce.clock import Clock
from weaklink.enforce.consume import Decoded, Handling, Incoming
from weaklink.enforce.database import Database, ledger_url, migrate_ledger
from weaklink.enforce.epochs import Epochs
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.membership import Membership
from weaklink.enforce.observe import count_changes, count_decision, count_receipts, measure
from weaklink.enforce.outbox import DATABASE_TROUBLE, Outbox, Relay
from weaklink.enforce.retention import Retention
from weaklink.enforce.transport import broker_urls, faust_credentials
from weaklink.epochs_topic import EpochWatch
from weaklink.health import Health
from weaklink.settings import Settings
from weaklink.starting import when_there
from weaklink.traces import span

log = structlog.get_logger()

_READ_AHEAD_MAX = 256
"""Messages of a topic that are read ahead of what is handled. Decisions of large campaigns have half a megabyte each, and while the ledger is away all that
are read wait in memory: Faust's own bound of 4,096 let it grow until nothing was left to read."""
_PRUNE_SECONDS = 3600
_MEASURE_SECONDS = 5
_EPOCHS_SECONDS = 5
_MEMBERSHIP_SECONDS = 5


def run_enforce(settings: Settings, slot: str | None = None, health: Health | None = None) -> None:
    """Run one worker until SIGTERM or SIGINT.

    `slot` names the worker lastingly: after a kill, its restart takes its partitions and its outbox claims back at once. Two live
    workers must never share one. Without one the group waits for the session timeout, and claims for their lease.

    Waits while the database does not answer. Raises LedgerError when it has a schema that this version does not know; exits with status 0 after a signal.
    """

    def begin() -> EpochWatch:
        migrate_ledger(settings)
        return EpochWatch(settings.kafka)

    oldest_epoch = when_there(begin, health)
    if oldest_epoch is None:
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build_app(settings, oldest_epoch, slot, health)
    worker = faust.Worker(
        app,
        loop=loop,
        quiet=True,
        redirect_stdouts=False,
        override_logging=False,
        loglevel="WARN",
    )
    worker.spinner = None
    heap.settle()
    log.info("started", slot=slot, brokers=settings.kafka.bootstrap_servers, ledger=repr(ledger_url(settings)))
    worker.execute_from_commandline()


def build_app(
    settings: Settings, oldest_epoch: EpochWatch, slot: str | None = None, health: Health | None = None
) -> Any:
    """The Faust app (faust.App), not started."""
    config = settings.enforce
    database = Database(ledger_url(settings), config.ledger_timeout_seconds)
    clock = Clock(settings.clock, config.clock_lead_hours_max)
    ledger, retention = Ledger(database, config, clock), Retention(database, config, clock)
    epochs = Epochs(database, config, clock)
    name = f"enforce-{slot or uuid.uuid4().hex[:12]}"
    box = Outbox(database, config, name)
    app = _faust_app(settings, name, lasting=slot is not None)

    membership = Membership(settings.kafka)
    relay = Relay(box, settings.kafka, config, membership.unregistered)

    async def decide(some: Sequence[Decoded]) -> None:
        for values, value in some:
            with metrics.LEDGER_SECONDS.labels("decision").time(), span("enforce decision"):
                gone = await membership.unregistered({one["party"] for one in values["measures"]})
                outcome = await ledger.handle_decision(values, value, gone)
            epochs.saw(values["measures"])
            relay.wake()
            count_decision(outcome)
            if outcome:
                log.info(
                    "decision",
                    campaign_id=values["campaign_id"],
                    measures=len(values["measures"]),
                    changes=len(outcome.changes),
                    waiting=sum(change.waits_because is not None for change in outcome.changes),
                    refused=len(outcome.refused),
                )

    async def answer(some: Sequence[Decoded]) -> None:
        receipts = [values for values, _ in some]
        with (
            metrics.LEDGER_SECONDS.labels("receipts").time(),
            span("enforce receipts", weaklink__messages=len(receipts)),
        ):
            answers = await ledger.handle_receipts(receipts)
        relay.wake()
        count_receipts(receipts, answers)
        outcomes = Counter(answered.outcome for answered in answers if answered)
        log.info("receipts", repeated=answers.count(None), outcomes=dict(outcomes))

    # A decision is one transaction of its own. Receipts are many and small: those that wait are handled together.
    _agent(app, topology.DECISIONS, Handling("Decision", decide, ledger, config), at_once_max=1)
    _agent(app, topology.RECEIPTS, Handling("Receipt", answer, ledger, config), at_once_max=config.receipts_at_once_max)

    async def timers() -> None:
        with metrics.LEDGER_SECONDS.labels("timers").time():
            while changes := await ledger.run_timers():
                relay.wake()
                count_changes(changes)

    async def observe() -> None:
        await measure(database)

    async def turned() -> None:
        if health:  # the event loop turns; ready once the group has shared out its partitions
            health.turned(ready=not app.rebalancing)

    app.timer(interval=config.tick_seconds)(_unless_in_trouble("timers", timers))
    app.timer(interval=config.tick_seconds)(turned)
    app.timer(interval=_PRUNE_SECONDS)(_unless_in_trouble("pruning", _prune(retention)))
    app.timer(interval=_EPOCHS_SECONDS)(_unless_in_trouble("epochs", _epochs(epochs, oldest_epoch, relay)))
    app.timer(interval=_MEMBERSHIP_SECONDS)(membership.look)
    app.timer(interval=_MEASURE_SECONDS)(_unless_in_trouble("measuring", observe))
    app.task(relay.run)
    return app


def _faust_app(settings: Settings, name: str, *, lasting: bool) -> Any:
    kafka = settings.kafka
    return faust.App(
        topology.stage("enforce").group,
        broker=broker_urls(kafka),
        broker_credentials=faust_credentials(kafka),
        broker_client_id=f"weaklink-{name}",
        consumer_group_instance_id=name if lasting else None,
        broker_session_timeout=kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=min(3.0, kafka.session_timeout_ms / 3000),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=_READ_AHEAD_MAX,  # of the app: what is set of a topic (`maxsize`) gets lost where an agent takes it over
        datadir=_data_folder(settings.data_folder, name),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        worker_redirect_stdouts=False,
    )


def _data_folder(data_folder: Path, name: str) -> Path:
    folder = (data_folder / "enforce" / "faust" / name).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _agent(app: Any, topic: str, handling: Handling, *, at_once_max: int) -> None:
    raw = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", internal=False
    )

    async def consume(stream: Any) -> None:  # faust.Stream
        # Acknowledged by hand, after the effect. What already waits is taken together, so that an idle worker adds no delay.
        unacked = stream.noack()
        async for taken in batches(unacked.events(), at_once_max):
            await handling.handle_all([_incoming(topic, one.message) for one in taken])
            for one in taken:
                await unacked.ack(one)

    # One at a time: with more, Faust commits past messages that are still being handled.
    app.agent(raw, concurrency=1, name=f"weaklink.enforce.{topic}")(consume)


def _prune(retention: Retention) -> Callable[[], Awaitable[None]]:
    """What removes what is due."""

    async def prune() -> None:
        with metrics.LEDGER_SECONDS.labels("pruning").time():
            removed = await retention.prune()
        for table, rows in removed.items():
            metrics.PRUNED_ROWS.labels(table).inc(rows)
        if any(removed.values()):
            log.info("pruned", rows=dict(removed))

    return prune


def _epochs(epochs: Epochs, oldest_epoch: EpochWatch, relay: Relay) -> Callable[[], Awaitable[None]]:
    """What looks after epochs of keys that are over."""

    async def forget() -> None:
        oldest = await asyncio.to_thread(oldest_epoch)  # it asks the broker, which may take its time
        changes, removed = await epochs.forget(oldest)
        count_changes(changes)
        if changes:
            relay.wake()
        if changes or removed:
            log.info("epochs_forgotten", stage="enforce", oldest_epoch=oldest, ended=len(changes), rows=removed)

    return forget


def _incoming(topic: str, message: Any) -> Incoming:
    return Incoming(topic, message.partition, message.offset, message.key, message.value)


def _unless_in_trouble(name: str, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await work()
        except (
            DATABASE_TROUBLE
        ) as error:  # an exception that escapes a timer stops the worker; the next tick tries again
            log.warning("timer_failed", work=name, error=str(error), next="retry")

    return run
