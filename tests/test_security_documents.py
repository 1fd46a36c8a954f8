"""docs/security.md: its commands and settings are ones that exist, and its table of principals is the one that ACLs are made from."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app
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
