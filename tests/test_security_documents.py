"""docs/security.md: its commands and settings are ones that exist, and its table of principals is the one that ACLs are made from."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app
from weaklink.evaluation.bars import BARS, SHORT_BARS
from weaklink.ops.access import SERVICE_PRINCIPALS
from weaklink.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "security.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = sorted(set(re.findall(r"^weaklink [a-z]+(?: [a-z]+)?(?= |$)", BLOCKS, re.MULTILINE)))


def test_every_setting_that_the_page_names_is_one() -> None:
    """WEAKLINK_<SECTION>__<NAME> is a field of that section."""
    names = set(re.findall(r"WEAKLINK_([A-Z]+)__([A-Z_]*[A-Z])", TEXT))
    assert len(names) > 10
    for section, name in names:
        annotation = Settings.model_fields[section.lower()].annotation
        assert annotation is not None
        assert name.lower() in annotation.model_fields, f"{section}__{name}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_one(command: str) -> None:
    """As far as its words are commands, it answers --help."""
    words = command.split()[1:3]
    results = [CliRunner().invoke(app, [*words[:depth], "--help"]).exit_code for depth in range(1, len(words) + 1)]
    assert set(results) == {0}, command


def test_the_table_of_principals_names_them_all() -> None:
    """One line each, and each stage under the name of its consumer group."""
    assert re.findall(r"^\| `(weaklink\.[a-z]+)` \|", TEXT, re.MULTILINE) == list(SERVICE_PRINCIPALS)
    assert {stage.group for stage in topology.STAGES} < set(SERVICE_PRINCIPALS)


THREATS = (DOCS / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_that_the_threat_model_leans_on_is_there() -> None:
    """A path in backticks is a file below tests/."""
    paths = set(re.findall(r"`([a-z_/]+\.py)`", THREATS))
    assert len(paths) > 12
    assert [path for path in sorted(paths) if not (DOCS.parent / "tests" / path).exists()] == []


def test_every_world_that_the_threat_model_leans_on_is_one_with_a_bar() -> None:
    """`weaklink sim world NAME` makes it, and `make evaluate` judges it."""
    worlds = {
        name
        for line in THREATS.splitlines()
        for name in re.findall(r"(?<=`)[a-z_]+(?=`)", line)
        if re.search(r"[wW]orlds? `", line)
    }
    assert worlds >= {"replay", "backdating", "framing_one", "framing_two", "card_flood", "member_flood", "omission"}
    assert worlds <= {bar.world for bar in BARS}
    held = {bar.world for bar in SHORT_BARS if bar.metric == "benign_suspended" and bar.value == 0}
    assert worlds <= held  # with every run of the tests


def test_every_line_of_the_tables_says_what_shows_it() -> None:
    """No defence is claimed without a test or a world."""
    rows = [
        line
        for line in THREATS.split("## What holds them")[1].split("## What does not hold")[0].splitlines()
        if line.startswith("| ")
    ]
    claims = [row for row in rows if not row.startswith("| attack")]
    assert len(claims) > 20
    assert [row for row in claims if "`" not in row.rstrip(" |").rpartition("|")[2]] == []
