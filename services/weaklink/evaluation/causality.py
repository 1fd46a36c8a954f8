"""Whether what was said at a time changes when the future is cut off: the proof that nothing looks ahead."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from weaklink.evaluation.figures import Figures
from weaklink.evaluation.identity import stability
from weaklink.evaluation.spec import RunSpec
from weaklink.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FLAG: Final = ["party", "account", "flagged_at"]
_ACTION: Final = ["issued_at", "party", "measure", "target_kind", "target_value"]


def causal(path: Path, said: "Mapping[str, pl.DataFrame]", spec: RunSpec, settings: Settings, folder: Path) -> Figures:
    """Backtest the same events up to `spec.cuts` times, and compare with the whole run (`said`).

    causal_agreement: the least share, over the cuts, of flags (account and time) that both runs have among those that either has; null when neither
    has said anything by any cut.
    causal_agreement_actions: the same for actions. id_stability: of members at a cut that still are at the end, the share whose
    campaign kept its id.
    """
    from weaklink.evaluation.one_run import backtested

    events = pl.read_parquet(path)
    flags, actions, kept = [], [], []
    for number, cut in enumerate(cut_times(events["occurred_at"], spec.cuts, spec.tick_seconds)):
        part = folder / f"cut-{number}.parquet"
        events.filter(pl.col("occurred_at") < cut).write_parquet(part)
        _, early = backtested(part, folder / f"cut-{number}", spec.tick_seconds, settings)
        flags.append(agreement(said["accounts"], early["accounts"], _FLAG, "flagged_at", cut))
        # At its end a run plans what would otherwise wait for the next tick, so the last tick's actions are left out.
        actions.append(
            agreement(said["actions"], early["actions"], _ACTION, "issued_at", cut - timedelta(microseconds=1))
        )
        kept.append(stability(early["accounts"], said["accounts"]))
    return {
        "causal_agreement": _least(flags),
        "causal_agreement_actions": _least(actions),
        "id_stability": _least(kept),
    }


def _least(values: "Sequence[float | None]") -> float | None:
    return min((value for value in values if value is not None), default=None)


def cut_times(times: pl.Series, cuts: int, tick_seconds: int) -> "Sequence[datetime]":
    """`cuts` ends of ticks that divide the span of the events, from the 5th percentile of their times on, into equal parts."""
    ordered = times.sort()
    first, last = ordered[len(ordered) // 20], ordered[-1]
    tick, epoch = timedelta(seconds=tick_seconds), datetime(1970, 1, 1, tzinfo=UTC)
    return [epoch + ((first + (last - first) * (i + 1) / (cuts + 1) - epoch) // tick) * tick for i in range(cuts)]


def agreement(whole: pl.DataFrame, early: pl.DataFrame, keys: list[str], at: str, until: datetime) -> float | None:
    """|said by both| / |said by either| of rows up to `until`; null when neither says anything: silence proves nothing."""
    one, other = (
        frame.filter(pl.col(at) <= until).select(keys).with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
        for frame in (whole, early)
    )
    both = one.unique().join(other.unique(), on=keys, how="inner", nulls_equal=True).height
    either = pl.concat([one, other]).unique().height
    return both / either if either else None
