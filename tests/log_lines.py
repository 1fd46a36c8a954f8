"""What a process wrote to its log: every line one JSON object, and no control character anywhere."""

import json
import re
from typing import Any


def log_lines(content: bytes) -> list[dict[str, Any]]:
    """The lines. Fails with the first that is none."""
    for line in content.splitlines():
        assert line.startswith(b"{"), line
        assert not re.search(rb"[\x00-\x1f\x7f-\xff]", line), line
    lines = [json.loads(line) for line in content.decode("ascii").split("\n") if line]
    for one in lines:
        assert {"event", "level", "timestamp", "service"} <= set(one), one
    return lines
