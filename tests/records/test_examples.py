"""Schemas, their examples and their golden binaries hold together."""

import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from weaklink.errors import SchemaError
from weaklink.parties import MAY_PUBLISH
from weaklink.partner import symbols
from weaklink.partner.models import EVENT_MODELS, EnforcementAction
from weaklink.records import schemas
from weaklink.records.codec import decode, encode
from weaklink.records.examples import Example, examples, write_missing
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas, by_fingerprint, latest

ALL = list(examples())
SCHEMAS = list(all_schemas().values())


def name_of(case: Example | Schema) -> str:
    if isinstance(case, Schema):
        return f"{case.record}-v{case.version}"
    return f"{case.schema.record}-v{case.schema.version}-{case.name}"


def fields_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every field of a schema, those of nested records too."""
    match schema:
        case list():
            for branch in schema:
                yield from fields_of(branch)
        case {"type": "record", "fields": fields}:
            for field in fields:
                yield field
                yield from fields_of(field["type"])
        case {"type": "array", "items": items}:
            yield from fields_of(items)


@pytest.mark.parametrize("schema", SCHEMAS, ids=name_of)
def test_every_version_of_every_record_has_an_example(schema: Schema) -> None:
    assert any(example.schema == schema for example in ALL)


@pytest.mark.parametrize("example", ALL, ids=name_of)
def test_every_example_has_its_golden_binary_and_is_still_written_so(example: Example) -> None:
    """When this fails the wire format has changed: add a schema version instead of a new binary (see schemas/README.md)."""
    assert example.golden_path.exists(), "run: python -m weaklink.records.examples"
    assert example.encoded() == example.golden_path.read_bytes()


@pytest.mark.parametrize("example", ALL, ids=name_of)
def test_a_golden_binary_reads_as_its_example(example: Example) -> None:
    record, values = decode(example.golden_path.read_bytes())
    assert record == example.schema.record
    assert {name: values[name] for name in example.values} == example.values


@pytest.mark.parametrize("example", [one for one in ALL if one.schema is latest(one.schema.record)], ids=name_of)
def test_the_codec_writes_what_the_golden_binary_holds(example: Example) -> None:
    assert encode(example.schema.record, example.values) == example.golden_path.read_bytes()


def test_no_golden_binary_is_left_over() -> None:
    on_disk = set((schemas.schema_folder() / "examples").rglob("*.bin"))
    assert on_disk == {example.golden_path for example in ALL}


@pytest.mark.parametrize("schema", SCHEMAS, ids=name_of)
def test_every_field_is_documented(schema: Schema) -> None:
    assert schema.json.get("doc")
    assert [field["name"] for field in fields_of(schema.json) if not field.get("doc")] == []


@pytest.mark.parametrize("schema", [one for one in SCHEMAS if one.record in EVENT_RECORDS], ids=name_of)
def test_event_records_stay_within_the_types_that_the_columnar_reader_takes(schema: Schema) -> None:
    plain = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

    def allowed(kind: Any) -> bool:
        match kind:
            case str():
                return kind in plain
            case [*branches]:
                return len(branches) == 2 and "null" in branches and all(map(allowed, branches))
            case {"type": "array", "items": items}:
                return allowed(items) and items != "null" and not isinstance(items, list)
            case {"type": "enum"} | {"type": "long", "logicalType": "timestamp-micros"}:
                return True
        return False

    assert [field["name"] for field in schema.json["fields"] if not allowed(field["type"])] == []


@pytest.mark.parametrize("record", EVENT_RECORDS)
def test_event_records_carry_what_every_event_carries(record: str) -> None:
    names = [field["name"] for field in latest(record).json["fields"]]
    assert names[:2] == ["event_id", "occurred_at"]
    assert (names[2:4] == ["account", "identifiers"]) == (record not in ("ModelReleased", "ActionReceipt"))


def test_fingerprints_tell_all_schemas_apart() -> None:
    assert len(by_fingerprint()) == len(all_schemas())


def test_every_event_record_says_who_may_publish_it_and_has_a_model() -> None:
    assert set(MAY_PUBLISH) == set(EVENT_RECORDS) == set(EVENT_MODELS)


@pytest.mark.parametrize("model", [*EVENT_MODELS.values(), EnforcementAction], ids=lambda model: str(model.__name__))
def test_models_and_schemas_have_the_same_fields_and_symbols(model: type[BaseModel]) -> None:
    schema = latest(model.__name__).json
    assert list(model.model_fields) == [field["name"] for field in schema["fields"]]
    for field in schema["fields"]:
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum":
            enum = model.model_fields[field["name"]].annotation
            assert isinstance(enum, type)
            assert issubclass(enum, StrEnum)
            assert enum is getattr(symbols, field["type"]["name"])
            assert [one.value for one in enum] == field["type"]["symbols"]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schemas in a folder that a test may spoil."""
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.schema_folder(), folder)
    monkeypatch.setattr("weaklink.records.examples.schema_folder", lambda: folder)
    return folder / "examples" / "ModelReleased" / "v1"


def test_a_missing_binary_is_written_and_nothing_else(copied: Path) -> None:
    before = (copied / "release.bin").read_bytes()
    (copied / "release.bin").unlink()
    assert write_missing() == [copied / "release.bin"]
    assert (copied / "release.bin").read_bytes() == before
    assert write_missing() == []


def test_a_binary_that_differs_is_an_error_and_stays(copied: Path) -> None:
    (copied / "release.bin").write_bytes(b"other")
    with pytest.raises(SchemaError, match="add a new version"):
        write_missing()
    assert (copied / "release.bin").read_bytes() == b"other"


def test_an_example_that_does_not_fit_names_its_file(copied: Path) -> None:
    (copied / "release.json").write_text('{"event_id": "00", "surprise": 1}')
    with pytest.raises(SchemaError, match=r"release\.json does not fit ModelReleased v1"):
        list(examples())
