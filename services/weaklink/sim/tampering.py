"""What members do to their own reports: withhold, send again, date back. Applied to events as they would be told honestly."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.sim.spec import DAY_US, BackdatingSpec, OmissionSpec, ReplaySpec, WorldSpec

_DATED_BACK: Final = ("ApiUsage", "PaymentAttempt")
"""Records with an age limit, which a member uses up; the others carry no time that detection hangs on."""
_ODD: Final = 0x9E3779B1


def told(events: pl.DataFrame, spec: WorldSpec, seed: int) -> pl.DataFrame:
    """EVENTS and `_due_us` (when each is told) in, what is reported of them out; repeats are told later, also after the world's end.

    It may be applied to a world whole or step by step: who is withheld depends on nothing but the seed.
    """
    random = np.random.default_rng([seed, 13, int(events["occurred_at_us"].sum()) % 2**31 if events.height else 0])
    if spec.omission:
        events = _withheld(events, spec, spec.omission, seed)
    if spec.backdating:
        events = _dated_back(events, spec, spec.backdating, random)
    if spec.replay:
        events = pl.concat([events, _again(events, spec, spec.replay, random)])
    return events


def _of(spec: WorldSpec, parties: tuple[str, ...]) -> pl.Expr:
    return pl.col("party").is_in([i for i, party in enumerate(spec.parties) if party.id in parties])


def _withheld(events: pl.DataFrame, spec: WorldSpec, omission: OmissionSpec, seed: int) -> pl.DataFrame:
    since = spec.start_us + int(omission.start_day * DAY_US)
    drawn = (pl.col("account").cast(pl.Int64) + 1 + seed) * _ODD % (1 << 32) / (1 << 32)
    gone = _of(spec, omission.parties) & (pl.col("occurred_at_us") >= since) & (pl.col("account") >= 0)
    return events.filter(~(gone & (drawn < omission.share)))


def _dated_back(
    events: pl.DataFrame, spec: WorldSpec, backdating: BackdatingSpec, random: np.random.Generator
) -> pl.DataFrame:
    chosen = pl.Series(random.random(events.height) < backdating.share)
    back = pl.Series((random.random(events.height) * backdating.days_max * DAY_US).astype(np.int64))
    usable = pl.col("record").cast(pl.String).is_in(_DATED_BACK) & _of(spec, backdating.parties) & chosen
    # Not before the world: nobody has a reason to, and the other members' data begin there.
    earlier = pl.max_horizontal(pl.col("occurred_at_us") - back, pl.min_horizontal("occurred_at_us", spec.start_us))
    return events.with_columns(occurred_at_us=pl.when(usable).then(earlier).otherwise("occurred_at_us"))


def _again(events: pl.DataFrame, spec: WorldSpec, replay: ReplaySpec, random: np.random.Generator) -> pl.DataFrame:
    chosen = pl.Series(random.random(events.height) < replay.share)
    old = events.filter(_of(spec, replay.parties) & chosen & (pl.col("account") >= 0))
    retimed = pl.Series(random.random(old.height) < replay.retimed_share, dtype=pl.Boolean)
    later = pl.Series((random.random(old.height) * replay.delay_days_max * DAY_US).astype(np.int64), dtype=pl.Int64)
    return old.with_columns(
        occurred_at_us=pl.when(retimed).then(pl.col("_due_us") + later).otherwise("occurred_at_us"),
        _due_us=pl.col("_due_us") + later,
    )
