"""The console as a process: uvicorn until SIGTERM or Ctrl-C."""

import contextlib
import ipaddress
import signal
from collections.abc import Iterator

import structlog
import uvicorn

from weaklink.console.app import make_app
from weaklink.health import Health
from weaklink.listening import listen
from weaklink.settings import Settings

_log = structlog.get_logger()
_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """Ends on a signal and returns: uvicorn's own raises the signal again, as if the process had been killed by it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours while it serves."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def run_console(settings: Settings, health: Health | None = None) -> None:
    """Serve until stopped. Streams of live updates are cut after the grace; everything else is answered first."""
    config = settings.console
    if not config.https and not _loopback(config.host):
        _log.warning(
            "console_without_tls",
            host=config.host,
            meaning="passwords can be read on the way: set WEAKLINK_CONSOLE__HTTPS",
        )
    app = make_app(settings)
    listening = listen("the console", config.host, config.port, "--port or WEAKLINK_CONSOLE__PORT")
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,  # every request is logged by its route: an address may hold an account's name
            log_config=None,
            server_header=False,
            forwarded_allow_ips=list(config.proxies),
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=1000,
        )
    )
    port = listening.getsockname()[1]
    _log.info("started", host=config.host, port=port, brokers=settings.kafka.bootstrap_servers)
    app.state.health = health
    server.run([listening])
    _log.info("stopped")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
