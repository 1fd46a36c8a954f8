"""The commands of the guide for investigators, run on a real case."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.console.conftest import PASSWORD, Case, make_case
from weaklink.cli.main import app
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind

pytestmark = pytest.mark.kafka
GUIDE = Path(__file__).parents[2] / "docs" / "investigator-guide.md"


def commands(case: Case) -> list[list[str]]:
    """Every command of the guide, with the names of this case in place of its examples'."""
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines()]
    names = {
        "c-2f01": case.campaign, "lab-a/acct-17": "/".join(case.accounts[0]), "acct-17": case.accounts[0][1],
        "5f99d3dc3ef8": case.actions[0][:12], "8ea1054b0723": case.actions[3][:12],
    }  # fmt: skip
    return [[names.get(word, word) for word in line] for line in lines]


def test_every_command_of_the_guide_does_what_it_says(
    kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends well; a second verdict on the same action is refused as too late, and serving is left to other tests."""
    case = make_case(kafka, tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(tmp_path))
    provision(case.settings)
    add_party(case.settings, Party(id="lab-a", kind=PartyKind.LAB))
    ran = commands(case)
    assert len(ran) >= 20
    for words in ran:
        if words == ["console"]:
            continue
        result = CliRunner().invoke(app, words, terminal_width=200)
        if words[:2] == ["actions", "decline"]:  # it was approved the line before
            assert result.exit_code == 1
            assert "only one that is WAITING can be declined" in result.output
            continue
        assert result.exit_code == 0, (words, result.output, result.exception)
        assert PASSWORD not in result.output
    assert (tmp_path / "graph.png").stat().st_size > 10_000
    assert (tmp_path / "case.json").stat().st_size > 1000
