"""What the compiled loops of ingest read bytes with. None of these looks beyond the bounds that it is given, except `load`, whose callers have."""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from weaklink.compiled import BYTES, INT, WORD, Bytes, Number, in_place

BAD: Final = -1
_WORD_BITS: Final = 64
_VARINT_BITS_MAX: Final = 63
_UTF8_LEAD: Final = 0xC2


def _reader(bits: int) -> Any:
    """A function that reads a word of so many bits, little-endian, from any index, as `result`."""

    def read(_context: Any, data: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            pointer = builder.gep(array.data, [arguments[1]])
            word = builder.load(builder.bitcast(pointer, ir.IntType(bits).as_pointer()), align=1)
            return word if bits == _WORD_BITS else builder.zext(word, ir.IntType(_WORD_BITS))

        return types.uint64(data, index), generate

    return intrinsic(read)


@intrinsic
def _prefetch(_context: Any, data: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), number, number, number])
        call: Any = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(call, [pointer, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(data, index), generate


prefetch: Final[Number] = _prefetch
"""Begin to fetch the item at an index (of an array with one dimension) into the cache: nothing that could fail."""
load: Final[Number] = _reader(_WORD_BITS)
"""The 8 bytes at an index as one word. Whoever asks has made sure that they are there."""
byte_at: Final[Number] = _reader(8)
"""The byte at an index, which is not negative: without numba's look at whether it is, and counts from the end."""


@in_place(BYTES, INT, INT, inline=True)
def varint(data: Bytes, position: int, end: int) -> tuple[Number, int]:
    """A zigzag varint, and the position after it; BAD for the position when it does not end before `end`, or has more than 64 bits."""
    if position >= end:
        return 0, BAD
    number = byte_at(data, position)
    position += 1
    if number < np.uint64(0x80):  # nearly all are of one byte
        return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), position
    number &= np.uint64(0x7F)
    shift = np.uint64(7)
    while position < end:
        byte = byte_at(data, position)
        position += 1
        if shift == np.uint64(_VARINT_BITS_MAX) and byte > np.uint64(1):
            return 0, BAD
        number |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), position
        shift += np.uint64(7)
    return 0, BAD


@in_place(BYTES, INT, INT)
def _sequence(data: Bytes, position: int, end: int) -> int:
    """Bytes of the character that begins here with a byte above 0x7F, or BAD: by the table of well-formed sequences in RFC 3629, section 4."""
    lead = int(data[position])
    size = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 0
    if size == 0 or end - position < size:
        return BAD
    low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
    high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
    if not low <= data[position + 1] <= high:
        return BAD
    for place in range(2, size):
        if not 0x80 <= data[position + place] <= 0xBF:
            return BAD
    return size


@in_place(BYTES, INT, INT, inline=True)
def text_length(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Characters of a UTF-8 text, and whether one is a control character (Unicode Cc); BAD characters when it is not UTF-8 (RFC 3629)."""
    characters = control = 0
    while position < end:
        if end - position >= 8:
            word = load(data, position)
            high = np.uint64(0x8080808080808080)
            # Eight printable ASCII characters at once: no byte above 0x7F, below 0x20, or equal to it (Anderson, Bit Twiddling Hacks).
            delete = word ^ np.uint64(0x7F7F7F7F7F7F7F7F)
            below = (word - np.uint64(0x2020202020202020)) | (delete - np.uint64(0x0101010101010101))
            if (word | below) & high == np.uint64(0):
                characters += 8
                position += 8
                continue
        byte = int(data[position])
        if byte < 0x80:
            control |= byte < 0x20 or byte == 0x7F
            size = 1
        else:
            size = _sequence(data, position, end)
            if size == BAD:
                return BAD, 0
            control |= byte == _UTF8_LEAD and data[position + 1] < 0xA0
        characters += 1
        position += size
    return characters, control


@in_place(WORD, WORD, WORD, inline=True)
def mix(high: Number, low: Number, secret: Number) -> Number:
    """Two words as one that looks random to who does not know the (odd) secret: multiply and fold, three times."""
    mixed = (high ^ (low << np.uint64(32) | low >> np.uint64(32))) * secret
    mixed = ((mixed ^ mixed >> np.uint64(32)) + low) * secret
    mixed = (mixed ^ mixed >> np.uint64(29)) * secret
    return mixed ^ mixed >> np.uint64(32)


@in_place(BYTES, INT, INT, WORD, inline=True)
def hash_bytes(data: Bytes, position: int, end: int, secret: Number) -> Number:
    """Of these bytes and their number."""
    mixed = mix(np.uint64(end - position), secret, secret)
    while end - position >= 8:
        mixed = mix(mixed, load(data, position), secret)
        position += 8
    word = np.uint64(0)
    while position < end:
        word = word << np.uint64(8) | np.uint64(data[position])
        position += 1
    return mix(mixed, word, secret)


@in_place(BYTES, INT, BYTES, INT, INT, inline=True)
def equal_bytes(one: Bytes, at: int, other: Bytes, other_at: int, size: int) -> bool:
    """Whether `size` bytes are the same at both places."""
    place = 0
    while size - place >= 8:
        if load(one, at + place) != load(other, other_at + place):
            return False
        place += 8
    while place < size:
        if one[at + place] != other[other_at + place]:
            return False
        place += 1
    return True
