"""Tables of `docs/detection.md`, made from `results.json`: between `<!-- evaluate:NAME -->` and `<!-- /evaluate -->` nothing is typed by hand."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from weaklink.errors import ConfigurationError
from weaklink.evaluation.bars import WORLDS
from weaklink.evaluation.spec import FULL, LOOP, MONTH, REAL

_BLOCK: Final = re.compile(r"(<!-- evaluate:([a-z_]+) -->\n).*?(<!-- /evaluate -->)", re.DOTALL)

Summary = dict[tuple[str, str, str], dict[str, Any]]


def fill(text: str, document: dict[str, Any]) -> str:
    """The text with every block made anew. Raises ConfigurationError for a block of unknown name, or when there is none."""
    table: Summary = {(one["world"], one["variant"], one["metric"]): one for one in document["summary"]}

    def made(match: re.Match[str]) -> str:
        if match[2] not in BLOCKS:
            raise ConfigurationError(f"no table named {match[2]!r}; there are: {', '.join(BLOCKS)}")
        return f"{match[1]}{BLOCKS[match[2]](document, table)}\n{match[3]}"

    filled, count = _BLOCK.subn(made, text)
    if not count:
        raise ConfigurationError("the document has no block <!-- evaluate:NAME --> ... <!-- /evaluate -->")
    return filled


def interval(table: Summary, world: str, variant: str, metric: str) -> str:
    """`median [low, high]`, or the median alone where the interval is a point; a dash where there is no value."""
    one = table.get((world, variant, metric))
    if one is None:
        return "-"
    return _with_interval(one["median"], one)


def _with_interval(value: float, of: dict[str, Any]) -> str:
    shown, low, high = (_number(one) for one in (value, of["low"], of["high"]))
    return shown if low == high == shown else f"{shown} [{low}, {high}]"


def _bars(document: dict[str, Any], _: Summary) -> str:
    rows: list[list[str]] = []
    open_bars: dict[str, list[str]] = {}
    for bar in document["bars"]:
        sign = ">=" if bar["direction"] == "at least" else "<="
        where = f"{sign} {bar['bar']:g}{' on every seed' if bar['every_seed'] else ''}"
        if not bar["seeds"]:
            open_bars.setdefault(bar["world"], []).append(bar["metric"])
            continue
        value = _with_interval(bar["value"], bar)
        rows.append([bar["world"], bar["metric"], where, value, str(bar["seeds"]), *_reached(bar)])
    reached = sum(bar["reached"] for bar in document["bars"])
    table = _table(["world", "metric", "bar", "value", "seeds", "reached", "misses by"], rows)
    left = "; ".join(f"{world} ({', '.join(metrics)})" for world, metrics in open_bars.items())
    rest = f"\n\nNot measured in this run, and so not reached: {left}." if left else ""
    return f"Of {len(document['bars'])} bars {len(rows)} were measured, and {reached} of those are reached.\n\n{table}{rest}"


def _reached(bar: dict[str, Any]) -> tuple[str, str]:
    """Whether, and by how much not. A value that would do, but on too few seeds or beside a failed run, is said to be no more than that."""
    if bar["why_not"] == "missed":
        return "**no**", _number(bar["missing"])
    return bar["why_not"] or "yes", ""


def _worlds(*metrics: str, variant: str = FULL) -> Callable[[dict[str, Any], Summary], str]:
    def made(_: dict[str, Any], table: Summary) -> str:
        worlds = _present(table, variant)
        return _table(["world", *metrics], [[w, *(interval(table, w, variant, m) for m in metrics)] for w in worlds])

    return made


def _variants(prefix: str, *metrics: str) -> Callable[[dict[str, Any], Summary], str]:
    """Rows world by world: the whole method, and each variant whose name has the prefix (`baseline:`, or none of it: ablations)."""

    def made(_: dict[str, Any], table: Summary) -> str:
        variants = sorted(
            {v for _, v, _ in table if v not in (FULL, LOOP) and v.startswith("baseline:") == bool(prefix)}
        )
        rows = []
        for world in [w for w in WORLDS if any(key[0] == w and key[1] in variants for key in table)]:
            for variant in (FULL, *variants):
                if any(key[:2] == (world, variant) for key in table):
                    name = "Weaklink" if variant == FULL else variant.removeprefix(prefix)
                    rows.append([world, name, *(interval(table, world, variant, m) for m in metrics)])
        return _table(["world", "rule" if prefix else "variant", *metrics], rows)

    return made


def _real(_: dict[str, Any], table: Summary) -> str:
    metrics = (
        "flagged", "precision", "recall", "degree_cap_precision", "error_against_degree_cap",
        "rings", "rings_found", "clusters", "largest_cluster",
    )  # fmt: skip
    worlds = [world for world in REAL if (world, FULL, "flagged") in table]
    return _table(["figure", *worlds], [[m, *(interval(table, w, FULL, m) for w in worlds)] for m in metrics])


def _loop(document: dict[str, Any], table: Summary) -> str:
    """The closed loop, with its picture where a run has it."""
    rows = _worlds(
        "loop_prevented", "loop_cut_after_measure", "loop_honest_lost", "loop_honest_suspended", "loop_measures_per_account",
        variant=LOOP,
    )(document, table)  # fmt: skip
    specs = [run["spec"] for run in document["runs"] if run["spec"]["variant"] == LOOP]
    if not specs:
        return "No closed loop was run."
    seeds, size, hours = len({one["seed"] for one in specs}), specs[0]["size"], specs[0]["tick_seconds"] / 3600
    rows = f"Size {size:g}, tick {hours:g} h, {seeds} {'seed' if seeds == 1 else 'seeds'}.\n\n{rows}"
    drawn = any(one["world"] == "base" for one in specs)
    return f"{rows}\n\n![Campaign requests a day with and without Weaklink](images/exchanges.svg)" if drawn else rows


def _options(document: dict[str, Any], _: Summary) -> str:
    specs = [
        run["spec"]
        for run in document["runs"]
        if run["spec"]["variant"] == FULL and run["spec"]["world"] not in (*REAL, MONTH)
    ]
    if not specs:
        return "No simulated world was run."
    seeds = sorted({spec["seed"] for spec in specs})
    sizes, ticks = sorted({spec["size"] for spec in specs}), sorted({spec["tick_seconds"] for spec in specs})
    failed = f" {len(document['failed'])} runs failed." if document["failed"] else ""
    skipped = "".join(f" Skipped: {one['world']} ({one['reason']})." for one in document["skipped"])
    return (
        f"Weaklink {document['weaklink']}, {len(document['runs'])} runs: {len({s['world'] for s in specs})} worlds of family "
        f"{', '.join(sorted({s['family'] for s in specs}))}, {len(seeds)} seeds from {seeds[0]} on, size {', '.join(f'{s:g}' for s in sizes)}, "
        f"tick {', '.join(f'{t / 3600:g} h' for t in ticks)}; code {', '.join(document['code'])}.{failed}{skipped}"
    )


BLOCKS: Final[dict[str, Callable[[dict[str, Any], Summary], str]]] = {
    "options": _options,
    "bars": _bars,
    "detection": _worlds("precision", "recall", "recall_volume", "recall_worst", "prevented", "prevented_worst", "prevented_possible"),
    "harm": _worlds(
        "false_flags", "benign_suspended", "benign_revoke_lease", "benign_challenge", "benign_throttle", "benign_holders",
        "victims_flagged", "victims_suspended", "invented_flagged", "invented_suspended",
        "resellers_flagged", "resellers_suspended", "disparity",
    ),
    "time": _worlds(
        "hours_to_first_flag", "hours_to_first_measure", "hours_to_containment", "campaigns_contained", "campaigns_true",
        "suspended_volume_share",
    ),
    "identity": _worlds(
        "purity", "purity_worst", "ids_per_campaign", "main_id_share", "id_stability", "causal_agreement",
        "causal_agreement_actions",
    ),
    "traits": _worlds("taken_ratio", "taken_covered", "stages_right", "pivots_true", "pivots_found", "pivots_false"),
    "calibration": _worlds("brier", "calibration_error", "calibration_error_scored"),
    "cutting": _worlds(
        "measures_per_account", "cut_after_measure", "collateral_volume", "cut_at_small_budget", "suspend_at_small_budget",
        "expected_cut_ratio", "benign_holders_expected", "benign_holders",
        "plan_cut", "plan_gap", "plan_cut_small_budget",
        "plan_accounts_only_cut_small_budget", "plan_reach_small_budget", "plan_accounts_only_reach_small_budget",
    ),
    "loop": _loop,
    "cost": _worlds("accounts", "events", "ticks", "backtest_cpu_seconds", "run_cpu_seconds", "memory_mib"),
    "baselines": _variants("baseline:", "precision", "recall", "recall_worst", "flagged", "false_flags"),
    "ablations": _variants("", "precision", "recall", "recall_worst", "prevented", "false_flags", "benign_suspended"),
    "real": _real,
}  # fmt: skip
"""Tables by the name of their block."""


def _present(table: Summary, variant: str) -> list[str]:
    return [world for world in (*WORLDS, MONTH) if any(key[:2] == (world, variant) for key in table)]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "Nothing was measured."
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
