"""Pictures as SVG text for the console: colours come from its style sheet, every text is escaped, shapes tell what colours tell."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from weaklink.cases.layout import Node, Picture

SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 28


def graph_svg(picture: Picture) -> str:
    """The picture of a campaign. Cut: a cross beside the shape and a thick outline, besides the colour."""
    lines = "".join(_line(picture.nodes[a], picture.nodes[b]) for a, b in picture.lines)
    nodes = "".join(_node(one) for one in picture.nodes)
    heads = "".join(
        f'<text class="head" x="{x}" y="22">{escape(text)}</text>'
        for x, text in ((60, "Parties"), (400, "Accounts"), (700, "Shared identifiers"))
    )
    return (
        f'<svg class="graph" role="img" aria-labelledby="graph-title" viewBox="0 0 {picture.width:.0f} {picture.height:.0f}" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="graph-title">Who shares what: parties, accounts and identifiers</title>'
        f"{lines}{heads}{nodes}</svg>"
    )


def _line(a: Node, b: Node) -> str:
    kind = "cut" if b.kind == "identifier" and b.cut else "link"
    middle = (a.x + b.x) / 2
    return f'<path class="{kind}" d="M{a.x:.0f} {a.y:.1f}C{middle:.0f} {a.y:.1f} {middle:.0f} {b.y:.1f} {b.x:.0f} {b.y:.1f}"/>'


def _node(one: Node) -> str:
    x, y = one.x, one.y
    marked = f'<path class="cross" d="M{x - 20:.0f} {y - 5:.1f}l10 10m0 -10l-10 10"/>' if one.cut else ""
    if one.kind == "identifier":
        shape = f'<path d="M{x:.0f} {y - 7:.1f}l7 7l-7 7l-7 -7z"/>'
    elif one.kind == "party":
        shape = f'<rect x="{x - 8:.0f}" y="{y - 8:.1f}" width="16" height="16" rx="3"/>'
    else:
        shape = f'<circle cx="{x:.0f}" cy="{y:.1f}" r="5"/>'
    left = one.kind == "party"
    text = f'<text x="{x - 14 if left else x + 12:.0f}" y="{y + 4:.1f}"{" text-anchor=" + chr(34) + "end" + chr(34) if left else ""}>{escape(one.label)}</text>'
    state = " is-cut" if one.cut else ""
    return f'<g class="node {one.kind}{state}"><title>{escape(one.title)}</title>{shape}{marked}{text}</g>'


def sparkline(values: Sequence[float], label: str) -> str:
    """A small line of values, oldest first, with its meaning as text for who does not see it."""
    if not values:
        return f'<span class="none" aria-label="{escape(label)}: none yet">–</span>'
    top = max(values) or 1.0
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    points = " ".join(
        f"{i * step:.1f},{SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * v / top:.1f}" for i, v in enumerate(values)
    )
    told = f"{label}: from {values[0]:,.0f} to {values[-1]:,.0f}, at most {top if max(values) else 0:,.0f}"
    return (
        f'<svg class="spark" role="img" aria-label="{escape(told)}" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" '
        f'width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}"><polyline points="{points}"/></svg>'
    )


def exchanges_svg(course: Any, width: int = 900, height: int = 220) -> str:
    """Exchanges a day as bars, with the pace before the first loss as a line: what there would be without measures if nothing else changed."""
    days = course["days"]
    if not days:
        return ""
    pace = course["losses"]["requests_per_day_before"] if course["losses"] else None
    top = max([one["requests"] for one in days] + [pace or 0.0]) or 1.0
    step, base = width / len(days), height - 24
    bars = []
    for i, one in enumerate(days):
        all_, new = (base * one[name] / top * 0.92 for name in ("requests", "requests_new"))
        told = (
            f"{one['day']:%Y-%m-%d}: {one['requests']:,} exchanges, {one['requests_new']:,} by accounts that came after the first loss; "
            f"{one['accounts_lost']} accounts lost"
        )
        x, wide = i * step + 1, max(step - 2, 1)
        bars.append(
            f'<g><title>{escape(told)}</title><rect class="bar" x="{x:.1f}" y="{base - all_:.1f}" width="{wide:.1f}" height="{all_:.1f}"/>'
            f'<rect class="bar-new" x="{x:.1f}" y="{base - new:.1f}" width="{wide:.1f}" height="{new:.1f}"/></g>'
        )
    line = ""
    if pace is not None:
        y = base - base * pace / top * 0.92
        line = f'<path class="pace" d="M0 {y:.1f}H{width}"/><text x="4" y="{max(y - 5, 10):.1f}">pace before the first loss</text>'
    ends = (
        f'<text x="{width}" y="11" text-anchor="end">the highest: {top:,.0f} a day</text>'
        f'<text x="0" y="{height - 6}">{days[0]["day"]:%Y-%m-%d}</text>'
        f'<text x="{width}" y="{height - 6}" text-anchor="end">{days[-1]["day"]:%Y-%m-%d}</text>'
    )
    return f'<svg class="exchanges" role="img" aria-label="Exchanges a day" viewBox="0 0 {width} {height}">{"".join(bars)}{line}{ends}</svg>'
