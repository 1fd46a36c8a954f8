"""Tokens from the consortium's tokeniser: the keys stay there, and every party asks within its limits.

What goes over the wire is the normalised form of a value (of a prompt only the hashes of its bands), over TLS, to the service alone. It is
remembered here, so that a frequent value is asked for once.
"""

import http.client
import json
import math
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from weaklink.errors import ConfigurationError, RecordError, TokeniserError
from weaklink.partner.config import PartnerConfig
from weaklink.partner.tokens import LocalTokeniser, Tokeniser, forms_of
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

PATH: Final = "/v1/tokens"
CALL_BYTES_MAX: Final = 64 << 10
"""Every service reads as much, whatever its settings: two of the longest values, and hundreds of usual ones."""
_ITEMS_PER_CALL: Final = 500
_CACHE_ENTRIES_MIN: Final = 4_096
_TEXTS_BYTES_MAX: Final = CALL_BYTES_MAX - _ITEMS_PER_CALL - 64  # what stands around and between the values
_RETRY_SECONDS: Final = 0.2
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Item = tuple[IdentifierKind, str]
"""A kind, and a value in its normalised form."""


def open_tokeniser(config: PartnerConfig, key_file: Path | None = None) -> Tokeniser | None:
    """The tokeniser that the settings name: the consortium's service, or a key file; None when they name none.

    `key_file` is what a command was told, and goes before the settings. Raises ConfigurationError when both are set.
    """
    if key_file is None and config.key_file is not None and config.tokeniser_url is not None:
        raise ConfigurationError(
            "WEAKLINK_PARTNER__KEY_FILE and WEAKLINK_PARTNER__TOKENISER_URL are both set: which one is meant?"
        )
    key_file = key_file or config.key_file
    if key_file is not None:
        return LocalTokeniser.load(key_file, config)
    return RemoteTokeniser.of(config) if config.tokeniser_url else None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Tokens of each item, oldest epoch first, and until when they are all that there are (seconds since 1970)."""

    tokens: list[tuple[bytes, ...]]
    valid_until: float


class RemoteTokeniser:
    """`Tokeniser` over HTTP. Thread-safe; one connection, opened again when it breaks.

    Raises TokeniserError when the service cannot be reached or refuses, RecordError for a value that cannot be one of its kind: neither
    quotes the value.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        config: PartnerConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ConfigurationError("WEAKLINK_PARTNER__TOKENISER_URL must be https://host[:port]")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(
                "WEAKLINK_PARTNER__TOKENISER_URL: raw identifiers must not go over the network without TLS; use https"
            )
        self._config = config or PartnerConfig()
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = self._context() if parts.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._known: OrderedDict[Item, tuple[bytes, ...]] = OrderedDict()
        self._known_until = math.inf
        self._epochs: dict[IdentifierKind, bytes] = {}

    @classmethod
    def of(cls, config: PartnerConfig) -> Self:
        """As the settings say. Raises ConfigurationError when something is missing."""
        secret = config.tokeniser_secret.get_secret_value() if config.tokeniser_secret else None
        if config.tokeniser_secret_file is not None:
            try:
                secret = config.tokeniser_secret_file.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"WEAKLINK_PARTNER__TOKENISER_SECRET_FILE cannot be read: {type(error).__name__}"
                ) from error
        if not config.tokeniser_url or not secret:
            raise ConfigurationError(
                "the tokeniser needs WEAKLINK_PARTNER__TOKENISER_URL, and WEAKLINK_PARTNER__TOKENISER_SECRET or ..._SECRET_FILE"
            )
        return cls(config.tokeniser_url, secret, config)

    def tokens(self, kind: IdentifierKind, value: str) -> tuple[bytes, ...]:
        """See `Tokeniser.tokens`."""
        found = self._of([(kind, form) for form in forms_of(kind, value, self._config)])
        return tuple(token for tokens in found for token in tokens)

    def newest(self, kind: IdentifierKind, value: str) -> bytes:
        """See `Tokeniser.newest`."""
        ((*_, newest),) = self._of([(kind, forms_of(kind, value, self._config)[0])])
        return newest

    def prepare(self, identifiers: Iterable[tuple[IdentifierKind, str]]) -> None:
        """See `Preparing.prepare`."""
        items: list[Item] = []
        for kind, value in identifiers:
            try:
                items += [(kind, form) for form in forms_of(kind, value, self._config)]
            except RecordError:
                continue
        self._of(items)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        with self._lock:
            self._disconnect()

    def _of(self, items: Sequence[Item]) -> list[tuple[bytes, ...]]:
        with self._lock:
            if self._clock() >= self._known_until:
                self._forget()
            return self._look_up(items)

    def _look_up(self, items: Sequence[Item]) -> list[tuple[bytes, ...]]:
        found = {item: self._known[item] for item in items if item in self._known}
        new = list(dict.fromkeys(item for item in items if item not in found))
        for part, body in _calls(new):
            answer = self._ask(body, len(part))
            if self._other_epochs(part, answer.tokens) and self._known:
                self._forget()
                return self._look_up(items)
            found |= zip(part, answer.tokens, strict=True)
            self._known_until = min(self._known_until, answer.valid_until)
        self._remember({item: found[item] for item in items})
        return [found[item] for item in items]

    def _other_epochs(self, items: Sequence[Item], tokens: Sequence[tuple[bytes, ...]]) -> bool:
        """Whether a kind's tokens have other epochs than before: the keys were changed, and what is known is of the earlier ones."""
        epochs = {kind: bytes(token[1] for token in one) for (kind, _), one in zip(items, tokens, strict=True)}
        other = any(self._epochs.get(kind, present) != present for kind, present in epochs.items())
        self._epochs |= epochs
        return other

    def _forget(self) -> None:
        self._known.clear()
        self._known_until = math.inf

    def _remember(self, used: dict[Item, tuple[bytes, ...]]) -> None:
        size = max(self._config.token_cache_entries, _CACHE_ENTRIES_MIN)
        for item, tokens in used.items():
            self._known[item] = tokens
            self._known.move_to_end(item)
        while len(self._known) > size:
            self._known.popitem(last=False)

    def _ask(self, body: bytes, count: int) -> _Answer:
        """One call, again after a broken connection or when the service asks to slow down, until the timeout is over."""
        deadline = time.monotonic() + self._config.tokeniser_timeout_seconds
        while True:
            try:
                status, after, content = self._call(body)
                problem = f"answers with status {status}"
            except (OSError, http.client.HTTPException) as error:
                self._disconnect()
                status, after, content, problem = 0, _RETRY_SECONDS, b"", f"cannot be reached: {type(error).__name__}"
            if status == http.client.OK:
                return _parsed(content, count, self._where)
            if status not in (0, http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE):
                advice = "is the secret the present one?" if status in (401, 403) else "its log says why"
                raise TokeniserError(f"the tokeniser at {self._where} {problem}: {advice}")
            if time.monotonic() + after > deadline:
                raise TokeniserError(f"the tokeniser at {self._where} {problem}")
            time.sleep(after)

    def _call(self, body: bytes) -> tuple[int, float, bytes]:
        connection = self._connection or self._connect()
        self._connection = connection
        connection.request("POST", self._prefix + PATH, body, self._headers)
        response = connection.getresponse()
        content = response.read()
        try:
            after = max(float(response.getheader("Retry-After") or _RETRY_SECONDS), _RETRY_SECONDS)
        except ValueError:
            after = _RETRY_SECONDS
        return response.status, after, content

    def _connect(self) -> http.client.HTTPConnection:
        timeout = self._config.tokeniser_timeout_seconds
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._config.tokeniser_cafile)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"WEAKLINK_PARTNER__TOKENISER_CAFILE cannot be used: {type(error).__name__}"
            ) from error


