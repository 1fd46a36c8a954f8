"""Folders and files that a command writes: what is refused is told as a message to a person, and before work would be lost."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from weaklink.errors import ConfigurationError

_LOCK: Final = "in-use.lock"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the operating system refuses in the block is told as this path that cannot be written: ConfigurationError."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from error


def writable_folder(folder: Path) -> None:
    """Make the folder where there is none, and try it. Raises ConfigurationError when nothing can be written there."""
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} cannot be written: it is a file, not a folder")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A folder that can be written, and no other process' while the block lasts. Raises ConfigurationError.

    A lock of the operating system's: whoever is killed leaves none behind. The file stays: to remove it would let a third process lock
    a new one while a second waits with the old one open.
    """
    import fcntl  # here: the rest of this module also works where there is none (the SDK on Windows)

    writable_folder(folder)
    with writing(folder / _LOCK):
        file = (folder / _LOCK).open("a+", encoding="ascii")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            by = f"process {pid}" if (pid := file.read().strip()) else "another process"
            raise ConfigurationError(f"{folder} is in use by {by}; choose another --folder") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
