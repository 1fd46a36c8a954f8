"""A mutation fuzzer over the decode path: `python -m chaos.fuzz --seconds 600`.

Messages are damaged in ways that know the wire format, put into record batches, and given to ingest's pipeline; each must become the same row or
the same reject as by `chaos.judge`, which knows fastavro and nothing of ingest. Then the record batches themselves are damaged, compressed or
not, which no broker lets through: anything may come of it but a crash, a hang or another exception.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import polars as pl
from kafka import TopicPartition
from kafka.record.default_records import DefaultRecordBatchBuilder

from chaos.crafted import CODECS, compress
from chaos.judge import Verdict, judge
from chaos.legal import in_other_blocks, is_legal, varint
from chaos.traffic import Traffic
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.pipeline import Pipeline
from weaklink.parties import MAY_PUBLISH, Party, PartyKind
from weaklink.records import reasons
from weaklink.records.examples import examples
from weaklink.records.schemas import EVENT_RECORDS, all_schemas
from weaklink.stream.inflate import BatchDamaged, BatchTooLarge, inflate
from weaklink.stream.whole_batches import RecordBatch

NOW_US: Final = 1_795_000_000_000_000
_HEADER_BYTES: Final = 61
_VALUES: Final = 400
_SOUND_SHARE: Final = 0.3
_BYTES: Final = (0x00, 0x01, 0x02, 0x03, 0x20, 0x22, 0x40, 0x7E, 0x7F, 0x80, 0xC2, 0xED, 0xF4, 0xFE, 0xFF)
_NUMBERS: Final = (0, 1, -1, 2, 17, 32, 33, 64, 127, 128, 129, 1 << 31, -(1 << 31), 1 << 46, 1 << 62, -(1 << 62), (1 << 63) - 1, -(1 << 63))  # fmt: skip
_INFLATED_MAX: Final = 1 << 20
_FRAME_BYTES: Final = 10
_SCHEMAS: Final = {schema.fingerprint: schema for schema in all_schemas().values() if schema.record in EVENT_RECORDS}


class Disagreement(AssertionError):
    """Ingest and the judge make something else of a message, which is told in hexadecimal, with the seed."""


def fuzz(seconds: float, seed: int) -> Counter[str]:
    """Until the time is over; how many messages were accepted and rejected, by reason. Raises Disagreement."""
    chance, counts = random.Random(seed), Counter[str]()
    seeds = _seeds()
    deadline = time.monotonic() + seconds
    while not counts or time.monotonic() < deadline:
        kind = chance.choice(list(PartyKind))
        values = [_mutated(chance, seeds) for _ in range(_VALUES)]
        counts += compare(values, kind, chance, seed)
        _damage_batches(values, chance)
    return counts


def _seeds() -> list[bytes]:
    """Sound messages of every record and version; times near the judge's now, so that most rules are reached."""
    chance, traffic = random.Random(3), Traffic(3, start_us=NOW_US)
    found = [one.encoded() for one in examples() if one.schema.record in EVENT_RECORDS]
    found += [event.encoded() for event in traffic.events(0, 200)]
    return found + [in_any_blocks(one, chance) for one in found]


def in_any_blocks(value: bytes, chance: random.Random) -> bytes:
    """A sound message with its arrays written otherwise, as Avro allows."""
    return value[:_FRAME_BYTES] + in_other_blocks(value[_FRAME_BYTES:], _SCHEMAS[value[2:_FRAME_BYTES]], chance)


def _mutated(chance: random.Random, seeds: Sequence[bytes]) -> bytes | None:
    value = bytearray(chance.choice(seeds))
    if chance.random() < _SOUND_SHARE:
        return bytes(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(value) + 1)
        match chance.randrange(10):
            case 0 | 1 | 2 if at < len(value):
                value[at] = chance.choice((*_BYTES, chance.randrange(256)))
            case 3:
                value[at:at] = bytes(chance.choices(_BYTES, k=chance.choice((1, 2, 9, 10, 11, 40))))
            case 4:
                del value[at : at + chance.choice((1, 2, 17, 18, 60))]
            case 5:
                value[at : at + 1] = varint(chance.choice(_NUMBERS))
            case 6:  # the end of one, the beginning of another
                other = chance.choice(seeds)
                value[at:] = other[chance.randrange(len(other)) :]
            case 7:  # a piece once more
                value[at:at] = value[at : at + chance.choice((1, 17, 18, 36, 200))] * chance.choice((1, 2, 33))
            case 8:  # the frame of another record
                value[:10] = chance.choice(seeds)[:10]
            case 9:
                del value[at:]
    return bytes(value) if value or chance.random() < 0.5 else None  # half of them null


