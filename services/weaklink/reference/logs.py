"""The page of logs: the fields of `weaklink.logs.FIELDS`, and every event that the code writes, found in the code itself."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import weaklink
from weaklink.logs import FIELDS

_LEVELS: Final = ("debug", "info", "warning", "error", "exception")


@dataclass(frozen=True, slots=True)
class Event:
    """One call that writes a line. `fields`: those that are named there."""

    name: str
    level: str
    module: str
    fields: tuple[str, ...]


def events() -> list[Event]:
    """Every call of a logger in the package, sorted by name."""
    root = Path(weaklink.__file__).parent
    found = (one for path in sorted(root.rglob("*.py")) for one in _events(path, root))
    return sorted(found, key=lambda one: (one.name, one.module))


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Logs",
        "",
        "Services write one line for each event to stderr: JSON, unless stderr is a terminal (`WEAKLINK_LOG_JSON`). The same thing has the same "
        "name in every line. Nothing that a party sends can forge a line: control characters are escaped.",
        "",
        "## Fields",
        "",
        "| field | meaning |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()),
        "",
        "## Events",
        "",
        "| event | level | written by | fields |",
        "|---|---|---|---|",
    ]
    for one in events():
        fields = ", ".join(f"`{name}`" for name in one.fields)
        lines.append(f"| `{one.name}` | {one.level} | `{one.module}` | {fields} |")
    return "\n".join(lines) + "\n"


def _events(path: Path, root: Path) -> Iterator[Event]:
    module = ".".join(path.relative_to(root).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, level, words = node.func.value, node.func.attr, node.args
        if level == "log":  # at the level of what another library logs
            level, words = "any", words[1:]
        if isinstance(owner, ast.Name) and owner.id in ("log", "_log") and level in (*_LEVELS, "any") and words:
            name = words[0].value if isinstance(words[0], ast.Constant) else ast.unparse(words[0])
            fields = ("exception" if one.arg == "exc_info" else one.arg for one in node.keywords if one.arg)
            yield Event(str(name), level, module, tuple(fields))
