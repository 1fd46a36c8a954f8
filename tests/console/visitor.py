"""A console that is a process of its own, and somebody who visits it."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink.ops.ports import free_ports

_PROGRAM = "from weaklink.cli.main import main; main()"


class Visitor:
    """With cookies of his own. `headers`: what else each request has."""

    def __init__(self, address: str) -> None:
        self.headers: dict[str, str] = {}
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(self, path: str, **form: str) -> tuple[int, str]:
        """Status and page; with fields, of a form that is sent."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            asked = urllib.request.Request(self._address + path, data, self.headers)
            with self._opener.open(asked, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def sign_in(self, name: str, password: str) -> int:
        """The status of what comes of it: 200 is the first page."""
        (token,) = re.findall(r'name="token" value="([^"]+)"', self.ask("/login")[1])
        return self.ask("/login", name=name, password=password, token=token)[0]

    def is_answered(self) -> bool:
        """Whether the console listens."""
        try:
            return self.ask("/healthz")[0] == 200
        except OSError:
            return False


@contextmanager
def console(environment: Mapping[str, str], log: Path, before: str = "") -> Iterator[Visitor]:
    """A console with these variables, for as long as the block, and its log in a file; started after these lines of Python."""
    (port,) = free_ports(1)
    command = [sys.executable, "-c", before + _PROGRAM, "console", "--port", str(port)]
    with log.open("ab") as file:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=file, stderr=file)
    visitor = Visitor(f"http://127.0.0.1:{port}")
    try:
        wait_until(visitor.is_answered, log.read_text)
        yield visitor
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
