"""What a process has when it begins to work stays as long as the process: it is not gone over for garbage again and again."""

import gc
from typing import Final

_YOUNG_OBJECTS: Final = 20_000
"""Objects made, and not yet gone, from which the youngest are looked at (Python: 700). A batch makes ten or so, all held until they are folded."""


def settle() -> None:
    """Call once, when everything is imported and built.

    Of 300,000 objects most are the libraries' own. Going over them took a quarter of the time in which ingest read small batches from its log.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
