"""Kafka's jars are those that are known, or nothing of them is kept."""

import os
import shutil
from pathlib import Path

import pytest
from tests.prerequisites import require

from weaklink.errors import BrokerError
from weaklink.ops import kafka_jars


def test_what_is_run_is_what_is_pinned() -> None:
    """The jars of this machine's own broker, each of them."""
    require(kafka_jars.missing_tools())
    pinned = Path(kafka_jars.__file__).with_name("kafka-jars.sha256").read_text(encoding="ascii")
    assert kafka_jars.differences(pinned, kafka_jars.hashes(kafka_jars.ensure_jars())) == []
    assert f"kafka-clients-{kafka_jars.KAFKA_VERSION}.jar" in pinned


def test_a_jar_that_is_another_than_it_should_be_is_named_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository that gives out another jar under the same name has its broker refused."""
    require(kafka_jars.missing_tools())
    real = kafka_jars.ensure_jars()
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text(
        f"#!/bin/sh\nmkdir libs && cp {real}/*.jar libs/ && echo more >> libs/kafka-clients-{kafka_jars.KAFKA_VERSION}.jar"
        f" && rm libs/kafka-tools-{kafka_jars.KAFKA_VERSION}.jar && touch libs/other.jar\n",
        encoding="utf-8",
    )
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{mvn.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert shutil.which("mvn") == str(mvn)
    with pytest.raises(BrokerError) as caught:
        kafka_jars.ensure_jars()
    said = str(caught.value)
    version = kafka_jars.KAFKA_VERSION
    assert f"kafka-clients-{version}.jar has SHA-256" in said
    assert f"kafka-tools-{version}.jar is missing" in said
    assert "other.jar is one too many" in said
    assert not kafka_jars.jars_folder().exists()
    assert not list((tmp_path / "cache").rglob("*.jar"))
