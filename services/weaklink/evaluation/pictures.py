"""Pictures of an evaluation, as SVG: light enough to keep beside the documentation. Without matplotlib there are none."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from weaklink.evaluation.bars import BARS, WORLDS
from weaklink.evaluation.spec import FULL, LOOP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK: Final = {"with": "#1b6ca8", "without": "#b0b7c3", "bar": "#c2410c"}


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures that the document has data for, and return their paths."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return []
    mpl.use("Agg")
    # The same document gives the same bytes, so that pictures beside the documentation change only when figures do.
    mpl.rcParams.update({"svg.hashsalt": "weaklink", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    runs = [run for run in document["runs"] if run["spec"]["variant"] == FULL]
    worlds = [world for world in WORLDS if any(run["spec"]["world"] == world for run in runs)]
    pictures: dict[str, tuple[Callable[[Axes], bool], float]] = {
        "precision-recall": (lambda axes: _precision_recall(axes, runs), 3.6),
        "calibration": (lambda axes: _calibration(axes, runs), 3.6),
        "exchanges": (lambda axes: _exchanges(axes, document["runs"]), 3.0),
        "cut": (lambda axes: _cut(axes, runs), 3.2),
        "worlds": (lambda axes: _worlds(axes, document, worlds), 0.9 + 0.3 * len(worlds)),
    }
    return [
        path for name, (paint, height) in pictures.items() if (path := _picture(folder / f"{name}.svg", paint, height))
    ]


def _picture(path: Path, paint: "Callable[[Axes], bool]", height: float) -> Path | None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.2, height))
    try:
        if not paint(axes):
            return None
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
    finally:
        plt.close(figure)
    return path


def _precision_recall(axes: "Axes", runs: list[dict[str, Any]]) -> bool:
    """The score's curve in four worlds, and the point at which accounts are flagged."""
    drawn = False
    for world, colour in zip(("base", "chain", "benign_conduct", "benign_chain"), ("#1b6ca8", "#0f766e", "#c2410c", "#7c3aed"), strict=True):  # fmt: skip
        of = [run for run in runs if run["spec"]["world"] == world and run["curves"]["precision_recall"]]
        if not of:
            continue
        drawn = True
        for number, run in enumerate(of[:3]):
            points = run["curves"]["precision_recall"]
            axes.plot(
                [p["recall"] for p in points],
                [p["precision"] for p in points],
                color=colour,
                lw=1,
                alpha=0.6,
                label=None if number else world,
            )
            figures = run["figures"]
            if figures["precision"] is not None:
                axes.plot(figures["recall"], figures["precision"], "o", color=colour, ms=5)
    axes.set(xlabel="recall, by account", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.03))
    if drawn:
        axes.legend(frameon=False, title="score alone; dot: flagged", loc="lower left")
    return drawn


def _calibration(axes: "Axes", runs: list[dict[str, Any]]) -> bool:
    """Share of campaign accounts by score, all worlds together."""
    bins: dict[float, list[tuple[int, float, float]]] = {}
    for run in runs:
        for one in run["curves"].get("reliability", ()):
            bins.setdefault(one["low"], []).append((one["accounts"], one["score"], one["truth"]))
    if not bins:
        return False
    points = []
    for _, found in sorted(bins.items()):
        accounts = sum(one[0] for one in found)
        points.append((sum(n * s for n, s, _ in found) / accounts, sum(n * t for n, _, t in found) / accounts))
    axes.plot([0, 1], [0, 1], color=_INK["without"], lw=1, ls="--")
    axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=_INK["with"])
    axes.set(xlabel="score", ylabel="share in campaigns", xlim=(0, 1), ylim=(0, 1.03))
    return True


def _exchanges(axes: "Axes", runs: list[dict[str, Any]]) -> bool:
    """Campaign requests by day in the base world with and without enforcement, replacements included: mean over seeds."""
    of = [run["curves"]["loop"] for run in runs if (run["spec"]["world"], run["spec"]["variant"]) == ("base", LOOP)]
    if not of:
        return False
    days = max(len(line) for one in of for line in one.values())
    for name, label in (("without", "without Weaklink"), ("with", "with Weaklink, replacements included")):
        line = [mean(one[name][day] if day < len(one[name]) else 0 for one in of) for day in range(days)]
        axes.fill_between(range(days), line, color=_INK[name], label=label)
    axes.set(xlabel="day", ylabel="campaign requests a day", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return True


def _cut(axes: "Axes", runs: list[dict[str, Any]]) -> bool:
    """Share of campaign volume that measures reach, by how many there are, in the base world: the best of any kind, and suspensions alone."""
    of = [
        curve for run in runs if run["spec"]["world"] == "base" and (curve := run["curves"].get("cut")) and curve["any"]
    ]
    for number, curve in enumerate(of):
        for name, label, colour in (
            ("any", "of any kind", _INK["with"]),
            ("suspend", "suspensions alone", _INK["without"]),
        ):
            axes.plot(
                curve["measures_per_account"],
                curve[name],
                color=colour,
                lw=1,
                alpha=0.7,
                label=None if number else label,
            )
    if of:
        axes.axvline(0.05, color=_INK["bar"], lw=0.8, ls="--")
        axes.set(
            xlabel="measures for each account of a campaign",
            ylabel="share of volume reached",
            xscale="log",
            ylim=(0, 1.03),
        )
        axes.legend(frameon=False, loc="upper left")
    return bool(of)


def _worlds(axes: "Axes", document: dict[str, Any], worlds: list[str]) -> bool:
    """Recall of the worst campaign and share prevented, with intervals, world by world; ticks: the bars."""
    table = {(one["world"], one["metric"]): one for one in document["summary"] if one["variant"] == FULL}
    bars = {(bar.world, bar.metric): bar.value for bar in BARS}
    drawn = False
    for metric, colour, up in (("recall_worst", "#1b6ca8", 0.14), ("prevented", "#0f766e", -0.14)):
        first = True
        for row, world in enumerate(worlds):
            one = table.get((world, metric))
            if one is None:
                continue
            y = row - up
            axes.plot([one["low"], one["high"]], [y, y], color=colour, lw=2, label=metric if first else None)
            axes.plot(one["median"], y, "o", color=colour, ms=4)
            first, drawn = False, True
            if (world, metric) in bars:
                axes.plot(bars[world, metric], y, "|", color=_INK["bar"], ms=9)
    axes.set(xlim=(0, 1.03), yticks=range(len(worlds)), yticklabels=worlds)
    axes.invert_yaxis()
    if drawn:
        axes.legend(frameon=False, loc="lower left")
    return drawn
