"""Files that a run leaves behind."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: dict[str, Any]) -> None:
    """One JSON document, readable."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
