"""The state of campaigns: profiles, links and feedback, folded commutatively, and what an evaluation makes of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink import frames
from weaklink.benign import BenignRecord
from weaklink.campaigns.account_rows import AccountRows
from weaklink.campaigns.benign import BenignList
from weaklink.campaigns.columns import FoldedColumns
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.customers import Customers
from weaklink.campaigns.equations import Equations
from weaklink.campaigns.evaluate import evaluate
from weaklink.campaigns.folding import Fold, FoldedTable
from weaklink.campaigns.outcome import Case, Evaluation
from weaklink.campaigns.population import Population
from weaklink.campaigns.profiles import US_PER_DAY, Profiles
from weaklink.campaigns.spoken import ANY_MEASURE, FEEDBACK, REFUSALS, disputed_tokens, read
from weaklink.epochs import FIRST
from weaklink.errors import CheckpointError

_LINK_KEYS: Final = ["identifier", "slot", "kind", "account"]
"""A token's kind is what its sender says: under another kind the same bytes are another node, as in correlate."""
_NO_LINKS: Final = frames.empty(frames.SHARED)
_LATER: Final = frozenset({"equations", "parties"})
"""Tables that snapshots of earlier versions lack: empty then, and read from the beginning of their topic, or filled by what comes."""
_LINK_FOLDS: Final[dict[str, Fold]] = {
    "tail": "max",
    "epoch": "max",
    "first_seen_us": "min",
    "last_seen_us": "max",
    "appended_at_us": "max",
    "mentions": "max",
    "requests": "max",
    "holders": "max",
}


def _folded_links(links: pl.DataFrame) -> pl.DataFrame:
    """One row for each link, sorted by its key."""
    folds = [getattr(pl.col(name), fold)() for name, fold in _LINK_FOLDS.items()]
    return links.group_by(_LINK_KEYS).agg(folds).select(links.columns).sort(_LINK_KEYS)


@dataclass
class News:
    """What was folded since the last evaluation: accounts that were touched, SHARED rows, whether a party or a person refused or
    disputed something, whether a party vouched for an account, and whether everything is to be evaluated."""

    accounts: list[pl.Series]
    links: list[pl.DataFrame]
    refused: bool = False
    disputed: bool = False
    all: bool = False

    @staticmethod
    def none() -> "News":
        """Nothing."""
        return News([pl.Series("account", [], pl.UInt64)], [_NO_LINKS])


