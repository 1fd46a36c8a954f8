"""Handling one message of an internal topic so that nothing is acknowledged unhandled, and nothing unhandled stops the rest.

An exception that escapes a Faust agent acknowledges its message. So none does: while the database does not serve, the message is
tried again, for ever; a message that cannot be handled goes to the ledger's `dead_letters` with its bytes. More than a set number of
those within an hour means that a defect, not the messages, is to blame: then the worker stands still and says so.
"""

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.ledger import Ledger
from weaklink.errors import RecordError
from weaklink.records import reasons
from weaklink.records.codec import decode

log = structlog.get_logger()

_ATTEMPTS: Final = 3  # of what looks like the message's own fault: a conflict with another worker passes at the second
_FIRST_PAUSE_SECONDS: Final = 0.1
_POISON_SQLSTATES: Final = ("22", "23")  # data exception, integrity constraint violation


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


Decoded = tuple[dict[str, Any], bytes]
"""A message's values, and its bytes."""


class Handling:
    """Handles messages of one record type in their order. `apply` takes some of them, and has the effect of all or of none."""

    def __init__(
        self,
        record: str,
        apply: Callable[[Sequence[Decoded]], Awaitable[None]],
        ledger: Ledger,
        config: EnforceConfig,
    ) -> None:
        self._record = record
        self._apply = apply
        self._ledger = ledger
        self._config = config
        self._dead_letters: deque[float] = deque()

    async def handle_all(self, messages: Sequence[Incoming]) -> None:
        """Return when each of the messages has had its effect, or lies in `dead_letters`: together if that works, else one by one."""
        if len(messages) > 1:
            try:
                await self._apply([self._decoded(message) for message in messages])
                return
            except Exception as error:
                log.info("handled_one_by_one", messages=len(messages), **_where(messages[0]), error=repr(error))
        for message in messages:
            await self.handle(message)

    async def handle(self, message: Incoming) -> None:
        """Return when the message has had its effect, or lies in `dead_letters`."""
        pause, failures = _FIRST_PAUSE_SECONDS, 0
        while True:
            try:
                await self._apply([self._decoded(message)])
                return
            except Exception as error:
                if is_poison(error):
                    failures += 1
                    if (failures >= _ATTEMPTS or isinstance(error, RecordError)) and await self._bury(message, error):
                        return
                else:
                    log.warning("ledger_unavailable", **_where(message), error=str(error), next="retry")
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._config.retry_seconds_max)

    def _decoded(self, message: Incoming) -> Decoded:
        record, values = decode(message.value)
        if record != self._record:
            raise RecordError(reasons.RECORD_NOT_ALLOWED, f"{record} on {message.topic}, where {self._record} belongs")
        return values, message.value or b""

    async def _bury(self, message: Incoming, error: Exception) -> bool:
        now = time.monotonic()
        while self._dead_letters and self._dead_letters[0] < now - 3600:
            self._dead_letters.popleft()
        if len(self._dead_letters) >= self._config.dead_letters_per_hour_max:
            log.error(
                "too_many_dead_letters",
                **_where(message),
                dead_letters=len(self._dead_letters),
                error=repr(error),
                meaning="standing still, so that no more is set aside: mend the defect and restart",
            )
            return False
        try:
            await self._ledger.dead_letter(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                key=message.key,
                value=message.value,
                error=told(error),
            )
        except Exception as trouble:  # the next attempt comes here again
            log.warning("dead_letter_not_kept", **_where(message), error=str(trouble), next="retry")
            return False
        log.error("dead_letter", **_where(message), error=repr(error), meaning="kept in the ledger, table dead_letters")
        self._dead_letters.append(now)
        return True


def is_poison(error: Exception) -> bool:
    """Whether the message, or our code, is to blame; otherwise the database is, and the message is tried again for ever."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return False
        sqlstate = getattr(error.orig, "sqlstate", None)
        return sqlstate.startswith(_POISON_SQLSTATES) if sqlstate else isinstance(error, (IntegrityError, DataError))
    return not isinstance(error, (SQLAlchemyError, OSError, TimeoutError))


def told(error: Exception) -> str:
    """What the ledger keeps of an error: its kind and where it was raised, but no text that may quote the message or the database's rows."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return f"{type(error).__name__}: {str(error.orig).partition(chr(10))[0]}"  # the values are in PostgreSQL's second line
    reason = f"{error.reason}: " if isinstance(error, RecordError) else ""
    places = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{reason}{type(error).__name__}" + "".join(f" at {Path(one.filename).name}:{one.lineno}" for one in places)


def _where(message: Incoming) -> dict[str, Any]:
    return {"topic": message.topic, "partition": message.partition, "offset": message.offset}
