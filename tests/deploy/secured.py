"""docker-compose.yml with docker-compose.secure.yml over it, put together as Docker Compose does, and its broker run without Docker."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from weaklink.ops.kafka_jars import ensure_jars

ROOT: Final = Path(__file__).parents[2]
GIVEN: Final = {
    "WEAKLINK_HOST": "127.0.0.1",
    "WEAKLINK_LEDGER_PASSWORD": "given",
    "WEAKLINK_ACCOUNTS_SECRET": "0123456789abcdef",
}
"""What the person who runs it sets."""


class _Override(list[Any]):
    """A list that takes the place of the one below it (`!override`)."""


class _Loader(yaml.SafeLoader):
    pass


def _override(loader: _Loader, node: yaml.Node) -> _Override:
    assert isinstance(node, yaml.SequenceNode)
    return _Override(loader.construct_sequence(node))


_Loader.add_constructor("!override", _override)


def merged() -> dict[str, Any]:
    """Mappings merged, lists appended but for commands, checks and `!override`; variables as `GIVEN` has them."""
    below, above = (
        yaml.load((ROOT / name).read_text(encoding="utf-8"), _Loader)  # a SafeLoader with one tag more
        for name in ("docker-compose.yml", "docker-compose.secure.yml")
    )
    found: dict[str, Any] = _filled(_merge(below, above))
    return {name: value for name, value in found.items() if not name.startswith("x-")}


def _merge(below: Any, above: Any, name: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merge(below.get(key), value, key) for key, value in above.items()}
    if (
        isinstance(below, list)
        and isinstance(above, list)
        and not isinstance(above, _Override)
        and name not in ("command", "test")
    ):
        return [*below, *above]
    return list(above) if isinstance(above, _Override) else above


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one) for one in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: GIVEN[found[1]], value).replace("$$", "$")
    return value


def make_secrets(folder: Path) -> None:
    """What a person makes first, with the script that is there for it: `certificates`, `secrets` and `.env` in the folder."""
    script = str(ROOT / "deploy/compose/secrets.sh")
    subprocess.run([script, GIVEN["WEAKLINK_HOST"]], cwd=folder, check=True, capture_output=True)


def server_properties(folder: Path, environment: Mapping[str, str], replaced: Mapping[str, str]) -> Path:
    """Kafka's settings as the image makes them of the environment, by the image's own code; it formats the storage, too.

    `replaced`: what cannot be as in a container (names of hosts, ports, paths).
    """
    for old, new in replaced.items():
        environment = {name: value.replace(old, new) for name, value in environment.items()}
    for name in ("default", "mounted", "final"):
        (folder / name).mkdir()
    (folder / "final/server.properties").touch()
    words = ["setup", *(f"--{name}-configs-dir={folder / name}" for name in ("default", "mounted", "final"))]
    run = subprocess.run(
        ["java", "-Xmx128m", "-cp", f"{ensure_jars()}/*", "kafka.docker.KafkaDockerWrapper", *words],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "final/server.properties"
