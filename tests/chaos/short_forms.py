"""What a row of a short form must say, on a machine that has other tests to run."""

from chaos.row import Row

BUSY_STALL_SECONDS: float = 90.0
"""Beside other tests a process takes several times as long to start; a stage that does not come back by itself stands far longer."""


def unharmed(row: Row, stall_seconds_max: float | None = None) -> None:
    """Nothing lost, nothing twice, nothing refused wrongly, and the fault really struck. Every bar of its own is held but those of seconds, for which
    `stall_seconds_max` stands in where the fault has a bar on standstills."""
    assert (row.lost, row.duplicate_effects, row.rejected_wrongly) == (0, 0, 0), row.to_json()
    assert row.trials > 0
    assert [sentence for sentence in row.missed if sentence not in row.timing] == [], row.to_json()
    if stall_seconds_max is not None:
        assert row.stall_seconds_max <= stall_seconds_max, row.to_json()
