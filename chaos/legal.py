"""Avro's own rules for a record's bytes, in plain Python: whether bytes keep them, and the same record in other bytes that keep them as well.

fastavro reads more than Avro allows (numbers of 90 bits, a union's branch -1), and writes an array in one way of many.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

from weaklink.records.schemas import Schema

_LONG_BITS: Final = 64
_WIDTHS: Final = {"boolean": 1, "float": 4, "double": 8}


class _IllegalError(Exception):
    """The bytes are no record."""


@dataclass
class _Walk:
    """Through one record: `pieces` are its bytes, and for an array the list of its items' bytes."""

    body: bytes
    at: int = 0

    def record(self, schema: Schema) -> list[bytes | list[bytes]]:
        pieces: list[bytes | list[bytes]] = []
        for field in schema.json["fields"]:
            begin, kind = self.at, field["type"]
            items = self._value(kind)
            pieces.append(self.body[begin : self.at] if items is None else items)
        return pieces

    def _value(self, kind: Any) -> list[bytes] | None:
        if isinstance(kind, list):
            branch = self._number()
            if not 0 <= branch < len(kind):
                raise _IllegalError
            self._value(kind[branch])
            return None
        name = kind["type"] if isinstance(kind, dict) else kind
        if name == "array":
            return self._array(kind["items"])
        if name in ("int", "long", "enum"):
            self._number()
        elif name in ("bytes", "string"):
            self._skip(self._number())
        elif name in _WIDTHS:
            self._skip(_WIDTHS[name])
            if name == "boolean" and self.body[self.at - 1] > 1:
                raise _IllegalError
        elif name != "null":
            raise NotImplementedError(f"no event has a field of type {name}")
        return None

    def _array(self, kind: Any) -> list[bytes]:
        items: list[bytes] = []
        while count := self._number():
            end = None
            if count < 0:
                size = self._number()
                end = self.at + size
            for _ in range(abs(count)):
                begin = self.at
                self._value(kind)
                items.append(self.body[begin : self.at])
            if end is not None and self.at != end:
                raise _IllegalError
        return items

    def _number(self) -> int:
        value = shift = 0
        while True:
            self._skip(1)
            byte = self.body[self.at - 1]
            value |= (byte & 0x7F) << shift
            if value >> _LONG_BITS or shift >= _LONG_BITS:
                raise _IllegalError
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
            shift += 7

    def _skip(self, size: int) -> None:
        if not 0 <= size <= len(self.body) - self.at:
            raise _IllegalError
        self.at += size


def is_legal(body: bytes, schema: Schema) -> bool:
    """Whether the bytes begin with a record as Avro has it, whatever follows, and whatever its numbers and texts are."""
    try:
        _Walk(body).record(schema)
    except _IllegalError:
        return False
    return True


def in_other_blocks(body: bytes, schema: Schema, chance: random.Random) -> bytes:
    """The same record, its arrays in blocks of any size, some with the size in bytes that a negative count announces. `body` must be legal."""
    walk = _Walk(body)
    out = b"".join(
        piece if isinstance(piece, bytes) else b"".join(_blocks(piece, chance)) for piece in walk.record(schema)
    )
    return out + body[walk.at :]


def _blocks(items: list[bytes], chance: random.Random) -> list[bytes]:
    out, at = [], 0
    while at < len(items):
        some = items[at : at + chance.randint(1, len(items))]
        at += len(some)
        block = b"".join(some)
        announced = varint(-len(some)) + varint(len(block)) if chance.random() < 0.5 else varint(len(some))
        out.append(announced + block)
    return [*out, varint(0)]


def varint(number: int) -> bytes:
    """A number as Avro writes it: zigzag, seven bits a byte."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
