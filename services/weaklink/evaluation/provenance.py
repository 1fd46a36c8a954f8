"""Which code and settings a result is of: results of different ones are not put together unawares."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import weaklink
from weaklink.settings import load_settings

_RUN: Final = "weaklink.evaluation.one_run"
"""What makes a result."""
_DIGITS: Final = 12


@cache
def code() -> str:
    """Twelve hexadecimal digits of the SHA-256 of all sources that a run's figures may come from, and of the settings that they hang on."""
    root = Path(weaklink.__file__).parent
    digest = hashlib.sha256()
    for name, path in sorted(sources(_RUN, root).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    settings = load_settings()
    for section in (settings.ingest, settings.correlate, settings.campaigns, settings.weaklinks, settings.enforce):
        digest.update(section.model_dump_json().encode())
    return digest.hexdigest()[:_DIGITS]


def sources(module: str, root: Path) -> dict[str, Path]:
    """Source by name of this module and of all of Weaklink that it imports, by however many steps, at its head or in a function. root: Weaklink's folder."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (path := _source(name, root)):
            found[name] = path
            waiting += _imports(path)
    return found


def _source(name: str, root: Path) -> Path | None:
    """None: it is no module of Weaklink, but a name in one."""
    place = root.parent.joinpath(*name.split("."))
    package = place / "__init__.py"
    return package if package.is_file() else path if (path := place.with_suffix(".py")).is_file() else None


def _imports(path: Path) -> Iterator[str]:
    """Names that a file imports of Weaklink: modules, their packages, and what may be either a module or a name in one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == weaklink.__name__:
                yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
