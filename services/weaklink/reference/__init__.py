"""The reference part of the documentation, made from the code: what cannot be wrong need not be checked."""

from collections.abc import Callable
from typing import Final

from weaklink.reference import backtest, commands, logs, metrics, records, settings

PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings.page,
    "metrics": metrics.page,
    "commands": commands.page,
    "records": records.page,
    "logs": logs.page,
    "backtest": backtest.page,
}
"""Name of the page -> what makes its Markdown."""
