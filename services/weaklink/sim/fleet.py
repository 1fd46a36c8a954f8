"""The accounts of one operator as an array, one element each."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

NEVER: Final = np.iinfo(np.int64).max

FLEET: Final = np.dtype(
    [
        ("account", "i4"),
        ("party", "i8"),
        ("opened_us", "i8"),
        ("leaves_us", "i8"),  # of its own will, or banned by its own party
        ("plan", "i8"),
        ("banned", "?"),  # leaves because it is banned
        ("next_us", "i8"),  # its next usage window
        ("device", "i4"),
        ("card", "i4"),
        ("tls", "i4"),
        ("api_key", "i4"),
        ("template", "i4"),
        ("addresses", "i8", (2,)),  # positions in the address book
        ("log_mean", "f8"),
        ("pivot_us", "i8"),  # delay after a release; NEVER: stays
        ("alive", "?"),
    ]
)

Fleet = npt.NDArray[Any]
"""An array of FLEET."""
