"""A real Apache Kafka cluster on loopback: one or several KRaft nodes as child processes, with or without SCRAM and TLS.

Demo, tests and benchmarks share it. Settings and timings are measured ones: see the notes beside them.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker_properties import ADMIN, Security, Tls, ports_of, server_properties
from weaklink.ops.kafka_jars import ensure_jars
from weaklink.ops.ports import free_ports

_START_TIMEOUT_SECONDS: Final = 120
_BOOTSTRAP_TIMEOUT_MS: Final = 30_000  # it is known to run: what it may lack is processor time
_START_ATTEMPTS: Final = 3  # with other ports, should somebody bind one of ours between choice and start
_STOP_TIMEOUT_SECONDS: Final = 20
_PROPERTIES: Final = "server.properties"


@dataclass
class LocalCluster:
    """`with LocalCluster(folder) as cluster:` starts `nodes` brokers below `folder` and stops them at the end.

    With `scram`, or `tls` of clients, an authorizer refuses whatever no ACL allows. `reauth_ms`: how long a SCRAM session lasts
    before the broker asks again (None: for ever). `properties`: further settings of every node, by Kafka's names. `port`: of the first
    node's clients (None: any that is free). `keep`: what an earlier cluster left in the folder is there again; else it begins empty.
    """

    folder: Path
    nodes: int = 1
    scram: bool = False
    tls: Tls | None = None
    reauth_ms: int | None = None
    heap_mib: int = 512
    properties: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    keep: bool = False
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    _ports: list[int] = field(default_factory=list)
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _log_begins: dict[int, int] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        """host:port of every node's client listener."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports[: self.nodes])

    @property
    def kafka(self) -> KafkaConfig:
        """How an administrator connects."""
        replication = min(self.nodes, 3)
        login: dict[str, Any] = {"security_protocol": self._security.protocol}
        if self.scram:
            login |= {"username": ADMIN, "password": self.admin_password}
        if self.tls:
            login |= {"ssl_cafile": str(self.tls.authority)}
            login |= {"ssl_certfile": str(self.tls.node)} if self.tls.clients_too else {}
        return KafkaConfig(
            bootstrap_servers=self.bootstrap_servers,
            bootstrap_timeout_ms=_BOOTSTRAP_TIMEOUT_MS,
            replication_factor=replication,
            **login,
        )

    @property
    def _security(self) -> Security:
        return Security(self.admin_password if self.scram else None, self.tls, self.reauth_ms)

    def pid(self, node: int) -> int:
        """The process id of node 1, 2, ..."""
        return self._processes[node].pid

    def start(self) -> Self:
        """Format the storage and start every node. Raises BrokerError with the end of the log when one does not come up."""
        for attempts_left in reversed(range(_START_ATTEMPTS)):
            try:
                self._start(ensure_jars())
                break
            except BrokerError:
                if not attempts_left or not self._port_was_taken():
                    raise
        return self

    def _start(self, jars: Path) -> None:
        kept = self._kept_ports() if self.keep else None
        self._ports = kept or free_ports(2 * self.nodes)
        if self.port is not None:
            self._ports[0] = self.port
        if kept:
            for node in range(1, self.nodes + 1):
                self._write_properties(node)
        else:
            self._format_all(jars)
        try:
            for node in range(1, self.nodes + 1):
                self.start_node(node)
            for node in range(1, self.nodes + 1):
                self._await_port(node)
        except BaseException:
            self.stop()
            raise

    def _kept_ports(self) -> list[int] | None:
        """Ports of the cluster whose storage is in the folder; None: there is none. Controllers must have theirs again: they are stored, too."""
        folders = [self._node_folder(node) for node in range(1, self.nodes + 1)]
        if not all((folder / "data" / "meta.properties").exists() for folder in folders):
            return None
        pairs = [ports_of((folder / _PROPERTIES).read_text(encoding="utf-8")) for folder in folders]
        return [client for client, _ in pairs] + [controller for _, controller in pairs]

    def _format_all(self, jars: Path) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        directories = [urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=") for _ in range(self.nodes)]
        voters = ",".join(
            f"{i + 1}@127.0.0.1:{self._ports[self.nodes + i]}:{directories[i]}" for i in range(self.nodes)
        )
        for node in range(1, self.nodes + 1):
            self._format(jars, node, cluster_id, voters)

    def _port_was_taken(self) -> bool:
        logs = (self._node_folder(node) / "broker.log" for node in range(1, self.nodes + 1))
        return any("Address already in use" in log.read_text(errors="replace") for log in logs if log.exists())

    def start_node(self, node: int) -> None:
        """Start (again) one node on its storage; does not wait for it."""
        path = self._node_folder(node) / "broker.log"
        self._log_begins[node] = path.stat().st_size if path.exists() else 0
        log = path.open("ab")
        command = [
            "java",
            f"-Xmx{self.heap_mib}m",
            "-XX:+UseG1GC",
            "-Dlog4j2.level=INFO",
            "-cp",
            f"{ensure_jars()}/*",
            "kafka.Kafka",
            str(self._node_folder(node) / _PROPERTIES),
        ]
        with log:
            # Its own session, so that Ctrl-C in the terminal reaches only us, and we stop it in order.
            self._processes[node] = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._java_env(),
                start_new_session=True,
            )

    def kill_node(self, node: int) -> None:
        """kill -9 of one node, which is gone when this returns."""
        self._processes[node].kill()
        self._processes[node].wait()

    def await_node(self, node: int) -> None:
        """Until a node that was started (again) serves. Raises BrokerError with the end of its log when it does not come up."""
        self._await_port(node)

    def await_end(self, node: int) -> NoReturn:
        """Until a node ends by itself. Raises BrokerError with the end of its log."""
        code = self._processes[node].wait()
        log = self._node_folder(node) / "broker.log"
        raise BrokerError(
            f"Kafka node {node} ended (exit code {code}); the end of {log}:\n{log.read_text(errors='replace')[-3000:]}"
        )

    def stop(self) -> None:
        """Stop every node; after a grace period, kill it."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _node_folder(self, node: int) -> Path:
        return self.folder / f"node-{node}"

    def _format(self, jars: Path, node: int, cluster_id: str, voters: str) -> None:
        folder = self._node_folder(node)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        properties = self._write_properties(node)
        words = [
            "-Xmx128m",
            "-cp",
            f"{jars}/*",
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster_id}",  # one word: an id may begin with a hyphen
            "-c",
            str(properties),
            "--initial-controllers",
            voters,
        ]
        if self.scram:
            words += ["--add-scram", f"SCRAM-SHA-512=[name={ADMIN},password={self.admin_password}]"]
        # In a file: the tool takes the password as an argument, and those are in the list of processes.
        arguments = folder / "format.arguments"
        _write_private(
            arguments, "\n".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
        )
        run = subprocess.run(
            ["java", f"@{arguments}"], capture_output=True, text=True, env=self._java_env(), check=False
        )
        arguments.unlink()
        if run.returncode != 0:
            raise BrokerError(f"Kafka could not format {folder}:\n{(run.stdout + run.stderr)[-2000:]}")

    def _write_properties(self, node: int) -> Path:
        path = self._node_folder(node) / _PROPERTIES
        path.unlink(missing_ok=True)
        data = self._node_folder(node) / "data"
        _write_private(path, server_properties(node, self._ports, data, self._security, self.properties))
        return path

    def _java_env(self) -> dict[str, str]:
        return {**os.environ, "LC_ALL": "C.UTF-8"}

    def _await_port(self, node: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        log = self._node_folder(node) / "broker.log"
        while time.monotonic() < deadline:
            if self._processes[node].poll() is not None:
                break
            # What a life before this one wrote does not count.
            if b"Kafka Server started" in log.read_bytes()[self._log_begins[node] :]:
                return
            time.sleep(0.1)
        raise BrokerError(
            f"Kafka node {node} did not come up within {_START_TIMEOUT_SECONDS} s; the end of {log}:\n{log.read_text(errors='replace')[-3000:]}"
        )


def _write_private(path: Path, text: str) -> None:
    """A new file, for its owner's eyes only: it may hold the administrator's password."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def existing_or_local(folder: Path) -> Iterator[KafkaConfig]:
    """The cluster of WEAKLINK_KAFKA__BOOTSTRAP_SERVERS where it is set, else a local one for the time of the block."""
    if "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS" in os.environ:
        from weaklink.settings import load_settings

        yield load_settings().kafka
    else:
        with LocalCluster(folder) as cluster:
            yield cluster.kafka
