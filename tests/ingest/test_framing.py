"""The two framings: single-object encoding by fingerprint, Confluent wire format by an allow-list of subjects in a registry."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import HttpUrl

from tests.ingest.batches import Record, batch_of, ingest, new_stage
from tests.ingest.test_rejects import USAGE, opened, usage
from weaklink.errors import SchemaError
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames, SchemaRegistry
from weaklink.ingest.layout import compile_layout
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas, latest
from weaklink.settings import Settings


class _Registry(BaseHTTPRequestHandler):
    """The two paths of a schema registry that Weaklink asks for."""

    subjects: ClassVar[dict[str, list[tuple[int, str]]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        _, _, subject, _, *version = self.path.split("/")
        versions = self.subjects.get(subject)
        if versions is None:
            self.send_error(404)
            return
        answer: Any = list(range(1, len(versions) + 1))
        if version:
            schema_id, text = versions[int(version[0]) - 1]
            answer = {"subject": subject, "id": schema_id, "version": int(version[0]), "schema": text}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def registry() -> Iterator[tuple[type[_Registry], SchemaRegistryConfig]]:
    handler = type("Handler", (_Registry,), {"subjects": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = HttpUrl(f"http://127.0.0.1:{server.server_address[1]}")
    yield handler, SchemaRegistryConfig(url=url, subjects=("usage", "opened", "gone"), unknown_ttl_seconds=60)
    server.shutdown()
    thread.join()
    server.server_close()


def confluent(schema_id: int, value: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + value[10:]


def text_of(record: str) -> str:
    return json.dumps(latest(record).json)


def test_both_framings_in_one_batch(registry: tuple[type[_Registry], SchemaRegistryConfig], tmp_path: Path) -> None:
    """Events count in either framing; an id outside the allow-list is rejected like one that nobody knows."""
    handler, config = registry
    handler.subjects |= {
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
    settings = Settings(data_folder=tmp_path, ingest=IngestConfig(schema_registry=config))
    result = ingest([[batch_of([Record(value) for value in values])]], stage=new_stage(settings))
    assert [(found[2], found[4]) for found in result.rejects] == [
        (reasons.UNKNOWN_SCHEMA, 3), (reasons.UNKNOWN_SCHEMA, 4), (reasons.MALFORMED, 5),
    ]  # fmt: skip
    assert sorted(result.activity["record"]) == ["AccountOpened", "ApiUsage"]
    assert result.activity["events"].sum() == 3


def test_unknown_ids_do_not_make_it_ask_again(registry: tuple[type[_Registry], SchemaRegistryConfig]) -> None:
    """However many unknown ids arrive, the allowed subjects are listed once in the time that unknown ids are cached."""
    handler, config = registry
    handler.subjects["usage"] = [(7, text_of("ApiUsage"))]
    now = 0.0
    client = SchemaRegistry(config, lambda: now)
    assert all(client.layout(number) is None for number in range(100, 1100))
    asked = len(handler.asked)
    assert asked <= 4
    assert client.layout(7) is not None
    handler.subjects["usage"].append((9, text_of("ApiUsage")))
    assert client.layout(9) is None
    now = 61.0
    assert client.layout(9) is not None
    assert len(handler.asked) > asked


def test_a_registered_schema_that_cannot_be_read_stays_unknown(
    registry: tuple[type[_Registry], SchemaRegistryConfig],
) -> None:
    """Recursive, foreign or broken schemas under an allowed subject are not used, and those beside them still are."""
    handler, config = registry
    recursive = {"type": "record", "name": "ApiUsage", "fields": [{"name": "next", "type": ["null", "ApiUsage"]}]}
    handler.subjects |= {
        "usage": [
            (1, json.dumps(recursive)),
            (2, "not json"),
            (3, json.dumps("string")),
            (4, text_of("Decision")),
            (6, text_of("ApiUsage")),
        ],
        "opened": [(5, text_of("AccountOpened"))],
    }
    client = SchemaRegistry(config)
    assert [client.layout(number) is not None for number in range(1, 7)] == [False, False, False, False, True, True]


def test_a_registry_that_is_down_costs_rejects_and_nothing_else() -> None:
    """No exception, and no second question at once."""
    client = SchemaRegistry(
        SchemaRegistryConfig(url=HttpUrl("http://127.0.0.1:1"), subjects=("usage",), timeout_seconds=0.2)
    )
    assert client.layout(7) is None


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
