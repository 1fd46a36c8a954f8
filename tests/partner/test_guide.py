"""docs/partner-guide.md as a new partner follows it: each program of docs/snippets, as it stands, on a broker with SCRAM."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaProducer
from tests.ingest.batches import Record, batch_of
from tests.ingest.registry import schema_registry, text_of
from tests.partner.conftest import SUSPEND
from tests.prerequisites import require
from tests.waiting import PATIENCE_SECONDS
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.pipeline import Pipeline
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.provision import provision
from weaklink.parties import Party, PartyKind
from weaklink.partner import ActionReceipt, ApiUsage, Event, LocalTokeniser, PartnerConfig
from weaklink.partner.keys import load_keys
from weaklink.partner.reading import read_topic
from weaklink.partner.recorder import judge
from weaklink.partner.tokens import forms_of
from weaklink.records.codec import encode
from weaklink.records.identifiers import IdentifierKind
from weaklink.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
SNIPPETS = DOCS / "snippets"
VECTORS = SNIPPETS / "token-vectors.json"
RUN = CliRunner()
ACTION = SUSPEND | {"target_account": "cust-42"}


def test_the_guide_shows_every_program_and_nothing_that_is_not_there() -> None:
    shown = set(re.findall(r'^--8<-- "(.+)"$', (DOCS / "partner-guide.md").read_text(encoding="utf-8"), re.MULTILINE))
    programs = {
        path.relative_to(SNIPPETS).as_posix()
        for suffix in ("py", "java", "mjs", "go")
        for path in SNIPPETS.glob(f"*/*.{suffix}")
    }
    assert shown == programs


@pytest.mark.parametrize("page", ["partner-guide.md", "formats.md"])
def test_commands_of_the_page_exist_with_their_options(page: str) -> None:
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL))
    lines = [line.split("#")[0] for line in blocks.splitlines() if line.startswith("weaklink ")]
    assert len(lines) >= 6
    for line in lines:
        words = line.split()[1:]
        depth = next(
            number
            for number, word in enumerate([*words, "-"])
            if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-")
        )
        helps = (
            RUN.invoke(app, [*words[:take], "--help"], terminal_width=200, env={"COLUMNS": "200"})
            for take in range(depth, 0, -1)
        )
        told = next(one for one in helps if one.exit_code == 0 and "Usage" in one.output)
        assert told.exit_code == 0, line
        assert all(word in told.output for word in words if word.startswith("--")), line


def test_the_vectors_are_what_the_sdk_makes(tmp_path: Path) -> None:
    """The normal form, too: another language that hashes `form` under `keys` meets a Python partner."""
    file = json.loads(VECTORS.read_text(encoding="utf-8"))
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"version": 1, "keys": file["keys"]}))
    path.chmod(0o600)
    tokeniser = LocalTokeniser(load_keys(path))
    for one in file["vectors"]:
        assert tokeniser.newest(IdentifierKind[one["kind"]], one["raw"]).hex() == one["token"], one
        assert forms_of(IdentifierKind[one["kind"]], one["raw"], PartnerConfig()) == (one["form"],), one
    assert {one["kind"] for one in file["vectors"]} == {kind.name for kind in IdentifierKind} - {
        "PROMPT",
        "ORGANISATION",
    }


def test_the_recorder_test_of_the_guide_passes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(SNIPPETS / "python"), "-p", "no:cacheprovider", str(SNIPPETS / "python/test_my_code.py")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@dataclass
class Partner:
    """A party on its first day: its login file, its keys, the exported schemas, as environment variables."""

    party: Party
    admin: Settings
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, cwd: Path | None = None, **more: str) -> str:
        """Output of a program with the party's environment and nothing of the administrator's."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("WEAKLINK_")}
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=plain | self.environment | more, capture_output=True, text=True, timeout=3 * PATIENCE_SECONDS, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def events(self) -> list[Event]:
        """What it published, each as ingest would accept it."""
        records = read_topic(self.admin.kafka, self.party.events_topic, follow=False)
        return [judge(record.value, self.party.kind, datetime.now(UTC)) for record in records]

    def first_day(self, output: str) -> None:
        """An event with the SDK's own tokens, the action seen, and the receipt."""
        assert re.search(r"published at offset \d+", output)
        assert "SUSPEND cust-42" in output
        events = self.events()
        (usage,) = [one for one in events if isinstance(one, ApiUsage)]
        tokeniser = LocalTokeniser(load_keys(self.folder / "keys.json"))
        raw = [(IdentifierKind.IP, "203.0.113.7"), (IdentifierKind.CARD, "4111 1111 1111 1111")]
        assert usage.identifiers == tuple(tokeniser.newest(*one) for one in raw)
        assert (usage.account, usage.requests, usage.output_tokens, usage.task) == (
            "cust-42",
            31,
            52_000,
            "REASONING_ELICITATION",
        )
        receipts = [one for one in events if isinstance(one, ActionReceipt)]
        assert (receipts[-1].action_id, receipts[-1].revision, receipts[-1].status) == (ACTION["action_id"], 1, "DONE")


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker with SCRAM and an authorizer, provisioned."""
    require(missing_tools())
    with LocalCluster(tmp_path_factory.mktemp("scram"), scram=True) as cluster:
        settings = Settings(kafka=cluster.kafka)
        provision(settings)
        yield settings


@pytest.fixture
def partner(
    admin: Settings, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Partner:
    """Added by the operators' own command, which writes login.env; keys and schemas by the guide's."""
    party = Party(id=re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-"), kind=PartyKind.LAB)
    kafka = admin.kafka
    assert kafka.password
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_KAFKA__SECURITY_PROTOCOL", kafka.security_protocol)
    monkeypatch.setenv("WEAKLINK_KAFKA__USERNAME", str(kafka.username))
    monkeypatch.setenv("WEAKLINK_KAFKA__PASSWORD", kafka.password.get_secret_value())
    for command in (
        ["party", "add", party.id, "--kind", "lab", "--secret-file", str(tmp_path / "login.env")],
        ["partner", "key", "new", str(tmp_path / "keys.json")],
        ["schema", "export", str(tmp_path / "schemas")],
    ):
        done = RUN.invoke(app, command)
        assert done.exit_code == 0, done.output
    producer = KafkaProducer(**kafka.client_options())
    producer.send(party.actions_topic, encode("EnforcementAction", ACTION | {"party": party.id}), key=b"k")
    producer.close()
    login = dict(line.split("=", 1) for line in (tmp_path / "login.env").read_text().splitlines())
    return Partner(
        party, admin, tmp_path,
        login | {
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "WEAKLINK_KAFKA__SECURITY_PROTOCOL": kafka.security_protocol,
            "WEAKLINK_KAFKA__BOOTSTRAP_TIMEOUT_MS": "60000", "WEAKLINK_PARTNER__KEY_FILE": str(tmp_path / "keys.json"),
            "WEAKLINK_PARTNER__STATE_FOLDER": str(tmp_path / "state"), "WEAKLINK_PARTY": party.id, "WEAKLINK_SCHEMAS": str(tmp_path / "schemas"),
        },
    )  # fmt: skip


def copied(partner: Partner, language: str, *tools: str) -> Path:
    """A language's files in a folder of the test's own; skips by name where the language is not installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: the guide's {language} program is not run")
    return Path(shutil.copytree(SNIPPETS / language, partner.folder / language))


