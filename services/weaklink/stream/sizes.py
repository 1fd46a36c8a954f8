"""How large a stage's state is, as of each unit's last snapshot, as metrics."""

from collections import Counter
from collections.abc import Container, Mapping
from typing import Final

import polars as pl

from weaklink import metrics


class StateSizes:
    """Sums over the units that this process holds."""

    def __init__(self, stage: str) -> None:
        self._stage: Final = stage
        self._units: dict[str, dict[str, tuple[int, int]]] = {}  # unit -> frame -> rows, bytes

    def measured(self, unit: str, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take in a unit's frames."""
        if frames:
            self._units[unit] = {name: (one.height, int(one.estimated_size())) for name, one in frames.items()}
            self._show()

    def keep(self, held: Container[str]) -> None:
        """Forget units that other workers have now."""
        gone = [unit for unit in self._units if unit not in held]
        for unit in gone:
            for name in self._units.pop(unit):
                metrics.STATE_ROWS.labels(self._stage, name).set(0)
        if gone:
            self._show()

    def _show(self) -> None:
        rows: Counter[str] = Counter()
        size_bytes = 0
        for frames in self._units.values():
            for name, (height, frame_bytes) in frames.items():
                rows[name] += height
                size_bytes += frame_bytes
        for name, height in rows.items():
            metrics.STATE_ROWS.labels(self._stage, name).set(height)
        metrics.STATE_BYTES.labels(self._stage).set(size_bytes)
