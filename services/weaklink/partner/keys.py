"""Keys of the local tokeniser: one per kind and epoch, in a JSON file that only its owner may read.

Every party of a consortium needs the same keys, or their tokens never meet; epochs let keys change: while two overlap, tokens of both are made.
"""

import base64
import hashlib
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from weaklink.errors import ConfigurationError
from weaklink.folders import writing
from weaklink.records.identifiers import IdentifierKind
from weaklink.replaced import replace_file

_SECRET_BYTES: Final = 32
_OTHERS_MAY: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
"""Permissions that a key file must not have. Reading by its group is allowed: that is how secrets are mounted into containers."""


@dataclass(frozen=True, slots=True)
class Key:
    """The secret of one kind and epoch, in use from `valid_from` until `valid_until` (None: no end yet)."""

    kind: IdentifierKind
    epoch: int
    secret: bytes
    valid_from: datetime
    valid_until: datetime | None = None


class _KeyEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: str
    epoch: int = Field(ge=1, le=255)
    key: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=1)
    keys: list[_KeyEntry]


class KeyRing:
    """Which keys are in use when."""

    def __init__(self, keys: Sequence[Key]) -> None:
        if len({(key.kind, key.epoch) for key in keys}) != len(keys):
            raise ConfigurationError("two keys have the same kind and epoch")
        self._keys = sorted(keys, key=lambda key: (key.kind, key.epoch))

    def active(self, now: float) -> tuple[dict[IdentifierKind, tuple[Key, ...]], float]:
        """Keys in use at `now` (seconds since 1970) by kind, oldest epoch first, and the time at which that changes."""
        active: dict[IdentifierKind, tuple[Key, ...]] = {}
        changes = [float("inf")]
        for key in self._keys:
            begin = key.valid_from.timestamp()
            end = key.valid_until.timestamp() if key.valid_until else float("inf")
            if begin <= now < end:
                active[key.kind] = (*active.get(key.kind, ()), key)
            changes.extend(instant for instant in (begin, end) if instant > now)
        return active, min(changes)


def new_keys(valid_from: datetime, epoch: int = 1) -> list[Key]:
    """Fresh random keys, one a kind."""
    return [Key(kind, epoch, secrets.token_bytes(_SECRET_BYTES), valid_from) for kind in IdentifierKind]


def known_keys(valid_from: datetime) -> list[Key]:
    """The same keys for everybody, one a kind: for tokens that never leave a process, and are no secret there."""
    return [
        Key(kind, 1, hashlib.sha256(f"weaklink: known to everybody: {kind.name}".encode()).digest(), valid_from)
        for kind in IdentifierKind
    ]


def rotated(keys: Iterable[Key], now: datetime, overlap: timedelta) -> list[Key]:
    """The keys with a new epoch beside the present one, which ends after `overlap`. Epochs that are over are dropped.

    Without an overlap the new epoch stands alone, also where two overlapped: after a leak nothing more is to be made with what leaked.
    Raises ConfigurationError when the present epoch already has an end and is to overlap with a third, or no number is left.
    """
    present = [key for key in keys if key.valid_until is None or key.valid_until > now]
    if overlap and any(key.valid_until for key in present):
        raise ConfigurationError(
            "two epochs overlap already: wait until the older one is over, or end both at once (--overlap-days 0)"
        )
    epoch = max((key.epoch for key in present), default=0) + 1
    if epoch > 255:
        raise ConfigurationError("epoch 255 is the last that fits into a token")
    ending = [Key(key.kind, key.epoch, key.secret, key.valid_from, now + overlap) for key in present if overlap]
    return ending + new_keys(now, epoch)


def load_keys(path: Path) -> list[Key]:
    """Read a key file. Raises ConfigurationError when it is missing, damaged, or open to others."""
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS_MAY:
            raise ConfigurationError(
                f"{path} has mode {stat.S_IMODE(mode):04o}: others could read or change the keys; chmod 600 {shlex.quote(str(path))}"
            )
        entries = _KeyFile.model_validate_json(path.read_bytes()).keys
        keys = [
            Key(
                IdentifierKind[entry.kind],
                entry.epoch,
                base64.b64decode(entry.key, validate=True),
                entry.valid_from,
                entry.valid_until,
            )
            for entry in entries
        ]
    except OSError as error:
        raise ConfigurationError(
            f"key file {path} cannot be read: {error.strerror}; weaklink partner key new makes one"
        ) from error
    except (ValidationError, ValueError, KeyError):
        # Not the error's own text: it may quote a key.
        raise ConfigurationError(f"{path} is not a key file of weaklink: restore it, or make a new one") from None
    if any(len(key.secret) < _SECRET_BYTES for key in keys):
        raise ConfigurationError(f"{path} has a key shorter than {_SECRET_BYTES} bytes")
    return keys


def save_keys(path: Path, keys: Iterable[Key], *, replace: bool = False) -> None:
    """Write a key file with mode 0600, whole or not at all; one that is replaced keeps its owner and mode.

    Raises ConfigurationError when it exists and `replace` is not given.
    """
    entries = [
        {
            "kind": key.kind.name,
            "epoch": key.epoch,
            "key": base64.b64encode(key.secret).decode(),
            "valid_from": key.valid_from.isoformat(),
            "valid_until": key.valid_until.isoformat() if key.valid_until else None,
        }
        for key in keys
    ]
    content = json.dumps({"version": 1, "keys": entries}, indent=1) + "\n"
    if path.exists() and not replace:
        raise ConfigurationError(
            f"{path} exists: other parties' tokens rest on its keys; weaklink partner key rotate adds an epoch"
        )
    with writing(path):
        if replace:
            replace_file(path, content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: never through a link that somebody put there, never over keys that tokens rest on.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
