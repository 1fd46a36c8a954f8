"""`weaklink partner export` on a real broker: a party's actions as other tools read them."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import stix2
from joserfc import jwt
from joserfc.jwk import KeySet
from kafka import KafkaProducer
from typer.testing import CliRunner, Result
from xarf import parse

from tests.formats.actions import values
from weaklink.cli.main import app
from weaklink.errors import ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import encode
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture
def party(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> str:
    """A party that was asked for three things, of one in two revisions, the first of which came again after the second."""
    settings = Settings(kafka=kafka)
    provision(settings)
    added = add_party(settings, Party(id=f"t-{uuid.uuid4().hex[:12]}", kind=PartyKind.LAB))
    producer = KafkaProducer(**kafka.client_options())
    asked: list[tuple[str, dict[str, Any]]] = [
        ("suspend", {}), ("throttle-a-slice", {"action_id": "1" * 32}), ("block-card-withdrawn", {"action_id": "2" * 32}),
        ("throttle-a-slice", {"action_id": "1" * 32, "revision": 2, "state": "EXPIRED"}),
        ("throttle-a-slice", {"action_id": "1" * 32}),
    ]  # fmt: skip
    for name, fields in asked:
        producer.send(
            added.actions_topic,
            encode("EnforcementAction", values("EnforcementAction", name) | fields | {"party": added.id}),
        )
    producer.close()
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    return added.id


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["partner", *words])


def test_actions_go_out_in_each_format_the_latest_revision_of_each(party: str, tmp_path: Path) -> None:
    """The highest, not the one that came last: an action that is over would go out as one in force."""
    bundle = json.loads(run("export", "--party", party, "--format", "stix").output)
    assert sum(one["type"] == "indicator" for one in stix2.parse(bundle, allow_custom=True).objects) == 3

    key = tmp_path / "key.json"
    keys = KeySet.import_key_set(json.loads(run("signing-key", str(key)).output))
    risc = run("export", "--party", party, "--format", "risc", "--signing-key", str(key))
    events = [jwt.decode(line, keys, ["ES256"]).claims for line in risc.stdout.splitlines()]
    assert sorted(one["jti"] for one in events) == ["0f6b1d0c9a8e7d6c5b4a392817061524.1", "1" * 32 + ".2"]
    assert "1 actions left out on identifiers" in risc.stderr

    (tmp_path / "sources.csv").write_text(
        "account,address,requests,first_seen\nu-1042,203.0.113.7,670,2026-03-01T00:00:00+00:00\n"
    )
    xarf = run(
        "export",
        "--party",
        party,
        "--format",
        "xarf",
        "--sources",
        str(tmp_path / "sources.csv"),
        "--reporter",
        "Lab,abuse@lab.example,lab.example",
    )
    assert parse(json.loads(xarf.stdout)).errors == []
    assert "2 actions left out" in xarf.stderr


def test_what_a_format_needs_is_asked_for(party: str, tmp_path: Path) -> None:
    for words in (
        ["--format", "risc"],
        ["--format", "xarf"],
        ["--format", "risc", "--signing-key", str(tmp_path / "missing")],
    ):
        result = run("export", "--party", party, *words)
        assert isinstance(result.exception, ConfigurationError)
        assert "signing-key" in str(result.exception) or "--sources" in str(result.exception)


def test_indicators_become_a_list_that_the_benign_list_takes(party: str, tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_text(
        "kind,value,source,expires_at,benign\nIP,192.0.2.1,campus gateway,2099-01-01,true\nIP,192.0.2.2,a feed,2099-01-01,\n"
    )
    assert run("key", "new", str(tmp_path / "keys.json")).exit_code == 0
    result = run("indicators", str(tmp_path / "feed.csv"), "--benign", "--key-file", str(tmp_path / "keys.json"))
    (tmp_path / "listed.ndjson").write_text(result.stdout)
    imported = CliRunner().invoke(app, ["benign", "import", str(tmp_path / "listed.ndjson"), "--by", "test"])
    assert "1 entries" in imported.output, imported.output
    token = json.loads(result.stdout)["token"]
    history = CliRunner().invoke(app, ["benign", "history", f"token:{token}", "--json"]).output
    assert json.loads(history)["reason"] == "campus gateway"
