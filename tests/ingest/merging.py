"""Parts of a fold as one: what folding the whole at once must equal."""

from collections.abc import Sequence

import polars as pl

from weaklink import frames
from weaklink.frames import ACTIVITY, LINKS
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.fold import group_links, group_usage


def merge_links(parts: Sequence[pl.DataFrame], config: IngestConfig) -> pl.DataFrame:
    """Several LINKS frames as one, again with one row per (identifier, slot, account) and stretch of use."""
    filled = [part for part in parts if part.height]
    if not filled:
        return frames.empty(LINKS)
    return filled[0] if len(filled) == 1 else group_links(pl.concat(filled), config)


def merge_activity(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Several ACTIVITY frames as one, usage again folded by its keys; the other rows follow it."""
    filled = [part for part in parts if part.height]
    if not filled:
        return frames.empty(ACTIVITY)
    if len(filled) == 1:
        return filled[0]
    rows = pl.concat(filled)
    usage = pl.col("record") == pl.lit("ApiUsage", frames.RECORD)
    return pl.concat([group_usage(rows.filter(usage)), rows.filter(~usage)])
