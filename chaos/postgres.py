"""A real PostgreSQL as a child process on loopback, to be killed and frozen. None is installed: `installed()` says so."""

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg

from weaklink.ops.ports import free_ports


def installed() -> bool:
    """Whether there is a PostgreSQL that this user may run."""
    root = os.geteuid() == 0
    return _binaries() is not None and (not root or "postgres" in {entry.pw_name for entry in pwd.getpwall()})


def _binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@dataclass
class Postgres:
    """`with Postgres(folder) as server:`; `url` names its database. Commits are synced, as they would be in production."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def url(self) -> str:
        """Of the database `weaklink` in it."""
        return f"postgresql://weaklink@127.0.0.1:{self.port}/weaklink"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
            for parent in self.folder.parents:
                if not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "weaklink")
        self.start()
        with psycopg.connect(self.url.removesuffix("weaklink") + "postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE weaklink")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        if (self._data / "postmaster.pid").exists():
            self.thaw()
            self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop", check=False)

    def start(self) -> None:
        """Start (again) on its data; returns when it accepts connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "120", "-o", options, "-l", str(self.folder / "log"), "start")  # fmt: skip

    def kill(self) -> None:
        """kill -9 of the server and all its backends at once."""
        for process in self._processes():
            process.kill()
        psutil.wait_procs(self._processes(), timeout=10)

    def freeze(self) -> None:
        """SIGSTOP to all of them: connections stay open, nothing answers."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        """SIGCONT."""
        for process in self._processes():
            process.send_signal(signal.SIGCONT)

    def cut(self) -> int:
        """Close every client's connection from the server's side, whatever it is doing; how many there were."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'weaklink'"
            row = connection.execute(ended).fetchone()
        return int(row[0]) if row else 0

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _processes(self) -> list[psutil.Process]:
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            server = psutil.Process(pid)
            return [server, *server.children(recursive=True)]
        except (OSError, ValueError, IndexError, psutil.Error):
            return []

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        binaries = _binaries()
        assert binaries is not None, "PostgreSQL is not installed"
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(binaries / program), *arguments], check=check, stdout=subprocess.DEVNULL, cwd=self.folder
        )
