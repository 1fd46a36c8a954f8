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


def _tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of commands, of a person whose jars were fetched on an earlier day."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kafka_jars.jars_folder().mkdir(parents=True)
    (kafka_jars.jars_folder() / "complete").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.mark.usefixtures("tools")
def test_without_java_the_jars_of_an_earlier_day_are_not_enough() -> None:
    with pytest.raises(BrokerError, match=r"Java 17 or newer is not installed \(command 'java'\)"):
        kafka_jars.ensure_jars()


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ('openjdk version "1.8.0_392"', "is Java 8; Kafka 4"),
        ('openjdk version "11.0.21" 2023-10-17', "is Java 11; Kafka 4"),
        ('openjdk version "17" 2021-09-14', None),
        ('java version "25.0.1" 2025-10-21 LTS', None),
        ("a Java that numbers itself otherwise", None),
    ],
)
def test_a_java_that_is_too_old_is_told_by_its_number(tools: Path, says: str, told: str | None) -> None:
    _tool(tools, "java", f"echo '{says}' >&2")
    if told is None:
        assert kafka_jars.ensure_jars() == kafka_jars.jars_folder()
    else:
        with pytest.raises(BrokerError, match=told):
            kafka_jars.ensure_jars()


def test_a_java_that_does_not_run_is_told_with_what_it_said(tools: Path) -> None:
    """As macOS' placeholder: the command is there, and Java is not."""
    _tool(tools, "java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(BrokerError, match=r"does not run \(Unable to locate a Java Runtime\.\)"):
        kafka_jars.ensure_jars()
