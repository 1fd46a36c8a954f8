"""Measures that stand: a new plan against the last one, as changes only, without measures that come and go."""

import bisect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

Measure = Mapping[str, Any]
Key = tuple[str, str, str | None, bytes | None, str | None, bytes | None]

ISSUE: Final = "ISSUE"
WITHDRAW: Final = "WITHDRAW"
_CONFIDENT: Final = 0.9
_FROM_PLAN_ONLY: Final = ("BLOCK_IDENTIFIER", "REVOKE_LEASE", "REQUIRE_END_USER_IDS")
_SEVERITY: Final = {"OBSERVE": 0, "CHALLENGE": 1, "THROTTLE": 1} | dict.fromkeys(
    ("SUSPEND", "BLOCK_IDENTIFIER", "REVOKE_LEASE", "REQUIRE_END_USER_IDS"), 2
)


def key(measure: Measure) -> Key:
    """What makes a measure the same one: party, measure, target and slice."""
    return (
        measure["party"],
        measure["measure"],
        measure["target_account"],
        measure["target_token"],
        measure["slice_model"],
        measure["slice_end_user"],
    )


def grounds(measure: Measure) -> tuple[bool, ...]:
    """What policy decides by: when it changes, the measure is proposed again. Only upstream measures need a plan behind them."""
    return (
        measure["supporting_parties"] > 1,
        measure["own_finding"],
        measure["hard_identifier"],
        measure["established"],
        measure["from_plan"] or measure["measure"] not in _FROM_PLAN_ONLY,
        measure["confidence"] > _CONFIDENT,
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
    wanted = {key(m): m for m in planned if (m["party"], m["measure"], _target(m)) not in refused}
    before = {key(m): m for m in standing}
    kept = {
        k: m
        for k, m in before.items()
        if k not in wanted
        and (m["party"], m["measure"], _target(m)) not in refused
        and _grounded(m, members, spared, identifiers)
    }
    severest: dict[tuple[str, bytes], int] = {}
    for measure in wanted.values():
        place = (measure["party"], _target(measure))
        severest[place] = max(severest.get(place, 0), _SEVERITY[measure["measure"]])
    # Of a measure that stands and one newly wanted on the same target the more severe is kept, the new one if they are equals.
    kept = {k: m for k, m in kept.items() if _SEVERITY[m["measure"]] > severest.get((m["party"], _target(m)), -1)}
    overruled = {(m["party"], _target(m)) for m in kept.values()}
    wanted = {k: m for k, m in wanted.items() if (m["party"], _target(m)) not in overruled or k in before}
    stand = kept | {k: _stronger(before[k], m) if k in before else m for k, m in wanted.items()}
    issued = {k: m for k, m in stand.items() if _issues(before.get(k), m, now_us, reissue_us)}
    stand = {k: m | {"issued_at_us": now_us} if k in issued else before[k] for k, m in stand.items()}
    withdrawn = [{**m, "op": WITHDRAW} for k, m in sorted_items(before) if k not in stand]
    return [m for _, m in sorted_items(stand)], withdrawn + [{**stand[k], "op": ISSUE} for k, _ in sorted_items(issued)]


def _issues(before: Measure | None, now: Measure, now_us: int, reissue_us: int) -> bool:
    """New, on stronger grounds, or last issued so long ago that its action would expire."""
    if before is None or grounds(before) != grounds(now):
        return True
    issued_us: int = before["issued_at_us"]
    return now_us - issued_us >= reissue_us


def added(
    standing: Sequence[Measure], asked: Sequence[Measure], refused: Collection[tuple[str, str, bytes]], now_us: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`changes` when there are only new members: (measures that stand from now on, ISSUE of those on targets where none stands)."""
    places = {(m["party"], _target(m)) for m in standing}
    new = [
        {**m, "issued_at_us": now_us}
        for m in asked
        if (m["party"], _target(m)) not in places and (m["party"], m["measure"], _target(m)) not in refused
    ]
    stand = [dict(m) for m in standing]
    for measure in new:
        bisect.insort(stand, measure, key=lambda m: _rank(key(m)))
    return stand, [{**m, "op": ISSUE} for m in new]


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


def _target(measure: Measure) -> bytes:
    token: bytes | None = measure["target_token"]
    return token if token is not None else (measure["target_account"] or "").encode()


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
