"""Every command that needs Kafka says soon, in one line, that no broker answers, and fails."""

import json
from pathlib import Path

import pytest

from weaklink.cli.main import main
from weaklink.ops.ports import free_ports

COMMANDS = (
    "provision --check",
    "party add acme --kind lab",
    "party list",
    "party show acme",
    "party remove acme",
    "party rotate acme",
    "partner publish --party acme events.ndjson",
    "partner actions --party acme",
    "partner rejects --party acme",
    "partner receipt --party acme --action a1 --status done",
    "lag",
    "lag --watch --json",
    "audit",
    "benign list",
    "benign add --account lab-a/c-1 --reason known",
    "run ingest",
    "run correlate",
    "run campaigns",
)


@pytest.mark.usefixtures("log_of_a_service")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_a_broker_says_so_soon(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the address; the exit code is 1, and nothing is left on the standard output."""
    monkeypatch.chdir(tmp_path)
    event = {"event_type": "ApiUsage", "occurred_at": "2026-03-02T09:15:30Z", "account": "a", "model": "m"}
    (tmp_path / "events.ndjson").write_text(json.dumps(event))
    (port,) = free_ports(1)
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{port}")
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_TIMEOUT_MS", "300")
    monkeypatch.setattr("sys.argv", ["weaklink", *command.split()])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 1
    assert said.out == ""
    lines = said.err.splitlines()
    if command.startswith("run "):  # a service: all that it says are lines of its log
        line = json.loads(lines[-1])["error"]
    else:
        (line,) = [one for one in lines if one.startswith("weaklink: ")]
    assert f"127.0.0.1:{port}" in line
