"""A schema registry for tests: the paths that Weaklink and clients of the wire format ask for, served on loopback."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import HttpUrl

from weaklink.ingest.config import SchemaRegistryConfig
from weaklink.ops.ports import free_ports
from weaklink.records.schemas import latest


class FakeRegistry:
    """What it knows: subject -> versions, each an id and a schema. While `failing`, it answers that it cannot."""

    def __init__(self, allowed: Sequence[str], port: int) -> None:
        self.subjects: dict[str, list[tuple[int, str]]] = {}
        self.asked: list[str] = []
        self.failing = False
        self.port = port
        self.config = SchemaRegistryConfig(
            url=HttpUrl(f"http://127.0.0.1:{port}"), subjects=tuple(allowed), unknown_ttl_seconds=60
        )

    def answer(self, path: str) -> Any:
        """The status, and the answer as JSON."""
        self.asked.append(path)
        if self.failing:
            return 500, {}
        if path.startswith("/schemas/ids/"):
            wanted = int(path.rpartition("/")[2])
            texts = [text for versions in self.subjects.values() for schema_id, text in versions if schema_id == wanted]
            return (200, {"schema": texts[0]}) if texts else (404, {})
        _, _, subject, _, *version = path.split("/")
        versions = self.subjects.get(subject)
        if versions is None:
            return 404, {}
        if not version:
            return 200, list(range(1, len(versions) + 1))
        number = len(versions) if version[0] == "latest" else int(version[0])
        schema_id, text = versions[number - 1]
        return 200, {"subject": subject, "id": schema_id, "version": number, "schema": text}


@contextmanager
def schema_registry(allowed: Sequence[str], port: int | None = None) -> Iterator[FakeRegistry]:
    """A registry that answers until the end of the block."""
    registry = FakeRegistry(allowed, port or free_ports(1)[0])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = registry.answer(self.path)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", registry.port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def confluent(schema_id: int, value: bytes) -> bytes:
    """A value in single-object encoding, in the Confluent wire format instead."""
    return b"\x00" + schema_id.to_bytes(4, "big") + value[10:]


def text_of(record: str) -> str:
    """The schema as a registry has it."""
    return json.dumps(latest(record).json)
