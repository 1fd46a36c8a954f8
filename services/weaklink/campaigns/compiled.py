"""Loops over arrays, compiled to machine code by numba: what the sums of the method come to when no array stands between two steps.

Every loop is compiled for one signature when its module is imported, and kept on disk beside it (or in the user's cache, or in
NUMBA_CACHE_DIR), so that only the first import after an installation compiles; `make setup` does that one by running this module. Where no
such folder can be written, every import compiles, which takes seconds. There are no threads and no fast-math: the same input
gives the same bits.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from numba import types

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Read-only arrays match those that can be written to as well.
INTS: Final[Any] = types.Array(types.int64, 1, "C", readonly=True)
FLOATS: Final[Any] = types.Array(types.float64, 1, "C", readonly=True)
BOOLS: Final[Any] = types.Array(types.boolean, 1, "C", readonly=True)
INTS_OUT: Final[Any] = types.Array(types.int64, 1, "C")
FLOATS_OUT: Final[Any] = types.Array(types.float64, 1, "C")
INT: Final[Any] = types.int64
FLOAT: Final[Any] = types.float64
BOOL: Final[Any] = types.boolean


def compiled(*signature: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator that compiles a function for arguments of these types, one-dimensional contiguous arrays among them."""

    def compile_now(function: Callable[_P, _R]) -> Callable[_P, _R]:
        try:
            found: Callable[_P, _R] = numba.njit(signature, cache=True)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            found = numba.njit(signature)(function)
        return found

    return compile_now


if __name__ == "__main__":
    import_module("weaklink.campaigns.evaluator")
