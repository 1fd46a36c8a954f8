"""What cannot be done is one line to a person, with where and why; never a traceback."""

import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click import unstyle
from typer.testing import CliRunner

from weaklink.cli import main
from weaklink.errors import ConfigurationError
from weaklink.folders import alone_in
from weaklink.partner.keys import load_keys, new_keys, save_keys


def said_by(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `weaklink COMMAND` says when it fails."""
    monkeypatch.setattr("sys.argv", ["weaklink", *command.split()])
    with pytest.raises(SystemExit) as left:
        main.main()
    said = capsys.readouterr()
    assert (left.value.code, said.out) == (1, "")
    return said.err


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("demo --folder /proc/x", "/proc/x"),
        ("demo --folder file", "file"),
        ("sim world --out file", "file"),
        ("partner key new /proc/keys.json", "/proc/keys.json"),
        ("partner key new file/keys.json", "file/keys.json"),
        ("schema export /proc/x", "/proc/x"),
        ("actions list", "/proc/x"),
        ("principal secret ingest --secret-file /proc/secret", "/proc"),
    ],
)
def test_a_path_that_cannot_be_written_is_named(
    command: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is made that would be lost: a world, a secret that is shown once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("WEAKLINK_ENFORCE__LEDGER_URL", "sqlite:////proc/x/ledger.sqlite3")
    monkeypatch.setattr("weaklink.sim.worlds.generate", lambda *_: pytest.fail("the world was made first"))
    (line,) = said_by(command, monkeypatch, capsys).splitlines()
    assert line.startswith(f"weaklink: {path} cannot be written: ")


def test_a_demo_leaves_the_folder_of_another_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It begins, and ends, with removing what lies there."""
    (tmp_path / "kafka").mkdir()
    with alone_in(tmp_path):
        said = said_by(f"demo --folder {tmp_path} --events 5000", monkeypatch, capsys)
    assert said == f"weaklink: {tmp_path} is in use by process {os.getpid()}; choose another --folder\n"
    assert (tmp_path / "kafka").exists()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "x.json"), "weaklink: x.json: Permission denied"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "weaklink: No space left on device"),
    ],
)
def test_a_file_that_nobody_foresaw_is_named_too(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever command it is."""

    def command() -> None:
        raise error

    monkeypatch.setattr(main, "app", command)
    assert said_by("", monkeypatch, capsys) == f"{line}\n"


def test_an_error_of_which_only_the_place_can_be_told_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that says "connection refused", and not by whom, would help nobody."""

    def command() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr(main, "app", command)
    with pytest.raises(ConnectionRefusedError):
        main.main()


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("demo --kill -1", "--kill"),
        ("run ingest --metrics-port 99999", "--metrics-port"),
        ("console --port 99999", "--port"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["weaklink", *command.split()])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    assert option in unstyle(capsys.readouterr().err)


@pytest.mark.usefixtures("log_of_a_service")
@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("console --port {}", "choose another --port or WEAKLINK_CONSOLE__PORT"),
        ("tokeniser serve", "choose another WEAKLINK_TOKENISER__PORT"),
        ("run ingest --metrics-port {}", "choose another --metrics-port or WEAKLINK_STREAM__METRICS_PORT"),
    ],
)
def test_a_service_whose_port_is_taken_says_so_before_it_says_that_it_started(
    command: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line is the reason, and what to choose."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAKLINK_LOG_JSON", "true")
    monkeypatch.setenv("WEAKLINK_TOKENISER__KEY_FILE", "keys.json")
    save_keys(Path("keys.json"), new_keys(datetime(1970, 1, 1, tzinfo=UTC)))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("WEAKLINK_TOKENISER__PORT", str(port))
        lines = [json.loads(line) for line in said_by(command.format(port), monkeypatch, capsys).splitlines()]
    assert "started" not in [one["event"] for one in lines]
    assert f"127.0.0.1:{port}" in lines[-1]["error"]
    assert instead in lines[-1]["error"]


def test_an_answer_to_what_is_no_action_is_refused_before_anybody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A receipt for it would be delivered, and come back."""
    said = said_by("partner receipt --party a --action zz --status done", monkeypatch, capsys)
    assert said.startswith("weaklink: --action 'zz' is no action's id: 32 of 0-9 and a-f")


def test_what_is_to_be_pasted_into_a_shell_can_be(tmp_path: Path) -> None:
    """Folders have names with spaces."""
    file = tmp_path / "my keys.json"
    told = CliRunner().invoke(main.app, ["partner", "key", "new", str(file)]).stdout
    assert f"export WEAKLINK_PARTNER__KEY_FILE='{file}'" in told
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=f"chmod 600 '{file}'"):
        load_keys(file)
