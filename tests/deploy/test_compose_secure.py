"""docker-compose.secure.yml over docker-compose.yml: nobody without a login, everybody with rights of its own; its broker is run, without Docker."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from tests.certificates import missing_openssl
from tests.deploy.secured import GIVEN, ROOT, make_secrets, merged, server_properties
from tests.deploy.test_compose import SERVICES
from tests.ops.scram import login
from tests.prerequisites import require
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.doctor import Level
from weaklink.ops.doctor_probe import examine
from weaklink.ops.kafka_jars import ensure_jars, missing_tools
from weaklink.ops.membership import issue_service_secret
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import provision
from weaklink.party_registry import read_parties
from weaklink.settings import Settings, load_settings


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = merged()["services"]
    return found


def test_both_together_are_a_compose_file() -> None:
    """By the specification's own schema."""
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft201909Validator(schema).validate({key: one for key, one in merged().items() if key != "name"})


def test_only_the_partys_door_is_open_to_others(services: dict[str, dict[str, Any]]) -> None:
    """And whoever comes in there logs in, over TLS. All other ports are the host's own."""
    ports = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert ports.pop("kafka") == ["29092:29092"]
    assert all(port.startswith("127.0.0.1:") for some in ports.values() for port in some)
    kafka = services["kafka"]["environment"]
    protocols = dict(pair.split(":") for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert protocols == {"CLIENT": "SASL_SSL", "HOST": "SASL_SSL", "CONTROLLER": "SSL", "NODE": "SSL"}
    assert kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")[1] == f"HOST://{GIVEN['WEAKLINK_HOST']}:29092"


@pytest.mark.parametrize("name", [*SERVICES, "provision"])
def test_everybody_is_somebody(services: dict[str, dict[str, Any]], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service by the secret of its own file; only the administrator has a certificate. Nothing is left of the ledger's password that was in the file."""
    service = services[name]
    administrator = name == "provision"
    own = {} if administrator else {"WEAKLINK_KAFKA__USERNAME": f"weaklink.{name}", "WEAKLINK_KAFKA__PASSWORD": "x"}
    for variable, value in (service["environment"] | own).items():
        monkeypatch.setenv(variable, value)
    kafka = load_settings().kafka
    assert kafka.security_protocol == ("SSL" if administrator else "SASL_SSL")
    assert service.get("env_file") == (None if administrator else f"secrets/{name}.env")
    mounted = [volume for volume in service.get("volumes", ()) if volume.startswith("./certificates/")]
    seen = {volume.split(":")[1] for volume in mounted}
    assert {kafka.ssl_cafile} | ({kafka.ssl_certfile} if administrator else set()) == seen
    assert all(volume.endswith(":ro") for volume in mounted)
    assert ":given@" in service["environment"]["WEAKLINK_ENFORCE__LEDGER_URL"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "given"


def test_the_broker_is_set_as_the_page_on_security_says(services: dict[str, dict[str, Any]]) -> None:
    """Apart from who talks to whom, and where certificates lie."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8").split("```properties")[1].split("```")[0]
    told = dict(re.findall(r"^([a-z0-9.-]+)=(.*)$", page, re.MULTILINE))
    told = {name.removeprefix("listener.name.client.scram-sha-512."): value for name, value in told.items()}
    elsewhere = {"listener.security.protocol.map", "inter.broker.listener.name", "sasl.mechanism.inter.broker.protocol"}
    environment = services["kafka"]["environment"]
    for name, value in told.items():
        if name not in elsewhere and not name.endswith(".location"):
            assert environment["KAFKA_" + name.replace(".", "_").upper()] == value, name


def test_what_is_made_first_is_for_its_owners_eyes_and_is_made_once(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Every file that the compose file mounts or reads, and every variable that it wants; a second time nothing is overwritten."""
    require(missing_openssl())
    make_secrets(tmp_path)
    made = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {one["env_file"] for one in services.values() if "env_file" in one}
    for one in services.values():
        wanted |= {
            volume.split(":")[0].removeprefix("./") for volume in one.get("volumes", ()) if "./certificates/" in volume
        }
    assert wanted | {".env"} <= set(made)
    assert {name for name, path in made.items() if path.stat().st_mode & 0o077} == {"certificates/authority.pem"}
    variables = dict(line.split("=", 1) for line in made[".env"].read_text().splitlines())
    assert variables["COMPOSE_FILE"] == "docker-compose.yml:docker-compose.secure.yml"
    assert set(GIVEN) < set(variables)
    with pytest.raises(subprocess.CalledProcessError):
        make_secrets(tmp_path)
    for leaf in ("node", "admin"):
        verify = ["openssl", "verify", "-CAfile", "authority.pem", f"{leaf}.pem"]
        subprocess.run(verify, cwd=tmp_path / "certificates", check=True, capture_output=True)


@dataclass
class Broker:
    """The broker of the compose file on this machine: the folder with its certificates, and its ports by listener."""

    folder: Path
    ports: Mapping[str, int]

    def kafka(self, listener: str, **options: Any) -> KafkaConfig:
        return KafkaConfig(
            bootstrap_servers=f"127.0.0.1:{self.ports[listener]}", bootstrap_timeout_ms=10_000,
            ssl_cafile=str(self.folder / "certificates/authority.pem"), **options,
        )  # fmt: skip

    @property
    def administrator(self) -> Settings:
        certificate = self.folder / "certificates/admin.pem"
        return Settings(
            kafka=self.kafka("NODE", security_protocol="SSL", ssl_certfile=str(certificate)),
            data_folder=self.folder / "data",
        )


@pytest.fixture(scope="module")
def broker(services: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Started with the settings that the image makes of its environment; other ports, and this machine in place of the container's name."""
    require([*missing_tools(), *missing_openssl()])
    folder = tmp_path_factory.mktemp("secure")
    make_secrets(folder)
    ports = dict(zip(("CLIENT", "HOST", "CONTROLLER", "NODE"), free_ports(4), strict=True))
    numbers = {"9092": "CLIENT", "29092": "HOST", "9093": "CONTROLLER", "9094": "NODE"}
    replaced = {f":{number}": f":{ports[listener]}" for number, listener in numbers.items()}
    replaced |= {"kafka:": "127.0.0.1:", "://:": "://127.0.0.1:", "/certificates": str(folder / "certificates")}
    environment = services["kafka"]["environment"] | {"KAFKA_LOG_DIRS": str(folder / "kafka")}
    properties = server_properties(folder, environment, replaced)
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            ["java", "-Xmx512m", "-Dlog4j2.level=INFO", "-cp", f"{ensure_jars()}/*", "kafka.Kafka", str(properties)],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "Kafka Server started" not in (text := (folder / "broker.log").read_text(errors="replace")):
            assert process.poll() is None and time.monotonic() < deadline, text[-3000:]  # noqa: PT018  # both with the log
            time.sleep(0.2)
        yield Broker(folder, ports)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.kafka
def test_its_broker_lets_in_whoever_has_a_secret_and_the_administrator(broker: Broker) -> None:
    """The administrator provisions by certificate, a service then logs in at both doors; others do not."""
    settings = broker.administrator
    provision(settings)
    secret = issue_service_secret(settings, "weaklink.ingest")
    assert secret
    for listener in ("CLIENT", "HOST"):
        ingest = login(
            broker.kafka(listener, security_protocol="SASL_SSL", username="x", password="x"), "weaklink.ingest", secret
        )
        assert read_parties(ingest) == {}
        consumer = KafkaConsumer(**ingest.client_options())
        assert topology.DECISIONS not in consumer.topics()
        consumer.close()
        wrong = login(ingest, "weaklink.ingest", "wrong").model_copy(update={"bootstrap_timeout_ms": 2_000})
        with pytest.raises(KafkaError):
            KafkaConsumer(**wrong.client_options())
    for options in ({"security_protocol": "PLAINTEXT"}, {"security_protocol": "SSL"}):
        for listener in ("CLIENT", "HOST", "NODE"):
            stranger = broker.kafka(listener, **options).model_copy(update={"bootstrap_timeout_ms": 2_000})
            with pytest.raises(KafkaError):
                KafkaConsumer(**stranger.client_options())


@pytest.mark.kafka
def test_the_doctor_and_the_health_check_have_nothing_to_say_of_its_broker(
    broker: Broker, services: dict[str, dict[str, Any]]
) -> None:
    """Sessions end, connections are bounded; the check's words are what Kafka's tool takes."""
    provision(broker.administrator)
    findings = {one.check: one for one in examine(broker.administrator) if one.check in ("connections", "sessions")}
    assert [(one.level, one.fix) for one in findings.values()] == [(Level.OK, "")] * 2
    assert "after 15.0 min" in findings["sessions"].what
    check = services["kafka"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh"]
    text = (ROOT / "deploy/compose/node.properties").read_text(encoding="utf-8")
    config = broker.folder / "node.properties"
    config.write_text(text.replace("/certificates", str(broker.folder / "certificates")), encoding="utf-8")
    words = [word.replace("kafka:9094", f"127.0.0.1:{broker.ports['NODE']}") for word in check[2:]]
    words[words.index("/certificates/node.properties")] = str(config)
    tool = ["java", "-cp", f"{ensure_jars()}/*", "org.apache.kafka.tools.BrokerApiVersionsCommand"]
    run = subprocess.run([*tool, *words], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
