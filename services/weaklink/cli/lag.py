"""`weaklink lag`: how far every stage and every party is behind."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import typer

from weaklink import topology

if TYPE_CHECKING:
    from rich.table import Table

    from weaklink.ops.lag_report import LagReport


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("lag")(lag)


def lag(
    watch: bool = typer.Option(False, "--watch", help="Go on until Ctrl-C."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object per sample."),
    partitions: bool = typer.Option(False, "--partitions", help="A row for each partition that is behind, too."),
    parties: bool = typer.Option(
        False, "--parties", help="Party by party: whose events wait, and who does not read its actions."
    ),
    interval_seconds: float = typer.Option(2.0, "--interval", min=0.2, help="Seconds between samples."),
    window_seconds: float = typer.Option(
        60.0, "--window", min=1, help="Seconds over which trend and verdict are taken."
    ),
) -> None:
    """Records and seconds behind, trend, time until caught up, and a verdict: ok, slow or stopped; or that a stage does not run, or lacks topics.

    Without --watch: two samples, `--interval` apart, so that there is a trend. A verdict against a reader takes ten seconds at least.
    """
    import contextlib
    import json

    from rich.live import Live

    from weaklink.cli.tables import console, folded

    to = console()
    table = _parties_table if parties else lambda report: _table(report, partitions)
    samples = _samples(interval_seconds, window_seconds)
    with contextlib.suppress(KeyboardInterrupt):
        if not watch:
            next(samples)
            report = next(samples)
            if as_json:
                typer.echo(json.dumps(report.to_json()))
            else:
                to.print(folded(table(report)))
                for line in _advice(report):
                    to.print(line, highlight=False, soft_wrap=True)
        elif as_json:
            for report in samples:
                typer.echo(json.dumps(report.to_json()))
        else:
            with Live(console=to, auto_refresh=False, screen=to.is_terminal) as live:
                for report in samples:
                    live.update(_on_screen(table(report)), refresh=True)
    samples.close()


def _samples(interval_seconds: float, window_seconds: float) -> Generator["LagReport", None, None]:
    """A sample every so often, for ever. Raises BrokerError when Kafka cannot be asked."""
    import time

    from weaklink.ops.lag_watch import LagWatch
    from weaklink.settings import load_settings

    with LagWatch(load_settings().kafka, window_seconds) as watch:
        while True:
            yield watch.sample()
            time.sleep(interval_seconds)


_COLOURS = {
    "rising": "red",
    "falling": "green",
    "stopped": "bold red",
    "not running": "bold red",
    "not provisioned": "bold red",
    "slow": "yellow",
}
_ADVICE = {
    "not provisioned": "lacks topics: `weaklink provision` makes them",
    "not running": "has no process: `weaklink run {}` starts one",
}


def _advice(report: "LagReport") -> list[str]:
    """What to do for stages that cannot read at all."""
    told = [(lag.reader, _ADVICE.get(ahead.verdict.value)) for lag, ahead in report.rows]
    return [f"{reader} {advice.format(reader)}" for reader, advice in told if advice]


def _coloured(word: str) -> str:
    return f"[{_COLOURS[word]}]{word}[/]" if word in _COLOURS else word


_NAMES = ("reader", "party", "worst partition")


def _on_screen(table: "Table") -> "Table":
    """A screen is as high as it is: all but the name of who reads is cut off rather than spread over lines that push others off it."""
    name, *others = table.columns
    name.no_wrap = True
    for column in others:
        column.no_wrap = False
    return table


_GROUP_CHARACTERS_MAX = 60
"""A party names its groups, as long as it likes: over many lines they would push what others wait for off the screen."""


def _titles(*titles: str, left: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        # Where the terminal is narrow, names go on in another line; the rest stays whole.
        table.add_column(title, justify="left" if title in left else "right", no_wrap=title not in _NAMES)
    return table


def _table(report: "LagReport", partitions: bool) -> "Table":
    left = ("reader", "verdict", "trend", "worst partition")
    table = _titles(
        "reader", "members", "verdict", "records", "seconds", "trend", "records/s", "caught\nup in", "worst partition", left=left
    )  # fmt: skip
    # A party's own choice of group is worth a mention; the usual ones say no more than the reader's name.
    stages = {stage.group for stage in topology.STAGES}
    usual = stages | {f"{lag.reader.replace('party ', 'party.')}.actions" for lag, _ in report.rows}
    # Stages in their order, then the parties, the furthest behind first: what a small terminal cuts off matters least.
    for lag, ahead in sorted(
        report.rows, key=lambda row: (1, -row[0].seconds) if row[0].group not in stages else (0, 0.0)
    ):
        worst = max(lag.partitions, key=lambda one: (one.records, one.seconds(lag.at_us)), default=None)
        table.add_row(
            lag.reader if lag.group in usual else f"{lag.reader} ({_shortened(lag.group)})",
            f"{lag.members}",
            _coloured(ahead.verdict),
            ("" if all(one.exact for one in lag.partitions) else "~") + f"{lag.records:,}",
            f"{lag.seconds:.1f}",
            _coloured(ahead.trend),
            f"{ahead.records_per_second:,.0f}",
            "-" if ahead.caught_up_seconds is None else f"{ahead.caught_up_seconds:,.0f} s",
            f"{worst.topic}-{worst.partition}: {worst.records:,}" if worst and worst.records else "",
        )
        for one in lag.partitions if partitions else ():
            if one.records:
                verdict = _coloured(ahead.verdicts[one.topic, one.partition])
                table.add_row(
                    f"  {one.topic}-{one.partition}", "", verdict, f"{one.records:,}", f"{one.seconds(lag.at_us):.1f}"
                )
    return table


def _shortened(group: str) -> str:
    return group if len(group) <= _GROUP_CHARACTERS_MAX else f"{group[: _GROUP_CHARACTERS_MAX - 3]}..."


def _parties_table(report: "LagReport") -> "Table":
    left = ("party", "ingest", "reads")
    table = _titles(
        "party", "events\nwait", "seconds", "ingest", "last event", "actions\nunread", "seconds ", "reads", left=left
    )
    for one in sorted(report.parties, key=lambda one: (-one.actions_seconds, -one.events_seconds, one.party)):
        table.add_row(
            one.party,
            f"{one.events_waiting:,}",
            f"{one.events_seconds:.1f}",
            _coloured(one.events_verdict),
            "never" if one.silent_seconds is None else f"{one.silent_seconds:,.0f} s ago",
            f"{one.actions_unread:,}",
            f"{one.actions_seconds:.1f}",
            _coloured(one.actions_verdict),
        )
    return table
