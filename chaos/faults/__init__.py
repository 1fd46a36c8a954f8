"""One module for each fault: `run(folder, scale) -> Row`. `ORDER` is the order in which `python -m chaos` takes them."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from chaos.row import Row
from chaos.scale import Scale

Fault = Callable[[Path, Scale], Row]

ORDER: Final = (
    "kill_services", "commit_edges", "zombie", "brokers", "members", "rebuild", "poison", "bombs", "hostile", "database", "machine",
    "slow_consumer",
)  # fmt: skip


def names() -> list[str]:
    """Every fault that this package has, in their order."""
    found = {module.name for module in pkgutil.iter_modules(__path__)}
    return [name for name in ORDER if name in found]


def load(name: str) -> Fault:
    """The `run` of that fault. Raises KeyError with the known names."""
    if name not in names():
        raise KeyError(f"no fault {name!r}; there are {', '.join(names())}")
    return cast("Fault", importlib.import_module(f"{__name__}.{name}").run)
