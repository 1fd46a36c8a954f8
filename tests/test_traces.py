"""Traces as an option: spans of real transactions, in memory; without the option nothing is made, and nothing is needed."""

import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from kafka import KafkaProducer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.stream.counting import Counting, spec
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink import traces
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.runner import Runner


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Of the spans of one test."""
    monkeypatch.setattr(traces, "_tracer", None)  # as it is again afterwards
    made = InMemorySpanExporter()
    traces.export_to("test", SimpleSpanProcessor(made))
    return made


def test_spans_nest_and_say_what_failed(exporter: InMemorySpanExporter) -> None:
    """With the service's name and version."""
    with pytest.raises(ValueError, match="no"), traces.span("outer", messaging__system="kafka"), traces.span("inner"):
        raise ValueError("no")
    inner, outer = exporter.get_finished_spans()
    assert (outer.name, inner.name) == ("outer", "inner")
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.attributes == {"messaging.system": "kafka"}
    assert not outer.status.is_ok
    assert outer.resource.attributes["service.name"] == "weaklink-test"


def test_nobody_traces_by_default() -> None:
    """And no package of OpenTelemetry is imported for that."""
    with traces.span("x") as made:
        assert made is None
    code = "import sys, weaklink.stream.runner, weaklink.enforce.app; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.kafka
def test_a_transaction_is_one_trace(kafka: KafkaConfig, tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    """Of a real runner on a real broker: processing and commit below it, and the rebuild of its state."""
    name = f"traces-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [name, f"{name}.out"], partitions=1)
    producer = KafkaProducer(**kafka.client_options())
    producer.send(name, b"1", partition=0)
    producer.close()
    runner = Runner(Counting(name, f"{name}.out"), spec(name, name), Settings(kafka=kafka, data_folder=tmp_path))
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        wait_until(lambda: any(one.name == f"{name} transaction" for one in exporter.get_finished_spans()))
    finally:
        runner.stop()
        thread.join()
    found = exporter.get_finished_spans()
    whole = next(one for one in found if one.name == f"{name} transaction")
    assert whole.context is not None
    below = [one.name for one in found if one.parent is not None and one.parent.span_id == whole.context.span_id]
    assert below == ["process", "commit"]
    assert whole.attributes is not None
    assert whole.attributes["messaging.batch.message_count"] == 1
    assert f"{name} rebuild" in [one.name for one in found]
