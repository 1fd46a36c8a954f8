"""What counts as published by one who had slept."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

from chaos.waking import Wakes


def test_only_what_was_closed_when_a_sleeper_woke_and_came_again_after_that_counts(tmp_path: Path) -> None:
    """Not what was published twice before, nor what others had not closed yet, nor what is new."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE outbox (topic, key, value, closed_wall_us, error)")
        connection.executemany(
            "INSERT INTO outbox VALUES ('t', ?, ?, ?, NULL)", [(b"k", b"closed", 5), (b"k", b"open", None)]
        )
    wakes, before_ms = Wakes(), time.time_ns() // 1_000_000 - 1
    wakes.note(f"sqlite:///{path}")
    after_ms = time.time_ns() // 1_000_000 + 1
    for value, at_ms in ((b"closed", before_ms), (b"closed", before_ms), (b"open", after_ms), (b"new", after_ms)):
        wakes.take(SimpleNamespace(topic="t", key=b"k", value=value, timestamp=at_ms))
    assert wakes.again == 0
    wakes.take(SimpleNamespace(topic="t", key=b"k", value=b"closed", timestamp=after_ms))
    assert wakes.again == 1
