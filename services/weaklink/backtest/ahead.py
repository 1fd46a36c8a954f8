"""The first half of a run in a process of its own: a history is read, tokenised, folded and correlated while campaigns work on earlier ticks.

It comes out the same, since no tick of the first half hangs on what campaigns decide. What crosses over goes through a pipe, which holds few
ticks: a process that is far ahead waits.
"""

import signal
from collections.abc import Generator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from weaklink.backtest.history import History, Input, Progress, Step, read
from weaklink.errors import WeaklinkError, brief

_END = None
_EXIT_SECONDS = 10.0


def read_ahead(given: Input) -> Generator[Progress | History | Step]:
    """`history.read`, in another process, which ends with the iterator.

    Raises what `history.read` raises, and WeaklinkError when the process ends before its work does.
    """
    spawned = get_context("spawn")  # a forked one would inherit locks of threads that it does not have
    here, there = spawned.Pipe(duplex=False)
    process = spawned.Process(target=_send, args=(there, given), name="backtest-ahead", daemon=True)
    process.start()
    there.close()
    try:
        while (one := _received(here, process)) is not _END:
            if isinstance(one, Exception):
                raise one
            yield one
    finally:
        here.close()  # whoever still sends is told by that
        process.join(_EXIT_SECONDS)
        if process.is_alive():
            process.kill()


def _received(here: Connection, process: BaseProcess) -> Progress | History | Step | Exception | None:
    try:
        found: Progress | History | Step | Exception | None = here.recv()
    except (EOFError, OSError):  # the latter within a message
        process.join(_EXIT_SECONDS)
        killed = process.exitcode == -signal.SIGKILL
        raise WeaklinkError(
            "the process that reads the history ended before it was done: "
            + ("it was killed, perhaps for want of memory" if killed else f"exit code {process.exitcode}")
        ) from None
    return found


def _send(there: Connection, given: Input) -> None:
    with suppress(BrokenPipeError):
        try:
            for one in read(given):
                there.send(one)
            there.send(_END)
        except WeaklinkError as error:
            there.send(error)
        except Exception as error:  # whatever it is: the other process is to say it
            there.send(WeaklinkError(f"the history cannot be read: {type(error).__name__}: {brief(error)}"))
