"""The same pictures as PNG files, with matplotlib (extra `evaluation`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from weaklink.cases.layout import Picture
from weaklink.errors import ConfigurationError

_LINK: Final = "#9aa5b1"
_CUT: Final = "#b42318"
_COLOURS: Final = {"party": "#475467", "account": "#1d4ed8", "identifier": "#0f766e"}
_MARKS: Final = {"party": "s", "account": "o", "identifier": "D"}


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigurationError("pictures need matplotlib: pip install 'weaklink[evaluation]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def _text(text: str) -> str:
    """Nothing in a name is read as a formula."""
    return text.replace("$", r"\$")


def graph_png(picture: Picture, title: str, path: Path) -> None:
    """Write the picture of a campaign."""
    figure = _figure(picture.width / 90, max(picture.height / 90, 3))
    axes = figure.add_subplot()
    for a, b in picture.lines:
        one, other = picture.nodes[a], picture.nodes[b]
        cut = other.kind == "identifier" and other.cut
        axes.plot([one.x, other.x], [one.y, other.y], color=_CUT if cut else _LINK, lw=0.6, alpha=0.5, zorder=1)
    for one in picture.nodes:
        edge = {"edgecolors": _CUT, "linewidths": 2.0} if one.cut else {}
        axes.scatter([one.x], [one.y], marker=_MARKS[one.kind], s=34, color=_COLOURS[one.kind], zorder=2, **edge)
        left = one.kind == "party"
        axes.annotate(
            _text(one.label), (one.x, one.y), (-9 if left else 9, 0), textcoords="offset points", fontsize=6,
            va="center", ha="right" if left else "left",
        )  # fmt: skip
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_title(_text(f"{title}   red: what the plan cuts   {picture.omitted}"), fontsize=8, loc="left")
    axes.set_axis_off()
    figure.savefig(path, dpi=130)


def exchanges_png(course: Mapping[str, Any], title: str, path: Path) -> None:
    """Write exchanges a day, with the pace before the first loss beside them. Raises ConfigurationError when there is no day yet."""
    days = course["days"]
    if not days:
        raise ConfigurationError("no exchanges of this campaign have been told yet: there is nothing to draw")
    figure = _figure(9, 3.2)
    axes = figure.add_subplot()
    at = [one["day"] for one in days]
    axes.bar(at, [one["requests"] for one in days], color="#94a3b8", label="with measures")
    axes.bar(
        at,
        [one["requests_new"] for one in days],
        color="#b45309",
        label="of these by accounts that came after the first loss",
    )
    if course["losses"] is not None:
        pace = course["losses"]["requests_per_day_before"]
        axes.axhline(pace, color=_CUT, ls="--", label="without: at the pace before the first loss (estimate)")
    axes.legend(fontsize=7, frameon=False)
    axes.set_title(_text(title), fontsize=9, loc="left")
    axes.set_ylabel("exchanges a day", fontsize=8)
    axes.tick_params(labelsize=7)
    figure.autofmt_xdate()
    figure.savefig(path, dpi=130)
