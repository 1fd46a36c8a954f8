"""Every client over TLS: the whole pipeline with SCRAM inside, each service under its own principal; and parties by certificate."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from chaos.forbidden import error_codes
from kafka.errors import KafkaError
from tests.certificates import Authority
from tests.ops.scram import Requests, joined, login
from tests.ops.test_access_on_kafka import fetch
from tests.partner.conftest import TOKENISER, usage
from tests.prerequisites import require
from tests.waiting import PATIENCE_SECONDS, wait_until

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access import EXPORTER, OPERATOR
from weaklink.ops.access_config import AccessConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.broker_properties import Tls
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.membership import issue_service_secret, resume_party, suspend_party
from weaklink.ops.provision import add_party, plan_access, provision
from weaklink.parties import Party, PartyKind
from weaklink.partner import PartnerConfig, WeaklinkClient
from weaklink.partner.models import ApiUsage
from weaklink.partner.reading import read_rejects
from weaklink.settings import Settings
from weaklink.sim.services import service_environment

pytestmark = pytest.mark.kafka

_COMMAND = (sys.executable, "-c", "from weaklink.cli.main import main; main()")
_EVENTS = 40


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require(missing_tools())
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """SASL_SSL, sessions of five seconds, everything provisioned."""
    tls = Tls(authority.certificate, authority.leaf("admin"))
    with LocalCluster(tmp_path_factory.mktemp("tls"), scram=True, tls=tls, reauth_ms=5_000) as cluster:
        settings = Settings(kafka=cluster.kafka)
        provision(settings)
        yield settings


def as_principal(settings: Settings, principal: str) -> KafkaConfig:
    """The cluster as a service or operator reaches it."""
    secret = issue_service_secret(settings, principal)
    assert secret
    return login(settings.kafka, principal, secret)


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments], env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


def test_the_pipeline_works_with_each_service_under_its_own_rights(encrypted: Settings, tmp_path: Path) -> None:
    """Events go in through the SDK, every stage catches up, a reject comes back, lag and audit look as the operator; nobody is an
    administrator, and everybody logs in anew every few seconds."""
    party, kafka = joined(encrypted, "tls-lab")
    processes = []
    logs = {}
    try:
        for stage in topology.STAGES:
            environment = service_environment(as_principal(encrypted, stage.group), tmp_path)
            logs[stage.name] = tmp_path / f"{stage.name}.log"
            with logs[stage.name].open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        [*_COMMAND, "run", stage.name, "--slot", "one"],
                        env={**os.environ, **environment}, stdout=log, stderr=log,
                    )
                )  # fmt: skip
        config = PartnerConfig(state_folder=tmp_path)
        with WeaklinkClient(party.id, kafka, config, TOKENISER) as client:
            for number in range(_EVENTS):
                client.send(
                    client.build(
                        ApiUsage, **(usage(account=f"a{number}") | {"identifiers": [("CARD", "4111111111111111")]})
                    )
                )
            client.receipt("0" * 32, 1, "DONE")  # type: ignore[arg-type]  # answers nothing: enforce returns it as a reject
            client.flush()

        def told() -> bool:
            return [one.reason for one in read_rejects(kafka, party.id)] == ["UNKNOWN_ACTION"]

        wait_until(told, lambda: "".join(path.read_text(errors="replace")[-1500:] for path in logs.values()))
        operator, exporter = as_principal(encrypted, OPERATOR), as_principal(encrypted, EXPORTER)

        def caught_up() -> bool:
            with LagProbe(exporter) as probe:
                lags = {one.reader: one for one in probe.sample()}
            stages = [lags[stage.name] for stage in topology.STAGES]
            return all(
                row.committed is not None and row.records == 0 for lag in stages for row in lag.partitions if row.end
            )

        wait_until(caught_up, lambda: "".join(path.read_text(errors="replace")[-1500:] for path in logs.values()))
        environment = service_environment(operator, tmp_path)
        audit = run(environment, "audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert f"{_EVENTS + 1}" in audit.stdout
        lag = run(environment, "lag", "--json")
        assert lag.returncode == 0, lag.stderr
        assert run(environment, "benign", "add", "--account", "tls-lab/a1", "--reason", "known").returncode == 0
        refused = run(environment, "party", "add", "another", "--kind", "lab")
        assert refused.returncode == 1
        assert "uthoriz" in refused.stderr
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait(PATIENCE_SECONDS) for process in processes]
    assert codes == [0] * len(processes)
    for name, path in logs.items():
        text = path.read_text(errors="replace")
        assert "uthorization" not in text, (name, text[-2000:])


def test_a_broker_whose_certificate_nobody_vouches_for_is_not_trusted(encrypted: Settings, tmp_path: Path) -> None:
    """Nor one that is met without TLS."""
    stranger = Authority(tmp_path / "other").certificate
    wrong = encrypted.kafka.model_copy(update={"ssl_cafile": str(stranger), "bootstrap_timeout_ms": 3_000})
    with pytest.raises((KafkaError, OSError)):
        Requests(wrong)
    plain = encrypted.kafka.model_copy(update={"security_protocol": "SASL_PLAINTEXT", "bootstrap_timeout_ms": 3_000})
    with pytest.raises((KafkaError, OSError)):
        Requests(plain)


def test_with_mutual_tls_a_partys_certificate_is_its_identity(authority: Authority, tmp_path: Path) -> None:
    """Common name `party.<id>`: the same rights as with SCRAM, no secret, and suspending works on live sessions too."""
    tls = Tls(authority.certificate, authority.leaf("admin"), clients_too=True)
    with LocalCluster(tmp_path / "kafka", tls=tls) as cluster:
        settings = Settings(kafka=cluster.kafka, access=AccessConfig(authentication="certificate"))
        provision(settings)
        party = add_party(settings, Party(id="cert-lab", kind=PartyKind.LAB, events_partitions=1))
        assert plan_access(settings) == []
        kafka = settings.kafka.model_copy(update={"ssl_certfile": str(authority.leaf(party.principal))})
        with WeaklinkClient(party.id, kafka, PartnerConfig(state_folder=tmp_path), TOKENISER) as client:
            assert client.publish(ApiUsage(**usage())).topic == party.events_topic
        session = Requests(kafka)
        assert error_codes(fetch(party.actions_topic)(session)) == {0}
        assert 29 in error_codes(fetch(topology.LINKS)(session))
        suspend_party(settings, party.id)
        assert 29 in error_codes(fetch(party.actions_topic)(session))
        assert resume_party(settings, party.id) is None
        wait_until(lambda: error_codes(fetch(party.actions_topic)(session)) == {0})
        session.close()
        nobody = kafka.model_copy(update={"ssl_certfile": None, "bootstrap_timeout_ms": 3_000})
        with pytest.raises((KafkaError, OSError)):
            Requests(nobody)
