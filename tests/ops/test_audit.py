"""The audit's arithmetic finds every single thing that can be wrong, and nothing where nothing is."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink.ops.audit import AuditRange, Observed, PartitionAudit, audit_partition, counted_from, offsets_in_reject

TOPIC = "party.acme.events"


@st.composite
def sound(draw: st.DrawFn) -> tuple[list[AuditRange], Observed]:
    """Ranges as ingest writes them, from some offset on, in any order, and what Kafka shows then."""
    at = first = draw(st.integers(0, 50))
    ranges = []
    for _ in range(draw(st.integers(1, 6))):
        counts = [draw(st.integers(0, 5)) for _ in range(3)]
        consumed = sum(counts)
        end = at + max(1, consumed + draw(st.integers(0, 2)))  # transaction markers take offsets, too
        ranges.append(AuditRange(TOPIC, 0, at, end, consumed, *counts))
        at = end
    observed = Observed(first, at, 0, sum(one.consumed for one in ranges), sum(one.rejected for one in ranges))
    return draw(st.permutations(ranges)), observed


def audit(ranges: list[AuditRange], observed: Observed) -> PartitionAudit:
    return audit_partition(TOPIC, 0, ranges, observed)


@given(sound())
def test_what_is_right_is_proved(case: tuple[list[AuditRange], Observed]) -> None:
    verdict = audit(*case)
    assert verdict.findings == ()
    assert verdict.consumed == verdict.accepted + verdict.rejected + verdict.duplicates
    json.dumps(verdict.to_json())


@given(sound(), st.data())
def test_each_single_fault_is_found(case: tuple[list[AuditRange], Observed], data: st.DataObject) -> None:
    """A lost range, one that came twice, a wrong count of any sort, another committed offset, more or fewer records or rejects."""
    ranges, observed = case
    victim = data.draw(st.sampled_from(ranges))
    others = [one for one in ranges if one != victim]
    delta = data.draw(st.sampled_from([-1, 1]))
    count = data.draw(st.sampled_from(["consumed", "accepted", "rejected", "duplicates"]))
    assert observed.committed is not None
    faults = {
        "lost": (others, observed),
        "twice": ([*ranges, victim], observed),
        "wrong count": ([*others, replace(victim, **{count: getattr(victim, count) + delta})], observed),
        "shorter": ([*others, replace(victim, end=victim.end - 1)], observed),
        "longer": ([*others, replace(victim, end=victim.end + 1)], observed),
        "committed": (ranges, replace(observed, committed=observed.committed + delta)),
        "never committed": (ranges, replace(observed, committed=None)),
        "records": (ranges, replace(observed, records=observed.records + delta)),
        "rejects": (ranges, replace(observed, rejects=observed.rejects + delta)),
    }
    for name, (faulty, seen) in faults.items():
        assert audit(faulty, seen).findings, name


def test_findings_say_what_where() -> None:
    """So that a person can go and look."""
    ranges = [AuditRange(TOPIC, 0, 0, 10, 10, 9, 1, 0), AuditRange(TOPIC, 0, 12, 20, 8, 8, 0, 0)]
    (finding,) = audit(ranges, Observed(0, 20, 0, 18, 1)).findings
    assert finding == f"{TOPIC}-0: gap: no transaction accounts for offsets 10 to 11"
    ranges[1] = replace(ranges[1], begin=8)
    (finding,) = audit(ranges, Observed(0, 20, 0, 18, 1)).findings
    assert finding == f"{TOPIC}-0: overlap: offsets 8 to 9 are accounted for twice"


def test_what_has_expired_is_said_and_not_held_against_anyone() -> None:
    """Retention takes the oldest events, and the oldest ranges."""
    ranges = [AuditRange(TOPIC, 0, 0, 10, 10, 10, 0, 0), AuditRange(TOPIC, 0, 10, 20, 10, 9, 1, 0)]
    assert counted_from(ranges, 5) == 10
    verdict = audit(ranges, Observed(5, 20, 0, 10, 1))
    assert verdict.findings == ()
    assert "before offset 5 have expired" in verdict.remarks[0]
    verdict = audit(ranges[1:], Observed(0, 20, 10, 10, 1))
    assert verdict.findings == ()
    assert "audit begins at offset 10" in verdict.remarks[0]
    assert audit(ranges[1:], Observed(0, 20, 0, 10, 1)).findings


def test_accounts_that_cannot_have_expired_are_missed() -> None:
    """Once anything has expired anywhere, a hole passed for that for ever."""
    ranges = [AuditRange(TOPIC, 0, 10, 20, 10, 9, 1, 0)]
    (finding,) = audit(ranges, Observed(0, 20, 4, 10, 1)).findings
    assert finding == f"{TOPIC}-0: gap: no transaction accounts for offsets 4 to 9"
    (finding,) = audit([], Observed(0, 20, 15, 0, 0)).findings
    assert finding == f"{TOPIC}-0: offset 20 is committed, but no transaction accounts for the records from 15 on"


def test_what_nothing_is_left_to_prove_is_not_called_empty() -> None:
    verdict = audit([], Observed(0, 20, 20, 0, 0))
    assert (verdict.verdict, verdict.findings) == ("not proved", ())
    assert "nothing proves what became of events before offset 20" in verdict.remarks[0]
    assert [audit([], Observed(20, committed, 20, 0, 0)).verdict for committed in (None, 20)] == ["empty", "empty"]
    assert audit([], Observed(20, 20, 20, 0, 0)).remarks == ()
    assert audit([AuditRange(TOPIC, 0, 0, 2, 0, 0, 0, 0)], Observed(0, 2, 0, 0, 0)).verdict == "proved"
    assert audit([], Observed(0, 20, 0, 0, 0)).verdict == "wrong"


def test_a_partition_that_ingest_never_touched_is_not_wrong() -> None:
    """But one whose offsets are committed without any account is."""
    assert audit([], Observed(0, None, 0, 0, 0)).findings == ()
    assert audit([], Observed(0, 5, 0, 0, 0)).findings


def test_headers_are_read_strictly() -> None:
    """A header that cannot be read must stop the audit, not shorten it."""
    one = {
        "topic": TOPIC,
        "partition": 1,
        "from_offset": 2,
        "to_offset": 9,
        "consumed": 7,
        "accepted": 4,
        "rejected": 2,
        "duplicates": 1,
    }
    assert AuditRange.parse(json.dumps([one]).encode()) == [AuditRange(TOPIC, 1, 2, 9, 7, 4, 2, 1)]
    for bad in (b"", b"[1]", b"{}x", json.dumps([one | {"consumed": None}]).encode()):
        with pytest.raises(ValueError, match="weaklink-audit"):
            AuditRange.parse(bad)
    named = {"weaklink-topic": TOPIC, "weaklink-partition": "3"}
    assert offsets_in_reject(named | {"weaklink-offset": "7"}) == (TOPIC, 3, range(7, 8))
    assert offsets_in_reject(named | {"weaklink-offset": "7-9"}) == (TOPIC, 3, range(7, 10))
