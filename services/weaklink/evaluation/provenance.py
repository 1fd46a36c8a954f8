"""Which code and settings a result is of: results of different ones are not put together unawares."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import weaklink
from weaklink.settings import load_settings

_NOT_OF_FIGURES: Final = (
    "cases", "cli", "console", "formats", "ops", "stream",
    *(f"evaluation/{name}.py" for name in ("bars", "batch", "document", "pictures", "plan", "report", "results")),
)  # fmt: skip
"""What no figure of a run comes from: what shows them, and what runs the services."""
_DIGITS: Final = 12


@cache
def code() -> str:
    """Twelve hexadecimal digits of the SHA-256 of all sources that a run's figures may come from, and of the settings that they hang on."""
    root = Path(weaklink.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not any(name == one or name.startswith(f"{one}/") for one in _NOT_OF_FIGURES):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    settings = load_settings()
    for section in (settings.ingest, settings.correlate, settings.campaigns, settings.weaklinks, settings.enforce):
        digest.update(section.model_dump_json().encode())
    return digest.hexdigest()[:_DIGITS]
