"""`weaklink` with a decoder that fails on a certain event: `python -m chaos.failing_decoder run ingest ...` hangs in C with the global lock held, or crashes.

What the decoders of today do with any bytes the fuzzer says; this stands for those of tomorrow.
"""

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any, Final

from weaklink.cli.main import main
from weaklink.ingest import pipeline
from weaklink.ingest.decode import Decoded, decode
from weaklink.ingest.events import Events, Rows

HANG: Final = b"chaos: never return"
CRASH: Final = b"chaos: crash"


def failing(events: Events, rows: Rows, frame_bytes: int, layout: Any, rules: Sequence[Any]) -> Decoded:
    """As `decode`, unless an account has one of these names."""
    data = events.data.tobytes()
    if HANG in data:
        while True:
            sum(itertools.repeat(1, 1 << 40))
    if CRASH in data:
        ctypes.string_at(8)
    return decode(events, rows, frame_bytes, layout, rules)


if __name__ == "__main__":
    pipeline.decode = failing  # type: ignore[attr-defined]
    main()
