"""Live progress of a run on a terminal; one line every few seconds where there is none."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.live import Live
from rich.table import Table

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import decode
from weaklink.sim.services import Services

_REFRESH_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 10.0
_NOTICES_SHOWN: Final = 4


class CampaignWatch:
    """Campaigns as they appear on their topic: how many run, and how many confirmed accounts they have."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._consumer = KafkaConsumer(
            **kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        partition = TopicPartition(topology.CAMPAIGNS, 0)
        self._consumer.assign([partition])
        self._consumer.seek_to_beginning(partition)
        self._confirmed: dict[str, int] = {}

    def read(self) -> tuple[int, int]:
        """(campaigns that run, confirmed accounts in them) as of now."""
        for records in self._consumer.poll(timeout_ms=0).values():
            for record in records:
                if not record.value:
                    self._confirmed.pop(record.key.decode(), None)
                    continue
                kind, campaign = decode(record.value)
                if kind == "Campaign":
                    ended = campaign["state"] in ("MERGED", "DISSOLVED")
                    self._confirmed[campaign["campaign_id"]] = 0 if ended else campaign["accounts"]
        running = [count for count in self._confirmed.values() if count]
        return len(running), sum(running)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


class Progress:
    """`with Progress(...) as progress:` then `progress.update()` often."""

    def __init__(self, console: Console, services: Services, rows: Callable[[], dict[str, str]]) -> None:
        self._console, self._services, self._rows = console, services, rows
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._drawn = 0.0
        self._noticed = 0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self) -> None:
        """Show the present rows, not more often than is useful. Raises WeaklinkError when a service cannot be kept alive."""
        self._services.check()
        if time.monotonic() - self._drawn < (_REFRESH_SECONDS if self._live else _LINE_SECONDS):
            return
        self._drawn = time.monotonic()
        rows = self._rows()
        if self._live:
            table = Table.grid(padding=(0, 2))
            for name, value in rows.items():
                table.add_row(f"[bold]{name}[/bold]", value)
            for notice in self._services.notices[-_NOTICES_SHOWN:]:
                table.add_row("[yellow]service[/yellow]", notice)
            self._live.update(table)
            return
        self._console.print("  ".join(f"{name} {value}" for name, value in rows.items()), soft_wrap=True)
        for notice in self._services.notices[self._noticed :]:
            self._console.print(f"service {notice}")
        self._noticed = len(self._services.notices)
