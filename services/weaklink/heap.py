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


def trim() -> None:
    """Give what is free back to the system, where the C library can: by itself it keeps pieces in which anything small is left, of each thread.

    And from now on what is large comes from the system piece by piece, and goes back when it is free: by itself the library takes larger and larger pieces
    from its own memory once some were freed. Takes milliseconds, and large pieces get fresh pages: for processes in which something huge has been.
    https://man7.org/linux/man-pages/man3/malloc_trim.3.html, https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    library = ctypes.CDLL(None)
    if (give_back := getattr(library, "malloc_trim", None)) is not None:
        give_back(0)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
