"""Receipts of parties as records on `weaklink.receipts`, with the party taken from the source topic, never from the payload."""

import polars as pl

from weaklink import topology
from weaklink.ingest.outcome import Accepted
from weaklink.records.codec import encode
from weaklink.stream.stage import Message


def to_messages(accepted: Accepted, party: str, original_bytes_max: int) -> list[Message]:
    """Accepted ActionReceipt events -> one Receipt each, keyed by action id.

    An event that is longer than the limit, by fields of its sender's own, goes without its bytes: enforce then writes it again from what is known of it.
    """
    messages: list[Message] = []
    frame = accepted.to_frame().with_columns(
        pl.col("occurred_at").cast(pl.Int64),
        partition=pl.Series(accepted.partitions),
        offset=pl.Series(accepted.offsets),
        # enforce may have to send it back as it came
        original=pl.Series(
            [
                value if value is not None and len(value) <= original_bytes_max else None
                for value in map(accepted.events.source.value, accepted.rows.tolist())
            ],
            dtype=pl.Binary,
        ),
    )
    for row in frame.iter_rows(named=True):
        receipt = {
            "party": party,
            "appended_at": row["appended_at_us"],
            "source_partition": row["partition"],
            "source_offset": row["offset"],
            **{
                name: row[name]
                for name in ("event_id", "occurred_at", "action_id", "revision", "status", "reason", "note", "original")
            },
        }
        messages.append(Message(topology.RECEIPTS, encode("Receipt", receipt), row["action_id"].encode()))
    return messages
