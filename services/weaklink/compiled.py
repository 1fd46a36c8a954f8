"""Loops over arrays, compiled to machine code by numba: what the sums of the method come to when no array stands between two steps.

Every loop is compiled for one signature when its module is imported, and kept on disk beside it (or in the user's cache, or in
NUMBA_CACHE_DIR), so that only the first import after an installation compiles; `make setup` does that one by running this module. Where no
such folder can be written, every import compiles, which takes a minute. There are no threads and no fast-math: the same input
gives the same bits. Compiled loops run without Python's global lock, so that another thread may work meanwhile.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from numba import types

Ints = npt.NDArray[np.int64]
Halves = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Number = Any
"""Inside of a loop: numpy's int64 or uint64, which to numba is a register and to a type checker no int."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Read-only arrays match those that can be written to as well.
HALVES: Final[Any] = types.Array(types.int32, 1, "C", readonly=True)
INTS: Final[Any] = types.Array(types.int64, 1, "C", readonly=True)
FLOATS: Final[Any] = types.Array(types.float64, 1, "C", readonly=True)
BOOLS: Final[Any] = types.Array(types.boolean, 1, "C", readonly=True)
WORDS: Final[Any] = types.Array(types.uint64, 1, "C", readonly=True)
BYTES: Final[Any] = types.Array(types.uint8, 1, "C", readonly=True)
TABLE: Final[Any] = types.Array(types.int64, 2, "C", readonly=True)
INTS_OUT: Final[Any] = types.Array(types.int64, 1, "C")
FLOATS_OUT: Final[Any] = types.Array(types.float64, 1, "C")
BOOLS_OUT: Final[Any] = types.Array(types.boolean, 1, "C")
BYTES_OUT: Final[Any] = types.Array(types.uint8, 1, "C")
WORDS_OUT: Final[Any] = types.Array(types.uint64, 1, "C")
TABLE_OUT: Final[Any] = types.Array(types.int64, 2, "C")
FLOAT_TABLE_OUT: Final[Any] = types.Array(types.float64, 2, "C")
INT: Final[Any] = types.int64
FLOAT: Final[Any] = types.float64
BOOL: Final[Any] = types.boolean
WORD: Final[Any] = types.uint64

_MODULES: Final = (
    "weaklink.account_loops",
    "weaklink.campaigns.evaluator",
    "weaklink.correlate.runs",
    "weaklink.ingest.stage",
)


def copy_read_only_cache() -> None:
    """Take up loops that came in NUMBA_CACHE_DIR with an image whose disk is read-only: numba reads only where it can write, so from a copy."""
    config: Any = numba.config
    folder = config.CACHE_DIR
    if folder and Path(folder).is_dir() and not os.access(folder, os.W_OK):
        with contextlib.suppress(OSError):  # without room for a copy every import compiles
            copy = tempfile.mkdtemp(prefix="weaklink-loops-")
            atexit.register(shutil.rmtree, copy, ignore_errors=True)
            shutil.copytree(folder, copy, dirs_exist_ok=True, copy_function=shutil.copyfile)
            for place, _, _ in os.walk(copy):
                Path(place).chmod(0o700)
            config.CACHE_DIR = copy


copy_read_only_cache()


_UNCOUNTED: Final[Any] = {"_nrt": False}


def compiled(*signature: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator that compiles a function for arguments of these types, contiguous arrays among them."""
    return compiled_for(signature)


def compiled_for(*signatures: tuple[Any, ...]) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """As `compiled`, of a function that takes arguments of any of these types: one loop for each, of the same lines."""
    return _compiled(list(signatures), {"nogil": True})


def in_place(*signature: Any, inline: bool = False) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """As `compiled`, of a function that makes no array, nor copies one part of an array to another (`np.empty` in it is refused).

    Its references to arrays are not counted, since whoever calls it holds them. Where functions are called for every byte, two locked additions
    for each array, at each call, took most of the time. `inline`: into functions that call it.
    """
    return _compiled([signature], {"nogil": True, "forceinline": inline, **_UNCOUNTED})


inner: Final[Any] = numba.njit(**_UNCOUNTED)
"""A decorator of what only functions of `in_place` call, for whatever arguments they give."""


def _compiled(
    signatures: list[tuple[Any, ...]], options: dict[str, Any]
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    def compile_now(function: Callable[_P, _R]) -> Callable[_P, _R]:
        try:
            found: Callable[_P, _R] = numba.njit(signatures, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            found = numba.njit(signatures, **options)(function)
        return found

    return compile_now


if __name__ == "__main__":
    for name in _MODULES:
        import_module(name)
