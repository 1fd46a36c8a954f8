"""Recorded events through a pipeline: every one arrives once and in its party's order, from the very files of `weaklink sim world`."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from tests.prerequisites import require
from weaklink.cli.main import app
from weaklink.errors import ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.audit_probe import audit_topics
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.records.codec import decode
from weaklink.sim.presets import preset
from weaklink.sim.replay import event_files
from weaklink.sim.worlds import generate


def said(kafka: KafkaConfig, parties: Iterable[str]) -> dict[str, list[tuple[object, ...]]]:
    """What each party's topic holds, in its order: record, time, account."""
    consumer = KafkaConsumer(**kafka.client_options(), auto_offset_reset="earliest", enable_auto_commit=False)
    topics = {TopicPartition(f"party.{party}.events", 0): party for party in parties}
    consumer.assign(list(topics))
    ends = consumer.end_offsets(list(topics))
    found: dict[str, list[tuple[object, ...]]] = {party: [] for party in topics.values()}
    while any(consumer.position(topic) < ends[topic] for topic in topics):
        for topic, records in consumer.poll(300).items():
            decoded = [decode(one.value) for one in records]
            found[topics[topic]] += [(name, values["occurred_at"], values.get("account")) for name, values in decoded]
    consumer.close()
    return found


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_a_world_as_it_is_written_is_replayed_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest's audit counts each party's events as the file has them, and its topic has them in the file's order; labels are held against what was found."""
    require(missing_tools())
    world = generate(preset("small", 0.01), seed=1)
    world.write(tmp_path / "world")
    guilty = pl.col("campaign").is_not_null().cast(pl.Int8)
    labels = world.truth.select("account", label=guilty, ring_id="campaign")
    labels.write_parquet(tmp_path / "world/labels.parquet")
    # A cluster of its own: ingest follows every party's topic by pattern.
    with LocalCluster(tmp_path / "kafka") as cluster:
        monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", cluster.bootstrap_servers)
        words = ["replay", str(tmp_path / "world"), "--folder", str(tmp_path / "run"), "--seconds", "3"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        audited = audit_topics(cluster.kafka)
        assert [one.findings for one in audited] == [()] * len(audited)
        rows = Counter(world.events["party"])
        assert {one.topic: one.accepted for one in audited} == {f"party.{name}.events": n for name, n in rows.items()}
        for name, told in said(cluster.kafka, rows).items():
            own = world.events.filter(party=name)
            assert told == own.select("event_type", "occurred_at", "account").rows(), name
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    counts = [summary[f"events_{what}"] for what in ("published", "accepted", "rejected", "duplicate")]
    assert counts == [world.events.height, world.events.height, 0, 0]
    truth = summary["truth"]["events.parquet"]
    assert truth["rings"] == 1
    assert truth["base_rate"] == round(labels["label"].mean(), 4)  # type: ignore[arg-type]  # a number
    assert re.search(r"events_published\s+" + str(world.events.height), result.output)


def test_files_come_oldest_first_and_a_folder_without_any_is_told(tmp_path: Path) -> None:
    """Event time never goes back, whatever the files are called."""
    with pytest.raises(ConfigurationError, match="DATA=folder"):
        event_files(tmp_path)
    events = generate(preset("small", 0.01), seed=1).events
    events.tail(50).write_parquet(tmp_path / "a_events.parquet")
    events.head(50).write_parquet(tmp_path / "events.parquet")
    found = event_files(tmp_path)
    assert [(one.path.name, one.rows, one.labels) for one in found] == [
        ("events.parquet", 50, None),
        ("a_events.parquet", 50, None),
    ]
    assert found[0].last <= found[1].first
