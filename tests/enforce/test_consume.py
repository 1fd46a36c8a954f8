"""Handling a message: tried again while the database is away, buried when the message is to blame, never dropped."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.enforce.conftest import open_database
from tests.enforce.samples import decision, proposal
from weaklink.enforce import consume
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.consume import Decoded, Handling, Incoming, is_poison
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import list_dead_letters

CONFIG = EnforceConfig(retry_seconds_max=0.001, dead_letters_per_hour_max=2)
AWAY = OperationalError("SELECT 1", {}, Exception("database is locked"))
CONFLICT = IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))


class Effects:
    """Raises what is in `failures`, one after the other, then works."""

    def __init__(self, *failures: Exception, always: Exception | None = None) -> None:
        self.failures, self.always = list(failures), always
        self.done: list[dict[str, Any]] = []
        self.attempts = 0

    async def __call__(self, some: Sequence[Decoded]) -> None:
        self.attempts += 1
        if self.always:
            raise self.always
        if self.failures:
            raise self.failures.pop(0)
        self.done += [values for values, _ in some]


@pytest.fixture
async def ledger_and_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A ledger, and a way to read its dead letters."""
    monkeypatch.setattr(consume, "_FIRST_PAUSE_SECONDS", 0.001)
    database = open_database(f"sqlite:///{tmp_path}/ledger.sqlite3")
    await database.migrate()

    async def letters() -> list[dict[str, Any]]:
        async with database.read() as connection:
            return await list_dead_letters(connection)

    yield Ledger(database, CONFIG, Clock("event", 24)), letters
    await database.close()


def incoming(value: bytes | None, offset: int = 0) -> Incoming:
    return Incoming("weaklink.decisions", 0, offset, b"c-1", value)


async def test_a_message_waits_for_the_database_however_long(ledger_and_letters: Any) -> None:
    """Twenty refusals, then the effect, once."""
    ledger, letters = ledger_and_letters
    effects = Effects(*[AWAY] * 10, *[ConnectionRefusedError()] * 10)
    await Handling("Decision", effects, ledger, CONFIG).handle(incoming(decision(proposal())))
    assert (effects.attempts, len(effects.done)) == (21, 1)
    assert await letters() == []


async def test_a_conflict_with_another_worker_passes_at_the_next_attempt(ledger_and_letters: Any) -> None:
    """What looks like the message's fault is tried again too."""
    ledger, letters = ledger_and_letters
    effects = Effects(CONFLICT)
    await Handling("Decision", effects, ledger, CONFIG).handle(incoming(decision(proposal())))
    assert len(effects.done) == 1
    assert await letters() == []


@pytest.mark.parametrize("value", [None, b"", b"\xc3\x01 no such schema", decision(proposal()) + b"!", b"{}"])
async def test_what_is_not_a_decision_is_buried_with_its_bytes(ledger_and_letters: Any, value: bytes | None) -> None:
    """And handling goes on."""
    ledger, letters = ledger_and_letters
    effects = Effects()
    await Handling("Decision", effects, ledger, CONFIG).handle(incoming(value, offset=7))
    (letter,) = await letters()
    assert (letter["offset"], letter["value"]) == (7, None if value is None else value.hex())
    assert effects.attempts == 0


async def test_messages_that_wait_are_handled_together(ledger_and_letters: Any) -> None:
    """Three good ones are one attempt, in their order."""
    ledger, _ = ledger_and_letters
    effects = Effects()
    some = [incoming(decision(proposal(), campaign_id=f"c-{number}"), number) for number in range(3)]
    await Handling("Decision", effects, ledger, CONFIG).handle_all(some)
    assert effects.attempts == 1
    assert [values["campaign_id"] for values in effects.done] == ["c-0", "c-1", "c-2"]


async def test_a_bad_message_among_good_ones_costs_only_itself(ledger_and_letters: Any) -> None:
    """Together does not work, so each is handled alone: the good ones have their effect, the bad one is buried."""
    ledger, letters = ledger_and_letters
    effects = Effects()
    some = [incoming(decision(proposal())), incoming(b"{}", 1), incoming(decision(proposal()), 2)]
    await Handling("Decision", effects, ledger, CONFIG).handle_all(some)
    assert len(effects.done) == 2
    assert [letter["offset"] for letter in await letters()] == [1]


async def test_another_record_on_the_topic_is_buried(ledger_and_letters: Any) -> None:
    """A Decision where receipts belong."""
    ledger, letters = ledger_and_letters
    await Handling("Receipt", Effects(), ledger, CONFIG).handle(incoming(decision()))
    assert "RECORD_NOT_ALLOWED" in (await letters())[0]["error"]


async def test_a_defect_is_buried_after_three_attempts_until_there_are_too_many(
    ledger_and_letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit the worker stands still instead of draining the topic."""
    ledger, letters = ledger_and_letters
    effects = Effects(always=KeyError("defect"))
    handling = Handling("Decision", effects, ledger, CONFIG)
    for offset in range(2):
        await handling.handle(incoming(decision(proposal()), offset))
    assert effects.attempts == 6
    assert len(await letters()) == 2

    class Enough(BaseException):
        """Ends the endless wait."""

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 30:
            raise Enough

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(Enough):
        await handling.handle(incoming(decision(proposal()), 2))
    assert len(pauses) > 30


def test_who_is_to_blame_is_read_from_the_database_error() -> None:
    """Data and constraints: the message. A closed connection, a restart, a missing table after a bad deploy: not the message."""

    def postgres(sqlstate: str) -> Exception:
        original = Exception()
        original.sqlstate = sqlstate  # type: ignore[attr-defined]  # as asyncpg's errors have it
        return OperationalError("SELECT 1", {}, original)

    assert is_poison(postgres("22021"))
    assert is_poison(postgres("23505"))
    assert not is_poison(postgres("57P01"))
    assert not is_poison(postgres("42P01"))
    assert is_poison(CONFLICT)
    assert not is_poison(AWAY)
    assert is_poison(ValueError())
    assert not is_poison(TimeoutError())
