"""The readable end of a run."""

from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from weaklink.sim.spec import DAY_US

_COLUMNS: Final = ("campaign", "began", "found", "accounts", "missed", "without us", "with us", "prevented")
_NEXT: Final = """
Where to look next
  {folder}/summary.json, details.json   these figures
  {folder}/services/*.log               what each service said
  weaklink demo --keep                  leaves the broker's data in place, beside the ledger
  weaklink demo --kill 15               kills a random service every 15 s: the audit must still pass
  weaklink sim world --out DIR          a world as files, with the truth, for `weaklink backtest`
On a cluster that runs: weaklink lag --watch, weaklink actions list, weaklink partner actions --party lab-atlas"""


def print_summary(
    console: Console, summary: dict[str, Any], details: dict[str, Any], start_us: int, folder: Path
) -> None:
    """Per campaign what was found and prevented, the whole, the collateral, and where to look next."""
    table = Table(
        title="Campaigns: exchanges made without Weaklink and with it",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name == "campaign" else "right")
    for score in details["campaigns"]:
        free, made = score["exchanges_without"], score["exchanges_with"]
        table.add_row(
            score["operator"],
            _day(score["began_us"], start_us),
            _day(score["detected_us"], start_us),
            f"{score['found']:,}/{score['accounts']:,}",
            f"{score['accounts'] - score['found']:,}",
            f"{free:,}",
            f"{made:,}",
            f"{1 - made / free:.0%}" if free else "-",
        )
    console.print(table)
    for score in details["campaigns"]:
        measures = ", ".join(f"{count} {measure}" for measure, count in score["weak_links"].items()) or "none"
        console.print(
            f"{score['operator']:<12}weak links: {measures}; the plan cuts {score['plan_cut_share']:.0%} of its volume, gap {score['plan_gap']:.1%}",
            soft_wrap=True,
            highlight=False,
        )
    for name, line in _lines(summary, details).items():
        console.print(f"{name:<12}{line}", soft_wrap=True, highlight=False)
    console.print(_NEXT.format(folder=folder), soft_wrap=True, highlight=False)


def _lines(summary: dict[str, Any], details: dict[str, Any]) -> dict[str, str]:
    audit = details["audit"]
    return {
        "events": f"{summary['events_published']:,} published = {summary['events_accepted']:,} accepted + "
        f"{summary['events_rejected']:,} rejected + {summary['events_duplicate']:,} duplicates",
        "accounts": f"precision {told(summary['account_precision'], '.1%')}, recall {told(summary['account_recall'], '.1%')}; "
        f"{summary['campaigns_found']} of {summary['campaigns_true']} campaigns found",
        "exchanges": f"{told(summary['prevented_share'], '.0%')} prevented",
        "collateral": ", ".join(f"{count:,} {name}" for name, count in details["collateral"].items())
        + f"; SUSPEND issued against {summary['benign_suspended']}",
        "actions": f"{summary['actions_issued']:,} issued, {summary['receipts']:,} receipts; evidence to readable action: "
        f"p50 {told(summary['action_latency_seconds_p50'], '.2f')} s, p99 {told(summary['action_latency_seconds_p99'], '.2f')} s",
        "memory": ", ".join(f"{name} {mib:.0f} MiB" for name, mib in summary["peak_memory_mib"].items()),
        "services": f"{details['restarts']} started again",
        "audit": ("passed" if audit["passed"] else "FAILED") + (f": {audit['said'][-1]}" if audit["said"] else ""),
    }


def told(value: float | None, form: str) -> str:
    """A figure of the summary; a dash where there was nothing to measure."""
    return "-" if value is None else format(value, form)


def _day(at_us: int | None, start_us: int) -> str:
    return f"day {(at_us - start_us) / DAY_US:.1f}" if at_us is not None else "never"
