"""`weaklink run` knows its stages."""

import json

import pytest
from kafka.errors import KafkaTimeoutError
from typer.testing import CliRunner

from weaklink import topology
from weaklink.cli.main import app
from weaklink.cli.run import BESIDE, COLUMNAR, FAUST
from weaklink.epochs_topic import all_in_force
from weaklink.errors import ConfigurationError


def test_every_stage_of_the_topology_can_be_run() -> None:
    """The tables of stages and services and the table of what is run hold the same names, by runtime."""
    assert {spec.name for spec in topology.STAGES if spec.runtime == "columnar"} == COLUMNAR.keys()
    assert {spec.name for spec in topology.STAGES if spec.runtime == "faust"} == FAUST.keys()
    assert {spec.name for spec in topology.SERVICES} == BESIDE.keys()


def test_an_unknown_stage_is_said() -> None:
    """With the names that there are."""
    with pytest.raises(ConfigurationError, match="ingest, correlate, campaigns, enforce"):
        CliRunner().invoke(app, ["run", "nonsense"], catch_exceptions=False)


@pytest.mark.usefixtures("log_of_a_service")
def test_a_stage_without_a_broker_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the last line of its log, instead of the Kafka client's traceback."""

    def away(*_: object, **__: object) -> None:
        raise KafkaTimeoutError("Unable to bootstrap")

    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", "nowhere:9092")
    monkeypatch.setattr("weaklink.stream.runner.Runner", away)
    monkeypatch.setattr("weaklink.correlate.stage.EpochWatch", lambda _: all_in_force)
    done = CliRunner().invoke(app, ["run", "correlate"], catch_exceptions=False)
    last = json.loads(done.stderr.splitlines()[-1])
    assert (done.exit_code, last["event"], last["level"]) == (1, "ended", "error")
    assert "nowhere:9092 cannot be reached" in last["error"]
