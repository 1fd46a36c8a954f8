"""Commands in the documentation: each exists with its options; those of the operators' guides are run on a real broker."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from weaklink.cli.main import app
from weaklink.enforce.database import migrate_ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.reference.commands import commands
from weaklink.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMANDS = dict(commands())


def shell_lines(path: Path) -> list[list[str]]:
    """The `weaklink` commands in a document's shell blocks, as words without the first; continued lines put together."""
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("weaklink ")]
    # What another program is handed is that one's affair, as is the ampersand.
    return [list(itertools.takewhile(lambda word: word not in ("|", "&", ">"), words)) for words in found]


def command_of(words: list[str]) -> tuple[tuple[str, ...], Any]:
    """The command that these words call."""
    for depth in range(min(3, len(words)), 0, -1):
        if (path := tuple(words[:depth])) in COMMANDS:
            return path, COMMANDS[path]
    raise AssertionError(f"no such command: weaklink {' '.join(words)}")


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_a_guide_names_only_commands_and_options_that_exist(path: Path) -> None:
    """A renamed option fails here, not under a reader's hands."""
    for words in shell_lines(path):
        if "--help" in words and not any(tuple(words[:depth]) in COMMANDS for depth in (1, 2, 3)):
            continue  # of a group
        name, command = command_of(words)
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
        used = {word.split("=")[0] for word in words[len(name) :] if word.startswith("--")}
        assert used <= known, (path.name, words)


def test_the_guides_of_this_site_have_commands_to_check() -> None:
    """Else the tests here would pass on nothing."""
    assert all(shell_lines(path) for path in (ROOT / "README.md", DOCS / "operators.md", DOCS / "operations.md"))


def test_a_command_that_is_misspelt_is_not_taken_for_its_group() -> None:
    """A reader would get the group's help and no work done."""
    assert command_of(["party", "rotate", "x"])[0] == ("party", "rotate")
    with pytest.raises(AssertionError, match="no such command: weaklink party rotat x"):
        command_of(["party", "rotat", "x"])


@pytest.mark.kafka
@pytest.mark.parametrize("guide", ["operators.md", "operations.md"])
def test_the_commands_of_the_operators_guides_run(
    guide: str, kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they are printed; those that stay in the foreground for ever are tested elsewhere."""
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("WEAKLINK_KAFKA__REPLICATION_FACTOR", "1")
    assert CliRunner().invoke(app, ["provision", "--yes"]).exit_code == 0
    migrate_ledger(Settings(kafka=kafka, data_folder=tmp_path))
    ran = 0
    for words in shell_lines(DOCS / guide):
        if words[0] == "run" or "--watch" in words:
            continue
        if words[:2] == ["party", "suspend"]:
            continue  # of Kubernetes: tests/ops/test_access_on_kafka.py, on a cluster that asks for a login
        result: Result = CliRunner().invoke(app, words, input="y\n")
        verdict = words[0] in (
            "audit",
            "doctor",
        )  # the cluster is shared by all tests: what they find there is not for here
        assert result.exit_code in ((0, 1) if verdict else (0,)), (words, result.output)
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        assert result.output
        ran += 1
    assert ran >= 4
