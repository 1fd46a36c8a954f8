"""The commands of case work on a real topic and a real ledger, as an investigator types them."""

import csv
import io
import json
import uuid
from pathlib import Path

import pytest
import stix2
from kafka.admin import KafkaAdminClient
from typer.testing import CliRunner, Result

from tests.cases.world import filled, publish
from tests.topics import create_topics
from weaklink.cases.reader import read_cases
from weaklink.cli.main import app
from weaklink.enforce.database import ledger_url
from weaklink.errors import ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings, load_settings

pytestmark = pytest.mark.kafka


@pytest.fixture
def case(kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A topic with two campaigns and a ledger with three actions; (id of the larger one, ids of the actions)."""
    topic = f"campaigns-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [topic], partitions=1, configs={"cleanup.policy": "compact"})
    publish(kafka, topic)
    monkeypatch.setattr("weaklink.topology.CAMPAIGNS", topic)
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_DATA_FOLDER", str(tmp_path))
    known = read_cases(kafka)
    name = known.running()[0]["campaign_id"]
    accounts = [(one.party, one.account) for one in known.members(name)[:3]]
    return name, filled(ledger_url(load_settings()), name, accounts)


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words), terminal_width=200)
    assert result.exit_code == 0, result.output
    return result


def test_campaigns_are_listed_shown_and_exported(case: tuple[str, list[str]], tmp_path: Path) -> None:
    """For people, and as JSON, CSV and STIX that other tools read."""
    name, _ = case
    rows = [json.loads(line) for line in run("campaigns", "list", "--json").stdout.splitlines()]
    assert rows[0]["campaign_id"] == name
    assert len(rows) == 2
    assert "evidence" in run("campaigns", "show", name[:8]).stdout
    table = list(csv.DictReader(io.StringIO(run("campaigns", "export", name, "--format", "csv").stdout)))
    assert len(table) >= 40
    assert {row["campaign_id"] for row in table} == {name}
    bundle = stix2.parse(run("campaigns", "export", name, "--format", "stix").stdout, allow_custom=True)
    assert bundle["type"] == "bundle"
    run("campaigns", "picture", name, "--png", str(tmp_path / "graph.png"))
    run("campaigns", "picture", name, "--png", str(tmp_path / "days.png"), "--of", "exchanges")
    assert all((tmp_path / f"{one}.png").read_bytes().startswith(b"\x89PNG") for one in ("graph", "days"))


def test_what_is_exported_for_a_party_names_no_other(case: tuple[str, list[str]]) -> None:
    """Neither another party nor one of its accounts."""
    for form in ("json", "csv", "stix"):
        text = run("campaigns", "export", case[0], "--format", form, "--party", "lab-a").stdout
        assert "lab-a" in text
        assert "lab-b" not in text
        assert "pay-a" not in text


def test_an_account_and_an_action_are_explained(case: tuple[str, list[str]], kafka: KafkaConfig) -> None:
    """Pieces with weight, parties and time; what would change it; and for an action what ends it."""
    name, actions = case
    member = read_cases(kafka).members(name)[0]
    told = run("explain", f"{member.party}/{member.account}").stdout
    assert all(word in told for word in ("COMPANY", "nats", "what would change it", "disputes it"))
    as_json = json.loads(run("explain", member.account, "--party", member.party, "--json").stdout)
    assert as_json["pieces"][0]["weight"] >= as_json["pieces"][-1]["weight"]
    said = run("explain", actions[0][:12]).stdout
    assert "SHARED_CARD: shares cards with other members" in said
    assert "DISPUTED or NOT_OURS" in said
    assert "It waits for a person" in run("explain", actions[2]).stdout
    missing = CliRunner().invoke(app, ["explain", "lab-a/nobody"])
    assert "is in no campaign" in str(missing.exception)


def test_weak_links_and_scorecards_are_told(case: tuple[str, list[str]], kafka: KafkaConfig) -> None:
    """Classes by lift, doors by volume, and a party beside others that are not named."""
    settings = Settings(kafka=kafka)
    provision(settings)
    add_party(settings, Party(id="lab-a", kind=PartyKind.LAB))
    classes = [json.loads(line) for line in run("weak-links", "--class", "plan", "--json").stdout.splitlines()]
    assert {row["dimension"] for row in classes} == {"plan"}
    doors = [json.loads(line) for line in run("weak-links", "--party", "--json").stdout.splitlines()]
    assert {row["party"] for row in doors} >= {"lab-a", "lab-b", "pay-a"}
    card = json.loads(run("scorecard", "lab-a", "--json").stdout)
    assert card["party"] == "lab-a"
    assert card["volume_entered_share"] > 0
    assert "lab-b" not in run("scorecard", "lab-a").stdout


def test_a_missing_topic_is_told_with_what_to_do(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not waited for."""
    monkeypatch.setattr("weaklink.topology.CAMPAIGNS", "campaigns-that-nobody-made")
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    result = CliRunner().invoke(app, ["campaigns", "list"])
    assert "run `weaklink provision`" in str(result.exception)
    admin = KafkaAdminClient(**kafka.client_options())
    assert "campaigns-that-nobody-made" not in admin.list_topics()
    admin.close()


@pytest.mark.usefixtures("case")
@pytest.mark.parametrize("subject", ["cust-42", "c9e3779b"])
def test_what_is_neither_an_account_nor_an_action_is_told_how_to_name_one(subject: str) -> None:
    """Also where it could be an action's id by its letters."""
    with pytest.raises(ConfigurationError, match="PARTY/ACCOUNT"):
        CliRunner().invoke(app, ["explain", subject], catch_exceptions=False)
