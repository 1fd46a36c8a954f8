"""The outcome of an evaluation for a terminal."""

from typing import Any, Final

from rich.table import Table

from weaklink.evaluation.spec import FULL

_SHOWN: Final = ("precision", "recall", "recall_worst", "prevented", "false_flags", "benign_suspended", "purity")


def figures_table(document: dict[str, Any]) -> Table:
    """Medians of the whole method, world by world; ablations and baselines below it."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for one in document["summary"]:
        rows.setdefault((one["world"], one["variant"]), {})[one["metric"]] = one["median"]
    table = Table("world", "variant", *_SHOWN, box=None)
    for (world, variant), figures in sorted(rows.items(), key=lambda item: (item[0][1] != FULL, item[0])):
        shown = [f"{figures[name]:.4g}" if name in figures else "" for name in _SHOWN]
        table.add_row(world, "" if variant == FULL else variant, *shown)
    return table


def bars_table(document: dict[str, Any]) -> Table:
    """Bars of what was run, those that are not reached first."""
    table = Table("bar", "", "value", "interval", "reached", box=None)
    measured = [bar for bar in document["bars"] if bar["seeds"]]
    for bar in sorted(measured, key=lambda one: one["reached"]):
        sign = ">=" if bar["direction"] == "at least" else "<="
        table.add_row(
            f"{bar['world']} {bar['metric']}", f"{sign} {bar['bar']:g}", f"{bar['value']:.4g}",
            f"{bar['low']:.4g} to {bar['high']:.4g}", "yes" if bar["reached"] else "NO" if bar["why_not"] == "missed" else bar["why_not"],
        )  # fmt: skip
    return table