def compare(values: Sequence[bytes | None], kind: PartyKind, chance: random.Random, seed: int) -> Counter[str]:
    """What becomes of messages of such a party, by reason. Raises Disagreement when ingest and the judge differ on one."""
    party = Party(id="fuzz", kind=kind)
    pipeline = Pipeline(IngestConfig(), Frames(SchemaRegistryConfig()), age_limits=True)
    batches, at = [], 0
    while at < len(values):
        size = chance.randint(1, 150)
        batches.append(_batch(values[at : at + size], at))
        at += size
    outcome = pipeline.run(batches, party, lambda _, ids, __: np.zeros(len(ids), dtype=np.bool_))
    told = {int(offset): (group.reason, group.field) for group in outcome.rejects for offset in group.offsets}
    rows: dict[int, tuple[str, dict[str, Any]]] = {}
    for record, accepted in outcome.accepted.items():
        frame = accepted.to_frame().drop("appended_at_us").cast({pl.Datetime: pl.Int64})
        rows |= {int(offset): (record, row) for offset, row in zip(accepted.offsets, frame.to_dicts(), strict=True)}
    allowed = {schema.fingerprint: schema for schema in _SCHEMAS.values() if kind in MAY_PUBLISH[schema.record]}
    counts: Counter[str] = Counter()
    for offset, value in enumerate(values):
        verdict = judge(value, allowed, NOW_US)
        if wrong := problem(value, verdict, rows.get(offset), told.get(offset)):
            raise Disagreement(f"seed {seed}, a {kind} sends {(value or b'').hex()}: {wrong}")
        counts[told[offset][0] if offset in told else "accepted"] += 1
    return counts


def _is_legal(value: bytes) -> bool:
    return is_legal(value[_FRAME_BYTES:], _SCHEMAS[value[2:_FRAME_BYTES]])


def problem(
    value: bytes | None, verdict: Verdict, row: tuple[str, dict[str, Any]] | None, told: tuple[str, str] | None
) -> str:
    """What is wrong with what ingest made of a value, a row or the reason and field of a reject; "" when nothing is."""
    if (row is None) == (told is None):
        return "it is both accepted and rejected" if row else "it is neither accepted nor rejected"
    if told:
        # fastavro reads a few things that Avro does not allow, like numbers of 90 bits, or an index of -1.
        tolerated = (
            told[0] == reasons.MALFORMED and verdict.is_read and verdict.record and value and not _is_legal(value)
        )
        return "" if told[0] == verdict.reason or tolerated else f"rejected as {told}, not {verdict}"
    assert row is not None
    if verdict.event is None or row[0] != verdict.record:
        return f"accepted as {row}, not {verdict}"
    known = {name: value for name, value in row[1].items() if name in verdict.event}
    return "" if known == verdict.event else f"accepted as {row}, not {verdict}"


def _payload(values: Sequence[bytes | None]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 30)
    for number, value in enumerate(values):
        builder.append(number, NOW_US // 1000, None if number % 3 else b"key", value, [("h", b"v")] * (number % 4 // 3))
    return bytes(builder.build())[_HEADER_BYTES:]


def _batch(values: Sequence[bytes | None], base: int, payload: bytes | None = None) -> RecordBatch:
    now_ms, end = NOW_US // 1000, base + len(values)
    source = TopicPartition("party.fuzz.events", 0)
    return RecordBatch(
        source, base, end - 1, len(values), now_ms, _payload(values) if payload is None else payload, base, end
    )  # fmt: skip


def _damage_batches(values: Sequence[bytes | None], chance: random.Random) -> None:
    """A batch of its own for each codec: what inflates goes through the pipeline, and every record of it is accounted for, or the batch refused."""
    own = values[: chance.randint(1, 20)]
    payload = bytearray(_payload(own))
    for _ in range(chance.randint(0, 2)):
        payload[chance.randrange(len(payload))] = chance.choice(_BYTES)
    for codec, number in CODECS.items():
        data = bytearray(compress(codec, iter([bytes(payload)])))
        for _ in range(chance.randint(0, 2)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with suppress(BatchDamaged, BatchTooLarge):
            plain = bytes(inflate(number, memoryview(bytes(data)), _INFLATED_MAX))
            pipeline = Pipeline(IngestConfig(), Frames(SchemaRegistryConfig()), age_limits=True)
            pipeline.run(
                [_batch(own, 0, plain)], Party(id="fuzz", kind=PartyKind.LAB), lambda _, ids, __: np.zeros(len(ids), dtype=np.bool_)
            )  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m chaos.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    counts = fuzz(given.seconds, given.seed)
    print(f"seed {given.seed}: {counts.total():,} messages, no disagreement; {dict(counts.most_common())}")


if __name__ == "__main__":
    main()
