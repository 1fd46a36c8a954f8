"""Services whose broker goes away: what their libraries say of it are lines of the log like any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.log_lines import log_lines
from tests.prerequisites import require
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import topology
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.provision import provision
from weaklink.settings import Settings
from weaklink.sim.services import service_environment

COMMAND = (sys.executable, "-c", "from weaklink.cli.main import main; main()")


@pytest.mark.kafka
def test_a_log_is_lines_of_json_when_the_broker_goes_away(tmp_path: Path) -> None:
    """Of every stage and the exporter: kafka-python and aiokafka warn of it, at every attempt to connect."""
    require(missing_tools())
    names = [*(stage.name for stage in topology.STAGES), "exporter"]
    with LocalCluster(tmp_path / "kafka") as cluster:
        provision(Settings(kafka=cluster.kafka, data_folder=tmp_path))
        environment = os.environ | service_environment(cluster.kafka, tmp_path)
        running = {}

        def said(name: str) -> bytes:
            return (tmp_path / f"{name}.log").read_bytes()

        for name in names:
            with (tmp_path / f"{name}.log").open("wb") as log:
                command = [*COMMAND, "run", name, "--metrics-port", "0"]
                running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: all(b'"started"' in said(name) for name in names))
            wait_until(lambda: all(b'"recovered"' in said(name) for name in ("ingest", "correlate", "campaigns")))
            cluster.kill_node(1)
            for name in names:
                wait_until(lambda name=name: b"library_message" in said(name), lambda name=name: said(name).decode())  # type: ignore[misc]
        finally:
            # All is said: how a service ends without its broker is not for here, and takes it a while.
            for process in running.values():
                process.kill()
            for process in running.values():
                process.wait(PATIENCE_SECONDS)
    for name in names:
        lines = log_lines(said(name))
        assert {one["service"] for one in lines} == {name}
        assert "crashed" not in {one["event"] for one in lines}, name
