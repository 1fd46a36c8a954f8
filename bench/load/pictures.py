"""Pictures of runs, as SVG. Without matplotlib there are none."""

from pathlib import Path
from typing import Any, Final

_COLOURS: Final = ("#1b6ca8", "#c2410c", "#0f766e", "#7c3aed", "#b0b7c3", "#111827")


def plotting() -> Any:
    """matplotlib's pyplot, set so that the same figures give the same bytes; None without it."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return None
    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "weaklink", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})  # fmt: skip
    import matplotlib.pyplot as plt

    return plt


def latency(runs: list[dict[str, Any]], path: Path) -> bool:
    """A row for each rate: the histogram of latencies, and beside it lag and memory over the run."""
    plt = plotting()
    if plt is None or not runs:
        return False
    figure, rows = plt.subplots(len(runs), 3, figsize=(11, 2.9 * len(runs)), squeeze=False)
    for (left, middle, right), run in zip(rows, runs, strict=True):
        _histogram(left, run)
        first = run["samples"][0]["at"] if run["samples"] else 0.0
        at = [one["at"] - first for one in run["samples"]]
        for number, stage in enumerate(run["behind_messages"]):
            middle.plot(
                at, [one["behind"][stage] for one in run["samples"]], color=_COLOURS[number % 6], lw=1, label=stage
            )
        middle.set(yscale="symlog", xlabel="seconds", title="messages behind")
        for number, name in enumerate(run["memory_mib"]):
            right.plot(at, [one["resident_mib"][name] for one in run["samples"]], color=_COLOURS[number % 6], lw=1, label=name)  # fmt: skip
        right.set(xlabel="seconds", title="resident MiB", ylim=(0, None))
        for axes in (middle, right):
            axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def _histogram(axes: Any, run: dict[str, Any]) -> None:
    each = run["seconds_each"]
    most = max((max(values) for values in each.values() if values), default=1.0)
    bins = [most * place / 40 for place in range(41)]
    axes.hist(list(each.values()), bins=bins, stacked=True, color=_COLOURS[: len(each)], label=list(each))
    one = run["latency"]["all"]
    for name in ("p50_seconds", "p99_seconds"):
        if one[name] is not None:
            axes.axvline(one[name], color="#111827", lw=0.8, ls="--")
            axes.text(one[name], axes.get_ylim()[1] * 0.95, f" {name[:3]} {one[name]:.2f}", fontsize=7, va="top")
    axes.set(xlabel="seconds from publication to action", ylabel="accounts", title=f"{run['rate']:,} events/s")
    axes.legend(frameon=False, fontsize=7)


def ragged(found: dict[str, Any], path: Path) -> bool:
    """Waits by habit of the parties: median, and a line to the 99th of a hundred; in quiet and while one party floods."""
    plt = plotting()
    if plt is None:
        return False
    habits = found["waits"]["by_habit"]
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.42 * len(habits)))
    for row, one in enumerate(habits.values()):
        for shift, name in ((0.15, "quiet"), (-0.15, "while_one_floods")):
            figures, colour = one[name], _COLOURS[name != "quiet"]
            if figures["count"]:
                axes.plot([figures["p50_seconds"], figures["p99_seconds"]], [row + shift] * 2, color=colour, lw=1.2)
                axes.plot(figures["p50_seconds"], row + shift, "o", color=colour, ms=4, label=name.replace("_", " ") if row == 0 else None)  # fmt: skip
    axes.set(
        xlabel="seconds from publication until ingest had taken it: median to 99 %",
        yticks=range(len(habits)),
        yticklabels=[f"{habit} ({one['parties']})" for habit, one in habits.items()],
    )
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
