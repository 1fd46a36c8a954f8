"""Full transitive compatibility, executed: every writer version against every reader version of a record."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from weaklink.errors import RecordError
from weaklink.records.codec import SINGLE_OBJECT_FRAME_BYTES, decode_body
from weaklink.records.examples import Example, examples
from weaklink.records.schemas import Schema, all_schemas, load_schema

PAIRS = [
    (writer, reader)
    for (record, _), writer in all_schemas().items()
    for (other, _), reader in all_schemas().items()
    if record == other
]


def body_of(example: Example) -> bytes:
    return example.golden_path.read_bytes()[SINGLE_OBJECT_FRAME_BYTES:]


def read_across(example: Example, reader: Schema) -> dict[str, Any]:
    """What the reader's version sees of an example. Raises RecordError, or AssertionError when a common field has changed."""
    values = decode_body(example.schema, body_of(example), reader)
    for name in {field["name"] for field in reader.json["fields"]} & set(example.values):
        assert values[name] == example.values[name], name
    return values


@pytest.mark.parametrize(
    ("writer", "reader"), PAIRS, ids=[f"{one.record}-v{one.version}-read-as-v{two.version}" for one, two in PAIRS]
)
def test_every_version_reads_what_every_version_wrote(writer: Schema, reader: Schema) -> None:
    own = [example for example in examples() if example.schema == writer]
    assert own
    for example in own:
        values = read_across(example, reader)
        assert set(values) == {field["name"] for field in reader.json["fields"]}


def changed(tmp_path: Path, **changes: Any) -> Schema:
    """A version 2 of AccountClosed: `add` a field, `drop` one, or set the `symbols` of its enum."""
    definition = copy.deepcopy(all_schemas()["AccountClosed", 1].json)
    if "add" in changes:
        definition["fields"].append(changes["add"])
    if "drop" in changes:
        definition["fields"] = [field for field in definition["fields"] if field["name"] != changes["drop"]]
    if "symbols" in changes:
        definition["fields"][-1]["type"]["symbols"] = changes["symbols"]
    path = tmp_path / "AccountClosed" / "v2.avsc"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(definition))
    return load_schema(path)


CLOSED = next(example for example in examples() if example.schema.record == "AccountClosed")


def test_a_version_with_one_more_defaulted_field_is_compatible(tmp_path: Path) -> None:
    newer = changed(tmp_path, add={"name": "note", "type": ["null", "string"], "default": None, "doc": "Free text."})
    assert newer.version == 2
    assert read_across(CLOSED, newer)["note"] is None


def test_a_version_without_a_defaulted_field_is_compatible(tmp_path: Path) -> None:
    assert "identifiers" not in read_across(CLOSED, changed(tmp_path, drop="identifiers"))


@pytest.mark.parametrize(
    "changes",
    [
        {"add": {"name": "severity", "type": "int", "doc": "No default."}},
        {"symbols": ["FRAUD", "PAYMENT"]},
    ],
    ids=["new field without default", "symbol removed"],
)
def test_the_check_catches_a_version_that_is_not_compatible(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        read_across(CLOSED, changed(tmp_path, **changes))
