"""What the compiled loops of campaigns are written with: see `weaklink.compiled`."""

from weaklink.compiled import (
    BOOL,
    BOOLS,
    FLOAT,
    FLOATS,
    FLOATS_OUT,
    HALVES,
    INT,
    INTS,
    INTS_OUT,
    Bools,
    Floats,
    Halves,
    Ints,
    compiled,
)

__all__ = [
    "BOOL",
    "BOOLS",
    "FLOAT",
    "FLOATS",
    "FLOATS_OUT",
    "HALVES",
    "INT",
    "INTS",
    "INTS_OUT",
    "Bools",
    "Floats",
    "Halves",
    "Ints",
    "compiled",
]
