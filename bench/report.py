"""What `results.json` says, as tables in Markdown and as a picture for docs/performance.md. `python -m bench.report results.json` prints the tables."""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import bars

_OWN: Final = "weaklink"
_RAW: Final = "raw"
_COLOURS: Final = {_OWN: "#1b6ca8", _RAW: "#b0b7c3"}
_PEER_COLOUR: Final = "#c2410c"


def table(results: list[dict[str, Any]]) -> str:
    """One line per engine, one per bar, and below them how each was configured and what could not be measured."""
    lines = [
        "| engine | guarantee | events | events/s: median (lowest to highest) | CPU us/event, broker included | peak MiB | Weaklink to it, by round | output |",
        "|---|---|--:|--:|--:|--:|---|---|",
    ]
    have_rounds = bars.have_rounds(results)
    for one in results:
        rates = one["events_per_second"]
        rate = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})" if rates else "-"
        cpu = f"{one['cpu_us_per_event']:.2f}" if one["cpu_us_per_event"] is not None else "-"
        peak = f"{one['peak_mib']:,.0f}" if one["peak_mib"] else "-"
        beside = bars.beside(results, one["engine"]) if have_rounds else ""
        lines.append(
            f"| {one['engine']} | {one['guarantee']} | {one['events']:,} | {rate} | {cpu} | {peak} | {beside} | {_verdict(one)} |"
        )
    lines += ["", bars.table(results) if have_rounds else bars.WITHOUT_ROUNDS]
    lines += ["", "How each was configured:", ""]
    lines += [f"- **{one['engine']}**: {one['configured']}." for one in results]
    for one in results:
        for problem in [*one["failures"], *(wrong for each in one["rounds"] for wrong in each["wrong"])]:
            lines.append(f"- **{one['engine']}** failed: {problem.splitlines()[0]}")
    return "\n".join(lines) + "\n"


def draw(results: list[dict[str, Any]], path: Path) -> bool:
    """Bars of events/s, each round a dot. False without matplotlib, or with nothing to draw."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return False
    shown = [one for one in results if one["events_per_second"]]
    if not shown:
        return False
    mpl.use("Agg")
    # The same figures give the same bytes.
    mpl.rcParams.update({"svg.hashsalt": "weaklink", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})  # fmt: skip
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.34 * len(shown)))
    for row, one in enumerate(shown):
        rates = one["events_per_second"]
        axes.barh(row, median(rates), color=_colour(one["engine"]), height=0.62)
        axes.plot(rates, [row] * len(rates), "o", color="#111827", ms=2.5)
        axes.text(max(rates) * 1.12, row, f"{median(rates):,.0f}", va="center")
    axes.set(
        xscale="log",
        xlabel="events/s (logarithmic)",
        yticks=range(len(shown)),
        yticklabels=[one["engine"] for one in shown],
    )
    rates = [rate for one in shown for rate in one["events_per_second"]]
    axes.set_xlim(min(rates) / 10, max(rates) * 4)
    axes.invert_yaxis()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def _verdict(one: dict[str, Any]) -> str:
    if one["unavailable"]:
        return f"not measured: {one['unavailable'].splitlines()[0]}"
    if one["correct"] is None:
        return "not run"
    if any(each["wrong"] for each in one["rounds"]):
        return "WRONG"
    failed = f"{len(one['failures'])} failed" if one["failures"] else ""
    return ", ".join(part for part in ("exact" if one["rounds"] else "", failed) if part)


def _colour(engine: str) -> str:
    return next((colour for mark, colour in _COLOURS.items() if engine.startswith(mark)), _PEER_COLOUR)


def main() -> int:
    """0: printed."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("results", type=Path, help="results.json of a benchmark")
    print(table(json.loads(parser.parse_args().results.read_text(encoding="utf-8"))), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
