"""The doctor on real brokers, with faults planted one at a time. Each cluster is its own: what is looked at is all of it."""

import json
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from pydantic import SecretStr
from tests.prerequisites import require
from tests.topics import create_topics
from typer.testing import CliRunner

from weaklink.cli.main import app
from weaklink.enforce.database import migrate_ledger
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access import Grant
from weaklink.ops.access_admin import remove_grants
from weaklink.ops.broker import LocalCluster
from weaklink.ops.doctor import Finding, Level
from weaklink.ops.doctor_probe import examine, look_at_machine
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.membership import issue_service_secret
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.partner.keys import new_keys, rotated, save_keys
from weaklink.party_registry import write_party
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """With SCRAM and an authorizer."""
    require(missing_tools())
    with LocalCluster(tmp_path_factory.mktemp("doctor"), scram=True) as running:
        yield running


@pytest.fixture
def settings(cluster: LocalCluster, tmp_path: Path) -> Settings:
    return Settings(kafka=cluster.kafka, data_folder=tmp_path)


def found(settings: Settings, check: str, **options: Any) -> list[Finding]:
    """Findings of one check that are not ok."""
    return [one for one in examine(settings, **options) if one.check == check and one.level is not Level.OK]


def found_here(settings: Settings, check: str) -> list[Finding]:
    """The same, of what needs no broker."""
    return [one for one in look_at_machine(settings) if one.check == check and one.level is not Level.OK]


def test_a_cluster_that_was_never_provisioned_and_then_is(settings: Settings) -> None:
    """Topics and rights are missing, and one command mends them; then only the stages are missing."""
    (topics,) = found(settings, "topics")
    assert (topics.level, topics.fix) == (Level.ERROR, "weaklink provision")
    assert any(one.level is Level.ERROR and one.fix == "weaklink provision" for one in found(settings, "access"))
    provision(settings)
    add_party(settings, Party(id="my-lab", kind=PartyKind.LAB))
    after = examine(settings)
    assert {one.check for one in after} == {
        "versions", "schemas", "disk", "snapshots", "ledger", "broker", "clock", "topics", "replication", "access", "epochs",
        "connections", "sessions", "stages",
    }  # fmt: skip
    assert [one for one in after if one.level is Level.ERROR] == []
    (connections,) = [one for one in after if one.check == "connections"]
    assert "broker 1 takes any number of connections" in connections.what
    (sessions,) = [one for one in after if one.check == "sessions"]
    assert (sessions.level, "broker 1, CLIENT SCRAM-SHA-512" in sessions.what) == (Level.WARNING, True)
    assert "connections.max.reauth.ms=900000" in sessions.fix
    (stages,) = [one for one in after if one.check == "stages"]
    assert stages.fix == "weaklink run ingest; weaklink run correlate; weaklink run campaigns; weaklink run enforce"


def test_an_epoch_that_outlives_its_overlap_is_told_until_somebody_ends_it(settings: Settings, tmp_path: Path) -> None:
    """By the key file of the tokeniser; the command that the finding names is one, and is enough."""
    provision(settings)
    file, began = tmp_path / "keys.json", datetime.now(UTC) - timedelta(days=100)
    save_keys(file, rotated(new_keys(began), began, timedelta(days=90)))
    settings = settings.model_copy(update={"tokeniser": settings.tokeniser.model_copy(update={"key_file": file})})
    (epochs,) = found(settings, "epochs")
    assert (epochs.level, "epoch 1 is over since" in epochs.what) == (Level.WARNING, True)
    run = CliRunner().invoke(app, [*shlex.split(epochs.fix)[1:], "--yes"], env=settings.kafka.environment())
    assert run.exit_code == 0, run.output
    assert found(settings, "epochs") == []


def test_brokers_that_ask_for_the_secret_again_are_as_they_should_be(tmp_path: Path) -> None:
    """Set for one mechanism of one listener, which is how docs/security.md has it."""
    require(missing_tools())
    with LocalCluster(tmp_path / "kafka", scram=True, reauth_ms=900_000) as cluster:
        findings = examine(Settings(kafka=cluster.kafka, data_folder=tmp_path))
    (sessions,) = [one for one in findings if one.check == "sessions"]
    assert (sessions.level, sessions.what) == (Level.OK, "must log in again after 15.0 min at the latest")


def test_a_right_that_is_gone_is_missed(settings: Settings, cluster: LocalCluster) -> None:
    """As after a slip with kafka-acls."""
    provision(settings)
    admin = KafkaAdminClient(**cluster.kafka.client_options())
    remove_grants(admin, [Grant("weaklink.correlate", "TOPIC", "weaklink.shared", "WRITE")])
    admin.close()
    errors = [one for one in found(settings, "access") if one.level is Level.ERROR]
    assert ["weaklink.correlate may WRITE topic weaklink.shared" in one.what for one in errors] == [True]
    provision(settings)
    assert [one for one in found(settings, "access") if one.level is Level.ERROR] == []


