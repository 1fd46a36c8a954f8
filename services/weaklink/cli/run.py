"""`weaklink run STAGE`: one service in the foreground, until SIGTERM or Ctrl-C."""

import os
import re
import signal
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from weaklink import topology
from weaklink.errors import BrokerError, ConfigurationError

if TYPE_CHECKING:
    from weaklink.health import Health
    from weaklink.settings import Settings
    from weaklink.stream.guard import Guard

COLUMNAR: Final = {
    "ingest": "weaklink.ingest.stage:make_stage",
    "correlate": "weaklink.correlate.stage:make_stage",
    "campaigns": "weaklink.campaigns.stage:make_stage",
}
"""Stage -> `make_stage(settings) -> Stage`, imported when it is run."""

FAUST: Final = {"enforce": "weaklink.enforce.app:run_enforce"}
"""Stage -> `run_enforce(settings, slot, health)`, which returns when it was stopped."""

BESIDE: Final = {"exporter": "weaklink.ops.exporter:run_exporter", "console": "weaklink.console.serve:run_console"}
"""Service of `topology.SERVICES` -> `run(settings, health)`, which returns when it was stopped."""

_EXPORTER_PORT: Final = 9464
"""Of the exporter, which is for nothing else; the port that OpenTelemetry's Prometheus exporters listen on by default."""


_SLOT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}")
"""What Kafka takes as the name of a static member."""


def _legal_slot(slot: str | None) -> str | None:
    if not slot:  # an empty variable of a script: none
        return None
    if not _SLOT.fullmatch(slot):
        raise typer.BadParameter("1 to 249 letters, digits, '-', '_' and '.', of which the last does not come first")
    return slot


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("run")(run)


def run(
    stage: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(one.name for one in topology.STAGES)}; or "
            f"{'; or '.join(f'{one.name}: {one.summary}' for one in topology.SERVICES)}."
        ),
    ],
    slot: Annotated[
        str | None,
        typer.Option(
            callback=_legal_slot,
            help="Stable name of this worker (a StatefulSet's ordinal): back within its session it has its partitions again, and aborts at once "
            "what it left open. Never two at a time.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Serve /metrics, /healthz and /readyz here; by default WEAKLINK_STREAM__METRICS_PORT.",
        ),
    ] = None,
) -> None:
    """Run one stage until it is stopped (SIGTERM, Ctrl-C). Start more of the same for more throughput."""
    if stage not in (names := (*COLUMNAR, *FAUST, *BESIDE)):
        raise ConfigurationError(f"no stage {stage!r}; there are {', '.join(names)}")
    from weaklink.logs import service_log
    from weaklink.settings import load_settings

    settings = load_settings()
    with service_log(stage, json=settings.log_json, level=settings.log_level):
        _run(stage, slot, metrics_port, settings)


def _run(stage: str, slot: str | None, metrics_port: int | None, settings: "Settings") -> None:
    from weaklink.health import Health, serve_health

    port = metrics_port if metrics_port is not None else settings.stream.metrics_port
    if settings.otlp_traces_url:
        from weaklink.traces import configure_traces

        configure_traces(stage, settings.otlp_traces_url)
    health = Health(settings.stream.max_poll_interval_ms / 1000)
    if port is None and stage == "exporter":
        port = _EXPORTER_PORT
    if port is not None:
        serve_health(settings.stream.metrics_host, port, health)
    if stage in BESIDE:
        _load(BESIDE[stage])(settings, health)
    elif stage in FAUST:
        _load(FAUST[stage])(settings, slot, health)
    else:
        _run_columnar(stage, slot, settings, health)


def _run_columnar(stage: str, slot: str | None, settings: "Settings", health: "Health") -> None:
    # A malformed event may make the Avro reader panic; it is caught, and its sender gets a reject. A backtrace for each would cost a
    # thousand times the event, and drown the log.
    os.environ["RUST_BACKTRACE"] = "0"
    import structlog
    from kafka.errors import KafkaError

    from weaklink import heap
    from weaklink.starting import when_there
    from weaklink.stream.runner import Runner
    from weaklink.stream.stage import Traits

    log = structlog.get_logger()
    try:
        made = when_there(lambda: _load(COLUMNAR[stage])(settings), health)
        if made is None:
            log.info("stopped", stage=stage)
            return
        guard = None
        if getattr(made, "traits", Traits()).whole_batches:
            heap.take_large_from_the_system()  # parties' own batches: they may be bombs
            guard = _guard(stage, settings)
        runner = Runner(made, topology.stage(stage), settings, slot, health, guard=guard)
    except KafkaError as error:
        raise BrokerError(
            f"Kafka at {settings.kafka.bootstrap_servers} cannot be reached: {error} (WEAKLINK_KAFKA__BOOTSTRAP_SERVERS says where it is)"
        ) from error

    def stop(number: int, _frame: object) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        runner.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    heap.settle()
    log.info("started", stage=stage, slot=slot, brokers=settings.kafka.bootstrap_servers)
    runner.run()
    if guard:
        guard.close()
    log.info("stopped", stage=stage)


def _guard(stage: str, settings: "Settings") -> "Guard | None":
    """Where what parties send is decoded. A folder that cannot be written is no reason not to work."""
    import structlog

    from weaklink.errors import CheckpointError
    from weaklink.stream.guard import Guard, Verdicts

    folder = settings.data_folder
    try:
        verdicts = Verdicts(settings.stream.snapshot_url or str(folder / "snapshots"), stage)
        return Guard(folder / "guard" / stage, verdicts, settings.stream.decode_seconds_max)
    except (OSError, CheckpointError) as error:
        meaning = "a batch that makes a decoder fail would not be found out"
        log = structlog.get_logger()
        log.warning("decoding_unguarded", error=str(error), meaning=meaning)
        return None


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
