"""Load beside a fault: when it ends before its time, the fault fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chaos.background import Background
from chaos.faults import database
from chaos.lab import Lab
from chaos.load import Load
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import Row
from chaos.verifier.findings import Findings
from chaos.verify import row_of
from chaos.watch import Watch

from weaklink.kafka_options import KafkaConfig


class Work(Background):
    """Does something, once."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__("work")
        self._once = work
        self.closed = 0

    def _work(self) -> None:
        self._once()

    def _close(self) -> None:
        self.closed += 1


def fails() -> None:
    raise RuntimeError("no broker")


def test_what_ends_in_the_background_ends_the_block() -> None:
    """At its end, or when it is waited for or ended before; its connections are closed all the same."""
    work = Work(fails)
    with pytest.raises(RuntimeError, match="no broker"), work:
        pass
    assert work.closed == 1
    for end in (Work.end, Work.wait):
        with pytest.raises(RuntimeError, match="no broker"), Work(fails) as work:
            end(work)
    with Work(lambda: None) as sound:
        sound.end()
    assert sound.closed == 1


def test_a_block_that_failed_itself_is_told_of_first() -> None:
    """What the thread raised is mostly what came of that."""
    with pytest.raises(ValueError, match="the fault's own"), Work(fails):
        raise ValueError("the fault's own")


@pytest.mark.parametrize("load", [Answering, Load, Stream, database.Load])
def test_every_load_is_of_this_kind(load: type) -> None:
    """None has a thread of its own, which could die without a word."""
    assert issubclass(load, Background)
    assert load._run is Background._run


def test_a_row_without_an_answer_misses_a_bar() -> None:
    """Receipts are load like events; those of nobody prove nothing."""
    parties, rows = object.__new__(Answering), []
    for answered in (0, 3):
        parties.answered = answered
        rows.append(Row("members", 1, 0, 0, 0, 0, 0.0, 0.0))
        parties.judge(rows[-1])
    assert ["no action was answered" in " ".join(row.failures()) for row in rows] == [True, False]
    assert rows[1].extra["receipts"] == 3


class Sent:
    """A laboratory's publisher afterwards: ten events handed over, some of them refused."""

    def __init__(self, failed: int) -> None:
        self.handed_over = {bytes([number]) for number in range(10)}
        self.failed = {bytes([number]): "KafkaTimeoutError" for number in range(failed)}


@pytest.mark.parametrize(
    ("failed", "share", "missed"), [(0, 0.0, False), (1, 0.0, True), (1, 0.1, False), (2, 0.1, True)]
)
def test_events_that_the_broker_never_took_are_told_and_bounded(failed: int, share: float, missed: bool) -> None:
    """They are neither lost nor done twice: a fault in which none arrives would hold."""
    lab = Lab(Path())
    lab.publisher = Sent(failed)  # type: ignore[assignment]
    lab.watch = Watch(KafkaConfig(), [])
    row = row_of("members", 1, lab, Findings(), failed_share_max=share)
    assert row.extra["events_failed"] == failed
    assert bool(row.failures()) is missed
