"""Pictures of `make campaign-full`: exchanges with and without measures, and when each party acted."""

from pathlib import Path
from typing import Any, Final

from bench.load.pictures import plotting

_WITHOUT: Final = "#b0b7c3"
_WITH: Final = "#1b6ca8"


def draw(summary: dict[str, Any], folder: Path) -> list[Path]:
    """`exchanges.svg` and `parties.svg`; nothing without matplotlib."""
    plt = plotting()
    if plt is None:
        return []
    return [_exchanges(plt, summary, folder / "exchanges.svg"), _parties(plt, summary, folder / "parties.svg")]


def _exchanges(plt: Any, summary: dict[str, Any], path: Path) -> Path:
    free, made = summary["exchanges_by_day_without_measures"], summary["exchanges_by_day_with_measures"]
    figure, row = plt.subplots(1, len(free), figsize=(5.2 * len(free), 3.2), squeeze=False)
    for axes, name in zip(row[0], free, strict=True):
        days = range(len(free[name]))
        axes.bar(days, free[name], color=_WITHOUT, width=0.9, label=f"without: {sum(free[name]):,}")
        axes.bar(days, made.get(name, [0] * len(days)), color=_WITH, width=0.9, label=f"with: {sum(made.get(name, [])):,}")  # fmt: skip
        axes.set(xlabel="day", ylabel="exchanges a day", title=name)
        axes.legend(frameon=False, fontsize=8)
    return _saved(plt, figure, path)


def _parties(plt: Any, summary: dict[str, Any], path: Path) -> Path:
    """A row for each party: a dot on each day on which it carried out actions, larger for more of them."""
    answers = summary["answers_by_day"]
    first = summary["party_first_acted_day"]
    names = sorted(answers, key=lambda name: -first.get(name, 1e9))
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.28 * len(names)))
    most = max((max(values) for values in answers.values() if values), default=1) or 1
    for row, name in enumerate(names):
        days = [day for day, many in enumerate(answers[name]) if many]
        axes.scatter(days, [row] * len(days), s=[4 + 120 * answers[name][day] / most for day in days], color=_WITH, alpha=0.7, lw=0)  # fmt: skip
        axes.text(len(answers[name]) + 0.3, row, f"{sum(answers[name]):,}", va="center", fontsize=8)
    axes.set(
        xlabel="day", yticks=range(len(names)), yticklabels=names, title="actions carried out and answered, by day"
    )
    return _saved(plt, figure, path)


def _saved(plt: Any, figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
