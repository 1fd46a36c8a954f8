"""What `deploy/test-prerequisites` does on a machine that has nothing."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TOOLS = ("bash", "mktemp", "rm", "ls", "tail", "mkdir", "dpkg-deb", "tar", "cat")


def test_what_cannot_be_installed_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    """In CI tests fail without Java, Maven and PostgreSQL: a browser that is not to be had must not take these with it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in _TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    fakes = {
        "id": "echo 0",
        "apt-get": f'echo "$@" >>{tmp_path}/asked; case "$*" in *openjdk*|*download*) exit 100;; esac',
    }
    for name, body in fakes.items():
        (folder / name).write_text(f"#!{shutil.which('bash')}\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    environment = {"PATH": str(folder), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    script = str(ROOT / "deploy" / "test-prerequisites")
    run = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "could not install openjdk-17-jre-headless" in run.stdout
    installed = [
        line.split()[-1] for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("install")
    ]
    assert {"openjdk-17-jre-headless", "maven", "openssl", "gcc", "chromium"} <= set(installed)
