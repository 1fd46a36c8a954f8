"""The stage: activity, shared identifiers, feedback and the benign list in; campaigns and decisions out. One owner of everything."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import polars as pl
import structlog
from kafka import TopicPartition

from weaklink import frames, metrics
from weaklink.benign_topic import readable
from weaklink.campaigns import casebook, messages
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import LIVE
from weaklink.campaigns.journal import Journal
from weaklink.campaigns.standing import Thresholds
from weaklink.epochs_topic import EpochWatch, all_in_force
from weaklink.errors import BrokerError
from weaklink.parties import PartyKind
from weaklink.party_registry import PartyRegistry
from weaklink.records.codec import decode
from weaklink.settings import Settings
from weaklink.stream.stage import Chunk, Message, Stage, Traits

UNIT: Final = "all"
_PARTIES_SECONDS: Final = 5.0
_SEARCH_REST: Final = 4
"""Times what a search for communities took until a small change leads to the next one: a fifth of the time at most goes into searches, and a new campaign
is found within seconds however many others there are. Large changes do not wait (`incremental.communities_change_share`)."""
_log = structlog.get_logger()


class CampaignsStage:
    """See `stream.stage.Stage`. `parties` gives the kinds of all parties by id."""

    name = "campaigns"
    traits = Traits(single_owner=True)

    def __init__(
        self,
        settings: Settings,
        parties: Callable[[], Mapping[str, PartyKind]],
        topics: messages.Topics | None = None,
        oldest_epoch: Callable[[], int] = all_in_force,
    ) -> None:
        self._topics: Final = topics or messages.Topics()
        self.recalls: tuple[str, ...] = (self._topics.campaigns,)
        self._settings: Final = settings
        self._parties: Final = parties
        self._oldest_epoch: Final = oldest_epoch
        self._purged = False
        self._reset()

    def _reset(self) -> None:
        self.engine = Engine(self._settings.campaigns, self._settings.weaklinks, Thresholds.of(self._settings.enforce))
        self._journal = Journal(self._topics.campaigns)
        self._casebook = casebook.Casebook(self._topics.campaigns)
        self.engine.observe(casebook.observer(self._casebook, self.engine))
        self._now_us = 0
        self._dirty = True
        self._rest_until = self._eager_from = 0.0

    def unit(self, source: TopicPartition) -> str:
        """Everything is one unit."""
        return UNIT

    def replay_from(self, source: TopicPartition, committed_offset: int) -> int:
        """All that the log still holds."""
        return 0

    def restore(self, unit: str, frames_by_name: Mapping[str, pl.DataFrame] | None) -> None:
        """Begin from a snapshot, or empty."""
        self._reset()
        if frames_by_name:
            self.engine.state.from_frames(frames_by_name)
            clock = "appended_at_us" if self._settings.clock == "append" else "last_seen_us"
            self._now_us = int(frames_by_name["accounts"][clock].max() or 0)  # type: ignore[arg-type]

    def recall(self, unit: str, recalled: Iterable[Message]) -> None:
        """Take back everything that depends on when evaluations took place, as it was last written: a restart changes nothing."""
        recalled = list(recalled)
        self._journal.recall(recalled, self.engine)
        self._casebook.recall(recalled)

    def release(self, unit: str) -> None:
        """Forget everything."""
        self._reset()

    def snapshot(self, unit: str) -> Mapping[str, pl.DataFrame]:
        """Everything folded. What is known of campaigns is on their own topic."""
        return self.engine.state.to_frames()

    def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
        """Fold chunks; nothing is said before the next tick."""
        activity = [
            frames.from_chunk(c.value, frames.ACTIVITY) for c in batches if c.source.topic == self._topics.activity
        ]
        shared = [frames.from_chunk(c.value, frames.SHARED) for c in batches if c.source.topic == self._topics.shared]
        feedback = [decode(c.value)[1] for c in batches if c.source.topic == self._topics.feedback]
        state = self.engine.state
        if activity:
            rows = pl.concat(activity)
            state.fold_activity(rows)
            self._note(rows)
        if shared:
            rows = pl.concat(shared)
            state.fold_shared(rows)
            # Event time is that of activity alone: a lease is a link of every slot that it covers, the days to come among them.
            self._note(rows if self._settings.clock == "append" else rows.clear())
            self._dirty |= rows.height > 0
        if equations := [
            frames.from_chunk(c.value, frames.EQUATIONS) for c in batches if c.source.topic == self._topics.equations
        ]:
            state.fold_equations(pl.concat(equations))
            self._dirty = True
        if feedback:
            state.fold_feedback(feedback)
            self._dirty = True
        if listed := [(c.offset, c.value) for c in batches if c.source.topic == self._topics.benign]:
            state.fold_benign(list(readable(listed)))
            self._dirty = True
        return []

    def _note(self, rows: pl.DataFrame) -> None:
        """Advance the stage's clock, which never goes back, and remember that there is something to evaluate."""
        if rows.height:
            clock = "appended_at_us" if self._settings.clock == "append" else "last_seen_us"
            self._now_us = max(self._now_us, int(rows[clock].max() or 0))  # type: ignore[arg-type]
            self._dirty = True

    def tick(self, now_us: int) -> list[Message]:
        """Evaluate when something was folded since the last time; rests between evaluations for as long as the last one took."""
        self._forget_epochs()
        if not (self._dirty or self.engine.waiting) or time.monotonic() < self._rest_until:
            return []
        started = time.monotonic()
        # Strictly later than the last tick's, also when only feedback came: of two decisions on one measure the later one counts.
        now_us = max(self._now_us or now_us, self.engine.clocks.ticked_us + 1)
        out: list[Message] = []
        parties = self._parties()
        self._casebook.of(parties)
        for update in self.engine.tick(now_us, parties, eager=started >= self._eager_from):
            out += messages.decision_messages(
                update.campaign,
                update.changes,
                now_us=now_us,
                accounts=update.members.height,
                requests_per_day=update.campaign.facts["requests_per_day"],
                topic=self._topics.decisions,
            )
        out += self._journal.changes(self.engine)
        out += self._casebook.changes(self.engine, now_us)
        self._dirty = False
        self._measure()
        seconds = time.monotonic() - started
        self._rest_until = time.monotonic() + seconds
        if self.engine.searched:
            self._eager_from = time.monotonic() + _SEARCH_REST * seconds
        if out:
            _log.info("campaigns_changed", messages=len(out), seconds=round(seconds, 3))
        return out

    def _forget_epochs(self) -> None:
        oldest = self._oldest_epoch()
        if oldest > self.engine.state.oldest_epoch:
            links = self.engine.state.forget_epochs_before(oldest)
            if links:  # after a restart there is nothing left to forget
                self.engine.replan()
                self._purged = True
            self._dirty = True
            self._rest_until = 0.0
            _log.info("epochs_forgotten", stage=self.name, unit=UNIT, oldest_epoch=oldest, links=links)

    def purged(self) -> bool:
        """See `stream.stage.Purging`."""
        purged, self._purged = self._purged, False
        return purged

    def _measure(self) -> None:
        tracker = self.engine.tracker
        states = Counter(campaign.state for campaign in tracker.campaigns.values())
        for state in LIVE:
            metrics.CAMPAIGNS.labels(state).set(states[state])
        metrics.CAMPAIGN_ACCOUNTS.set(tracker.members.height)


class _Kinds:
    """Kinds of the registered parties, read again when they may have changed."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._registry: PartyRegistry | None = None
        self._kinds: dict[str, PartyKind] = {}
        self._next = 0.0

    def __call__(self) -> Mapping[str, PartyKind]:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PARTIES_SECONDS
            try:
                self._registry = self._registry or PartyRegistry(self._kafka)
                self._kinds = {party.id: party.kind for party in self._registry.refresh().values()}
            except BrokerError as error:
                # Plans go on with the parties known so far; an unknown party's accounts are only observed.
                _log.warning("parties_unknown", error=str(error))
        return self._kinds


def make_stage(settings: Settings) -> Stage[Chunk]:
    """The stage as `weaklink run campaigns` starts it."""
    return CampaignsStage(settings, _Kinds(settings), oldest_epoch=EpochWatch(settings.kafka))
