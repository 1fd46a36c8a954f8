"""Every command that needs Kafka says soon, in one line, that no broker answers, and fails."""

import json
from pathlib import Path

import pytest

from tests.test_guides import command_of
from weaklink.cli.main import main
from weaklink.ops.ports import free_ports
from weaklink.reference.commands import commands

COMMANDS = (
    "provision --check",
    "party add acme --kind lab",
    "party list",
    "party show acme",
    "party remove acme",
    "party rotate acme",
    "partner publish --party acme events.ndjson",
    "partner import cloud events.ndjson --party acme",
    "partner actions --party acme",
    "partner rejects --party acme",
    "partner receipt --party acme --action 0f6b1d0c9a8e7d6c5b4a392817061524 --status done",
    "partner export --party acme --format stix",
    "lag",
    "lag --watch --json",
    "audit",
    "benign list",
    "benign history",
    "benign add --account lab-a/c-1 --reason known",
    "benign remove --account lab-a/c-1 --reason known",
    "benign import benign.csv",
    "epochs list",
    "epochs expire 1 --reason leak --yes",
    "campaigns list",
    "campaigns show c-1",
    "campaigns export c-1",
    "campaigns picture c-1 --png c-1.png",
    "explain acme:a",
    "weak-links",
    "scorecard acme",
    "run ingest",
    "run correlate",
    "run campaigns",
)
OTHERS = {
    "work on files and on the ledger alone": (
        "backtest", "evaluate", "sim world", "schema check", "schema show", "schema export", "partner key new", "partner key rotate",
        "partner signing-key", "partner indicators", "ledger migrate", "console user add", "console user list", "console user remove",
        "actions list", "actions show", "actions history", "actions approve", "actions decline", "actions withdraw", "actions dead-letters",
    ),
    "need no Kafka": ("tokeniser serve", "tokeniser grant", "tokeniser revoke", "principal list"),
    "refuse a cluster without logins or replicas first": ("party suspend", "party resume", "principal secret", "strimzi"),
    "want a key of the party's first": ("partner signals serve", "partner signals push"),
    "start a broker": ("broker", "demo", "replay"),
    "go on without, and say so": ("console", "doctor"),
}  # fmt: skip
"""The other commands, by the reason for which they are not tried here."""


def test_every_command_is_tried_without_a_broker_or_known_not_to_need_one() -> None:
    """Else a new one could wait for Kafka's own minutes, and then show a traceback."""
    tried = {command_of(command.split())[0] for command in COMMANDS}
    others = {tuple(name.split()) for names in OTHERS.values() for name in names}
    assert tried & others == set()
    assert tried | others == {path for path, _ in commands()}


@pytest.mark.usefixtures("log_of_a_service")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_a_broker_says_so_soon(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the address; the exit code is 1, and nothing is left on the standard output."""
    monkeypatch.chdir(tmp_path)
    event = {"event_type": "ApiUsage", "occurred_at": "2026-03-02T09:15:30Z", "account": "a", "model": "m"}
    (tmp_path / "events.ndjson").write_text(json.dumps(event))
    (tmp_path / "benign.csv").write_text("party,account,reason\nlab-a,c-1,known\n")
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
