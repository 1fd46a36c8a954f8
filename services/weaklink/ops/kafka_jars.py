"""Apache Kafka's own jars, fetched once from Maven Central into the user's cache, and held against the hashes of `kafka-jars.sha256`.

`make lock` writes that file anew, of whatever Maven fetches (`python -m weaklink.ops.kafka_jars`): after a change of version.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
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
_JAVA_MIN: Final = 17  # what Kafka 4's brokers are compiled for
_JAVA_TIMEOUT_SECONDS: Final = 60
_JAVA_HOW: Final = "On Debian or Ubuntu: apt-get install openjdk-17-jre-headless"
_PINNED: Final = Path(__file__).with_name("kafka-jars.sha256")
"""As sha256sum writes it: a line for each jar."""


def cache_folder() -> Path:
    """Where the jars live: $XDG_CACHE_HOME/weaklink, by default ~/.cache/weaklink."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weaklink"


def missing_tools() -> list[str]:
    """What a local broker still lacks on this machine, as messages to a person."""
    missing = []
    java = shutil.which("java")
    if java is None:
        missing.append(f"Java {_JAVA_MIN} or newer is not installed (command 'java'). {_JAVA_HOW}")
    elif wrong := _wrong_java(java):
        missing.append(f"{wrong}; Kafka {KAFKA_VERSION} needs Java {_JAVA_MIN} or newer. {_JAVA_HOW}")
    if shutil.which("mvn") is None and not (jars_folder() / "complete").exists():
        missing.append(
            "Maven is not installed (command 'mvn'); it fetches Apache Kafka's jars. On Debian or Ubuntu: apt-get install maven"
        )
    return missing


@functools.cache
def _wrong_java(command: str) -> str | None:
    """Why a broker cannot run on this Java; None: it can. Asked once: a virtual machine takes a while to start."""
    try:
        run = subprocess.run(
            [command, "-version"], capture_output=True, text=True, timeout=_JAVA_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command} does not run ({error})"
    said = (run.stderr + run.stdout).strip()
    if run.returncode != 0:  # as macOS' placeholder does, where no Java is installed
        return f"{command} does not run ({' '.join(said.split())[:200]})"
    # 'openjdk version "17.0.9"'; up to 8 the number that people know comes second: 'java version "1.8.0_392"'.
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    return f"{command} is Java {version[1]}" if version and int(version[1]) < _JAVA_MIN else None


def jars_folder() -> Path:
    """The folder of this Kafka version's jars."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def ensure_jars() -> Path:
    """The folder with Kafka's jars, fetched by Maven if need be. Raises BrokerError saying what is missing, or not as it should be.

    Fetched into a folder aside and renamed, so that two processes, or one that is killed, never leave half a set behind.
    """
    folder = jars_folder()
    if missing := missing_tools():  # before the jars: those of an earlier day are of no use without Java
        raise BrokerError(
            "cannot run a local Kafka broker:\n  "
            + "\n  ".join(missing)
            + "\nOr point WEAKLINK_KAFKA__BOOTSTRAP_SERVERS at an existing cluster."
        )
    if (folder / "complete").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        libs = _fetched(Path(work))
        if unlike := differences(_PINNED.read_text(encoding="ascii"), hashes(libs)):
            raise BrokerError(
                f"what Maven fetched is not Kafka {KAFKA_VERSION} as it is known: {'; '.join(unlike)}. Nothing of it was kept or run: ask whoever keeps "
                "the repository that Maven uses (~/.m2/settings.xml)."
            )
        (libs / "complete").touch()
        if not folder.exists():
            try:
                libs.rename(folder)
            except OSError:  # another process was first
                if not (folder / "complete").exists():
                    raise
    return folder


def hashes(libs: Path) -> str:
    """SHA-256 of each jar of a folder, as sha256sum writes them."""
    return "".join(
        f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(libs.glob("*.jar"))
    )


def differences(pinned: str, found: str) -> list[str]:
    """What differs between two such lists, by jar; empty: nothing."""
    known, there = ({name: digest for digest, name in map(str.split, text.splitlines())} for text in (pinned, found))
    return [
        *(f"{name} is missing" for name in sorted(known.keys() - there.keys())),
        *(f"{name} is one too many" for name in sorted(there.keys() - known.keys())),
        *(
            f"{name} has SHA-256 {there[name]}, not {known[name]}"
            for name in sorted(known.keys() & there.keys())
            if known[name] != there[name]
        ),
    ]


def _fetched(work: Path) -> Path:
    """The folder, below this one, with what Maven fetches. Raises BrokerError."""
    (work / "pom.xml").write_text(_POM, encoding="utf-8")
    run = subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=_MAVEN_TIMEOUT_SECONDS,
        check=False,
    )
    if run.returncode != 0:
        raise BrokerError(f"Maven could not fetch Kafka {KAFKA_VERSION}'s jars:\n{(run.stdout + run.stderr)[-2000:]}")
    return work / "libs"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder_aside:
        sys.stdout.write(hashes(_fetched(Path(folder_aside))))
