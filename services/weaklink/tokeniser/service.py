"""The service over HTTP: `POST /v1/tokens` with a party's secret and normalised values, answered with their tokens.

Every call is a line of the log: who, how many values of which kinds, and what became of it. Never a value, a token or a secret. There is no
call that gives a key.
"""

import contextlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from weaklink import metrics
from weaklink.errors import ConfigurationError
from weaklink.listening import listen
from weaklink.partner.remote import CALL_BYTES_MAX, PATH
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import IdentifierKind
from weaklink.tokeniser.clients import hash_of, load_clients
from weaklink.tokeniser.config import TokeniserConfig
from weaklink.tokeniser.limits import Limits

_BYTES_PER_ITEM: Final = 256
_STOP_SECONDS: Final = 5
"""So long a stop waits for answers under way."""
_KNOWN_SECONDS_MAX: Final = 3_600
"""How long parties may go on with what they were told: a rotation that nobody had planned reaches what they know within this time. Shorter would
cost them their values a day: a full cache asked for again every hour is a third of the default limit."""
_log = structlog.get_logger()

T = TypeVar("T")
Item = tuple[IdentifierKind, str]


class _Refused(Exception):
    """A call that is not served: HTTP status, why (for the log and the answer), and seconds after which to try again."""

    def __init__(self, status: int, why: str, after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.after_seconds = status, why, after_seconds


class _Watched(Generic[T]):
    """What a file holds, read again when it changes. A file that cannot be read leaves what was read before, and an error in the log.

    Until it can be read it is tried again with every call: what mends it (chown, chmod) changes neither its time nor its size.
    """

    def __init__(self, path: Path, load: Callable[[Path], T]) -> None:
        self._path, self._load = path, load
        self._stamp = self._now()
        self._value = load(path)
        self._told: str | None = None

    def value(self) -> T:
        stamp = self._now()
        if stamp != self._stamp:
            try:
                self._value = self._load(self._path)
                self._stamp, self._told = stamp, None
            except ConfigurationError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    _log.error(
                        "file_unusable", path=str(self._path), error=self._told, next="what was read before holds"
                    )
        return self._value

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class TokeniserService:
    """The application. Raises ConfigurationError when the key file is missing, damaged, or open to others."""

    def __init__(self, config: TokeniserConfig, clock: Callable[[], float] = time.time) -> None:
        if config.key_file is None:
            raise ConfigurationError("set WEAKLINK_TOKENISER__KEY_FILE (weaklink partner key new FILE makes one)")
        self._config = config
        self._clock = clock
        self._tokeniser = _Watched(config.key_file, LocalTokeniser.load)
        self._clients = _Watched(config.clients_file, load_clients)
        self._limits = Limits(config)
        self.app = Starlette(
            routes=[Route(PATH, self._tokens, methods=["POST"]), Route("/healthz", self._health, methods=["GET"])]
        )

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def _tokens(self, request: Request) -> Response:
        started = time.perf_counter()
        party: str | None = None
        items: list[Item] = []
        try:
            party = self._party(request)
            items = _items(await self._body(request), self._config)
            if after := self._limits.take(party, len(items), self._clock()):
                raise _Refused(429, "over its limit", after)
            answer = await run_in_threadpool(self._answer, items)
            status, headers, why = 200, {}, None
        except _Refused as refused:
            answer, status, why = {"error": refused.why}, refused.status, refused.why
            headers = {"Retry-After": str(math.ceil(refused.after_seconds))} if refused.after_seconds else {}
        seconds = time.perf_counter() - started
        metrics.TOKEN_CALLS.labels(party or "", status).inc()
        if tokens := answer.get("tokens"):
            metrics.TOKENS.labels(party).inc(len(tokens))
        metrics.TOKEN_CALL_SECONDS.observe(seconds)
        _log.info(
            "tokens_asked",
            party=party,
            values=len(items),
            kinds=dict(Counter(kind.name for kind, _ in items)),
            status=status,
            error=why,
            seconds=round(seconds, 6),
        )
        return JSONResponse(answer, status, headers)

    def _party(self, request: Request) -> str:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        party = self._clients.value().get(hash_of(secret)) if scheme.lower() == "bearer" else None
        if party is None:
            raise _Refused(401, "no party has this secret")
        return party

    async def _body(self, request: Request) -> bytes:
        """The body, read no further than anybody may send."""
        size_max = max(self._config.items_per_call_max * _BYTES_PER_ITEM, CALL_BYTES_MAX)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > size_max:
                raise _Refused(413, "too many bytes in one call")
        return bytes(body)

    def _answer(self, items: list[Item]) -> dict[str, Any]:
        tokeniser = self._tokeniser.value()
        until = min(tokeniser.changes_at, self._clock() + _KNOWN_SECONDS_MAX)
        try:
            tokens = [[token.hex() for token in tokeniser.of_form(kind, form)] for kind, form in items]
        except ConfigurationError as error:
            raise _Refused(503, str(error)) from error
        return {"tokens": tokens, "valid_until": until}


def _items(body: bytes, config: TokeniserConfig) -> list[Item]:
    """What is asked for. The refusals quote nothing of it."""
    try:
        items = [(IdentifierKind[one["kind"]], one["form"]) for one in json.loads(body)["items"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Refused(400, 'wanted: {"items": [{"kind": "CARD", "form": "..."}]}') from None
    if not 0 < len(items) <= config.items_per_call_max:
        raise _Refused(413, f"1 to {config.items_per_call_max} values in one call")
    if not all(isinstance(form, str) and 0 < len(form) <= config.form_characters_max for _, form in items):
        raise _Refused(400, f"a form is a text of 1 to {config.form_characters_max} characters")
    try:
        for _, form in items:
            form.encode()
    except UnicodeEncodeError:
        raise _Refused(400, "a form is not valid Unicode") from None
    return items


def serve(config: TokeniserConfig) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvicorn

    service = TokeniserService(config)
    options: dict[str, Any] = {
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "timeout_graceful_shutdown": _STOP_SECONDS,
    }
    if config.certfile is not None:
        options |= {
            "ssl_certfile": str(config.certfile),
            "ssl_keyfile": str(config.keyfile) if config.keyfile else None,
        }
    listening = listen("tokens", config.host, config.port, "WEAKLINK_TOKENISER__PORT")
    port = listening.getsockname()[1]
    _log.info("started", url=f"{'https' if config.certfile else 'http'}://{config.host}:{port}")
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
        uvicorn.Server(uvicorn.Config(service.app, **options)).run([listening])
