"""README, Makefile, compose file and topology say the same: documentation that would rot fails here."""

import re
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app

ROOT = Path(__file__).parents[1]


def stages_table() -> str:
    """The README's table of stages, as topology has it."""
    lines = ["| stage | runs on | reads | writes | what it does |", "|---|---|---|---|---|"]
    for stage in topology.STAGES:
        runtime = "columnar runner" if stage.runtime == "columnar" else "Faust agents"
        reads, writes = (", ".join(f"`{topic}`" for topic in topics) for topics in (stage.reads, stage.writes))
        lines.append(f"| {stage.name} | {runtime} | {reads} | {writes} | {stage.summary} |")
    return "\n".join(lines)


def compose_services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return services


def test_readme_has_the_stages_of_the_topology() -> None:
    """The README's table is the one that topology.py makes (paste `stages_table()` after a change)."""
    assert stages_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_stage_is_a_compose_service_that_runs_it() -> None:
    """docker-compose.yml has one service per stage, with the command that runs that stage."""
    services = compose_services()
    for stage in topology.STAGES:
        assert services[stage.name]["command"][:2] == ["run", stage.name]


def test_compose_services_depend_on_services_that_exist() -> None:
    """Every depends_on names a service; every named volume is declared."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for service in document["services"].values():
        assert set(service.get("depends_on", ())) <= set(document["services"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in document["volumes"]
            if source.startswith("./"):
                assert (ROOT / source).exists()


def test_readme_names_only_make_targets_that_exist() -> None:
    """`make X` in the README is a target of the Makefile, and every target has its line of help."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"))) <= targets
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets


def test_readme_names_only_commands_that_exist() -> None:
    """Every `weaklink ...` line in the README's shell blocks answers `--help`, with the options that it uses."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("weaklink ")]
    assert lines
    for line in lines:
        words = line.split("#")[0].replace("&", "").split()[1:]
        path = [word for word in words if re.fullmatch(r"[a-z]+", word)]
        options = {word for word in words if word.startswith("--")}
        for depth in range(min(2, len(path)), 0, -1):
            result = CliRunner().invoke(app, [*path[:depth], "--help"], terminal_width=200)
            if result.exit_code == 0:
                break
        assert result.exit_code == 0, line
        assert all(option in result.output for option in options), line


def test_the_picture_of_the_layout_is_the_layout() -> None:
    """Every folder that the README's file map names is there, and every folder of the package is in it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^  ([a-z]+)/ ", text, re.MULTILINE))
    package = {path.name for path in (ROOT / "services/weaklink").iterdir() if (path / "__init__.py").exists()}
    assert named == package
