"""A Confluent-compatible schema registry: ids of writer schemas, and the difference between "not known" and "no answer"."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import quote

import fastavro.schema
import structlog

from weaklink.errors import SchemaError, WeaklinkError
from weaklink.ingest.config import SchemaRegistryConfig
from weaklink.ingest.layout import Layout, compile_layout
from weaklink.records.schemas import Schema

_RESPONSE_BYTES_MAX: Final = 4 << 20
_FIRST_PAUSE_SECONDS: Final = 1.0
_NEVER: Final = float("-inf")
_log = structlog.get_logger()


class RegistryUnavailable(WeaklinkError):
    """The registry does not answer, so that nobody knows what an id stands for: its messages have to wait."""


class SchemaRegistry:
    """Ids of the schemas that the registry lists under the allowed subjects.

    Ids are never looked up one by one: the allowed subjects are listed whole, at most once in `unknown_ttl_seconds` however many unknown ids
    arrive. So a party cannot make Weaklink ask the registry anything, and an id outside the allow-list is never even seen.
    An id is unknown only if it is missing in a complete list that is not older than that; a registry that does not answer is asked again
    after a pause that doubles up to `retry_seconds_max`.
    """

    def __init__(self, config: SchemaRegistryConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._now = now
        self._layouts: dict[int, Layout] = {}
        self._listed_at = self._retry_at = _NEVER
        self._pause_seconds = 0.0  # 0: it answered when it was last asked

    def layout(self, schema_id: int) -> Layout | None:
        """The layout of an allowed schema; None: the registry says that there is none. Raises RegistryUnavailable when it does not say."""
        known = self._layouts.get(schema_id)
        if known is None and self._now() - self._listed_at >= self._config.unknown_ttl_seconds:
            if not self._list():
                raise RegistryUnavailable(f"{self._config.url} does not answer; schema id {schema_id} is not known yet")
            known = self._layouts.get(schema_id)
        return known

    def answers(self) -> bool:
        """Whether it answered when it was last asked; asks again when the pause is over."""
        return self._pause_seconds == 0 or self._list()

    def _list(self) -> bool:
        """List all subjects; False when that cannot be done now."""
        if self._now() < self._retry_at:
            return False
        try:
            for subject in self._config.subjects:
                self._list_subject(subject)
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            if self._pause_seconds == 0:
                _log.warning(
                    "schema_registry_unavailable",
                    url=str(self._config.url),
                    error=f"{type(error).__name__}: {error}",
                    meaning="partitions with schema ids not seen so far wait until it answers; it is asked again",
                )
            self._pause_seconds = min(
                max(_FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), self._config.retry_seconds_max
            )
            self._retry_at = self._now() + self._pause_seconds
            return False
        if self._pause_seconds:
            _log.info("schema_registry_answers", url=str(self._config.url))
        self._pause_seconds, self._listed_at = 0.0, self._now()
        return True

    def _list_subject(self, subject: str) -> None:
        versions = f"subjects/{quote(subject, safe='')}/versions"
        for version in self._get(versions) or ():
            if (entry := self._get(f"{versions}/{int(version)}")) is not None:
                self._take(subject, int(entry["id"]), entry["schema"])

    def _take(self, subject: str, schema_id: int, text: str) -> None:
        if schema_id in self._layouts or len(self._layouts) >= self._config.ids_max:
            return
        try:
            self._layouts[schema_id] = _layout_of(text)
        except SchemaError as error:
            _log.error("registered_schema_not_readable", subject=subject, id=schema_id, error=str(error))

    def _get(self, path: str) -> Any:
        """The registry's answer; None where it says that there is no such thing."""
        url = f"{str(self._config.url).rstrip('/')}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=self._config.timeout_seconds) as response:  # noqa: S310  # http(s) by the setting's type
                return json.loads(response.read(_RESPONSE_BYTES_MAX))
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise


def _layout_of(text: str) -> Layout:
    """Layout of a writer schema from a registry. Raises SchemaError."""
    try:
        definition = json.loads(text)
        record = str(definition["name"]).rpartition(".")[2]
        return compile_layout(
            Schema(record, 0, definition, fastavro.schema.parse_schema(definition, named_schemas={}), b"")
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        fastavro.schema.SchemaParseException,
    ) as error:
        raise SchemaError(f"not a readable Avro schema of an event: {type(error).__name__} {error}") from error