def _calls(items: Iterable[Item]) -> Iterator[tuple[list[Item], bytes]]:
    """The items of each call, and its body."""
    part, texts, size = list[Item](), list[bytes](), 0
    for kind, form in items:
        text = json.dumps({"kind": kind.name, "form": form}, ensure_ascii=False).encode()
        if part and (len(part) == _ITEMS_PER_CALL or size + len(text) > _TEXTS_BYTES_MAX):
            yield part, _body(texts)
            part, texts, size = [], [], 0
        part.append((kind, form))
        texts.append(text)
        size += len(text)
    if part:
        yield part, _body(texts)


def _body(texts: Iterable[bytes]) -> bytes:
    return b'{"items": [' + b",".join(texts) + b"]}"


def _parsed(content: bytes, count: int, where: str) -> _Answer:
    try:
        document: Any = json.loads(content)
        tokens = [tuple(bytes.fromhex(token) for token in one) for one in document["tokens"]]
        until = document["valid_until"]
        valid_until = math.inf if until is None else float(until)
    except (ValueError, KeyError, TypeError) as error:
        raise TokeniserError(f"{where} does not answer as a tokeniser does; is the URL right?") from error
    if len(tokens) != count or not all(one and all(len(token) == TOKEN_BYTES for token in one) for one in tokens):
        raise TokeniserError(f"{where} does not answer as a tokeniser does; is the URL right?")
    return _Answer(tokens, valid_until)
