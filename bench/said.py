"""What Weaklink has put out, read back from Kafka as a reader of committed messages sees it, and judged.

Members alone do not show that something was processed twice: an account is in a set once, however often it came. So the links between the two stages are
counted too, mention by mention.
"""

from typing import Final

import polars as pl

from bench import topics
from bench.judge import judge_links, judge_members, judge_totals
from bench.truth import Truth
from weaklink import topology
from weaklink.frames import LINKS, SHARED, from_chunk
from weaklink.kafka_options import KafkaConfig

PAIR: Final = ("identifier", "tail", "kind", "epoch", "account")
_ROWS_KEPT: Final = 2_000_000
"""Rows of links that wait to be folded: 60 MB. All of three million events as they come would be half a gigabyte."""


def judge_pipeline(kafka: KafkaConfig, truth: Truth, party: str, mentions: int) -> list[str]:
    """Of ingest and correlate: the links between them, and the members that came of them. `mentions`: identifiers in all events, each as often as it came."""
    between, said = links(kafka), members(kafka)
    return (
        judge_links(truth, between, party, mentions) + judge_members(truth, said, party) + judge_totals(said, between)
    )


def judge_ingest(kafka: KafkaConfig, truth: Truth, party: str, mentions: int) -> list[str]:
    """Of ingest alone."""
    return judge_links(truth, links(kafka), party, mentions)


def links(kafka: KafkaConfig) -> pl.DataFrame:
    """`weaklink.links`: a row for each PAIR, with all its `mentions` (Int64)."""
    kept, rows = [pl.DataFrame(schema=LINKS).select(*PAIR, pl.col("mentions").cast(pl.Int64))], 0
    for _, value in topics.read_each(kafka, topology.LINKS):
        kept.append(from_chunk(value, LINKS).select(*PAIR, pl.col("mentions").cast(pl.Int64)))
        rows += kept[-1].height
        if rows >= _ROWS_KEPT:
            kept, rows = [_folded(kept)], 0
    return _folded(kept)


def members(kafka: KafkaConfig) -> pl.DataFrame:
    """`weaklink.shared` (SHARED), as it was said."""
    said = [from_chunk(value, SHARED) for _, value in topics.read_each(kafka, topology.SHARED)]
    return pl.concat([pl.DataFrame(schema=SHARED), *said])


def _folded(kept: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(kept).group_by(*PAIR).agg(pl.col("mentions").sum())
