"""Schema evolution as a product: every kind of change, each writer version against each reader version, by rule, by fastavro and by ingest."""

import copy
import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from tests.ingest import decoding
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.errors import SchemaError
from weaklink.ingest.layout import compile_layout
from weaklink.records.evolution import breaks, one_way, samples
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas, latest, read_schema, schema_folder

BASE = latest("ApiUsage").json
Fields = list[dict[str, Any]]


def version(tmp_path: Path, name: str, **changes: Any) -> Schema:
    """ApiUsage with a field added (`add`), one removed (`drop`), one changed (`field`, `to`), or with other symbols (`symbols` of a field)."""
    definition = copy.deepcopy(BASE)
    fields: Fields = definition["fields"]
    fields += [changes["add"]] if "add" in changes else []
    definition["fields"] = [field for field in fields if field["name"] != changes.get("drop")]
    for field in definition["fields"]:
        if field["name"] == changes.get("field"):
            field.update(changes["to"])
        if field["name"] in changes.get("symbols", {}):
            field["type"]["symbols"] = changes["symbols"][field["name"]]
    path = tmp_path / f"{name}.avsc"
    path.write_text(json.dumps(definition))
    return read_schema(path)


CLASSES = next(field for field in BASE["fields"] if field["name"] == "address_class")["type"]["symbols"]
FINE: dict[str, dict[str, Any]] = {
    "as it is": {},
    "field added": {"add": {"name": "region", "type": ["null", "string"], "default": None, "doc": "Added."}},
    "number added": {"add": {"name": "cached_tokens", "type": "long", "default": 0, "doc": "Added."}},
    "enum value added": {"symbols": {"address_class": ["SATELLITE", *CLASSES]}},
    "field removed": {"drop": "end_user"},
    "enum field removed": {"drop": "address_class"},
}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "field without default added": ({"add": {"name": "region", "type": "string"}}, "ApiUsage.region: it is not written there, and has no default here"),
    "needed field removed": ({"drop": "model"}, "ApiUsage.model: it is not written there, and has no default here"),
    "enum value without default symbol added": (
        {"symbols": {"task": ["OTHER", "REASONING_ELICITATION", "RUBRIC_GRADING", "SYNTHETIC_DATA", "AGENTIC_CODING", "TOOL_USE", "VISION", "AUDIO"]}},
        "ApiUsage.task: AUDIO is no symbol here, and the enum has no default symbol",
    ),
    "type changed": ({"field": "requests", "to": {"type": "string"}}, "ApiUsage.requests: the type is int there and string here"),
    "type widened, which only one side can read": ({"field": "requests", "to": {"type": "long"}}, "ApiUsage.requests: the type is long there and int here"),
    "unit of a time changed": (
        {"field": "occurred_at", "to": {"type": {"type": "long", "logicalType": "timestamp-millis"}}},
        "the logical type is timestamp-micros there and timestamp-millis here",
    ),
    "null allowed": ({"field": "model", "to": {"type": ["null", "string"]}}, "ApiUsage.model: the type is null there and string here"),
}  # fmt: skip


@pytest.mark.parametrize(("writer", "reader"), list(product(FINE, FINE)))
def test_each_writer_version_is_read_by_each_reader_version(tmp_path: Path, writer: str, reader: str) -> None:
    """By the rules, and executed: what both know is the same, what the reader alone knows has its default."""
    one, two = version(tmp_path, "one", **FINE[writer]), version(tmp_path, "two", **FINE[reader])
    assert breaks(one, two) == []
    defaults = {field["name"]: field.get("default") for field in two.json["fields"]}
    for written in samples(one):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, one.parsed, written)
        body.seek(0)
        values: Any = fastavro.schemaless_reader(body, one.parsed, two.parsed)
        for name, value in values.items():
            if name == "occurred_at":
                continue
            lost = (
                written.get(name) == "SATELLITE" and "enum value" not in reader
            )  # a symbol that this reader does not know
            known = value == ("UNKNOWN" if lost else written.get(name, defaults[name]))
            assert known, name


