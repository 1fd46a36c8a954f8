"""A cluster that opens to everybody what has no ACL, as migrations leave it: the check says so, provisioning closes it, and everything is tried."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from chaos.forbidden import REFUSALS, error_codes
from tests.ops.scram import Act, Requests, joined
from tests.ops.test_access_on_kafka import FORBIDDEN, coordinator, create_topic, fetch, offsets, own_quota, transaction
from tests.prerequisites import require
from tests.waiting import wait_until
from typer.testing import CliRunner, Result

from weaklink.cli.main import app
from weaklink.ops import doctor, membership
from weaklink.ops.access import SERVICE_PRINCIPALS, closures
from weaklink.ops.access_admin import remove_grants
from weaklink.ops.admin import open_admin
from weaklink.ops.broker import LocalCluster
from weaklink.ops.broker_properties import ADMIN
from weaklink.ops.kafka_jars import ensure_jars, missing_tools
from weaklink.ops.provision import plan_access, provision
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka

OPENED = {
    "find group anything": coordinator("anything"),  # the first makes the broker make __consumer_offsets
    "create x": create_topic("x"),
    "read __consumer_offsets": fetch("__consumer_offsets"),
    "offsets of group anything": offsets("anything"),
    "transactional id anything": transaction("anything"),
    "lift its own quota": own_quota(),
}
"""What nobody has a right to, and no ACL speaks of."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The administrator's: provisioned, with every service's secret and two parties."""
    require(missing_tools())
    properties = {"allow.everyone.if.no.acl.found": "true", "delegation.token.secret.key": "x" * 32}
    with LocalCluster(tmp_path_factory.mktemp("open"), scram=True, properties=properties) as cluster:
        settings = Settings(kafka=cluster.kafka)
        provision(settings)
        for principal in SERVICE_PRINCIPALS:
            membership.issue_service_secret(settings, principal)
        yield settings


@pytest.fixture(scope="module")
def party(settings: Settings) -> Iterator[Requests]:
    """Raw requests of the party that tries."""
    _, kafka = joined(settings, "own-lab")
    joined(settings, "other-lab")
    opened = Requests(kafka)
    yield opened
    opened.close()


def weaklink(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(app, words, env={**settings.kafka.environment(), "COLUMNS": "200"})


def is_let(act: Act, party: Requests) -> bool:
    """No refusal: the coordinator that a brand-new group or transactional id lacks is no matter of rights."""
    return not error_codes(act(party)) & REFUSALS


def token_of_the_administrator(party: Requests, folder: Path) -> subprocess.CompletedProcess[str]:
    """Whoever has one logs in as the administrator. Kafka's own tool asks for it: kafka-python has no such request."""
    login = folder / "login.properties"
    login.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{party.kafka.username}" password="{party.kafka.secret()}";\n'
    )
    tool = ["java", "-Xmx128m", "-cp", f"{ensure_jars()}/*", "org.apache.kafka.tools.DelegationTokenCommand"]
    words = ["--create", "--owner-principal", f"User:{ADMIN}", "--max-life-time-period", "-1"]
    reach = ["--bootstrap-server", party.kafka.bootstrap_servers, "--command-config", str(login)]
    return subprocess.run([*tool, *reach, *words], capture_output=True, text=True, check=False)


def test_what_no_acl_speaks_of_is_open_until_provisioning_closes_it(
    settings: Settings, party: Requests, tmp_path: Path
) -> None:
    """Each open kind of resource is a line of the check; then nothing is left that a party may do on such a cluster and not on another."""
    with open_admin(settings.kafka) as admin:
        remove_grants(admin, closures())
    checked = weaklink(settings, "provision", "--check")
    assert checked.exit_code == 1
    for grant in closures():
        assert f"grant: {grant}: else it is open to everybody" in checked.output
    (finding,) = doctor.access_findings(plan_access(settings))
    assert (finding.level, finding.fix) == (doctor.Level.ERROR, "weaklink provision")
    for act in OPENED.values():
        wait_until(partial(is_let, act, party))
    assert token_of_the_administrator(party, tmp_path).returncode == 0
    mended = weaklink(settings, "provision", "--yes")
    assert mended.exit_code == 0, mended.output
    for name, (act, refusals) in FORBIDDEN.items():
        codes = error_codes(act(party)) - {0}
        assert codes, f"{name}: not refused"
        assert codes <= refusals, name
    refused = token_of_the_administrator(party, tmp_path)
    assert (refused.returncode, "DelegationTokenAuthorizationException" in refused.stderr) == (1, True)
    assert weaklink(settings, "provision", "--check").exit_code == 0
