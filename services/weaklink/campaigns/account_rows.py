"""Accounts as an evaluation takes them: their profiles, with volume, customers, and what was said of them."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns.benign import BenignList
from weaklink.campaigns.customers import Customers
from weaklink.campaigns.folding import FoldedTable
from weaklink.campaigns.graph import Floats
from weaklink.campaigns.profiles import EVALUATED, JUDGED, US_PER_DAY, Profiles, opened_attributes
from weaklink.campaigns.spoken import LIVE_VOLUME, SAID, UNSAID

_VOLUME_DAYS_MIN: Final = 1.0


class AccountRows:
    """Reads these tables, of which it changes none."""

    def __init__(
        self, profiles: Profiles, customers: Customers, feedback: FoldedTable, benign: BenignList, volume_days: float
    ) -> None:
        self._profiles: Final = profiles
        self._customers: Final = customers
        self._feedback: Final = feedback
        self._benign: Final = benign
        self._volume_days: Final = volume_days

    def of(self, now_us: int, keys: pl.Series | None, names: Sequence[str] | None) -> pl.DataFrame:
        """Sorted by account: all, with their columns of profiles.EVALUATED, or those of `keys` that there are.

        `names`: of the profiles' columns only these, `profiles.JUDGED` or TOLD. With the former, which are what belief needs, no `requests_per_day`.
        """
        table, volume = self._profiles.accounts, names is not JUDGED
        profiles = table.rows(EVALUATED) if keys is None else table.of(keys, names)
        more = [self._end_users(profiles["account"], keys)]
        if volume:
            more.append(pl.Series("requests_per_day", self._requests_per_day(now_us, profiles)))
        known = self._with_feedback(profiles, keys, more, volume=volume)
        if not self._benign.empty:
            listed = self._benign.accounts(now_us)
            known = known.with_columns(disputed=pl.col("disputed") | pl.col("account").is_in(listed.implode()))
        return known

    def _with_feedback(
        self, profiles: pl.DataFrame, keys: pl.Series | None, more: list[pl.Series], *, volume: bool
    ) -> pl.DataFrame:
        """Profiles with what `opened_code` says, the columns of FEEDBACK, those of `more`, and what is said of them by their own party."""
        found = self._feedback.rows() if keys is None else self._feedback.of(keys)
        opened = opened_attributes()
        if found.is_empty():
            profiles = profiles.with_columns(*more, *opened, *UNSAID)
            return profiles.with_columns(LIVE_VOLUME) if volume else profiles
        profiles = profiles.with_columns(*more, *opened).join(found, on="account", how="left", maintain_order="left")
        return profiles.with_columns(*SAID, *([LIVE_VOLUME] if volume else []))

    def _end_users(self, accounts: pl.Series, keys: pl.Series | None) -> pl.Series:
        """How many customers each of these accounts (sorted) names."""
        found = (self._customers.rows() if keys is None else self._customers.of(keys))["account"]
        low, high = (np.searchsorted(found.to_numpy(), accounts.to_numpy(), side) for side in ("left", "right"))
        return pl.Series("end_users", (high - low).astype(np.uint32))

    def _requests_per_day(self, now_us: int, profiles: pl.DataFrame) -> Floats:
        """Mean daily requests over today and the days before it that make up `volume_days`, or the account's life when that is shorter.

        A day at least: most of what a new account does comes at once (docs/decisions/2026-11-30-who-is-a-witness.md)."""
        accounts = profiles["account"].to_numpy()
        owner, day, requests = self._profiles.daily.columns_of(accounts, "account", "day", "requests")
        first_day = math.floor(now_us // US_PER_DAY - self._volume_days) + 1
        days = now_us / US_PER_DAY - first_day  # today is not over
        late = day >= first_day
        recent = np.zeros(len(accounts), np.int64)
        np.add.at(recent, np.searchsorted(accounts, owner[late]), requests[late])
        lived = (now_us - profiles["first_usage_us"].cast(pl.Float64).fill_null(np.nan).to_numpy()) / US_PER_DAY
        mean: Floats = np.nan_to_num(recent / np.clip(lived, _VOLUME_DAYS_MIN, max(days, _VOLUME_DAYS_MIN)))
        return mean
