"""A run's outcome against the truth: the figures of the summary, each computed from what was published and done."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weaklink.sim.outcome import Outcome
from weaklink.sim.parties import Toll
from weaklink.sim.worlds import World

Account = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CampaignScore:
    """One operator: what was found of it, and what it took."""

    operator: str
    campaign_ids: tuple[str, ...]
    detected_us: int | None
    began_us: int
    accounts: int
    found: int
    exchanges_with: int
    exchanges_without: int
    weak_links: dict[str, int]
    plan_cut_share: float
    plan_gap: float


def account_names(world: World) -> list[Account]:
    """(party, name) of every account by index."""
    parties = [party.id for party in world.spec.parties]
    return [(parties[party], name) for party, name in zip(world.accounts.party, world.accounts.name, strict=True)]


def summarise(
    world: World, outcome: Outcome, made: Mapping[str, int], free: Mapping[str, int], memory_mib: Mapping[str, float]
) -> dict[str, Any]:
    """The keys of `summary.json`. `made` and `free`: exchanges of each operator with and without Weaklink."""
    truth = dict(zip(account_names(world), world.accounts.operator, strict=True))
    scores = campaign_scores(world, outcome, made, free)
    guilty = {name for name, operator in truth.items() if operator >= 0}
    flagged = set(outcome.flagged)
    active = [action for action in outcome.actions if action["state"] == "ACTIVE"]
    ending = ("SUSPEND", "REVOKE_LEASE")
    suspended = {(a["party"], a["target_account"]) for a in active if a["measure"] in ending and a["target_account"]}
    first: dict[str, float] = {}  # renewals are no news to the party
    for action in sorted(active, key=lambda one: int(one["revision"])):
        first.setdefault(action["action_id"], action["latency_seconds"])
    latency = np.array(list(first.values()))
    total_free = sum(free.values())
    return {
        "events_published": outcome.published,
        "events_accepted": outcome.accepted,
        "events_rejected": outcome.rejected,
        "events_duplicate": outcome.duplicates,
        "campaigns_true": len(world.operators),
        "campaigns_found": sum(score.detected_us is not None and 2 * score.found >= score.accounts for score in scores),
        "account_precision": round(len(flagged & guilty) / len(flagged), 4) if flagged else None,
        "account_recall": round(len(flagged & guilty) / len(guilty), 4) if guilty else None,
        "prevented_share": round(1 - sum(made.values()) / total_free, 4) if total_free else None,
        "benign_suspended": len(suspended - guilty),
        "actions_issued": len({action["action_id"] for action in active}),
        "receipts": outcome.receipts,
        "action_latency_seconds_p50": _percentile(latency, 50),
        "action_latency_seconds_p99": _percentile(latency, 99),
        "peak_memory_mib": {name: round(mib, 1) for name, mib in sorted(memory_mib.items())},
    }


def _percentile(seconds: np.ndarray[tuple[int], np.dtype[np.float64]], at: int) -> float | None:
    return round(float(np.percentile(seconds, at)), 3) if len(seconds) else None


def campaign_scores(
    world: World, outcome: Outcome, made: Mapping[str, int], free: Mapping[str, int]
) -> list[CampaignScore]:
    """One score per operator. A found campaign belongs to the operator that most of its confirmed accounts are of."""
    truth = dict(zip(account_names(world), world.accounts.operator, strict=True))
    votes: dict[str, Counter[int]] = {}
    for account, flag in outcome.flagged.items():
        votes.setdefault(flag.campaign, Counter())[truth.get(account, -1)] += 1
    owner = {name: counts.most_common(1)[0][0] for name, counts in votes.items()}
    scores = []
    for index, operator in enumerate(world.operators):
        own = [account for account, of in truth.items() if of == index]
        ids = tuple(sorted(name for name, of in owner.items() if of == index))
        plans = [outcome.campaigns[name]["plan"] for name in ids if outcome.campaigns[name]["plan"]]
        scores.append(
            CampaignScore(
                operator.spec.name,
                ids,
                min((outcome.detected_us[name] for name in ids), default=None),
                operator.start_us,
                len(own),
                sum(account in outcome.flagged for account in own),
                made[operator.spec.name],
                free[operator.spec.name],
                dict(Counter(a["measure"] for a in _issued(outcome, ids)).most_common()),
                max((plan["volume_cut_share"] for plan in plans), default=0.0),
                max((plan["gap"] for plan in plans), default=0.0),
            )
        )
    return scores


def collateral(world: World, outcome: Outcome, toll: Toll) -> dict[str, int]:
    """Honest accounts that were touched, by what was done to them."""
    truth = dict(zip(account_names(world), world.accounts.operator, strict=True))
    return {
        "honest accounts": sum(operator < 0 for operator in truth.values()),
        "flagged": sum(truth.get(account, -1) < 0 for account in outcome.flagged),
        "challenged": len(toll.challenged),
        "throttled": len(toll.throttled),
        "suspended": len(toll.suspended),
    }


def _issued(outcome: Outcome, campaigns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The first ACTIVE revision of each action of these campaigns."""
    first: dict[str, dict[str, Any]] = {}
    for action in outcome.actions:
        if action["campaign_id"] in campaigns and action["state"] == "ACTIVE":
            first.setdefault(action["action_id"], action)
    return list(first.values())
