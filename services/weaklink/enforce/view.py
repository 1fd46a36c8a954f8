"""What policy knows of the ledger: actions and proposals by id and by target, and how many actions came to life lately."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from weaklink.enforce.action import Action, Cause, Change, Target


@dataclass(frozen=True, slots=True)
class Proposal:
    """What campaigns last said about a measure, and what policy made of it. `proposal_id` is the id of the action it asks for."""

    proposal_id: str
    campaign_id: str
    target: Target
    measure: str
    standing: bool
    decided_at_us: int
    verdict: str
    action_id: str | None


@dataclass
class LedgerView:
    """What policy needs to know of the ledger. The ledger fills one for each decision; the backtest keeps one for a whole run."""

    actions: dict[str, Action] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    opened_us: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    """(campaign_id, measure) -> sorted times at which actions came to life, at least those of the last hour."""
    _by_target: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _by_proposed_target: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, actions: Iterable[Action] = (), proposals: Iterable[Proposal] = ()) -> None:
        """Take in, or replace, actions and proposals."""
        for action in actions:
            self.actions[action.action_id] = action
            self._by_target[action.target.key].add(action.action_id)
        for proposal in proposals:
            self.proposals[proposal.proposal_id] = proposal
            self._by_proposed_target[proposal.target.key].add(proposal.proposal_id)

    def take(self, changes: Iterable[Change], proposals: Iterable[Proposal] = ()) -> None:
        """Make the changes of an outcome one's own."""
        for change in changes:
            if change.cause in (Cause.ISSUED, Cause.HELD_FOR_PERSON):
                insort(self.opened_us[change.action.campaign_id, change.action.measure], change.at_us)
            self.add([change.action])
        self.add(proposals=proposals)

    def opened_since(self, campaign_id: str, measure: str, since_us: int) -> int:
        """Actions of a kind that came to life after `since_us`."""
        times = self.opened_us.get((campaign_id, measure), [])
        return len(times) - bisect_right(times, since_us)

    def actions_on(self, target_key: str) -> list[Action]:
        """Every action on a target, of any campaign, in the order of their ids."""
        return [self.actions[one] for one in sorted(self._by_target.get(target_key, ()))]

    def proposals_on(self, target_key: str) -> list[Proposal]:
        """Every proposal on a target, of any campaign."""
        return [self.proposals[one] for one in sorted(self._by_proposed_target.get(target_key, ()))]
