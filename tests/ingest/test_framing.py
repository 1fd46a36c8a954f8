"""The two framings: single-object encoding by fingerprint, Confluent wire format by an allow-list of subjects in a registry."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest
from structlog.testing import capture_logs

from tests.ingest.batches import Record, batch_of, gather, ingest, new_stage
from tests.ingest.registry import FakeRegistry, confluent, schema_registry, text_of
from tests.ingest.test_rejects import USAGE, opened, receipt, usage
from tests.waiting import wait_until
from weaklink.errors import SchemaError
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.layout import compile_layout
from weaklink.ingest.schema_registry import RegistryUnavailable, SchemaRegistry
from weaklink.records import reasons
from weaklink.records.codec import decode, encode
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas, latest
from weaklink.settings import Settings


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with schema_registry(("usage", "opened", "gone")) as found:
        yield found


def test_both_framings_in_one_batch(registry: FakeRegistry, tmp_path: Path) -> None:
    """Events count in either framing; an id outside the allow-list is rejected like one that nobody knows."""
    registry.subjects |= {
        "usage": [(7, text_of("ApiUsage"))],
        "opened": [(300, text_of("AccountOpened"))],
        "other": [(8, text_of("ApiUsage"))],
    }
    values = [
        USAGE,
        confluent(7, encode("ApiUsage", usage(1))),
        confluent(300, encode("AccountOpened", opened(2))),
        confluent(8, encode("ApiUsage", usage(3))),
        confluent(9, encode("ApiUsage", usage(4))),
        confluent(7, encode("ApiUsage", usage(5)))[:-2],
    ]
    settings = Settings(data_folder=tmp_path, ingest=IngestConfig(schema_registry=registry.config))
    result = ingest([[batch_of([Record(value) for value in values])]], stage=new_stage(settings))
    assert [(found[2], found[4]) for found in result.rejects] == [
        (reasons.UNKNOWN_SCHEMA, 3), (reasons.UNKNOWN_SCHEMA, 4), (reasons.MALFORMED, 5),
    ]  # fmt: skip
    assert sorted(result.activity["record"]) == ["AccountOpened", "ApiUsage"]
    assert result.activity["events"].sum() == 3


def test_a_receipt_keeps_the_bytes_that_its_party_sent(registry: FakeRegistry, tmp_path: Path) -> None:
    """Whatever their framing: should it answer nothing of the party's, they go back as they came."""
    registry.subjects["usage"] = [(7, text_of("ActionReceipt"))]
    plain = encode("ActionReceipt", receipt(1))
    values = [plain, confluent(7, encode("ActionReceipt", receipt(2))), b"bad", encode("ActionReceipt", receipt(3))]
    settings = Settings(data_folder=tmp_path, ingest=IngestConfig(schema_registry=registry.config))
    result = ingest([[batch_of([Record(value) for value in values])]], stage=new_stage(settings))
    kept = {
        found["source_offset"]: found["original"] for _, found in map(decode, (one.value for one in result.receipts))
    }
    assert kept == {0: values[0], 1: values[1], 3: values[3]}


def test_a_receipt_that_is_too_long_to_be_kept_counts_without_its_bytes(registry: FakeRegistry, tmp_path: Path) -> None:
    """By a field of its sender's own, of a schema that is allowed: what enforce would be sent no topic would take."""
    schema = json.loads(text_of("ActionReceipt"))
    schema["fields"].append({"name": "more", "type": "string"})
    registry.subjects["usage"] = [(7, json.dumps(schema))]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), receipt(1) | {"more": "x" * (1 << 20)})
    value = b"\x00" + (7).to_bytes(4, "big") + body.getvalue()
    settings = Settings(data_folder=tmp_path, ingest=IngestConfig(schema_registry=registry.config))
    result = ingest([[batch_of([Record(value)])]], stage=new_stage(settings))
    (found,) = [decode(one.value)[1] for one in result.receipts]
    assert (found["action_id"], found["original"]) == (receipt(1)["action_id"], None)


def test_unknown_ids_do_not_make_it_ask_again(registry: FakeRegistry) -> None:
    """However many unknown ids arrive, the allowed subjects are listed once in the time that unknown ids are cached."""
    registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
    now = 0.0
    client = SchemaRegistry(registry.config, lambda: now)
    assert all(client.layout(number) is None for number in range(100, 1100))
    asked = len(registry.asked)
    assert asked <= 4
    assert client.layout(7) is not None
    registry.subjects["usage"].append((9, text_of("ApiUsage")))
    assert client.layout(9) is None
    now = 61.0
    assert client.layout(9) is not None
    assert len(registry.asked) > asked


