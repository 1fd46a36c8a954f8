"""Measures that stand: a new plan against the last one, as changes only, without measures that come and go."""

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Protocol, Self

from weaklink.measures import SEVERITY, UPSTREAM

Measure = Mapping[str, Any]
Key = tuple[str, str, str | None, bytes | None, str | None, bytes | None]
Place = tuple[str, str | bytes | None]

ISSUE: Final = "ISSUE"
WITHDRAW: Final = "WITHDRAW"

_key: Final = itemgetter("party", "measure", "target_account", "target_token", "slice_model", "slice_end_user")


def key(measure: Measure) -> Key:
    """What makes a measure the same one: party, measure, target and slice."""
    found: Key = _key(measure)
    return found


class Policy(Protocol):
    """Settings of enforce by which it decides what the evidence of a measure carries."""

    challenge_confidence_min: float
    suspend_confidence_above: float
    suspend_supporting_parties_min: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What policy holds a measure against: enforce's settings of the same names, and their defaults."""

    challenge_confidence_min: float = 0.5
    suspend_confidence_above: float = 0.9
    suspend_supporting_parties_min: int = 2

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Those of these settings."""
        return cls(
            policy.challenge_confidence_min, policy.suspend_confidence_above, policy.suspend_supporting_parties_min
        )


DEFAULT_THRESHOLDS: Final = Thresholds()


def grounds(measure: Measure, thresholds: Thresholds) -> tuple[bool, ...]:
    """What policy decides by: when it changes, the measure is proposed again. Only upstream measures need a plan behind them."""
    return (
        measure["confidence"] >= thresholds.challenge_confidence_min,
        measure["supporting_parties"] >= thresholds.suspend_supporting_parties_min,
        measure["own_finding"],
        measure["hard_identifier"],
        measure["established"],
        measure["from_plan"] or measure["measure"] not in UPSTREAM,
        measure["confidence"] > thresholds.suspend_confidence_above,
    )


def changes(
    standing: Sequence[dict[str, Any]],
    planned: Sequence[dict[str, Any]],
    *,
    members: Collection[tuple[str, str]],
    spared: Collection[tuple[str, str]],
    identifiers: Collection[int],
    refused: Collection[tuple[str, str, bytes]],
    now_us: int,
    reissue_us: int,
    thresholds: Thresholds,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(measures that stand from now on, changes: ISSUE of new ones and WITHDRAW of those that fell).

    A measure stands while its ground does (its account is a member, a member holds its token), and only gives way to one as severe on
    the same target: a suspended account has no volume left for a plan to cut, and evidence wavers from one evaluation to the next;
    neither is to let it back in. It is proposed again when its grounds have become stronger, never because they waver.
    `members`, `spared`: (party, account). Spared are resellers, old accounts and verified organisations: they are in the campaign or in
    its way, but a suspension does not outlast the moment when its account turns out to be one.
    `identifiers`: those that members hold. `refused`: (party, measure, target) that are not asked for again, and no longer stand.
    What stands is as it was last issued (`issued_at_us`); it is issued again after `reissue_us`, so that its action does not expire.
    """
    wanted = {key(m): m for m in planned if not (refused and _refusal(m) in refused)}
    severest: dict[Place, int] = {}
    for k in wanted:
        severest[_place(k)] = max(severest.get(_place(k), 0), SEVERITY[k[1]])
    before = {key(m): m for m in standing}
    # Of a measure that stands and one newly wanted on the same target the more severe is kept, the new one if they are equals.
    stand = {
        k: m
        for k, m in before.items()
        if k not in wanted
        and not (refused and _refusal(m) in refused)
        and SEVERITY[k[1]] > severest.get(_place(k), -1)
        and _grounded(m, members, spared, identifiers)
    }
    overruled = {_place(k) for k in stand if _place(k) in severest}
    due = {k for k, m in before.items() if now_us - m["issued_at_us"] >= reissue_us}
    issued = due & stand.keys()
    for k, m in wanted.items():
        if k in before:
            now = _stronger(before[k], m)
            issues = grounds(before[k], thresholds) != grounds(now, thresholds) or k in due
            stand[k] = now if issues else before[k]
        elif _place(k) in overruled:
            continue
        else:
            issues, stand[k] = True, dict(m)
        if issues:
            issued.add(k)
    for k in issued:
        stand[k] = stand[k] | {"issued_at_us": now_us}
    ordered = sorted_items(stand)
    withdrawn = [{**before[k], "op": WITHDRAW} for k in sorted(before.keys() - stand.keys(), key=_rank)]
    return [m for _, m in ordered], withdrawn + [{**m, "op": ISSUE} for k, m in ordered if k in issued]


