"""Builds the peers: Java ones with Maven, Python ones each in an environment of its own. What cannot be built is told, and the rest goes on."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).parent / "peers"
_TIMEOUT_SECONDS: Final = 900
_TAIL: Final = 1_500


class Unavailable(Exception):
    """A peer cannot be installed here; the message says why."""


def build_java(name: str, folder: Path) -> str:
    """Compile `peers/<name>` below `folder` unless that was done from the same sources; returns its class path. Raises Unavailable."""
    target = (folder / name).resolve()
    class_path = f"{target}/classes:{target}/libs/*"
    sources = [PEERS / name / "pom.xml", *sorted((PEERS / name / "java").glob("*.java"))]
    sources += sorted((PEERS / "jvm-common" / "java").glob("*.java"))
    if _is_done(target, sources):
        return class_path
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Unavailable(f"command '{tool}' is missing")
    shutil.rmtree(target, ignore_errors=True)
    _run(["mvn", "-q", "-B", "prepare-package", "-Dmaven.test.skip=true", f"-Dbench.target={target}"], PEERS / name)
    _mark_done(target, sources)
    return class_path


def build_python(name: str, folder: Path) -> Path:
    """An environment below `folder` with what `peers/<name>/requirements.txt` pins; returns its interpreter. Raises Unavailable."""
    target = (folder / name).resolve()
    python, requirements = target / "bin" / "python", PEERS / name / "requirements.txt"
    if _is_done(target, [requirements]):
        return python
    shutil.rmtree(target, ignore_errors=True)
    uv = str(Path(sys.executable).parent / "uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], PEERS)
    environment = {"VIRTUAL_ENV": str(target)}
    _run([uv, "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements)], PEERS, environment)
    _mark_done(target, [requirements])
    return python


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    if run.returncode:
        raise Unavailable(f"{' '.join(command)} failed:\n{(run.stdout + run.stderr)[-_TAIL:]}")


def _digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def _is_done(target: Path, sources: Sequence[Path]) -> bool:
    mark = target / "built-from"
    return mark.exists() and mark.read_text(encoding="utf-8") == _digest(sources)


def _mark_done(target: Path, sources: Sequence[Path]) -> None:
    (target / "built-from").write_text(_digest(sources), encoding="utf-8")
