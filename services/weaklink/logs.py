"""Structured logs: JSON lines on stderr for services, readable lines for a terminal. What libraries log takes the same way."""

import contextlib
import json as json_text
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

import structlog

from weaklink.errors import WeaklinkError

FIELDS: Final = {
    "timestamp": "when, ISO 8601, UTC",
    "level": "debug, info, warning or error",
    "event": "what happened, in snake case: search for this",
    "service": "the stage or command that wrote the line",
    "error": "what went wrong, with the type of the exception where it helps",
    "meaning": "what follows from it",
    "next": "what the process does about it by itself",
    "stage": "the stage",
    "slot": "the worker's stable name, where it has one",
    "brokers": "bootstrap servers",
    "ledger": "URL of the ledger, without its password",
    "signal": "the signal that stops the process",
    "topic": "Kafka topic",
    "partition": "its partition",
    "partitions": "several of them, as topic-partition",
    "offset": "offset of a record",
    "committed": "committed offset",
    "log_begins": "first offset that the log still holds",
    "wanted_from": "offset that would have been needed",
    "unit": "unit of state, as the stage names it",
    "units": "units of state that the process owns",
    "rebuilt": "units that were rebuilt",
    "snapshot": "whether there was a snapshot to begin with",
    "path": "file, or object in the store",
    "verdict": "suspect: tried alone from now on; refused: never unpacked again",
    "batches": "record batches, as topic-partition with first and last offset",
    "trace": "where the threads of a process stood when it died",
    "records": "number of records",
    "messages": "number of messages",
    "rows": "number of rows; by table where there are several",
    "seconds": "how long it took",
    "party": "party id",
    "values": "number of identifiers that a party asked the tokeniser about",
    "kinds": "number of them by kind",
    "status": "status of an HTTP answer",
    "campaign_id": "campaign",
    "revision": "its revision",
    "measure": "what it asks for",
    "expires_at": "until when it stood",
    "measures": "number of measures in a decision",
    "changes": "number of actions that changed",
    "waiting": "number of actions that wait for a person",
    "refused": "number of measures that policy refused",
    "repeated": "number of messages that were known already",
    "outcomes": "number of receipts by outcome",
    "oldest_epoch": "the oldest epoch of keys in force",
    "links": "number of links that were dropped, or moved to a newer epoch",
    "ended": "number of actions that ended",
    "dead_letters": "number of messages set aside within the hour",
    "work": "which timer",
    "url": "URL of the schema registry, or at which the process serves",
    "subject": "subject in the schema registry",
    "id": "schema id in the registry, or `jti` of a security event token",
    "package": "Python package",
    "classes": "what is set where a list is missing",
    "install": "what to install",
    "host": "address that the console listens on",
    "port": "port that the console listens on",
    "address": "address of who tries to sign in to the console: of a proxy that is not among WEAKLINK_CONSOLE__PROXIES, the proxy's",
    "user": "who has signed in to the console; null: nobody",
    "method": "HTTP method",
    "route": "route of the console, without what stands in its places",
    "verb": "a person's verdict: approve, decline or withdraw",
    "action_id": "action",
    "state": "state of the action after the verdict",
    "message": "what a library said",
    "logger": "the library that said it",
    "exception": "traceback",
}
"""Every field that a line may have: one name for one thing, everywhere. A test holds the code to it."""


_CHATTY: Final = ("kafka.net.selector", "kafka.admin._groups")
"""Their warnings say nothing: that a busy machine made a task wait, and, at each look at the lag, that Faust's members have metadata of their own."""


def configure_logging(service: str, *, json: bool | None = None, level: str = "info") -> None:
    """Set structlog up for a process. `json=None` means JSON unless stderr is a terminal.

    Either escapes control characters, so that nothing a party sends can forge a line, or write on a terminal what is not there. Libraries
    (`logging`, `warnings`, exceptions of threads) write the same lines, from warnings on.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    renderers: list[structlog.types.Processor] = (
        [structlog.processors.JSONRenderer(serializer=_one_line)]
        if as_json
        else [
            _escape_exception,
            structlog.dev.ConsoleRenderer(repr_native_str=True, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _named(service),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=ToStderr,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.captureWarnings(True)
    if threading.excepthook is threading.__excepthook__:  # not where a test runner watches for them itself
        threading.excepthook = _thread_died


@contextlib.contextmanager
def service_log(service: str, *, json: bool | None, level: str) -> Iterator[None]:
    """`configure_logging` for a service that runs in this block. What ends it by an error is its last line, and exit status 1."""
    configure_logging(service, json=json, level=level)
    log = structlog.get_logger()
    try:
        yield
    except WeaklinkError as error:
        log.error("ended", error=str(error))
    except ModuleNotFoundError:
        raise  # the command says which package is missing
    except Exception:
        log.exception("crashed", exc_info=True)
    else:
        return
    sys.exit(1)


def _one_line(line: structlog.types.EventDict, **options: Any) -> str:
    """A line as JSON without any control character: of those in ASCII, `json` leaves DEL as it is."""
    return json_text.dumps(line, ensure_ascii=True, **options).replace("\x7f", "\\u007f")


def _escape_exception(_logger: object, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """For a terminal: a traceback keeps its line breaks, indented so that none of its lines looks like one of the log."""
    if "exception" in line:
        text = "".join(
            one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
            for one in line["exception"]
        )
        line["exception"] = text.replace("\n", "\n  ")
    return line


class _ToStructlog(logging.Handler):
    """What libraries log, as lines of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the library's own mistake
            message = str(record.msg)
        log.log(
            max(one for one in (0, logging.INFO, logging.WARNING, logging.ERROR) if one <= record.levelno),
            "library_message",
            message=message,
            logger=record.name,
            exc_info=record.exc_info,
        )


def _thread_died(died: threading.ExceptHookArgs) -> None:
    log = structlog.get_logger()
    if died.exc_type is not SystemExit and died.exc_value is not None:
        log.error("thread_died", exc_info=died.exc_value)


def _named(service: str) -> structlog.types.Processor:
    """Puts the service's name into every line, whichever thread writes it (context variables do not reach other threads)."""

    def add(_logger: object, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        line.setdefault("service", service)
        return line

    return add


class ToStderr:
    """Writes to what stderr is at that moment: a process that replaces it (a test, a daemon) closes the old one."""

    def __init__(self, *_: object) -> None: ...

    def msg(self, message: str) -> None:
        """Write one line. On a disk that is full it is lost: no reason for a service to end."""
        with contextlib.suppress(OSError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg
