"""`weaklink lag`: how far every stage and every party is behind."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import typer

from weaklink import topology

if TYPE_CHECKING:
    from rich.table import Table

    from weaklink.ops.lag import Outlook, ReaderLag


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("lag")(lag)


def lag(
    watch: bool = typer.Option(False, "--watch", help="Go on until Ctrl-C."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object per sample."),
    partitions: bool = typer.Option(False, "--partitions", help="A row for each partition that is behind, too."),
    interval_seconds: float = typer.Option(2.0, "--interval", min=0.2, help="Seconds between samples."),
    window_seconds: float = typer.Option(60.0, "--window", min=1, help="Seconds over which the trend is taken."),
) -> None:
    """Records and seconds behind, trend, and time until caught up.

    Without --watch: two samples, `--interval` apart, so that there is a trend.
    """
    import contextlib
    import json

    from rich.console import Console
    from rich.live import Live

    from weaklink.ops.lag import to_json

    console = Console()
    samples = _samples(interval_seconds, window_seconds)
    with contextlib.suppress(KeyboardInterrupt):
        if not watch:
            next(samples)
            rows = next(samples)
            if as_json:
                typer.echo(json.dumps(to_json(rows)))
            else:
                console.print(_table(rows, partitions))
        elif as_json:
            for rows in samples:
                typer.echo(json.dumps(to_json(rows)))
        else:
            with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
                for rows in samples:
                    live.update(_table(rows, partitions), refresh=True)
    samples.close()


def _samples(
    interval_seconds: float, window_seconds: float
) -> Generator["list[tuple[ReaderLag, Outlook]]", None, None]:
    """A sample every so often, for ever. Raises BrokerError when Kafka cannot be asked."""
    import time

    from kafka.errors import KafkaError

    from weaklink.errors import BrokerError
    from weaklink.ops.lag import History
    from weaklink.ops.lag_probe import LagProbe
    from weaklink.settings import load_settings

    kafka = load_settings().kafka
    history = History(window_seconds)
    try:
        with LagProbe(kafka) as probe:
            while True:
                yield history.add(probe.sample())
                time.sleep(interval_seconds)
    except KafkaError as error:
        raise BrokerError(
            f"{kafka.bootstrap_servers} cannot be asked for lag: {type(error).__name__} {error}; is it running, and may this user describe groups?"
        ) from error


def _table(rows: "list[tuple[ReaderLag, Outlook]]", partitions: bool) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("reader", no_wrap=True)
    for title in ("records", "seconds", "trend", "records/s", "caught up in", "worst partition"):
        table.add_column(title, justify="left" if title in ("trend", "worst partition") else "right")
    # A party's own choice of group is worth a mention; the usual ones say no more than the reader's name.
    stages = {stage.group for stage in topology.STAGES}
    usual = stages | {f"{lag.reader.replace('party ', 'party.')}.actions" for lag, _ in rows}
    colour = {"rising": "red", "falling": "green", "steady": ""}
    # Stages in their order, then the parties, the furthest behind first: what a small terminal cuts off matters least.
    for lag, ahead in sorted(rows, key=lambda row: (1, -row[0].seconds) if row[0].group not in stages else (0, 0.0)):
        worst = max(lag.partitions, key=lambda one: (one.records, one.seconds(lag.at_us)), default=None)
        table.add_row(
            lag.reader if lag.group in usual else f"{lag.reader} ({lag.group})",
            ("" if all(one.exact for one in lag.partitions) else "~") + f"{lag.records:,}",
            f"{lag.seconds:.1f}",
            f"[{colour[ahead.trend]}]{ahead.trend}[/]" if colour[ahead.trend] else ahead.trend,
            f"{ahead.records_per_second:,.0f}",
            "-" if ahead.caught_up_seconds is None else f"{ahead.caught_up_seconds:,.0f} s",
            f"{worst.topic}-{worst.partition}: {worst.records:,}" if worst and worst.records else "",
        )
        for one in lag.partitions if partitions else ():
            if one.records:
                name = f"  {one.topic}-{one.partition}"
                table.add_row(name, f"{one.records:,}", f"{one.seconds(lag.at_us):.1f}")
    return table
