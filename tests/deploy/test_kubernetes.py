"""deploy/kubernetes: held to Kubernetes' schemas, Strimzi's resource definitions, the settings and the table of who may do what."""

import json
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from tests.prerequisites import require
from weaklink import topology
from weaklink.cli.main import app
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access import NOBODY, SERVICE_PRINCIPALS
from weaklink.ops.kafka_jars import cache_folder
from weaklink.ops.strimzi import ADMIN, party_user, resources
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings, load_settings

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
VERSIONS: Final = ("1.37", "1.32")
"""The newest of the package, and one that is about to go out of support."""
STAGES = [stage.name for stage in topology.STAGES]
OTHERS: Final = tuple(service.name for service in topology.SERVICES)
STRIMZI: Final = "0.45.0"
SUSPENDED: Final = Party(id="my-lab", kind=PartyKind.LAB, suspended_at=datetime.now(UTC))


def documents(*names: str) -> list[dict[str, Any]]:
    """Every resource, or those of these files."""
    paths = [FOLDER / name for name in names] or sorted(FOLDER.glob("*.yaml"))
    return [one for path in paths for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def native() -> list[dict[str, Any]]:
    """Resources that Kubernetes itself knows."""
    return [one for one in documents() if one["kind"] != "Kustomization" and "strimzi" not in one["apiVersion"]]


def workloads() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in native() if one["kind"] in ("StatefulSet", "Deployment")}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_resource(version: str) -> None:
    """Strictly: a field that its schema does not have is an error, too."""
    for one in native():
        kubernetes_validate.validate(one, version, strict=True)
    broken = json.loads(json.dumps(workloads()["ingest"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_the_kustomization_names_every_file() -> None:
    """And nothing else."""
    (kustomization,) = documents("kustomization.yaml")
    assert {*kustomization["resources"], "kustomization.yaml"} == {path.name for path in FOLDER.glob("*.yaml")}


def test_every_stage_runs_with_a_slot_of_its_own() -> None:
    """A StatefulSet's pod has a lasting name; the exporter and the console need none."""
    found = workloads()
    assert set(found) == {*STAGES, *OTHERS}
    for name in STAGES:
        (container,) = found[name]["spec"]["template"]["spec"]["containers"]
        assert found[name]["kind"] == "StatefulSet"
        assert container["args"] == ["run", name, "--slot", "$(POD_NAME)"]
        assert next(one for one in container["env"] if one["name"] == "POD_NAME")["valueFrom"]["fieldRef"]


def test_every_pod_has_probes_bounds_and_no_rights() -> None:
    """Probes ask the port that is served; memory has a limit; no root, no token, nothing to write to but its own folders."""
    for name, workload in workloads().items():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
        assert {"name": "metrics", "containerPort": 9464} in container["ports"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["terminationGracePeriodSeconds"] >= 60
        mounted = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == mounted, name


def test_every_stage_has_a_disruption_budget_and_a_service_that_find_its_pods() -> None:
    """By the labels that the pods have."""
    pods = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in workloads().items()}
    for kind, names in (("PodDisruptionBudget", set(STAGES)), ("Service", {*STAGES, *OTHERS})):
        found = {one["metadata"]["name"]: one["spec"]["selector"] for one in native() if one["kind"] == kind}
        assert set(found) == names
        for name, selector in found.items():
            assert selector.get("matchLabels", selector).items() <= pods[name].items()


def test_every_stage_has_as_many_members_as_a_loss_needs() -> None:
    """So that one may go while others are there."""
    assert all(workloads()[name]["spec"]["replicas"] >= 2 for name in STAGES)


@pytest.mark.parametrize("name", [*STAGES, *OTHERS])
def test_a_pod_starts_with_settings_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the ConfigMap and its own; as the principal that its secret is of."""
    (config,) = [one for one in native() if one["kind"] == "ConfigMap"]
    pod = workloads()[name]["spec"]["template"]["spec"]
    own = {one["name"]: one.get("value", "postgresql://x/y") for one in pod["containers"][0]["env"]}
    for variable, value in (config["data"] | own).items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.kafka.username == f"weaklink.{name}"
    secrets = {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
    assert secrets == {settings.kafka.username, "kafka-cluster-ca-cert"}
    assert settings.access.managed is False  # Strimzi's operators keep them
    users = {one["metadata"]["name"] for one in documents("kafka.yaml") if one["kind"] == "KafkaUser"}
    assert settings.kafka.username in users


def test_topics_users_and_acls_are_those_of_the_code() -> None:
    """The file is what the command prints; with one party as an example."""
    settings = Settings(kafka=KafkaConfig(replication_factor=3))
    wanted = resources(settings, [Party(id="my-lab", kind=PartyKind.LAB)], "kafka")
    assert documents("kafka.yaml") == wanted
    result = CliRunner().invoke(
        app, ["strimzi", "--no-registered", "--party", "my-lab:lab"], env={"WEAKLINK_KAFKA__REPLICATION_FACTOR": "3"}
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["items"] == wanted


def test_a_party_may_write_its_events_and_read_what_is_for_it_and_nothing_else() -> None:
    """And everyone logs in, but for whom the closures are of."""
    users = {one["metadata"]["name"]: one["spec"] for one in documents("kafka.yaml") if one["kind"] == "KafkaUser"}
    assert set(users) == {*SERVICE_PRINCIPALS, ADMIN, NOBODY, "party.my-lab"}
    closed = users.pop(NOBODY)
    assert all(user["authentication"] == {"type": "scram-sha-512"} for user in users.values())
    assert "authentication" not in closed
    assert {(one["type"], *one["operations"]) for one in closed["authorization"]["acls"]} == {("deny", "All")}
    kinds = {(one["resource"]["type"], one["resource"].get("name", "")) for one in closed["authorization"]["acls"]}
    assert kinds == {("cluster", ""), ("group", "*"), ("topic", "*"), ("transactionalId", "*")}
    acls = users["party.my-lab"]["authorization"]["acls"]
    rights = {
        (one["resource"]["name"], one["resource"]["patternType"], operation)
        for one in acls
        for operation in one["operations"]
    }
    assert rights == {
        ("party.my-lab.events", "literal", "Write"),
        ("party.my-lab.actions", "literal", "Read"),
        ("party.my-lab.rejects", "literal", "Read"),
        ("party.my-lab.", "prefix", "Read"),
    }
    assert users["party.my-lab"]["quotas"]["producerByteRate"] > 0


def test_a_suspended_partys_user_has_no_login_and_is_denied_everything() -> None:
    """Without `authentication` Strimzi deletes the secret; of the services nothing changes."""
    wanted = resources(Settings(), [SUSPENDED], "kafka")
    active = resources(Settings(), [SUSPENDED.model_copy(update={"suspended_at": None})], "kafka")
    changed = [one for one in wanted if one not in active]
    assert changed == [party_user(Settings(), SUSPENDED, "kafka")]
    spec = changed[0]["spec"]
    assert "authentication" not in spec
    assert spec["quotas"]["producerByteRate"] > 0
    acls = spec["authorization"]["acls"]
    assert {(one["type"], one["host"], *one["operations"]) for one in acls} == {("deny", "*", "All")}
    literal = [{"type": kind, "name": "*", "patternType": "literal"} for kind in ("group", "topic", "transactionalId")]
    assert sorted((one["resource"] for one in acls), key=str) == sorted([{"type": "cluster"}, *literal], key=str)


FORBIDDEN = ("listeners", "advertised.", "broker.", "listener.", "host.name", "port", "inter.broker.listener.name", "sasl.", "ssl.",
             "security.", "password.", "log.dir", "authorizer.", "super.user", "node.id", "process.roles", "controller.")  # fmt: skip
"""What Strimzi ignores in `spec.kafka.config` (FORBIDDEN_PREFIXES of its KafkaClusterSpec)."""


def test_the_patch_of_the_brokers_says_what_the_page_on_security_says() -> None:
    """As far as Strimzi takes it there: re-authentication and the limits of connections among it."""
    patch = yaml.safe_load((FOLDER / "patches/brokers.yaml").read_text(encoding="utf-8"))
    config = patch["spec"]["kafka"].pop("config")
    assert patch == {"spec": {"kafka": {}}}
    page = (FOLDER.parents[1] / "docs/security.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^([a-z0-9.-]+)=(.*)$", page.split("```properties")[1].split("```")[0], re.MULTILINE))
    for name, value in config.items():
        assert not name.startswith(FORBIDDEN)
        told_as = f"listener.name.client.scram-sha-512.{name}" if "reauth" in name else name
        assert told[told_as] == str(value).lower()
    assert {"allow.everyone.if.no.acl.found", "connections.max.reauth.ms", "max.connections.per.ip"} <= set(config)


@pytest.fixture(scope="module")
def definitions() -> dict[str, dict[str, Any]]:
    """Strimzi's schemas by kind, made from its published API by its own generator."""
    folder = cache_folder() / f"strimzi-{STRIMZI}"
    if not (folder / "complete").exists():
        missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
        require([f"{tool} is not installed: it makes Strimzi's resource definitions" for tool in missing])
        make_definitions(folder)
    found = [yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in ("topic.yaml", "user.yaml")]
    return {
        one["spec"]["names"]["kind"]: {
            f"{one['spec']['group']}/{version['name']}": closed(version["schema"]["openAPIV3Schema"])
            for version in one["spec"]["versions"]
        }
        for one in found
    }


def make_definitions(folder: Path) -> None:
    """Fetched aside and renamed, so that what is there is whole."""
    dependencies = "".join(
        f"<dependency><groupId>io.strimzi</groupId><artifactId>{name}</artifactId><version>{STRIMZI}</version></dependency>"
        for name in ("api", "crd-generator")
    )
    pom = (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>weaklink</groupId>'
        f"<artifactId>strimzi</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>"
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        (work / "pom.xml").write_text(pom, encoding="utf-8")
        (work / "made").mkdir()
        model = "io.strimzi.api.kafka.model"
        generate = ["io.strimzi.crdgenerator.CrdGenerator", "--yaml"]
        generate += [f"{model}.topic.KafkaTopic=made/topic.yaml", f"{model}.user.KafkaUser=made/user.yaml"]
        for command in (
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"],
            ["java", "-Xmx256m", "-cp", "libs/*", *generate],
        ):
            run = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stdout + run.stderr
        (work / "made/complete").touch()
        if not folder.exists():
            (work / "made").rename(folder)


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, which Kubernetes would silently drop."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def test_strimzi_takes_every_topic_and_user(definitions: dict[str, dict[str, Any]]) -> None:
    """By the schemas of its own resource definitions."""
    for one in [*documents("kafka.yaml"), party_user(Settings(), SUSPENDED, "kafka")]:
        schema = definitions[one["kind"]][one["apiVersion"]]
        spec = {**one, "metadata": {}}  # metadata is Kubernetes' affair
        jsonschema.validate(spec, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**spec, "spec": {**one["spec"], "partition": 1}}, schema)
