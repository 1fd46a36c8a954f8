"""The person on duty, where a benchmark's world needs one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from weaklink.sim.services import Services

_DUTY_SECONDS: Final = 15.0


class Duty:
    """The person on duty: now and then approves everything that waits, by `weaklink actions`, beside the loop. `log`: what the commands said."""

    def __init__(self, services: Services, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = {**os.environ, **environment}, log
        waiting = services.command("actions", "list", "--waiting", "--json", "--limit", "1000000")
        approve = services.command("actions", "approve", "--by", "duty", "--yes", "--campaign")
        script = (
            "import json, subprocess\n"
            f"found = subprocess.run({waiting!r}, stdout=subprocess.PIPE, text=True, check=True).stdout\n"
            "for one in sorted({json.loads(line)['campaign_id'] for line in found.splitlines()}):\n"
            f"    subprocess.run([*{approve!r}, one])"
        )
        self._command = [sys.executable, "-c", script]
        self._next = time.monotonic() + _DUTY_SECONDS
        self._process: subprocess.Popen[bytes] | None = None
        log.unlink(missing_ok=True)

    def maybe(self) -> None:
        """Begin a look when it is time and none is under way."""
        if time.monotonic() < self._next or (self._process is not None and self._process.poll() is None):
            return
        self._next = time.monotonic() + _DUTY_SECONDS
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True)  # fmt: skip

    def stop(self) -> None:
        """End a look that is under way."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()

    @property
    def approved(self) -> int:
        """Actions that became active by a person's word."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return sum(line.endswith(": ACTIVE") for line in lines)