def test_a_registered_schema_that_cannot_be_read_stays_unknown(
    registry: FakeRegistry,
) -> None:
    """Recursive, foreign or broken schemas under an allowed subject are not used, and those beside them still are."""
    recursive = {"type": "record", "name": "ApiUsage", "fields": [{"name": "next", "type": ["null", "ApiUsage"]}]}
    registry.subjects |= {
        "usage": [
            (1, json.dumps(recursive)),
            (2, "not json"),
            (3, json.dumps("string")),
            (4, text_of("Decision")),
            (6, text_of("ApiUsage")),
        ],
        "opened": [(5, text_of("AccountOpened"))],
    }
    client = SchemaRegistry(registry.config)
    assert [client.layout(number) is not None for number in range(1, 7)] == [False, False, False, False, True, True]


def test_only_a_registry_that_answers_can_say_that_an_id_is_unknown() -> None:
    """While it is down, or says that it cannot tell, ids have to wait; known ones need no answer."""
    with schema_registry(("usage", "gone")) as registry:
        registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
        now = 0.0
        client = SchemaRegistry(registry.config, lambda: now)
        assert client.layout(7) is not None
        assert client.layout(8) is None
        registry.failing = True
        assert client.layout(8) is None  # the answer still holds
        now = 61.0
        with pytest.raises(RegistryUnavailable, match="schema id 8"):
            client.layout(8)
        assert client.layout(7) is not None
        assert not client.answers()
        registry.failing = False
        now = 62.5
        assert client.answers()
        assert client.layout(8) is None


def test_a_registry_that_is_down_is_asked_again_after_growing_pauses_and_complained_of_once() -> None:
    """However often it is needed meanwhile."""
    with schema_registry(("usage",)) as registry, capture_logs() as logs:
        registry.failing = True
        now = 0.0
        client = SchemaRegistry(registry.config.model_copy(update={"retry_seconds_max": 4.0}), lambda: now)
        asked = []
        for tenth in range(300):
            now = tenth / 10
            before = len(registry.asked)
            with pytest.raises(RegistryUnavailable):
                client.layout(7)
            if len(registry.asked) > before:
                asked.append(now)
    assert asked == [0, 1, 3, 7, 11, 15, 19, 23, 27]
    assert [line["event"] for line in logs] == ["schema_registry_unavailable"]


def test_a_partition_waits_for_the_registry_and_holds_up_no_other(tmp_path: Path) -> None:
    """Nothing of its batch counts, neither good nor bad, until it is given again; then everything does."""
    with schema_registry(("usage",)) as registry:
        registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
        registry.failing = True
        config = IngestConfig(schema_registry=registry.config.model_copy(update={"retry_seconds_max": 0.001}))
        stage = new_stage(Settings(data_folder=tmp_path, ingest=config))
        waits = batch_of([Record(USAGE), Record(b"bad"), Record(confluent(7, encode("ApiUsage", usage(1))))])
        beside = batch_of([Record(encode("ApiUsage", usage(2)))], partition=1)
        for source in (waits.source, beside.source):
            stage.restore(stage.unit(source), None)
        first = gather(stage.process([waits, beside], replaying=False))
        assert stage.deferred() == {waits.source}
        assert (first.activity["events"].sum(), first.rejects) == (1, [])
        assert (stage.admits(waits.source), stage.admits(beside.source)) == (False, True)
        registry.failing = False
        wait_until(lambda: stage.admits(waits.source))
        second = gather(stage.process([waits], replaying=False))
        assert stage.deferred() == set()
        assert (second.activity["events"].sum(), [found[2] for found in second.rejects]) == (
            2,
            [reasons.UNKNOWN_FRAMING],
        )


def test_every_event_schema_that_ships_is_known_by_its_fingerprint() -> None:
    """And no other record's."""
    frames = Frames(SchemaRegistryConfig())
    for schema in all_schemas().values():
        assert (frames.layout(b"\xc3\x01" + schema.fingerprint) is not None) == (schema.record in EVENT_RECORDS)


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "map", "values": "long"},
        {"type": "array", "items": "null"},
        {"type": "fixed", "name": "f", "size": 4},
        ["null", "null"],
    ],
)
def test_types_that_are_dangerous_to_read_are_refused(kind: Any) -> None:
    """Maps, fixed, arrays of nulls (5 bytes for 3 million items) and the like make a schema unreadable, even in a field that nobody needs."""
    fields = [*latest("ModelReleased").json["fields"], {"name": "extra", "type": kind}]
    with pytest.raises(SchemaError, match="extra"):
        compile_layout(Schema("ModelReleased", 0, {"fields": fields}, None, b""))
