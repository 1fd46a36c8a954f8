"""What is to be written is tried before work would be lost, and what is refused is a message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weaklink.errors import ConfigurationError
from weaklink.folders import alone_in, writable_folder, writing

HOLDS = "import sys; from pathlib import Path; from weaklink.folders import alone_in\nwith alone_in(Path(sys.argv[1])):\n print(flush=True); sys.stdin.read()"


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    writable_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["file", "file/below"])
def test_where_a_file_stands_in_the_way_it_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=rf"{below} cannot be written: "):
        writable_folder(tmp_path / below)


def test_what_the_system_refuses_is_told_with_its_reason() -> None:
    with pytest.raises(ConfigurationError, match=r"^/proc/x cannot be written: No such file or directory$"):
        writable_folder(Path("/proc/x"))
    with pytest.raises(ConfigurationError, match=r"^keys cannot be written: No space left on device$"), writing(Path("keys")):  # fmt: skip
        raise OSError(28, os.strerror(28))


def test_a_folder_in_use_is_refused_with_the_process_and_free_once_that_is_killed(tmp_path: Path) -> None:
    """Also by -9: the lock is the system's, and the file that stays says nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        told = rf"{tmp_path} is in use by process {holder.pid}; choose another --folder"
        with pytest.raises(ConfigurationError, match=told), alone_in(tmp_path):
            pytest.fail("both have it")
        holder.kill()
    for _ in range(2):
        with alone_in(tmp_path):
            pass
