"""How commands print tables: nothing of a cell is cut off, whatever the width."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPED_WIDTH: Final = 10_000
"""Wider than any table: a file or another program has no width to keep to."""


def console() -> "Console":
    """The standard output, as wide as its terminal; elsewhere as wide as what is printed."""
    from rich.console import Console

    made = Console()
    return made if made.is_terminal else Console(width=_PIPED_WIDTH)


def folded(table: "Table") -> "Table":
    """The table, with cells that go on in another line where they do not fit: names often differ only at their end."""
    for column in table.columns:
        column.overflow = "fold"
    return table


def print_table(table: "Table") -> None:
    """The table on the standard output."""
    console().print(folded(table))
