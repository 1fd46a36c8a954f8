"""Graduated measures: which proposals of a decision become actions, which wait for a person, and which actions end.

    OBSERVE  ->  CHALLENGE, THROTTLE  ->  SUSPEND         on accounts
    BLOCK_IDENTIFIER, REVOKE_LEASE, REQUIRE_END_USER_IDS  on what feeds the campaign: from the weak-link plan only

An action stands as long as some standing proposal calls for it. A proposal that has not the evidence for its measure is granted a
milder one, and gets the full one when it is proposed again with more: then the milder action is withdrawn, and the other way round.
Nothing here does I/O: the backtest runs the same functions on a view that it keeps in memory.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from weaklink.enforce.action import (
    HOUR_US,
    LIVE,
    Action,
    Cause,
    Change,
    State,
    Target,
    action_id,
    changed,
    term,
    withdrawn,
)
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.view import LedgerView, Proposal
from weaklink.measures import SEVERITY, UPSTREAM
from weaklink.parties import PARTY_ID

GRANTED: Final = "GRANTED"
MILDER: Final = "MILDER"
STALE: Final = "STALE"
NOT_FROM_PLAN: Final = "NOT_FROM_PLAN"
ON_HOLD: Final = "ON_HOLD"
NOT_REGISTERED: Final = "NOT_REGISTERED"
WITHDRAWN: Final = "WITHDRAWN"
MALFORMED: Final = "MALFORMED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision changes. `refused`: (verdict, proposed measure) of proposals that led to nothing."""

    changes: tuple[Change, ...]
    proposals: tuple[Proposal, ...]
    refused: tuple[tuple[str, Mapping[str, Any]], ...]


def granted_measure(proposed: Mapping[str, Any], config: EnforceConfig) -> str | None:
    """The measure that the evidence of a ProposedMeasure carries; None: an upstream measure that is not from the plan."""
    measure: str = proposed["measure"]
    if measure in UPSTREAM and not proposed["from_plan"]:
        return None
    if proposed["confidence"] < config.challenge_confidence_min:
        return "OBSERVE"
    # All leases of an account are taken from it: to a customer of a cloud that is a suspension, but for the tie, which the leases are.
    whole = measure == "REVOKE_LEASE" and proposed["target_account"] is not None
    if measure != "SUSPEND" and not whole:
        return measure
    corroborated = proposed["own_finding"] or proposed["supporting_parties"] >= config.suspend_supporting_parties_min
    certain = proposed["confidence"] > config.suspend_confidence_above and (whole or proposed["hard_identifier"])
    return measure if corroborated and certain and not proposed["established"] else "CHALLENGE"


def apply_policy(
    measures: Sequence[Mapping[str, Any]],
    view: LedgerView,
    now_us: int,
    config: EnforceConfig,
    *,
    campaign_id: str,
    decided_at_us: int,
    evidence_at_us: int,
    unregistered: Collection[str] = (),
) -> Outcome:
    """The changes that the measures of one decision (Avro ProposedMeasure, as dicts) lead to. `view` is not changed: see `LedgerView.take`.

    unregistered: parties that are no more. Nothing is asked of them, and what was, ends.

    Order does not matter: of two decisions on one measure the later `decided_at_us` counts, and WITHDRAW at the same time.
    """
    draft = _Draft(campaign_id, view, now_us, config, unregistered)
    for proposed in measures:
        draft.propose(proposed, decided_at_us, evidence_at_us)
    return draft.outcome()