def added(
    standing: Sequence[dict[str, Any]],
    asked: Sequence[Measure],
    refused: Collection[tuple[str, str, bytes]],
    now_us: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`changes` when there are only new members: (measures that stand from now on, ISSUE of those on targets where none stands)."""
    asked = [m for m in asked if _refusal(m) not in refused]
    targets = {_target(m) for m in asked}
    places = {_place(key(m)) for m in standing if _target(m) in targets} if targets else set()
    new = [{**m, "issued_at_us": now_us} for m in asked if _place(key(m)) not in places]
    stand = list(standing)
    for measure in new:
        bisect.insort(stand, measure, key=lambda m: _rank(key(m)))
    return stand, [{**m, "op": ISSUE} for m in new]


def renewed(
    standing: Sequence[dict[str, Any]], now_us: int, reissue_us: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`changes` when nothing is decided: (the same measures, ISSUE of those that were last issued `reissue_us` ago)."""
    stand = [m | {"issued_at_us": now_us} if now_us - m["issued_at_us"] >= reissue_us else m for m in standing]
    return stand, [{**m, "op": ISSUE} for m, before in zip(stand, standing, strict=True) if m is not before]


def _stronger(before: Measure, now: Measure) -> dict[str, Any]:
    """`now`, with what already spoke for the measure: grounds are only ever added while it stands."""
    return dict(now) | {
        "supporting_parties": max(before["supporting_parties"], now["supporting_parties"]),
        "own_finding": before["own_finding"] or now["own_finding"],
        "hard_identifier": before["hard_identifier"] or now["hard_identifier"],
        "established": before["established"] and now["established"],
        "from_plan": before["from_plan"] or now["from_plan"],
        "confidence": max(before["confidence"], now["confidence"]),
    }


def sorted_items(measures: Mapping[Key, dict[str, Any]]) -> list[tuple[Key, dict[str, Any]]]:
    """By key, nulls first."""
    return sorted(measures.items(), key=lambda item: _rank(item[0]))


def _rank(of: Key) -> tuple[str, str, str, bytes, str, bytes]:
    return of[0], of[1], of[2] or "", of[3] or b"", of[4] or "", of[5] or b""


def _refusal(measure: Measure) -> tuple[str, str, bytes]:
    token: bytes | None = measure["target_token"]
    target = token if token is not None else (measure["target_account"] or "").encode()
    return measure["party"], measure["measure"], target


def _target(measure: Measure) -> str | bytes | None:
    token: bytes | None = measure["target_token"]
    account: str | None = measure["target_account"]
    return account if token is None else token


def _place(of: Key) -> Place:
    """Party and target."""
    return of[0], of[3] if of[3] is not None else of[2]


def _grounded(
    measure: Measure,
    members: Collection[tuple[str, str]],
    spared: Collection[tuple[str, str]],
    identifiers: Collection[int],
) -> bool:
    token: bytes | None = measure["target_token"]
    if token is not None:
        return int.from_bytes(token[2:10], "little") in identifiers
    account = (measure["party"], measure["target_account"])
    if measure["measure"] == "REVOKE_LEASE" and not measure["hard_identifier"]:
        return True  # a lessee that feeds the campaign from outside: no member, and its leases do not come back by being cut
    return account in members or (account in spared and measure["measure"] != "SUSPEND")
