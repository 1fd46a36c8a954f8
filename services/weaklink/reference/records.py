"""The page of records: every Avro schema, field by field, from the schemas themselves; and the topics that they travel on."""

from typing import Any, Final

from weaklink import topology
from weaklink.parties import MAY_PUBLISH
from weaklink.records.schemas import all_schemas

_TO_PARTIES: Final = {"EnforcementAction": "Sent to parties, on `party.<id>.actions`."}


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Records",
        "",
        "All are Avro, one schema file for each record and version below `schemas/avro`. On the wire they are framed by single-object encoding "
        "(`C3 01` and the schema's fingerprint), or by the Confluent wire format where a registry is configured.",
        "",
        "## Topics",
        "",
        "| topic | key | value | cleanup |",
        "|---|---|---|---|",
    ]
    for topic in topology.TOPICS:
        kept = "kept for ever" if topic.retention_days is None else f"{topic.retention_days} days"
        lines.append(f"| `{topic.name}` | {topic.key} | {topic.value} | {topic.cleanup}, {kept} |")
    for (name, version), found in all_schemas().items():
        schema = found.json
        lines += ["", f"## {name}, version {version}", "", schema.get("doc", ""), "", _who(name), ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for field in schema["fields"]:
            default = f"`{field['default']}`" if "default" in field else ""
            meaning = field.get("doc", "").replace("|", "\\|")
            lines.append(f"| `{field['name']}` | {type_name(field['type'])} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _who(name: str) -> str:
    if name in MAY_PUBLISH:
        kinds = sorted(MAY_PUBLISH[name])
        return "Published by every kind of party." if len(kinds) == 4 else f"Published by: {', '.join(kinds)}."
    return _TO_PARTIES.get(name, "Internal: no party sees it.")


def type_name(schema: Any) -> str:  # noqa: PLR0911  # one for each kind of schema
    """An Avro type as a person would write it."""
    if isinstance(schema, list):
        return " or ".join("null" if one == "null" else type_name(one) for one in schema)
    if isinstance(schema, str):
        return schema
    if "logicalType" in schema:
        return str(schema["logicalType"])
    if schema["type"] == "array":
        return f"array of {type_name(schema['items'])}"
    if schema["type"] == "enum":
        return "enum: " + ", ".join(schema["symbols"])
    if schema["type"] == "record":
        return f"{schema['name']} ({', '.join(one['name'] for one in schema['fields'])})"
    return str(schema["type"])