class _Draft:
    """One decision in the making: what it proposes, what it opens, and which targets it touches."""

    def __init__(
        self, campaign_id: str, view: LedgerView, now_us: int, config: EnforceConfig, unregistered: Collection[str]
    ) -> None:
        self.campaign_id = campaign_id
        self.view = view
        self.now_us = now_us
        self.config = config
        self.unregistered = unregistered
        self.proposals: dict[str, Proposal] = {}
        self.openings: dict[str, Action] = {}
        self.renewals: dict[str, Change] = {}
        self.targets: dict[str, None] = {}  # a set that keeps its order
        self.refused: list[tuple[str, Mapping[str, Any]]] = []

    def propose(self, proposed: Mapping[str, Any], decided_at_us: int, evidence_at_us: int) -> None:
        target, measure = Target.of(proposed), proposed["measure"]
        if not _well_formed(target, measure):
            self.refused.append((MALFORMED, proposed))
            return
        proposal_id = action_id(self.campaign_id, target, measure)
        before = self.proposals.get(proposal_id) or self.view.proposals.get(proposal_id)
        if before and _order(before.decided_at_us, before.standing) > _order(decided_at_us, proposed["op"] == "ISSUE"):
            self.refused.append((STALE, proposed))
            return
        after = Proposal(
            proposal_id,
            self.campaign_id,
            target,
            measure,
            False,
            decided_at_us,
            WITHDRAWN,
            before.action_id if before else None,
        )
        if proposed["op"] == "ISSUE":
            verdict, granted = self._grant(proposed, target)
            after = replace(
                after,
                standing=True,
                verdict=verdict,
                action_id=granted and action_id(self.campaign_id, target, granted),
            )
            if granted is None:
                self.refused.append((verdict, proposed))
            else:
                self._open(proposed, target, granted, evidence_at_us)
        self.proposals[proposal_id] = after
        self.targets[target.key] = None

    def _grant(self, proposed: Mapping[str, Any], target: Target) -> tuple[str, str | None]:
        granted = granted_measure(proposed, self.config)
        if granted is None:
            return NOT_FROM_PLAN, None
        if target.party in self.unregistered:
            return NOT_REGISTERED, None
        if any(action.held_until_us > self.now_us for action in self.view.actions_on(target.key)):
            return ON_HOLD, None
        return (GRANTED if granted == proposed["measure"] else MILDER), granted

    def _open(self, proposed: Mapping[str, Any], target: Target, measure: str, evidence_at_us: int) -> None:
        ident = action_id(self.campaign_id, target, measure)
        standing = self.view.actions.get(ident)
        fields: dict[str, Any] = {
            "evidence_at_us": evidence_at_us,
            "confidence": float(proposed["confidence"]),
            "reasons": tuple((one["code"], float(one["weight"]), int(one["parties"])) for one in proposed["reasons"]),
            "expected_cut": float(proposed["expected_cut"]),
            "benign_accounts_touched": int(proposed["benign_accounts_touched"]),
        }
        lifetime = term(measure, self.now_us, self.config)
        if standing and standing.state is State.WAITING:
            return
        if standing and standing.state is State.ACTIVE:
            left_us = standing.expires_at_us - self.now_us
            if left_us < self.config.renew_below_share * (lifetime["expires_at_us"] - self.now_us):
                self.renewals[ident] = changed(
                    standing,
                    Cause.RENEWED,
                    self.now_us,
                    publish=True,
                    answer=None,
                    answered_at_us=None,
                    overdue=False,
                    **fields,
                    **lifetime,
                )
            return
        revision, change = (standing.revision, standing.change) if standing else (0, 0)
        self.openings[ident] = Action(
            action_id=ident,
            campaign_id=self.campaign_id,
            measure=measure,
            target=target,
            state=State.WAITING,
            revision=revision,
            change=change,
            opened_at_us=self.now_us,
            issued_at_us=standing.issued_at_us if standing and revision else self.now_us,
            **fields,
            **lifetime,
        )

    def outcome(self) -> Outcome:
        # An action changes at most once per decision: only what is called for is opened or renewed, only what is not is withdrawn.
        wanted = {one.action_id for one in self.proposals.values() if one.standing}
        changes = [change for ident, change in self.renewals.items() if ident in wanted]
        changes += self._within_blast_radius([action for ident, action in self.openings.items() if ident in wanted])
        scratch = LedgerView()
        for key in self.targets:
            scratch.add(self.view.actions_on(key), self.view.proposals_on(key))
        scratch.take(changes, self.proposals.values())
        for key in self.targets:
            changes += unsupported(scratch, self.campaign_id, key, self.now_us)
        return Outcome(tuple(changes), tuple(self.proposals.values()), tuple(self.refused))

    def _within_blast_radius(self, openings: Sequence[Action]) -> list[Change]:
        per_measure = Counter(action.measure for action in openings)
        changes, touched = [], 0
        # Least harm first, so that one action that touches many does not hold back the others.
        for action in sorted(openings, key=lambda one: (one.benign_accounts_touched, one.action_id)):
            hour = per_measure[action.measure] + self.view.opened_since(
                self.campaign_id, action.measure, self.now_us - HOUR_US
            )
            touched += 0 if action.measure == "OBSERVE" else action.benign_accounts_touched
            why = beyond_blast_radius(action, hour, self.config, touched)
            if why:
                changes.append(changed(action, Cause.HELD_FOR_PERSON, self.now_us, waits_because=why))
            else:
                changes.append(changed(action, Cause.ISSUED, self.now_us, publish=True, state=State.ACTIVE))
        return changes


def beyond_blast_radius(action: Action, opened_in_hour: int, config: EnforceConfig, touched: int = 0) -> str | None:
    """Why an action waits for a person, or None. `opened_in_hour`: actions of its kind and campaign, with those of this decision;
    `touched`: benign accounts that it and the new actions before it in the decision touch.
    """
    if action.measure == "OBSERVE":
        return None
    if action.benign_accounts_touched > config.benign_accounts_touched_max:
        return f"would touch {action.benign_accounts_touched} benign accounts; more than {config.benign_accounts_touched_max} need a person"
    if action.benign_accounts_touched and touched > config.benign_accounts_touched_by_decision_max:
        limit = config.benign_accounts_touched_by_decision_max
        return (
            f"with the others of its decision it would touch {touched} benign accounts; more than {limit} need a person"
        )
    limit = config.actions_per_campaign_hour_max.get(action.measure)  # type: ignore[call-overload]  # str key
    if limit is not None and opened_in_hour > limit:
        return f"{opened_in_hour} {action.measure} for this campaign within an hour; more than {limit} need a person"
    return None


def unsupported(view: LedgerView, campaign_id: str, target_key: str, now_us: int) -> list[Change]:
    """Withdrawals of a campaign's live actions on a target that no standing proposal calls for any more.

    While what should replace one waits for a person, or was declined by one, the milder action stays.
    """
    wanted = {
        one.action_id
        for one in view.proposals_on(target_key)
        if one.campaign_id == campaign_id and one.standing and one.action_id
    }
    replacing = [view.actions[one] for one in sorted(wanted) if one in view.actions]
    not_in_force = [one for one in replacing if one.state in (State.WAITING, State.DECLINED)]
    ends = []
    for action in view.actions_on(target_key):
        if action.campaign_id != campaign_id or action.state not in LIVE or action.action_id in wanted:
            continue
        if any(SEVERITY[action.measure] < SEVERITY[other.measure] for other in not_in_force):
            continue
        replaced = any(one.state is State.ACTIVE for one in replacing)
        ends.append(withdrawn(action, Cause.REPLACED if replaced else Cause.CAMPAIGNS_WITHDREW, now_us))
    return ends


def _well_formed(target: Target, measure: str) -> bool:
    one_target = (target.account is None) != (target.token is None)
    return one_target and measure in SEVERITY and PARTY_ID.fullmatch(target.party) is not None


def _order(decided_at_us: int, standing: bool) -> tuple[int, bool]:
    return decided_at_us, not standing
