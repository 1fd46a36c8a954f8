"""The compiled reader is fastavro's equal: the same events from sound bytes, the same reason for bad ones, and never a look beyond what it is given."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from chaos.judge import judge_body
from chaos.legal import in_other_blocks, is_legal
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.decoding import read
from tests.ingest.events import Event, events_of
from weaklink.ingest.bytes_loops import BAD, text_length, varint
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.layout import compile_layout
from weaklink.ingest.validate import rules_of
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas

SCHEMAS = [schema for schema in all_schemas().values() if schema.record in EVENT_RECORDS]
_FRAME_BYTES = 10


@st.composite
def mutations(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Bytes flipped, cut off, put in, or left over."""
    body = bytearray(draw(bodies))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        how = draw(st.sampled_from(["set", "set", "insert", "delete", "cut"]))
        byte = draw(st.sampled_from([0, 1, 2, 0x21, 0x22, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255))
        if how == "set" and at < len(body):
            body[at] = byte
        elif how == "insert":
            body[at:at] = bytes((byte,)) * draw(st.sampled_from([1, 1, 9, 10, 11]))
        elif how == "delete":
            del body[at : at + 1]
        elif how == "cut":
            del body[at:]
    return bytes(body)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: f"{schema.record}-v{schema.version}")
def test_it_reads_what_fastavro_reads_and_rejects_what_fastavro_rejects(schema: Schema) -> None:
    """Sound and mutated events, with arrays in blocks of any kind, side by side: each has fastavro's values, or fastavro's reason."""
    layout = compile_layout(schema)
    written = events_of(schema.record).map(lambda event: encode(schema.record, event)[_FRAME_BYTES:])
    bodies = written | st.builds(in_other_blocks, written, st.just(schema), st.randoms(use_true_random=False))

    @given(found=st.lists(bodies | mutations(bodies), min_size=1, max_size=20))
    @settings(max_examples=60, deadline=None)
    def check(found: list[bytes]) -> None:
        result = read(found, layout)
        rejected = result.reasons()
        events = {row.pop("row"): row for row in result.frame.cast({pl.Datetime: pl.Int64}).to_dicts()}
        assert rejected.keys() | events.keys() == set(range(len(found)))
        assert not rejected.keys() & events.keys()
        for row, body in enumerate(found):
            want = judge_body(body, schema)
            if row in events:
                assert events[row] == want.event
            elif want.is_read and rejected[row][0] == reasons.MALFORMED and not is_legal(body, schema):
                continue  # fastavro reads a few things that Avro does not allow, like numbers of 90 bits, or an index of -1
            else:
                assert rejected[row][0] == want.reason

    check()


@given(found=st.lists(events_of("ApiUsage"), min_size=1, max_size=5), count=st.integers(33, 300))
@settings(max_examples=20, deadline=None)
def test_an_array_of_any_length_is_read_to_its_end(found: list[Event], count: int) -> None:
    """Beyond the 32 identifiers that an event may have, so that it can be told from a damaged one; its neighbours keep theirs."""
    many = {**found[0], "identifiers": [b"\x04" * 17] * count}
    schema = all_schemas()["ApiUsage", 1]
    bodies = [encode("ApiUsage", event)[_FRAME_BYTES:] for event in (*found, many, *found)]
    layout = compile_layout(schema)
    result = read(bodies, layout, rules=rules_of(layout, IngestConfig(), age_limits=False))
    assert result.reasons() == {len(found): (reasons.TOO_MANY_IDENTIFIERS, "identifiers")}
    assert result.frame["identifiers"].to_list() == [event["identifiers"] for event in (*found, *found)]


@given(number=st.integers(-(1 << 63), (1 << 63) - 1), after=st.binary(max_size=3))
@settings(max_examples=200, deadline=None)
def test_every_long_is_read(number: int, after: bytes) -> None:
    """As Avro writes it, up to its last byte and no further; cut off it is none."""
    zigzag = (number << 1) ^ (number >> 63)
    written = bytearray()
    while zigzag > 0x7F:
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    written.append(zigzag)
    data = np.frombuffer(bytes(written) + after, dtype=np.uint8)
    assert varint(data, 0, len(data)) == (number, len(written))
    assert varint(data, 0, len(written) - 1)[1] == BAD


@pytest.mark.parametrize("written", [b"\x80" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\xff" * 12, b""])
def test_a_number_of_more_than_64_bits_is_none(written: bytes) -> None:
    """However it goes on."""
    assert varint(np.frombuffer(written, dtype=np.uint8), 0, len(written))[1] == BAD


@given(data=st.binary(max_size=24) | st.text(max_size=24).map(str.encode), begin=st.integers(0, 3))
@settings(max_examples=500, deadline=None)
def test_texts_are_what_python_says_they_are(data: bytes, begin: int) -> None:
    """UTF-8 or not, how many characters, and whether one is a control character."""
    begin = min(begin, len(data))
    found = text_length(np.frombuffer(data, dtype=np.uint8), begin, len(data))
    try:
        text = data[begin:].decode()
    except UnicodeDecodeError:
        assert found[0] == BAD
    else:
        control = any(ord(one) < 0x20 or 0x7F <= ord(one) <= 0x9F for one in text)
        assert (found[0], bool(found[1])) == (len(text), control)


def test_nothing_beyond_the_bytes_is_looked_at() -> None:
    """Mutated events and batches, each ending where memory ends: a look at the next byte would kill the process that tries."""
    script = Path(__file__).parent / "edge_of_memory.py"
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, f"ended with {found.returncode}: {found.stderr}"
    assert "none looked beyond" in found.stdout
