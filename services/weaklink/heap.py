"""Memory of a process: what it has when it begins to work is not gone over for garbage again and again, and what is free can be given back.

What it begins with stays as long as the process.
"""

import ctypes
import gc
from typing import Final

_YOUNG_OBJECTS: Final = 20_000
"""Objects made, and not yet gone, from which the youngest are looked at (Python: 700). A batch makes ten or so, all held until they are folded."""

_M_MMAP_THRESHOLD: Final = -3
"""Of malloc.h."""
_LARGE_BYTES: Final = 2 << 20


def settle() -> None:
    """Call once, when everything is imported and built.

    Of 300,000 objects most are the libraries' own. Going over them took a quarter of the time in which ingest read small batches from its log.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def take_large_from_the_system() -> None:
    """What is large comes from the system piece by piece, and goes back when it is free, whatever small lies behind it. Call once, early.

    By itself the C library takes larger and larger pieces from its own memory once some were freed, up to 32 MiB. Large pieces get fresh pages each time:
    for processes in which something huge may be. https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def trim() -> None:
    """Give what is free back to the system, where the C library can: by itself it keeps pieces in which anything small is left, of each thread.

    Takes milliseconds. https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    if (give_back := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        give_back(0)