@pytest.mark.parametrize("writer", FINE)
def test_ingest_reads_what_each_version_writes(tmp_path: Path, writer: str) -> None:
    """The compiled reader, with the writer's schema from a registry: no event is lost to a change that the check allows."""
    one = version(tmp_path, "one", **FINE[writer])
    values = []
    for written in samples(one):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, one.parsed, written)
        values.append(b"\x00\x00\x00\x00\x01" + body.getvalue())
    decoded = decoding.read(values, compile_layout(one), 5)
    assert decoded.bad == []
    assert decoded.frame.height == len(values)
    assert set(decoded.frame["address_class"].cast(pl.String)) <= set(CLASSES)


@pytest.mark.parametrize("change", BROKEN)
def test_a_breaking_change_fails_with_a_plain_message(tmp_path: Path, change: str) -> None:
    changes, message = BROKEN[change]
    shipped, broken = version(tmp_path, "shipped"), version(tmp_path, "broken", **changes)
    told = [str(one) for one in breaks(shipped, broken)]
    assert any(message in one for one in told), told
    # What the rules call a break is one: somebody's reader fails, or reads another time.
    if "unit" not in change:
        assert any(fails(writer, reader) for writer, reader in ((shipped, broken), (broken, shipped)))
    result = CliRunner().invoke(app, ["schema", "check", str(tmp_path / "shipped.avsc"), str(tmp_path / "broken.avsc")])
    assert result.exit_code == 1
    assert message in result.output


def fails(writer: Schema, reader: Schema) -> bool:
    """Whether fastavro cannot read some value across."""
    for written in samples(writer):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, writer.parsed, written)
        body.seek(0)
        try:
            fastavro.schemaless_reader(body, writer.parsed, reader.parsed)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("record", sorted({name for name, _ in all_schemas()}))
def test_every_shipped_version_passes_its_own_check(record: str) -> None:
    versions = [schema for (name, _), schema in all_schemas().items() if name == record]
    for one, two in product(versions, versions):
        assert one_way(one, two, "writer", "reader") == []


def test_samples_reach_every_symbol_and_both_sides_of_every_null() -> None:
    found = list(samples(latest("ApiUsage")))
    assert {one["address_class"] for one in found} == set(CLASSES)
    assert {one["end_user"] for one in found} == {None, b"x"}
    assert {len(one["identifiers"]) for one in found} == {0, 1}


def test_one_file_is_checked_against_the_shipped_versions(tmp_path: Path) -> None:
    version(tmp_path, "mine", **FINE["field added"])
    fine = CliRunner().invoke(app, ["schema", "check", str(tmp_path / "mine.avsc")])
    assert (fine.exit_code, "ApiUsage v1 read each other" in fine.output) == (0, True), fine.output
    version(tmp_path, "mine", **BROKEN["needed field removed"][0])
    broken = CliRunner().invoke(app, ["schema", "check", str(tmp_path / "mine.avsc")])
    assert broken.exit_code == 1
    assert f"ApiUsage v1 cannot read what {tmp_path}/mine.avsc writes: ApiUsage.model" in broken.output


def test_what_is_no_schema_of_a_record_is_told(tmp_path: Path) -> None:
    for number, text in enumerate(
        ["{", '"string"', '{"type": "enum", "name": "E", "symbols": ["A"]}', '{"type": "record", "name": "R"}']
    ):
        path = tmp_path / f"{number}.avsc"
        path.write_text(text)
        with pytest.raises(SchemaError, match="not a readable Avro schema"):
            read_schema(path)
    stranger = tmp_path / "stranger.avsc"
    stranger.write_text('{"type": "record", "name": "Stranger", "fields": []}')
    assert isinstance(CliRunner().invoke(app, ["schema", "check", str(stranger)]).exception, SchemaError)


def test_shipped_schemas_are_shown_for_other_languages() -> None:
    listed = CliRunner().invoke(app, ["schema", "show"]).output
    assert all(record in listed for record in EVENT_RECORDS)
    shown = json.loads(CliRunner().invoke(app, ["schema", "show", "ApiUsage"]).output)
    assert shown == json.loads((schema_folder() / "avro/ApiUsage/v1.avsc").read_text())
