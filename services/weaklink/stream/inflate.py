"""Decompression of record batches with a limit on what comes out: a few kilobytes from a party must not become gigabytes here."""

import struct
import zlib
from typing import Any, Final

import cramjam
import lz4.frame
import zstandard

NONE: Final = 0
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_STEP_BYTES: Final = 1 << 20
_LZ4_RATIO: Final = 4
_LZ4_BYTES_MIN: Final = 1 << 16


class BatchTooLarge(Exception):  # an outcome that the caller turns into a reject, not a failure
    """The batch inflates to more than the limit."""


class BatchDamaged(Exception):  # the same
    """The compressed bytes cannot be read."""


def inflate(codec: int, data: memoryview, bytes_max: int) -> bytes | memoryview:
    """The records of a batch. Raises BatchTooLarge before more than `bytes_max` (plus one step of 1 MiB) is held, BatchDamaged for bad bytes."""
    try:
        if codec == NONE:
            plain: bytes | memoryview = data
        elif codec == LZ4:
            plain = _lz4(data, bytes_max)
        elif codec == ZSTD:
            plain = _zstd(data, bytes_max)
        elif codec == GZIP:
            plain = _gzip(data, bytes_max)
        elif codec == SNAPPY:
            plain = _snappy(bytes(data), bytes_max)
        else:
            raise BatchDamaged(f"compression type {codec} is not known")
    except (RuntimeError, EOFError, zstandard.ZstdError, zlib.error, cramjam.DecompressionError, struct.error) as error:
        raise BatchDamaged(f"compression type {codec}: {error}") from error
    if len(plain) > bytes_max:
        raise BatchTooLarge
    return plain


def _lz4(data: memoryview, bytes_max: int) -> bytes:
    # The library sets aside as much memory as it may fill: so it gets little at a time, and most batches fit.
    decompressor = lz4.frame.LZ4FrameDecompressor()
    room = max(_LZ4_RATIO * len(data), _LZ4_BYTES_MIN)
    plain: bytes = decompressor.decompress(data, max_length=min(room, bytes_max + 1))
    if decompressor.eof or len(plain) > bytes_max:
        return plain
    parts, size = [plain], len(plain)
    while not decompressor.eof and not decompressor.needs_input and size <= bytes_max:
        parts.append(decompressor.decompress(b"", max_length=min(_STEP_BYTES, bytes_max + 1 - size)))
        size += len(parts[-1])
    if size > bytes_max:
        raise BatchTooLarge  # not joined first: that would take as much again
    if not decompressor.eof:
        raise BatchDamaged("the lz4 frame ends early")
    return b"".join(parts)


def _zstd(data: memoryview, bytes_max: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read(bytes_max + 1)


def _gzip(data: memoryview, bytes_max: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    plain = decompressor.decompress(data, bytes_max + 1)
    if not decompressor.eof and len(plain) <= bytes_max:
        raise BatchDamaged("the gzip stream ends early")
    return plain


def _snappy(data: bytes, bytes_max: int) -> bytes:
    """Raw snappy, or the blocks that the xerial library (Kafka's Java client) writes: each with its big-endian length before it."""
    if not data.startswith(_XERIAL_MAGIC):
        return _snappy_block(data, bytes_max)
    parts: list[bytes] = []
    size, cursor = 0, _XERIAL_HEADER_BYTES
    while cursor < len(data):
        (length,) = struct.unpack_from(">I", data, cursor)
        block = data[cursor + 4 : cursor + 4 + length]
        if len(block) != length:
            raise BatchDamaged("a snappy block ends early")
        parts.append(_snappy_block(block, bytes_max - size))
        size += len(parts[-1])
        cursor += 4 + length
    return b"".join(parts)


def _snappy_block(block: bytes, bytes_max: int) -> bytes:
    # A snappy block begins with its inflated length, so the limit is known before any of it is inflated.
    if cramjam.snappy.decompress_raw_len(block) > bytes_max:
        raise BatchTooLarge
    plain: Any = cramjam.snappy.decompress_raw(block)
    return bytes(plain)
