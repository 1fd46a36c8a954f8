"""What commands print can be piped into another program: nothing else is on the standard output, and nothing of a table is cut off."""

import pytest
import structlog
import typer
from rich.console import Console
from rich.table import Table

from weaklink.cli import lag, main, tables
from weaklink.ops.lag import Outlook, PartitionLag, ReaderLag
from weaklink.ops.lag_report import LagReport
from weaklink.ops.verdict import Verdict


@pytest.mark.usefixtures("log_of_a_service")
def test_warnings_of_a_command_are_not_among_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as that a record of a newer version was passed over, beside `--json`."""

    def command() -> None:
        typer.echo("{}")
        structlog.get_logger().error("record_not_readable")

    monkeypatch.setattr(main, "app", command)
    main.main()
    said = capsys.readouterr()
    assert said.out == "{}\n"
    assert "record_not_readable" in said.err


def _widths(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: Table) -> tuple[str, str]:
    """A table as a file gets it, and as a terminal of 80 columns shows it."""
    tables.print_table(table)
    piped = capsys.readouterr().out
    monkeypatch.setattr(tables, "console", lambda: Console(width=80))
    tables.print_table(table)
    return piped, capsys.readouterr().out


def test_of_a_table_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Partitions differ at their end, and a setting is of use as a whole only."""
    monkeypatch.setenv("COLUMNS", "80")
    long = ["x" * 70 + end for end in ("-0", "-1")]
    table = Table("partition", "what to do")
    for one in long:
        table.add_row(one, "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS")
    piped, shown = _widths(monkeypatch, capsys, table)
    assert all(f"{one} " in piped for one in long)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    first = "".join(line[1:].split("┃" if "┃" in line else "│")[0].strip() for line in shown.splitlines()[3:-1])
    assert first == "".join(long)


def test_lag_fits_a_terminal_with_whole_words_and_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behind = PartitionLag("party.a-lab-with-a-long-name.events", 3, 5, 1_234_572, 1_234_567, False, 0)
    reader = ReaderLag("ingest", "weaklink.ingest", 12_300_000, (behind,), 2)
    report = LagReport(12_300_000, [(reader, Outlook("falling", 12_345.0, 100.0, Verdict.STOPPED, {(behind.topic, 3): Verdict.STOPPED}))])  # fmt: skip
    _, shown = _widths(monkeypatch, capsys, lag._table(report, False))
    assert "…" not in shown
    for word in ("members", "verdict", "stopped", "~1,234,567", "seconds", "falling", "records/s", "12,345", "caught", "100 s"):  # fmt: skip
        assert word in shown
    _, shown = _widths(monkeypatch, capsys, lag._parties_table(report))
    assert "…" not in shown
    for word in ("1,234,567", "ingest", "last event", "unread", "reads"):
        assert word in shown
