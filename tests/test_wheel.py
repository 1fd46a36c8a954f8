"""The wheel as a partner gets it: installed alone into a fresh environment, it publishes, and brings nothing of the services."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.partner.reading import read_topic
from weaklink.records.codec import decode
from weaklink.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")

CHECK = """
import importlib.util, json, pathlib, sys
import weaklink, weaklink.cli.main
from weaklink.records.schemas import all_schemas
from weaklink.records.examples import examples
print(json.dumps({
    "home": weaklink.__file__,
    "schemas": len(all_schemas()),
    "examples": len(list(examples())),
    "absent": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
}))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The command's output; its errors are in the failure."""
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a fresh environment with the wheel and the base dependencies, in the pinned versions."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("weaklink-*.whl")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    constraints = folder / "constraints.txt"
    pins = re.findall(r"^[\w.-]+(?:\[[^]]*\])?==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    constraints.write_text("\n".join(re.sub(r"\[.*?\]", "", pin) for pin in pins))
    run(UV, "pip", "install", "--quiet", "--python", python, "-c", constraints, wheel, cwd=folder)
    return python.parent


def test_the_base_install_carries_schemas_and_no_package_of_the_services(installed: Path) -> None:
    heavy = ["polars", "pyarrow", "numpy", "scipy", "faust", "sqlalchemy", "pytest"]
    found = json.loads(run(installed / "python", "-c", CHECK, *heavy, cwd=installed.parent))
    assert Path(found["home"]).is_relative_to(installed.parent)
    assert found["absent"] == heavy
    schemas = len(list((ROOT / "schemas" / "avro").glob("*/v*.avsc")))
    assert (found["schemas"], found["examples"] >= found["schemas"]) == (schemas, True)


@pytest.mark.kafka
def test_a_partner_publishes_with_nothing_but_the_wheel(installed: Path, kafka: KafkaConfig, tmp_path: Path) -> None:
    settings = Settings(kafka=kafka)
    provision(settings)
    party = add_party(settings, Party(id=f"t-{uuid.uuid4().hex[:12]}", kind=PartyKind.ROUTER))
    weaklink = installed / "weaklink"
    event = {
        "event_type": "ApiUsage",
        "occurred_at": "2026-03-02T09:15:30Z",
        "account": "a",
        "model": "m",
        "identifiers": [{"kind": "IP", "value": "192.0.2.7"}],
    }
    (tmp_path / "events.ndjson").write_text(json.dumps(event) + "\n")
    run(weaklink, "partner", "key", "new", "keys.json", cwd=tmp_path)
    run(
        weaklink, "partner", "publish", "--party", party.id, "--key-file", "keys.json", "events.ndjson",
        cwd=tmp_path, WEAKLINK_KAFKA__BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
    )  # fmt: skip
    (record,) = read_topic(kafka, party.events_topic, follow=False)
    name, values = decode(record.value)
    assert (name, values["account"], values["identifiers"][0][:2]) == ("ApiUsage", "a", b"\x01\x01")


def test_a_command_of_the_services_says_which_package_it_misses(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "weaklink", "run", "ingest"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "weaklink[services]" in done.stderr
