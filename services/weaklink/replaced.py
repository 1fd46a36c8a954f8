"""Files that are replaced whole or not at all, and go on belonging to whom they belonged."""

import os
import stat
from pathlib import Path


def replace_file(path: Path, content: str) -> None:
    """Put a file in the place of `path`, with its owner and mode; a new one is its maker's alone (0600).

    Whoever administers a service is often root, and the service is not: a file that it could no longer read would not count.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    # O_EXCL: never through a link that somebody put there.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        _belongs_as_before(descriptor, path)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)


def _belongs_as_before(descriptor: int, path: Path) -> None:
    try:
        before = path.stat()
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except OSError:
        # There was none, or giving files away is not ours. Not the mode alone: what the one group may read is not for another.
        return
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
