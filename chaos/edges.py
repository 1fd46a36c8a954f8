"""A build of Weaklink with a switch: it strikes itself (kill -9, or SIGSTOP) at one edge of a commit. The product has no such switch.

`program(edge, count)` runs in place of `weaklink`: the product's own command line, in a process in which one function was wrapped first. What comes
before the edge has really happened when it strikes: messages are flushed to the broker, a database's commit has returned.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

AFTER_PRODUCE: Final = "after-produce"
"""Messages are at the broker, offsets are not yet in the transaction."""
AFTER_OFFSETS: Final = "after-offsets"
"""Offsets are in the transaction too, and it is not committed."""
AFTER_COMMIT: Final = "after-commit"
"""The transaction is committed, and the worker does not know it yet."""
AFTER_LEDGER: Final = "after-ledger"
"""enforce: the ledger has committed a decision or receipts; nothing is acknowledged, nothing published."""
AFTER_CLAIM: Final = "after-claim"
"""enforce: rows of the outbox are claimed, and not yet published."""
AFTER_PUBLISHING: Final = "after-publishing"
"""enforce: the broker has the messages, and the outbox does not know it yet."""

_OFFSETS, _COMMIT = "send_offsets_to_transaction", "begin_commit"
COLUMNAR: Final = (AFTER_PRODUCE, AFTER_OFFSETS, AFTER_COMMIT)
ENFORCE: Final = (AFTER_LEDGER, AFTER_PUBLISHING)


def program(edge: str, count: int, strike: signal.Signals = signal.SIGKILL) -> tuple[str, ...]:
    """The command that runs in place of `weaklink`: it strikes itself at the `count`-th such edge, once."""
    root = str(Path(__file__).resolve().parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); from chaos.edges import main; main()"
    return (sys.executable, "-c", code, edge, str(count), str(int(strike)))


class Switch:
    """Counts edges passed, and strikes at the one that it is set to."""

    def __init__(self, count: int, strike: int) -> None:
        self._left, self._strike = count, strike

    def passed(self) -> None:
        """One more."""
        self._left -= 1
        if self._left == 0:
            print(f'{{"event": "strike", "signal": {self._strike}}}', file=sys.stderr, flush=True)
            os.kill(os.getpid(), self._strike)


def main() -> None:
    """`EDGE COUNT SIGNAL run STAGE ...`."""
    edge, count, strike = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.argv[1:4] = []
    switch = Switch(count, strike)
    (_arm_columnar if edge in COLUMNAR else _arm_enforce)(edge, switch)
    from weaklink.cli.main import main as weaklink

    weaklink()


def _arm_columnar(edge: str, switch: Switch) -> None:
    from weaklink.stream.sink import TransactionalSink

    speaking = [False]  # transactions that carry messages: offsets alone would prove little
    commit = TransactionalSink.commit

    @wraps(commit)
    def noted(self: Any, messages: Any, *rest: Any) -> None:
        speaking[0] = bool(messages)
        commit(self, messages, *rest)

    setattr(TransactionalSink, "commit", noted)  # noqa: B010  # what this module is for

    before, after = {AFTER_PRODUCE: (_OFFSETS, None), AFTER_OFFSETS: (_COMMIT, None), AFTER_COMMIT: (None, _COMMIT)}[
        edge
    ]
    step = TransactionalSink._await

    @wraps(step)
    def watched(self: Any, request: str, *arguments: Any) -> None:
        if speaking[0] and request == before:
            self._producer.flush()
            switch.passed()
        step(self, request, *arguments)
        if speaking[0] and request == after:
            switch.passed()

    setattr(TransactionalSink, "_await", watched)  # noqa: B010  # what this module is for


def _arm_enforce(edge: str, switch: Switch) -> None:
    from weaklink.enforce.ledger import Ledger
    from weaklink.enforce.outbox import Outbox

    def after(owner: Any, name: str, counts: Callable[[Any], bool]) -> None:
        original = getattr(owner, name)

        @wraps(original)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            result = await original(*arguments, **named)
            if counts(result):
                switch.passed()
            return result

        setattr(owner, name, wrapped)

    if edge == AFTER_LEDGER:
        after(Ledger, "handle_decision", lambda outcome: outcome is not None)
        after(Ledger, "handle_receipts", lambda answers: any(one is not None for one in answers))
    elif edge == AFTER_CLAIM:
        after(Outbox, "claim", bool)
    else:
        close = Outbox.close_rows

        @wraps(close)
        async def closed(self: Any, some: Any, error: str | None = None) -> None:
            if some and error is None:
                switch.passed()
            await close(self, some, error)

        setattr(Outbox, "close_rows", closed)  # noqa: B010  # what this module is for
