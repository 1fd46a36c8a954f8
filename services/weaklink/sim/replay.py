"""Real data through a running pipeline: every event file of a folder, published by the partner CLI under event time."""

import os
import shutil
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from weaklink.errors import ConfigurationError, WeaklinkError
from weaklink.folders import alone_in
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.partner.keys import new_keys, save_keys
from weaklink.settings import Settings
from weaklink.sim.backlog import BacklogReader
from weaklink.sim.files import write_json
from weaklink.sim.outcome import Outcome, read_outcome
from weaklink.sim.services import Services, cluster, service_environment

_EVENTS: Final = "events.parquet"  # alone, as `weaklink sim world` writes it, or with a name before it
_LABELS: Final = "labels.parquet"
_QUIET_SECONDS: Final = 6.0
_CAMPAIGNS_SHOWN: Final = 15
_BAD_ROWS_EXIT: Final = 3


@dataclass(frozen=True, slots=True)
class EventFile:
    """A file in the input form of `weaklink backtest`, its parties, and its truth where there is one."""

    path: Path
    first: datetime
    last: datetime
    rows: int
    parties: dict[str, str]
    labels: Path | None


def event_files(folder: Path) -> list[EventFile]:
    """The files `*events.parquet`, oldest events first: event time never goes back. Raises ConfigurationError when there are none."""
    found = []
    for path in sorted(folder.glob(f"*{_EVENTS}")):
        scan = pl.scan_parquet(path)
        at = pl.col("occurred_at")
        first, last, rows = scan.select(at.min(), at.max().alias("last"), rows=pl.len()).collect().row(0)
        parties = dict(scan.select("party", "party_kind").unique().collect().rows())
        labels = path.with_name(path.name.removesuffix(_EVENTS) + _LABELS)
        found.append(EventFile(path, first, last, rows, parties, labels if labels.exists() else None))
    if not found:
        raise ConfigurationError(
            f"{folder} holds no *{_EVENTS}: name a folder with event files (make replay DATA=folder)"
        )
    return sorted(found, key=lambda file: file.first)


def run_replay(data: Path, folder: Path, seconds: float, console: Console) -> dict[str, Any]:
    """Publish everything and return the summary, which is also in `summary.json` below the folder. Stops everything that it started.

    Each file takes about `seconds`, so that the pipeline evaluates along the way, as it would have then.
    """
    files = event_files(data)
    with alone_in(folder):
        summary, outcome = _replayed(files, folder, seconds, console)
    _print(summary, outcome, console)
    return summary


