"""A tiny stage for tests: adds up the numbers in its input by partition, and says each sum; restarts must continue it exactly."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl
from kafka import TopicPartition

from weaklink.stream.stage import Chunk, Message
from weaklink.topology import StageSpec


class Counting:
    """Unit: a source partition. State: the sum so far. Output, on partition p: `number sum` for each input."""

    recalls: tuple[str, ...] = ()

    def __init__(self, name: str, output: str, snapshots: bool = True) -> None:
        self.name = name
        self._output = output
        self._snapshots = snapshots
        self.sums: dict[str, int] = {}
        self.restored: list[tuple[str, bool]] = []
        self.replayed = 0

    def unit(self, source: TopicPartition) -> str:
        return str(source.partition)

    def replay_from(self, source: TopicPartition, committed_offset: int) -> int:
        return 0

    def restore(self, unit: str, frames: Mapping[str, pl.DataFrame] | None) -> None:
        self.restored.append((unit, frames is not None))
        self.sums[unit] = 0 if frames is None else int(frames["sum"].item())

    def recall(self, unit: str, messages: Iterable[Message]) -> None:
        raise AssertionError("nothing to recall")

    def release(self, unit: str) -> None:
        del self.sums[unit]

    def snapshot(self, unit: str) -> Mapping[str, pl.DataFrame]:
        return {"sum": pl.DataFrame({"sum": [self.sums[unit]]})} if self._snapshots else {}

    def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
        messages = []
        for chunk in batches:
            unit = self.unit(chunk.source)
            self.sums[unit] += int(chunk.value)
            self.replayed += replaying
            text = f"{int(chunk.value)} {self.sums[unit]}".encode()
            messages.append(Message(self._output, text, partition=chunk.source.partition))
        return messages

    def tick(self, now_us: int) -> list[Message]:
        return []


def spec(name: str, topic: str) -> StageSpec:
    return StageSpec(name, "columnar", f"weaklink.{name}", (topic,), (), "adds numbers up")
