"""What a process says of itself over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes.

Healthy: its loop turned a short while ago. Ready: it has joined its group and rebuilt its state (a standby that owns nothing is ready).
Neither looks at Kafka: a broker that is away must not make an orchestrator restart every worker.
"""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import structlog
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from weaklink import __version__, metrics
from weaklink.listening import told

_PLAIN: Final = "text/plain; charset=utf-8"
_log = structlog.get_logger()


class Health:
    """Said by a service's loop, asked by the server's threads. Each field is written whole, so no lock is needed."""

    def __init__(self, silence_seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence_seconds_max = silence_seconds_max
        self._clock = clock
        self._turned_at = clock()
        self.ready = False

    def turned(self, *, ready: bool) -> None:
        """The loop went round once more."""
        self._turned_at = self._clock()
        self.ready = ready

    @property
    def silent_seconds(self) -> float:
        """Since the loop last turned."""
        return self._clock() - self._turned_at

    @property
    def healthy(self) -> bool:
        """Whether the loop turned within the time that it may take."""
        return self.silent_seconds <= self._silence_seconds_max


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A line of the log, in place of a traceback on stderr."""
        _log.warning("probe_not_answered", exc_info=True)


class HealthServer:
    """Serves in a thread of its own until the process ends or `close`. Raises OSError when the port is taken."""

    def __init__(self, host: str, port: int, health: Health) -> None:
        metrics.BUILD.labels(__version__).set(1)
        self._server = _Server((host, port), _handler(health))
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def serve_health(host: str, port: int, health: Health) -> HealthServer:
    """A server that runs. Raises ConfigurationError when it cannot listen there."""
    with told("metrics", host, port, "--metrics-port or WEAKLINK_STREAM__METRICS_PORT"):
        return HealthServer(host, port, health)


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing must not hold a thread for ever

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept") or "")
                self._answer(200, content_type, encode(REGISTRY))
            elif path == "/healthz":
                said = f"the loop turned {health.silent_seconds:.1f} s ago\n".encode()
                self._answer(200 if health.healthy else 503, _PLAIN, said)
            elif path == "/readyz":
                ready = health.ready and health.healthy
                said = b"ready\n" if ready else b"not ready: joining its group, or rebuilding state\n"
                self._answer(200 if ready else 503, _PLAIN, said)
            else:
                self._answer(404, _PLAIN, b"there are /metrics, /healthz and /readyz\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes are no news."""

    return Handler