def _replayed(files: list[EventFile], folder: Path, seconds: float, console: Console) -> tuple[dict[str, Any], Outcome]:
    for old in ("kafka", "services", "data"):
        shutil.rmtree(folder / old, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    keys = folder / "data" / "keys.json"
    save_keys(keys, new_keys(datetime(1970, 1, 1, tzinfo=UTC)))
    try:
        with cluster(folder / "kafka") as broker:
            settings = Settings(kafka=broker.kafka, clock="event")
            provision(settings)
            kinds = {party: kind for file in files for party, kind in file.parties.items()}
            # One partition each: old events are in order only within a partition, and event time never goes back.
            members = [
                add_party(settings, Party(id=party, kind=PartyKind(kind), events_partitions=1))
                for party, kind in kinds.items()
            ]
            environment = service_environment(broker.kafka, folder / "data")
            with Services(environment, folder / "services", others=broker.pids) as services:
                for file in files:
                    speed = max((file.last - file.first).total_seconds() / seconds, 1.0)
                    console.print(
                        f"publishing {file.rows:,} events of {file.path.name} as {', '.join(file.parties)}, "
                        f"{speed / 86_400:.1f} days of event time a second"
                    )
                    _publish(file, speed, keys, services, environment)
                    _await_quiet(broker.kafka, members, services)
                outcome = read_outcome(broker.kafka, members)
                memory = dict(services.peak_memory_mib)
    finally:
        shutil.rmtree(folder / "kafka", ignore_errors=True)
    summary = summarise_replay(files, outcome, memory)
    write_json(folder / "summary.json", summary)
    return summary, outcome


def _publish(file: EventFile, speed: float, keys: Path, services: Services, environment: dict[str, str]) -> None:
    arguments = ("--party-column", "party", "--speed", str(speed), "--key-file", str(keys.resolve()))
    command = services.command("partner", "publish", *arguments, str(file.path))
    run = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if run.returncode not in (0, _BAD_ROWS_EXIT):
        raise WeaklinkError(f"publishing {file.path} failed with exit code {run.returncode}")


def _await_quiet(kafka: KafkaConfig, members: list[Party], services: Services) -> None:
    """Until no stage has had anything to do for some seconds."""
    with closing(BacklogReader(kafka, members)) as backlog:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            services.check()
            if any(backlog.read().messages.values()):
                quiet_since = time.monotonic()
            time.sleep(0.5)


def summarise_replay(files: list[EventFile], outcome: Outcome, memory_mib: dict[str, float]) -> dict[str, Any]:
    """Counts, and for every file with labels (columns account, label, ring_id) how well its accounts were told apart."""
    return {
        "events_published": outcome.published,
        "events_accepted": outcome.accepted,
        "events_rejected": outcome.rejected,
        "events_duplicate": outcome.duplicates,
        "campaigns_found": len({flag.campaign for flag in outcome.flagged.values()}),
        "accounts_flagged": len(outcome.flagged),
        "actions_issued": dict(Counter(action["measure"] for action in outcome.actions if action["revision"] == 1)),
        "largest_campaign": max(Counter(flag.campaign for flag in outcome.flagged.values()).values(), default=0),
        "truth": {file.path.name: _against_labels(file, outcome) for file in files if file.labels},
        "peak_memory_mib": {name: round(mib, 1) for name, mib in sorted(memory_mib.items())},
    }


def _against_labels(file: EventFile, outcome: Outcome) -> dict[str, float]:
    assert file.labels is not None
    labels = pl.read_parquet(file.labels)
    guilty = set(labels.filter(pl.col("label") == 1)["account"])
    rings = labels.filter(pl.col("label") == 1)
    own = {account: flag.campaign for (party, account), flag in outcome.flagged.items() if party in file.parties}
    touched = rings.filter(pl.col("account").is_in(list(own)))["ring_id"].n_unique()
    hits = len(guilty & own.keys())
    return {
        "precision": round(hits / len(own), 4) if own else 0.0,
        "recall": round(hits / len(guilty), 4) if guilty else 1.0,
        "rings": rings["ring_id"].n_unique(),
        "rings_touched": touched,
        "largest_cluster": max(Counter(own.values()).values(), default=0),
        "base_rate": round(len(guilty) / len(labels), 4),
    }


def _print(summary: dict[str, Any], outcome: Outcome, console: Console) -> None:
    table = Table(
        title=f"Campaigns: the largest of {summary['campaigns_found']}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("campaign", "accounts", "since", "evidence", "actions"):
        table.add_column(name, no_wrap=True)
    sizes = Counter(flag.campaign for flag in outcome.flagged.values())
    actions = Counter(action["campaign_id"] for action in outcome.actions if action["revision"] == 1)
    for name, size in sizes.most_common(_CAMPAIGNS_SHOWN):
        campaign = outcome.campaigns[name]
        since = datetime.fromtimestamp(outcome.detected_us[name] / 1e6, UTC)
        evidence = ", ".join(reason["code"] for reason in campaign["evidence"][:2])
        table.add_row(name, f"{size:,}", f"{since:%Y-%m-%d %H:%M}", evidence, f"{actions[name]:,}")
    console.print(table)
    for name, value in summary.items():
        console.print(f"{name:<18}{value}", soft_wrap=True, highlight=False)