class CampaignsState:
    """Folds ACTIVITY, SHARED and Feedback in any order; `evaluate` looks at all of it.

    `accounts`, `links`, `feedback` and the other tables are functions of what was folded, not of the order in which it came.
    """

    def __init__(self, config: CampaignsConfig) -> None:
        self.config: Final = config
        self.profiles: Final = Profiles()
        self.links: Final = FoldedColumns(
            frames.SHARED,
            _LINK_KEYS,
            _LINK_FOLDS,
        )
        self.feedback: Final = FoldedTable(FEEDBACK, ["account"], dict.fromkeys(FEEDBACK.names()[1:], "max"))
        self.benign: Final = BenignList()
        self.equations: Final = Equations(config.equation_parties_min)
        self.refusals: Final = FoldedTable(REFUSALS, ["party", "measure", "target"], {"recorded_at_us": "max"})
        self.customers: Final = Customers(self.profiles, self.equations)
        self._rows: Final = AccountRows(self.profiles, self.customers, self.feedback, self.benign, config.volume_days)
        self._news = News.none()
        self._latest_links = _NO_LINKS
        self._expired_us = 0
        self.oldest_epoch = FIRST
        self.newest_us = 0
        """Newest append time of all activity."""

    def fold_activity(self, activity: pl.DataFrame) -> None:
        """Take a frames.ACTIVITY frame."""
        if activity.height:
            self.profiles.fold(activity)
            self._news.accounts.append(activity["account"])
            self.newest_us = max(self.newest_us, int(activity["appended_at_us"].max() or 0))  # type: ignore[arg-type]

    def fold_shared(self, shared: pl.DataFrame) -> None:
        """Take a frames.SHARED frame: links as they stand by now (a later row of the same link supersedes)."""
        if self.oldest_epoch > FIRST:
            shared = shared.filter(pl.col("epoch") >= self.oldest_epoch)
        self.links.add(shared)
        self._news.links.append(shared)

    def fold_feedback(self, feedback: Iterable[Mapping[str, Any]]) -> None:
        """Take Feedback records (schemas/avro/Feedback). A verdict on an account can only come from its own party."""
        spoken, refused = read(feedback)
        self.feedback.add(spoken)
        self._news.accounts.append(spoken["account"])
        self._news.all |= (refused["measure"] == ANY_MEASURE).any()
        self._news.refused |= not refused.is_empty()
        self._news.disputed |= spoken["disputed_at_us"].count() > 0
        self.refusals.add(refused)

    def fold_benign(self, records: Iterable[BenignRecord]) -> None:
        """Take records of the benign list. They change what others' links say, so everything is evaluated next."""
        self.benign.add(records)
        self._news.all = True

    def news(self) -> "News":
        """What was folded since this was last asked."""
        news, self._news = self._news, News.none()
        self._latest_links = pl.concat(news.links)
        return news

    def appended(self, accounts: pl.Series) -> pl.DataFrame:
        """[account, appended_at_us]: append times of the newest activity of these accounts, and of their links in the latest `news`."""
        columns = ["account", "appended_at_us"]
        links = self._latest_links.select(columns).filter(pl.col("account").is_in(accounts.implode()))
        account, at_us = self.profiles.accounts.columns_of(np.unique(accounts.to_numpy()), *columns)
        return pl.concat([pl.DataFrame({"account": account, "appended_at_us": at_us}), links])

    def accounts(self, now_us: int, keys: pl.Series | None = None, names: Sequence[str] | None = None) -> pl.DataFrame:
        """Profiles as `evaluate` takes them: see `AccountRows.of`."""
        return self._rows.of(now_us, keys, names)

    def evaluate(self, now_us: int, population: Population | None = None) -> Evaluation:
        """Score every account and find the communities, as of now, against this population or one measured now."""
        return self.evaluate_all(now_us, population)[0]

    def evaluate_all(self, now_us: int, population: Population | None = None) -> tuple[Evaluation, Case, pl.DataFrame]:
        """`evaluate`, what it was worked out from, and SHARED rows of accounts whose activity has not come yet: topics are read in any order."""
        links = self.usable(self.links.rows(), now_us)
        evaluation, case = evaluate(self.accounts(now_us), links, now_us, self.config, population)
        known, held = case.graph.accounts, links["account"].to_numpy()
        there = (
            known[np.minimum(np.searchsorted(known, held), len(known) - 1)] == held
            if len(known)
            else np.zeros(len(held), bool)
        )
        return evaluation, case, links.filter(pl.Series(~there))

    def unlisted(self, links: pl.DataFrame, now_us: int) -> pl.DataFrame:
        """Links without those to identifiers of the benign list."""
        if self.benign.empty or (listed := self.benign.identifiers(now_us)).is_empty():
            return links
        return links.join(listed, on=["identifier", "kind", "epoch"], how="anti", maintain_order="left")

    def usable(self, links: pl.DataFrame, now_us: int) -> pl.DataFrame:
        """Unlisted links by their older token, without those of a party to a token that it disputed.

        Others' links to it stand: no party can vouch for another's.
        """
        links = self.unlisted(self.equated(links), now_us)
        disputed = disputed_tokens(self.refusals.rows())
        if disputed.is_empty():
            return links
        owners = self._owners(links["account"])
        return (
            links.join(owners, on="account", how="left", maintain_order="left")
            .join(disputed, on=["identifier", "party"], how="anti", maintain_order="left")
            .select(links.columns)
        )

    def equated(self, links: pl.DataFrame) -> pl.DataFrame:
        """SHARED rows as they came, by the older token of each identifier while two epochs of keys overlap: one row for each link."""
        if links.is_empty() or self.equations.empty:
            return links
        renamed = self.equations.older(links, self._owners)
        return renamed if renamed is links else _folded_links(renamed)

    def links_of(self, identifiers: pl.Series) -> pl.DataFrame:
        """The links to these identifiers, read as `equated` says."""
        links = self.equated(self.links.of(self.equations.beside(identifiers)))
        return links if self.equations.empty else links.filter(pl.col("identifier").is_in(identifiers.implode()))

    def fold_equations(self, equations: pl.DataFrame) -> None:
        """Take frames.EQUATIONS. Where links to the newer token are known already, everything is evaluated next."""
        equations = equations.filter(pl.col("former_epoch") >= self.oldest_epoch)
        self.equations.table.add(equations)
        self._news.accounts.append(self.customers.named_by(equations))
        (held,) = self.links.columns_of(np.unique(equations["identifier"].to_numpy()), "account")
        self._news.all |= len(held) > 0

    def forget_epochs_before(self, oldest: int) -> int:
        """Tokens of earlier epochs of keys are over: what is equated moves to the newer token, all else on them is forgotten.

        Returns how many links were there.
        """
        if oldest <= self.oldest_epoch:
            return 0
        self.oldest_epoch = oldest
        over = pl.col("epoch") < oldest
        links = self.links.rows()
        gone = links.filter(over)
        if gone.height:
            moved = self.equations.newer(gone, self._owners).filter(~over)
            self.links.replace(links.filter(~over))
            self.links.add(moved)
        self.refusals.replace(self.equations.renewed(self.refusals.rows(), "target", oldest, by_party=True))
        self.benign.replace(self.equations.renewed(self.benign.table.rows(), "token", oldest, by_party=False))
        self.customers.forget_epochs_before(oldest)
        self.equations.forget_before(oldest)
        self._news = News.none()
        self._news.all = True
        return gone.height

    def _owners(self, accounts: pl.Series) -> pl.DataFrame:
        return self.profiles.accounts.of(accounts, ["account", "party"])

    def expire(self, now_us: int, members: pl.Series) -> None:
        """Forget what is too old: links and profiles, but not those of `members` (account keys) within the tombstone's time; what was said."""
        config, tables = self.config, self.profiles
        self._news.all |= self.benign.expired(self._expired_us, now_us)
        self._expired_us = now_us
        tables.expire(now_us, config.profile_days, config.usage_days, members)
        lifetime = (
            pl.col("kind")
            .cast(pl.Int64)
            .replace_strict(config.link_days, default=config.link_days_default, return_dtype=pl.Float64)
        )
        lifetime = (
            pl.when(pl.col("account").is_in(members.implode())).then(config.track.tombstone_days).otherwise(lifetime)
        )
        self.links.keep(pl.col("last_seen_us") >= now_us - lifetime * US_PER_DAY)
        said_us = now_us - int(config.feedback_days * US_PER_DAY)
        self.feedback.keep(pl.max_horizontal(FEEDBACK.names()[1:]) >= said_us)
        self.refusals.keep(pl.col("recorded_at_us") >= said_us)

    def _tables(self) -> dict[str, FoldedTable | FoldedColumns]:
        return {
            **self.profiles.tables(),
            "links": self.links,
            "feedback": self.feedback,
            "refusals": self.refusals,
            "benign": self.benign.table,
            "equations": self.equations.table,
        }

    def to_frames(self) -> dict[str, pl.DataFrame]:
        """The state as named frames. What an evaluation remembers of the last one is not among them: the next one is a full one
        wherever these frames are taken up, and here too while there are few accounts, so that both say the same."""
        self._news.all |= len(self.profiles.accounts) <= self.config.incremental.full_after_snapshot_accounts_max
        return {name: table.rows() for name, table in self._tables().items()}

    def from_frames(self, frames_by_name: Mapping[str, pl.DataFrame]) -> None:
        """Become what `to_frames` gave. Raises CheckpointError when a frame is missing."""
        tables = self._tables()
        if missing := tables.keys() - frames_by_name.keys() - _LATER:
            raise CheckpointError(f"the snapshot of campaigns lacks {', '.join(sorted(missing))}")
        for name, table in tables.items():
            if name in frames_by_name:
                table.replace(frames_by_name[name])
        self._news = News.none()
        self._news.all = True
        self.newest_us = int(self.profiles.accounts.rows(["appended_at_us"])["appended_at_us"].max() or 0)  # type: ignore[arg-type]
