"""Apache Kafka's own jars, fetched once from Maven Central into the user's cache."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from weaklink.errors import BrokerError

KAFKA_VERSION: Final = "4.3.1"
LOG4J_VERSION: Final = "2.25.4"  # that of Kafka's own dependencies: without this binding the broker logs nothing
_POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weaklink</groupId><artifactId>local-kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{LOG4J_VERSION}</version></dependency>
</dependencies></project>
"""
_MAVEN_TIMEOUT_SECONDS: Final = 600


def cache_folder() -> Path:
    """Where the jars live: $XDG_CACHE_HOME/weaklink, by default ~/.cache/weaklink."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weaklink"


def missing_tools() -> list[str]:
    """What a local broker still lacks on this machine, as messages to a person."""
    missing = []
    if shutil.which("java") is None:
        missing.append(
            "Java 17 or newer is not installed (command 'java'). On Debian or Ubuntu: apt-get install openjdk-17-jre-headless"
        )
    if shutil.which("mvn") is None and not (jars_folder() / "complete").exists():
        missing.append(
            "Maven is not installed (command 'mvn'); it fetches Apache Kafka's jars. On Debian or Ubuntu: apt-get install maven"
        )
    return missing


def jars_folder() -> Path:
    """The folder of this Kafka version's jars."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def ensure_jars() -> Path:
    """The folder with Kafka's jars, fetched by Maven if need be. Raises BrokerError saying what is missing.

    Fetched into a folder aside and renamed, so that two processes, or one that is killed, never leave half a set behind.
    """
    folder = jars_folder()
    if (folder / "complete").exists():
        return folder
    if missing := missing_tools():
        raise BrokerError(
            "cannot run a local Kafka broker:\n  "
            + "\n  ".join(missing)
            + "\nOr point WEAKLINK_KAFKA__BOOTSTRAP_SERVERS at an existing cluster."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        (Path(work) / "pom.xml").write_text(_POM, encoding="utf-8")
        run = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=_MAVEN_TIMEOUT_SECONDS,
            check=False,
        )
        if run.returncode != 0:
            raise BrokerError(
                f"Maven could not fetch Kafka {KAFKA_VERSION}'s jars:\n{(run.stdout + run.stderr)[-2000:]}"
            )
        (Path(work) / "libs" / "complete").touch()
        if not folder.exists():
            try:
                (Path(work) / "libs").rename(folder)
            except OSError:  # another process was first
                if not (folder / "complete").exists():
                    raise
    return folder
