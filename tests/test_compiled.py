"""Where compiled loops are kept."""

import os
from pathlib import Path
from typing import Any

import numba
import pytest

from weaklink.compiled import copy_read_only_cache


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
