"""What commands print can be piped into another program: nothing else is on the standard output."""

import pytest
import structlog
import typer

from weaklink.cli import main


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
