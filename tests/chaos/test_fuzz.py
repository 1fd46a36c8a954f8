"""Ingest's compiled reader and fastavro agree on damaged messages; were they not to, the fuzzer would find it."""

import random

import numpy as np
import pytest
from chaos.fuzz import Disagreement
from chaos.judge import Verdict
from chaos.legal import in_other_blocks, is_legal, varint

from chaos import fuzz
from tests.prerequisites import in_ci
from weaklink.ingest import pipeline
from weaklink.ingest.decode import Decoded, decode
from weaklink.parties import PartyKind
from weaklink.records import reasons
from weaklink.records.codec import decode as decode_record
from weaklink.records.codec import encode
from weaklink.records.schemas import latest

_SECONDS = 5.0
_SEED = 1


def test_every_damaged_message_becomes_the_same_row_or_the_same_reject() -> None:
    """Some thousands of them, in CI the same ones every time and elsewhere others in every run; the seed is told where they disagree."""
    counts = fuzz.fuzz(_SECONDS, _SEED if in_ci() else random.randrange(1 << 30))
    assert counts["accepted"] > counts.total() / 10
    assert {reasons.MALFORMED, reasons.TRAILING_BYTES, reasons.BAD_IDENTIFIER, reasons.NOT_UTF8} <= set(counts)


@pytest.mark.parametrize("swallowed", [reasons.BAD_ACCOUNT, reasons.NEGATIVE_COUNT])
def test_a_reader_that_takes_what_is_bad_is_found_out(monkeypatch: pytest.MonkeyPatch, swallowed: str) -> None:
    """Bad events of one reason let through as good ones."""

    def lenient(*arguments: object) -> Decoded:
        found = decode(*arguments)  # type: ignore[arg-type]
        through = [one.rows for one in found.bad if one.reason == swallowed]
        return Decoded(np.sort(np.concatenate([found.good, *through])), [one for one in found.bad if one.reason != swallowed])  # fmt: skip

    monkeypatch.setattr(pipeline, "decode", lenient)
    with pytest.raises(Disagreement):
        fuzz.fuzz(30.0, _SEED)


def test_a_reader_that_refuses_what_is_good_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One good event in a hundred lost among the rejects."""

    def strict(*arguments: object) -> Decoded:
        found = decode(*arguments)  # type: ignore[arg-type]
        return Decoded(found.good[found.good % 100 != 7], found.bad)

    monkeypatch.setattr(pipeline, "decode", strict)
    with pytest.raises(Disagreement, match="neither accepted nor rejected"):
        fuzz.fuzz(30.0, _SEED)


def usage(tokens: int) -> bytes:
    """An event with so many identifiers."""
    return encode("ApiUsage", {
        "event_id": bytes(range(16)), "account": "a", "occurred_at": fuzz.NOW_US, "window_seconds": 60, "model": "m", "task": "OTHER", "requests": 1,
        "input_tokens": 2, "output_tokens": 3, "identifiers": [bytes((1, 1)) + bytes([number] * 15) for number in range(tokens)],
        "end_user": None, "address_class": "UNKNOWN",
    })  # fmt: skip


def test_an_array_is_read_in_whatever_blocks_avro_allows() -> None:
    """Several blocks, with and without their size in bytes, at every number of identifiers that is allowed and at one more: the same event."""
    chance = random.Random(2)
    values = [usage(tokens) for tokens in (0, 1, 2, 3, 31, 32)]
    others = [fuzz.in_any_blocks(value, chance) for value in values for _ in range(40)]
    assert {bytes(one) for one in others} > set(values[:2])
    assert len(set(others)) > 80
    assert all(decode_record(one) in [decode_record(value) for value in values] for one in others)
    counts = fuzz.compare([*values, *others], PartyKind.LAB, chance, _SEED)
    assert counts == {"accepted": len(values) + len(others)}
    too_many = [fuzz.in_any_blocks(usage(33), chance) for _ in range(40)]
    assert fuzz.compare(too_many, PartyKind.LAB, chance, _SEED) == {reasons.TOO_MANY_IDENTIFIERS: 40}


def test_only_what_avro_does_not_allow_may_be_refused_where_fastavro_reads_it() -> None:
    """An array in other blocks may not; a union's branch -1, a number of 70 bits, and a block of another size than it says, may."""
    schema, value = latest("ApiUsage"), usage(3)
    body, chance = value[10:], random.Random(4)
    assert is_legal(body, schema)
    assert is_legal(body + b"left over", schema)
    other = value[:10] + in_other_blocks(body, schema, chance)
    assert other != value
    array = body.index(varint(3) + varint(17))
    illegal = [
        body[:array] + varint(-3) + varint(53) + body[array + 1 :],
        body[:array] + b"\x86" + b"\x80" * 9 + b"\x00" + body[array + 1 :],
        body[:-2] + varint(-1) + body[-1:],
        body[:-1],
    ]
    assert not any(is_legal(one, schema) for one in illegal)
    read, refused = Verdict("ApiUsage", {}, ""), (reasons.MALFORMED, "identifiers")
    assert fuzz.problem(other, read, None, refused).startswith("rejected as")
    assert [fuzz.problem(value[:10] + one, read, None, refused) for one in illegal] == [""] * len(illegal)
