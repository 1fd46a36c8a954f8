"""README, Makefile, compose file and topology say the same: documentation that would rot fails here."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaConsumer, KafkaProducer
from typer.testing import CliRunner

from tests.waiting import PATIENCE_SECONDS
from weaklink import topology
from weaklink.cli.main import app
from weaklink.errors import ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import decode, encode
from weaklink.settings import Settings, load_settings

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


def test_readme_has_the_services_beside_the_stages() -> None:
    """The sentence below that table names each with what it does."""
    told = "; ".join(f"`{service.name}`: {service.summary}" for service in topology.SERVICES)
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_stage_is_a_compose_service_that_runs_it() -> None:
    """docker-compose.yml has one service per stage, with the command that runs that stage; and those beside them."""
    services = compose_services()
    for one in (*topology.STAGES, *topology.SERVICES):
        assert services[one.name]["command"][:2] == ["run", one.name]


def test_the_settings_in_the_compose_file_are_ones_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service of ours starts with settings that load; a wrong name is told as the variable that it came from."""
    for service in compose_services().values():
        for name, value in service.get("environment", {}).items():
            if name.startswith("WEAKLINK_"):
                monkeypatch.setenv(name, str(value))
    assert load_settings().kafka.bootstrap_servers == "kafka:9092"
    for name, told in (
        ("WEAKLINK_STREAM__GIBBERISH", "no setting has the name WEAKLINK_STREAM__GIBBERISH: correct it or unset it"),
        (
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVER",
            "KAFKA__BOOTSTRAP_SERVER: did you mean WEAKLINK_KAFKA__BOOTSTRAP_SERVERS?",
        ),
        ("WEAKLINK_LOG_LEVLE", "no setting has the name WEAKLINK_LOG_LEVLE: did you mean WEAKLINK_LOG_LEVEL?"),
        ("WEAKLINK_KAFAK__USERNAME", "did you mean WEAKLINK_KAFKA__USERNAME?"),
    ):
        with monkeypatch.context() as mistyped:
            mistyped.setenv(name, "debug")
            with pytest.raises(ConfigurationError, match=re.escape(told)):
                load_settings()
    for name in ("WEAKLINK_PARTY", "WEAKLINK_SCHEMAS"):  # no settings, and none the less ours
        monkeypatch.setenv(name, "x")
    load_settings()


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


def test_settings_that_would_hide_a_gap_between_uses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """ingest may not fold together what correlate is to keep apart."""
    monkeypatch.setenv("WEAKLINK_INGEST__USE_GAP_HOURS", "25")
    with pytest.raises(ConfigurationError, match="use_gap_hours is 25, longer than the shortest lifetime"):
        load_settings()


def test_the_picture_of_the_layout_is_the_layout() -> None:
    """Every folder that the README's file map names is there, and every folder of the package is in it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^  ([a-z]+)/ ", text, re.MULTILINE))
    package = {path.name for path in (ROOT / "services/weaklink").iterdir() if (path / "__init__.py").exists()}
    assert named == package


@pytest.mark.kafka
def test_the_python_of_the_readme_runs(kafka: KafkaConfig, tmp_path: Path) -> None:
    """A partner's first five minutes, as printed: an event goes out, an action comes in and is answered."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    settings = Settings(kafka=kafka)
    provision(settings)
    add_party(settings, Party(id="my-lab", kind=PartyKind.LAB))
    result = CliRunner().invoke(app, ["partner", "key", "new", str(tmp_path / "keys.json")])
    assert result.exit_code == 0, result.output
    producer = KafkaProducer(**kafka.client_options())
    producer.send("party.my-lab.actions", action(party="my-lab")).get(timeout=PATIENCE_SECONDS)
    producer.close()
    code = block.replace("kafka-1:9092", kafka.bootstrap_servers).replace("keys.json", str(tmp_path / "keys.json"))
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, cwd=tmp_path,
        env={**os.environ, "WEAKLINK_PARTNER__STATE_FOLDER": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["SUSPEND", "cust-42"]
    consumer = KafkaConsumer(
        **kafka.client_options(), auto_offset_reset="earliest", consumer_timeout_ms=PATIENCE_SECONDS * 1000
    )
    consumer.subscribe(["party.my-lab.events"])
    records = [decode(record.value)[0] for record in itertools.islice(consumer, 3)]
    consumer.close()
    assert sorted(records) == ["ActionReceipt", "ActionReceipt", "ApiUsage"]


def action(**fields: Any) -> bytes:
    """An EnforcementAction message."""
    values = {
        "action_id": "0" * 32, "revision": 1, "state": "ACTIVE", "party": "my-lab", "campaign_id": "c-1", "measure": "SUSPEND",
        "target_account": "cust-42", "target_token": None, "slice_model": None, "slice_end_user": None, "issued_at": 1, "expires_at": 86_400_000_000,
        "respond_by": 2, "evidence_at": 1, "confidence": 0.95, "reasons": [], "expected_cut": 10.0, "benign_accounts_touched": 0,
        "tlp": "AMBER",
    }  # fmt: skip
    return encode("EnforcementAction", values | fields)
