"""Structured logs: JSON lines on stderr for services, readable lines for a terminal."""

import sys

import structlog


def configure_logging(service: str, *, json: bool | None = None, level: str = "info") -> None:
    """Set structlog up for a process. `json=None` means JSON unless stderr is a terminal.

    JSON escapes control characters, so that nothing a party sends can forge a line.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True) if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_ToStderr,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


class _ToStderr:
    """Writes to what stderr is at that moment: a process that replaces it (a test, a daemon) closes the old one."""

    def __init__(self, *_: object) -> None: ...

    def msg(self, message: str) -> None:
        """Write one line."""
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg
