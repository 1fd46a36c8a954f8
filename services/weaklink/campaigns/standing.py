"""Measures that stand: a new plan against the last one, as changes only, without measures that come and go."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

Measure = Mapping[str, Any]
Key = tuple[str, str, str | None, bytes | None, str | None, bytes | None]

ISSUE: Final = "ISSUE"
WITHDRAW: Final = "WITHDRAW"
_CONFIDENT: Final = 0.9


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
    """What policy decides by: when it changes, the measure is proposed again."""
    return (
        measure["supporting_parties"] > 1,
        measure["own_finding"],
        measure["hard_identifier"],
        measure["established"],
        measure["from_plan"],
        measure["confidence"] > _CONFIDENT,
    )


def changes(
    standing: Sequence[Measure],
    planned: Sequence[Measure],
    members: Collection[tuple[str, str]],
    identifiers: Collection[int],
    refused: Collection[tuple[str, str, bytes]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(measures that stand from now on, changes: ISSUE of new ones and WITHDRAW of those that fell).

    A measure that the new plan leaves out stands on while its ground does (its account is a member, a member holds its
    token) and nothing else is asked about the same target: a suspended account has no volume left for a plan to cut, and is not to be let back in for that.
    `members`: (party, account). `identifiers`: those that members hold. `refused`: (party, measure, target) that are not asked for again.
    """
    wanted = {key(m): dict(m) for m in planned if (m["party"], m["measure"], _target(m)) not in refused}
    before = {key(m): dict(m) for m in standing}
    targets = {(m["party"], _target(m)) for m in wanted.values()}
    stand = dict(wanted)
    for k, measure in before.items():
        if (
            k not in wanted
            and (measure["party"], _target(measure)) not in targets
            and _grounded(measure, members, identifiers)
        ):
            stand[k] = measure
    issued = [
        {**m, "op": ISSUE} for k, m in sorted_items(wanted) if k not in before or grounds(before[k]) != grounds(m)
    ]
    withdrawn = [{**m, "op": WITHDRAW} for k, m in sorted_items(before) if k not in stand]
    return [m for _, m in sorted_items(stand)], withdrawn + issued


def sorted_items(measures: Mapping[Key, dict[str, Any]]) -> list[tuple[Key, dict[str, Any]]]:
    """By key, nulls first."""
    return sorted(
        measures.items(),
        key=lambda item: (
            item[0][0],
            item[0][1],
            item[0][2] or "",
            item[0][3] or b"",
            item[0][4] or "",
            item[0][5] or b"",
        ),
    )


def _target(measure: Measure) -> bytes:
    token: bytes | None = measure["target_token"]
    return token if token is not None else (measure["target_account"] or "").encode()


def _grounded(measure: Measure, members: Collection[tuple[str, str]], identifiers: Collection[int]) -> bool:
    token: bytes | None = measure["target_token"]
    if token is None:
        return (measure["party"], measure["target_account"]) in members
    return int.from_bytes(token[2:10], "little") in identifiers
