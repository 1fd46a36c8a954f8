"""Ingest's compiled reader and fastavro agree on damaged messages; were they not to, the fuzzer would find it."""

import random

import numpy as np
import pytest
from chaos.fuzz import Disagreement

from chaos import fuzz
from weaklink.ingest import pipeline
from weaklink.ingest.decode import Decoded, decode
from weaklink.records import reasons

_SECONDS = 5.0
_SEED = 1


def test_every_damaged_message_becomes_the_same_row_or_the_same_reject() -> None:
    """Some thousands of them, other ones in every run; the seed is told where they disagree."""
    counts = fuzz.fuzz(_SECONDS, random.randrange(1 << 30))
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
