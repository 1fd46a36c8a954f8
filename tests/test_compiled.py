"""Where compiled loops are kept, and what they go without."""

import os
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError

from weaklink.compiled import INT, INTS_OUT, Ints, copy_read_only_cache, in_place


def test_loops_on_a_disk_that_can_only_be_read_are_taken_up_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can be written to, as numba wants; where they are already so, nothing is copied."""
    config: Any = numba.config
    kept = tmp_path / "loops" / "loop.nbi"
    kept.parent.mkdir()
    kept.write_bytes(b"index")
    kept.parent.chmod(0o555)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    copy_read_only_cache()
    assert str(tmp_path) == config.CACHE_DIR
    monkeypatch.setattr(os, "access", lambda *_: False)  # to root, which tests may be, every folder can be written
    copy_read_only_cache()
    copy = Path(config.CACHE_DIR)
    assert copy != tmp_path
    assert (copy / "loops" / "loop.nbi").read_bytes() == b"index"
    assert copy.joinpath("loops").stat().st_mode & 0o777 == 0o700
    kept.parent.chmod(0o755)


def _fill(values: Ints, number: int) -> int:
    for at in range(len(values)):
        values[at] = number
    return len(values)


def _make(values: Ints, number: int) -> int:
    return len(np.empty(number, dtype=np.int64)) + len(values)


def test_loops_in_place_count_no_references_and_make_no_arrays() -> None:
    """What would need the counts is refused when it is compiled, not when it runs."""
    values = np.zeros(3, dtype=np.int64)
    held = sys.getrefcount(values)
    assert in_place(INTS_OUT, INT)(_fill)(values, 7) == 3
    assert values.tolist() == [7, 7, 7]
    assert sys.getrefcount(values) == held
    with pytest.raises(NumbaError, match="empty"):
        in_place(INTS_OUT, INT)(_make)
