"""Proof of promise 1 (every event counts once or is rejected with a reason), by arithmetic alone: `audit_probe.py` reads the numbers.

Each transaction of ingest says on `weaklink.activity` which offsets of a source partition it covers and what became of the records there. For every source
partition these ranges must follow each other without gap or overlap up to the committed offset, add up, and agree with the records that the
events topic holds and with the rejects that the party got.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

HEADER: Final = "weaklink-audit"
_COUNTS: Final = ("consumed", "accepted", "rejected", "duplicates")


@dataclass(frozen=True, slots=True, order=True)
class AuditRange:
    """One transaction's account of one source partition: offsets `begin` to `end` (exclusive)."""

    topic: str
    partition: int
    begin: int
    end: int
    consumed: int
    accepted: int
    rejected: int
    duplicates: int

    @classmethod
    def parse(cls, header: bytes) -> list[Self]:
        """The ranges in a `weaklink-audit` header. Raises ValueError when it is not one."""
        try:
            return [
                cls(
                    str(one["topic"]),
                    int(one["partition"]),
                    int(one["from_offset"]),
                    int(one["to_offset"]),
                    *(int(one[name]) for name in _COUNTS),
                )
                for one in json.loads(header)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a {HEADER} header: {header[:200]!r} ({type(error).__name__} {error})") from error


@dataclass(frozen=True, slots=True)
class Observed:
    """What Kafka shows of one source partition, apart from the ranges.

    `log_begin`: first offset that the events topic still holds. `committed`: ingest's committed offset, None if there is none.
    `expired_before`: ranges of events before this offset may have expired from `weaklink.activity`, those of later ones cannot have.
    `records`, `rejects`: records in the events topic, and offsets named on the rejects topic, from `counted_from(...)` to the committed offset.
    """

    log_begin: int
    committed: int | None
    expired_before: int
    records: int
    rejects: int


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """The verdict on one source partition: the sums over its ranges, sentences on what is wrong, and remarks on what could not be checked.

    `verdict`: "not proved" where events were handled and no account of them is left; "empty" where none were.
    """

    topic: str
    partition: int
    first_offset: int | None
    committed: int | None
    consumed: int
    accepted: int
    rejected: int
    duplicates: int
    verdict: Literal["proved", "wrong", "not proved", "empty"]
    findings: tuple[str, ...]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def counted_from(ranges: Sequence[AuditRange], log_begin: int) -> int | None:
    """The offset from which records can be compared: the begin of the first range whose records the events topic still holds. None: there is none."""
    return min((one.begin for one in ranges if one.begin >= log_begin), default=None)


def audit_partition(topic: str, partition: int, ranges: Sequence[AuditRange], observed: Observed) -> PartitionAudit:
    """Check one source partition; `ranges` are its own, in any order."""
    name = f"{topic}-{partition}"
    ordered = sorted(ranges)
    findings = [*_coverage(name, ordered, observed), *_arithmetic(name, ordered)]
    remarks = []
    comparable = [one for one in ordered if one.begin >= observed.log_begin]
    if len(comparable) < len(ordered):
        remarks.append(
            f"{name}: events before offset {observed.log_begin} have expired; their {len(ordered) - len(comparable)} ranges are checked for "
            "arithmetic and order only"
        )
    begin = ordered[0].begin if ordered else observed.committed or 0
    if begin > observed.log_begin and observed.expired_before > observed.log_begin:
        what = (
            f"audit begins at offset {begin}"
            if ordered
            else f"nothing proves what became of events before offset {begin}"
        )
        remarks.append(
            f"{name}: {what}; accounts of those before offset {min(begin, observed.expired_before)} may have expired from weaklink.activity"
        )
    if comparable:
        consumed, rejected = sum(one.consumed for one in comparable), sum(one.rejected for one in comparable)
        where = f"from offset {comparable[0].begin} to {observed.committed}"
        if consumed != observed.records:
            findings.append(
                f"{name}: ingest says that it consumed {consumed} records {where}, the topic holds {observed.records}"
            )
        if rejected != observed.rejects:
            findings.append(
                f"{name}: ingest says that it rejected {rejected} records {where}, the party's rejects name {observed.rejects}"
            )
    handled = observed.committed is not None and observed.committed > observed.log_begin
    return PartitionAudit(
        topic,
        partition,
        ordered[0].begin if ordered else None,
        observed.committed,
        **{count: sum(getattr(one, count) for one in ordered) for count in _COUNTS},
        verdict="wrong" if findings else "proved" if ordered else "not proved" if handled else "empty",
        findings=tuple(findings),
        remarks=tuple(remarks),
    )


def _coverage(name: str, ordered: Sequence[AuditRange], observed: Observed) -> list[str]:
    """Ranges must join, from the first event to the committed offset."""
    wanted_from = max(observed.log_begin, observed.expired_before)
    if not ordered:
        if observed.committed is not None and observed.committed > wanted_from:
            return [
                f"{name}: offset {observed.committed} is committed, but no transaction accounts for the records from {wanted_from} on"
            ]
        return []
    findings = []
    if ordered[0].begin > wanted_from:
        findings.append(f"{name}: gap: no transaction accounts for offsets {wanted_from} to {ordered[0].begin - 1}")
    reached = ordered[0].begin
    for one in ordered:
        if one.end <= one.begin:
            findings.append(f"{name}: a transaction accounts for offsets {one.begin} to {one.end}, which is no range")
        elif one.begin > reached:
            findings.append(f"{name}: gap: no transaction accounts for offsets {reached} to {one.begin - 1}")
        elif one.begin < reached:
            findings.append(
                f"{name}: overlap: offsets {one.begin} to {min(reached, one.end) - 1} are accounted for twice"
            )
        reached = max(reached, one.end)
    if observed.committed is None:
        findings.append(f"{name}: transactions account for offsets up to {reached - 1}, but ingest has committed none")
    elif reached != observed.committed:
        findings.append(
            f"{name}: transactions account for offsets up to {reached - 1}, but ingest has committed up to {observed.committed - 1}"
        )
    return findings


def _arithmetic(name: str, ordered: Sequence[AuditRange]) -> list[str]:
    return [
        f"{name}: offsets {one.begin} to {one.end - 1}: consumed {one.consumed} is not accepted {one.accepted} + rejected {one.rejected} "
        f"+ duplicates {one.duplicates}"
        for one in ordered
        if one.consumed != one.accepted + one.rejected + one.duplicates
        or min(one.consumed, one.accepted, one.rejected, one.duplicates) < 0
    ]


def offsets_in_reject(headers: Mapping[str, str]) -> tuple[str, int, range]:
    """Topic, partition and offsets that a reject is about: one offset, or `first-last` of a batch that was refused whole."""
    first, _, last = headers["weaklink-offset"].partition("-")
    return headers["weaklink-topic"], int(headers["weaklink-partition"]), range(int(first), int(last or first) + 1)
