"""Certificates that a test makes for itself: an authority, and leaves that it signed for 127.0.0.1."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.prerequisites import require


def missing_openssl() -> list[str]:
    """What to install where there is no openssl, one message; empty where there is."""
    return [] if shutil.which("openssl") else ["openssl is not installed: no certificates can be made"]


@dataclass
class Authority:
    """A certificate authority in a folder of the test, made with openssl; skips the test where there is none, or in CI fails it."""

    folder: Path

    def __post_init__(self) -> None:
        require(missing_openssl())
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run(
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=weaklink-test-authority",
            *_key("ca"),
            "-out",
            "ca.pem",
        )

    @property
    def certificate(self) -> Path:
        """What others trust."""
        return self.folder / "ca.pem"

    def leaf(self, common_name: str) -> Path:
        """Key (PKCS #8) and chain of this name in one PEM file, good for servers and clients on 127.0.0.1."""
        name = common_name.replace(".", "-")
        self._run("req", "-nodes", "-subj", f"/CN={common_name}", *_key(name), "-out", f"{name}.csr")
        (self.folder / "extensions").write_text(
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        self._run(
            "x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "extensions", "-out", f"{name}.crt",
        )  # fmt: skip
        parts = [self.folder / f"{name}.key", self.folder / f"{name}.crt", self.certificate]
        both = self.folder / f"{name}.pem"
        both.write_text("".join(part.read_text() for part in parts))
        both.chmod(0o600)
        return both

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def _key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", f"{name}.key")
