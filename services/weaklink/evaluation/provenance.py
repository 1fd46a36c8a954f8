"""Which code and settings a result is of: results of different ones are not put together unawares."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import weaklink
from weaklink.settings import load_settings

_SAID_BY: Final = (
    "backtest", "benign.py", "benign_files.py", "campaigns", "correlate", "enforce/action.py", "enforce/config.py",
    "enforce/policy.py", "enforce/view.py", "frames.py", "records", "sim", "weaklinks",
)  # fmt: skip
_MEASURED_BY: Final = (
    "baselines", "calibration", "causality", "cutting", "detection", "figures", "harm", "identity", "judged", "loop",
    "one_run", "promises", "real", "spec", "timing", "worlds",
)  # fmt: skip
_DIGITS: Final = 12


@cache
def code() -> str:
    """Twelve hexadecimal digits of the SHA-256 of all sources that a run's figures come from, and of the settings of detection."""
    root = Path(weaklink.__file__).parent
    places = [root / name for name in _SAID_BY] + [root / "evaluation" / f"{name}.py" for name in _MEASURED_BY]
    digest = hashlib.sha256()
    for path in sorted(one for place in places for one in (place.rglob("*.py") if place.is_dir() else [place])):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    settings = load_settings()
    for section in (settings.campaigns, settings.correlate, settings.enforce):
        digest.update(section.model_dump_json().encode())
    return digest.hexdigest()[:_DIGITS]