@pytest.mark.kafka
def test_python(partner: Partner) -> None:
    first = str(SNIPPETS / "python/first.py")
    partner.first_day(partner.run(sys.executable, first))
    # Nothing is left to do: it waits until Ctrl-C, and leaves without a word.
    with subprocess.Popen(
        [sys.executable, "-u", first], env=os.environ | partner.environment, cwd=partner.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as waits:  # fmt: skip
        assert waits.stdout is not None
        assert b"published" in waits.stdout.readline()
        waits.send_signal(signal.SIGINT)
        _, said = waits.communicate(timeout=PATIENCE_SECONDS)
    assert (waits.returncode, b"Traceback" in said) == (0, False)


def test_without_a_party_the_python_of_the_guide_says_what_to_set() -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WEAKLINK_")}
    first = str(SNIPPETS / "python/first.py")
    done = subprocess.run([sys.executable, first], env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "set WEAKLINK_PARTY to your party's id\n")


@pytest.mark.kafka
def test_python_with_asyncio(partner: Partner) -> None:
    output = partner.run(sys.executable, str(SNIPPETS / "python/asynchronous.py"))
    assert output.splitlines() == ["published 100 events", "SUSPEND cust-42"]
    kinds = [type(one) for one in partner.events()]
    assert (kinds.count(ApiUsage), kinds.count(ActionReceipt)) == (100, 2)


@pytest.mark.kafka
def test_java(partner: Partner) -> None:
    folder = copied(partner, "java", "java", "mvn")
    partner.run("mvn", "-q", "-B", "dependency:copy-dependencies", cwd=folder)
    java = ("java", "-cp", "target/dependency/*", "First.java")
    assert partner.run(*java, str(VECTORS), cwd=folder) == "14 vectors agree\n"
    partner.first_day(partner.run(*java, cwd=folder))


@pytest.fixture
def node(partner: Partner) -> Callable[..., str]:
    """Runs a program in a folder with its packages."""
    folder = copied(partner, "node", "node", "npm")
    partner.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    return lambda *words, **more: partner.run("node", *words, cwd=folder, **more)


@pytest.mark.kafka
def test_node(partner: Partner, node: Callable[..., str]) -> None:
    assert node("first.mjs", str(VECTORS)) == "14 vectors agree\n"
    partner.first_day(node("first.mjs"))


@pytest.mark.kafka
def test_node_with_a_registry(partner: Partner, node: Callable[..., str]) -> None:
    """The Confluent wire format by a registry's own client; ingest resolves the id at the same registry."""
    with schema_registry(["weaklink-ApiUsage"]) as registry:
        registry.subjects["weaklink-ApiUsage"] = [(41, text_of("ApiUsage"))]
        output = node("registry.mjs", SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{registry.port}")
        assert output == "published at offset 0 with schema 41\n"
        (record,) = read_topic(partner.admin.kafka, partner.party.events_topic, follow=False)
        assert record.value[:5] == b"\x00\x00\x00\x00\x29"
        pipeline = Pipeline(IngestConfig(), Frames(registry.config), age_limits=True)
        batch = batch_of([Record(record.value)], party=partner.party.id, now_us=record.timestamp * 1_000)
        outcome = pipeline.run([batch], partner.party, lambda *_: np.zeros(1, dtype=np.bool_))
    assert outcome.rejects == []
    assert outcome.accepted["ApiUsage"].to_frame()["account"].to_list() == ["cust-42"]


@pytest.mark.kafka
def test_go(partner: Partner) -> None:
    folder = copied(partner, "go", "go")
    partner.run("go", "build", "-o", "first", ".", cwd=folder)
    assert partner.run(str(folder / "first"), str(VECTORS)) == "14 vectors agree\n"
    partner.first_day(partner.run(str(folder / "first")))