def test_a_user_who_may_not_look_is_told_so(settings: Settings, cluster: LocalCluster) -> None:
    """That is no fault of the cluster; one who may not even log in is."""
    provision(settings)
    secret = issue_service_secret(settings, "weaklink.correlate")
    assert secret
    login = cluster.kafka.model_copy(update={"username": "weaklink.correlate", "password": SecretStr(secret)})
    (access,) = found(settings.model_copy(update={"kafka": login}), "access")
    assert (access.level, "administrator" in access.fix) == (Level.WARNING, True)
    wrong = login.model_copy(update={"password": SecretStr("wrong"), "bootstrap_timeout_ms": 3_000})
    (broker,) = found(settings.model_copy(update={"kafka": wrong}), "broker")
    assert (broker.level, "login" in broker.fix) == (Level.ERROR, True)


def test_a_clock_that_is_off_is_found(settings: Settings) -> None:
    """Ours is five minutes slow, then fast."""
    assert found(settings, "clock") == []
    (slow,) = found(settings, "clock", clock=lambda: time.time() - 300)
    (fast,) = found(settings, "clock", clock=lambda: time.time() + 300)
    assert "ahead of" in slow.what
    assert "behind" in fast.what


def test_a_ledger_of_another_version_is_found(tmp_path: Path) -> None:
    """An older one will be migrated; a newer one must not be touched; what is no database at all is told."""
    settings = Settings(data_folder=tmp_path)
    migrate_ledger(settings)
    assert found_here(settings, "ledger") == []
    path = settings.data_folder / "enforce/ledger.sqlite3"
    for revision, level in (("0001", Level.WARNING), ("ledger_9999", Level.ERROR)):
        with sqlite3.connect(path) as ledger:
            ledger.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        (finding,) = found_here(settings, "ledger")
        assert (finding.level, revision in finding.what) == (level, True)
    for file in path.parent.glob("ledger.sqlite3*"):
        file.write_bytes(b"no database, whatever its name says" * 100)
    (finding,) = found_here(settings, "ledger")
    assert (finding.level, "cannot be opened" in finding.what) == (Level.ERROR, True)


def test_snapshots_that_cannot_be_written_are_found(tmp_path: Path) -> None:
    """A file lies where the folder should be. Nothing is left behind where it works."""
    settings = Settings(data_folder=tmp_path)
    assert found_here(settings, "snapshots") == []
    folder = settings.data_folder / "snapshots"
    assert not folder.exists()
    folder.write_text("in the way")
    (finding,) = found_here(settings, "snapshots")
    assert finding.level is Level.ERROR


def test_a_topic_with_other_partitions_is_a_conflict(tmp_path: Path, kafka: KafkaConfig) -> None:
    """On a cluster without an authorizer, which is told, too."""
    (port,) = free_ports(1)
    settings = Settings(kafka=kafka, data_folder=tmp_path)
    name = f"doctor-{port}"
    provision(settings)
    create_topics(kafka, [f"party.{name}.rejects"], partitions=3)
    write_party(kafka, name, Party(id=name, kind=PartyKind.LAB))
    try:
        findings = found(settings, "topics")
        (conflict,) = [one for one in findings if f"party.{name}.rejects" in one.what and "partitions" in one.what]
        assert conflict.level is Level.ERROR
        (access,) = found(settings, "access")
        assert access.level is Level.WARNING
    finally:
        write_party(kafka, name, None)


def test_no_broker_is_said_and_the_rest_is_looked_at_all_the_same(tmp_path: Path) -> None:
    """As a command: exit code 1, one line with what to do."""
    (port,) = free_ports(1)
    environment = {
        "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "WEAKLINK_KAFKA__BOOTSTRAP_TIMEOUT_MS": "500",
        "WEAKLINK_DATA_FOLDER": str(tmp_path),
    }
    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    assert result.exit_code == 1, result.output
    findings = [json.loads(line) for line in result.output.splitlines()]
    assert [one["fix"] for one in findings if one["check"] == "broker"] == [
        "start it; check WEAKLINK_KAFKA__BOOTSTRAP_SERVERS, and the login"
    ]
    assert {"versions", "schemas", "disk", "snapshots", "ledger"} <= {one["check"] for one in findings}


def test_the_command_is_content_with_a_sound_installation(settings: Settings, cluster: LocalCluster) -> None:
    """Exit code 0, though nobody runs the stages yet."""
    provision(settings)
    code = "from weaklink.cli.main import main; main()"
    kafka = cluster.kafka
    assert kafka.password
    environment = {
        "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "WEAKLINK_KAFKA__SECURITY_PROTOCOL": kafka.security_protocol,
        "WEAKLINK_KAFKA__USERNAME": str(kafka.username), "WEAKLINK_KAFKA__PASSWORD": kafka.password.get_secret_value(),
        "WEAKLINK_KAFKA__BOOTSTRAP_TIMEOUT_MS": "60000", "WEAKLINK_DATA_FOLDER": str(settings.data_folder), "COLUMNS": "200",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code, "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "nobody runs ingest" in run.stdout
