"""The page of settings: every environment variable, with type, default, unit and meaning, from the models themselves."""

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from weaklink.reference.attributes import attribute_docstrings, summary
from weaklink.settings import Settings

UNITS: Final = {
    "ms": "milliseconds",
    "seconds": "seconds",
    "minutes": "minutes",
    "hours": "hours",
    "days": "days",
    "bytes": "bytes",
    "partitions": "partitions",
    "offsets": "offsets",
    "rows": "rows",
    "batches": "record batches",
    "chunks": "messages",
    "share": "share, 0 to 1",
    "port": "TCP port",
}
"""Last word of a setting's name (but for max, min, default, factor and the like) -> its unit."""

_QUALIFIERS: Final = frozenset({"max", "min", "default"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `about`: of its section. `unit`: from its name, empty for what has none. `meaning`: its docstring, empty when there is none."""

    variable: str
    section: str
    about: str
    type: str
    default: str
    unit: str
    meaning: str
    number: bool


def settings() -> list[Setting]:
    """Every setting, in the order of the code."""
    return list(_settings(Settings, "", "WEAKLINK_"))


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable; none needs to be set on one machine with Kafka at its usual port. "
        "A wrong name or value is refused at the start, with the variable that it came from. Mappings and lists are given as JSON.",
    ]
    section = None
    for one in settings():
        if one.section != section:
            section = one.section
            lines += [
                "",
                f"## {section or 'general'}",
                "",
                one.about,
                "",
                "| variable | default | unit | meaning |",
                "|---|---|---|---|",
            ]
        meaning = _cell(f"{one.meaning} *{one.type}*")
        lines.append(f"| `{one.variable}` | {_cell(one.default)} | {one.unit} | {meaning} |")
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], section: str, prefix: str) -> Iterator[Setting]:
    meanings = attribute_docstrings(model)
    nested: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested.append((name, field.annotation))
            continue
        yield Setting(
            variable=f"{prefix}{name}".upper(),
            section=section,
            about=summary(model),
            type=type_name(field.annotation),
            default=_default(field),
            unit=unit_of(name),
            meaning=meanings.get(name, ""),
            number=field.annotation in (int, float),
        )
    for name, inner in nested:
        yield from _settings(inner, f"{section}.{name}".strip("."), f"{prefix}{name}__")


def unit_of(name: str) -> str:
    """The unit that a setting's name says."""
    words = [word for word in name.split("_") if word not in _QUALIFIERS]
    return UNITS.get(words[-1], "") if words else ""


def type_name(annotation: Any) -> str:
    """A type as a person would write it."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(str(one) for one in args)
    if origin in (Union, types.UnionType):
        return " or ".join("unset" if one is type(None) else type_name(one) for one in args)
    if origin is not None:
        return f"{origin.__name__} of {', '.join(type_name(one) for one in args if one is not ...)}"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        SecretStr: "secret",
        Path: "path",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value == "":
        return ""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    text = re.sub(r"<\w+\.\w+: ('[^']*'|\d+)>", r"\1", str(value))  # members of enumerations
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
