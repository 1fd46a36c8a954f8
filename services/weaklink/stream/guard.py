"""What becomes of a process that dies of what it decodes, or never comes back from it: the next one knows, and refuses just that batch.

While batches are unpacked and processed, a file of this process says which; a timer counts the processor time that it takes. When it takes
too much, the kernel ends the process (SIGPROF), whatever its threads do and hold: no thread of Python could, while a decoder keeps the
global lock. `faulthandler` writes first where it stood, as it does when a decoder crashes. A process that starts looks for files of dead ones:
 1. batches that were in hand when another died are *suspects*: from then on each of them is processed alone;
 2. one that was alone in hand is *refused*: it becomes a reject of its offsets, and is never unpacked again, not even to rebuild state.
Both are told to all workers by small files beside the snapshots, since the partition may be another's next. A process that is killed,
frozen or starved uses no processor time and leaves no trace of a crash: nothing is concluded from its death.
"""

import contextlib
import faulthandler
import fcntl
import json
import mmap
import os
import re
import signal
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from kafka import TopicPartition
from pyarrow import ArrowException, fs

from weaklink.errors import CheckpointError
from weaklink.stream.checkpoint import open_folder
from weaklink.stream.stage import Deferring, Output, Stage

_NAME: Final = re.compile(r"(suspect|refused) (.+)-(\d+) (\d+)-(\d+)")
_LENGTH_DIGITS: Final = 10
_NOTHING: Final = b"0".rjust(_LENGTH_DIGITS)
_HAND_BYTES: Final = 1 << 17
_SPANS_MAX: Final = 400  # each takes 280 bytes at most, the length of a topic's name being limited
_TRACE_BYTES_MAX: Final = 20_000
_ENVIRONMENT: Final = ("Bus error", "Aborted")
"""Deaths that a full disk or too little memory causes, too: no proof against a batch."""
_log = structlog.get_logger()

Span = tuple[str, int, int, int]
"""Topic, partition, first and last offset."""


class Verdicts:
    """Spans of offsets that are suspect or refused, as files in a folder that all workers of a stage see. Raises CheckpointError when it cannot be used."""

    def __init__(self, url: str, stage: str) -> None:
        self._files, root = open_folder(url)
        self._folder = f"{root}/{stage}/verdicts"
        self.suspect: set[Span] = set()
        self.refused: set[Span] = set()

    def add(self, kind: str, span: Span) -> None:
        """Tell everyone."""
        topic, partition, first, last = span
        try:
            self._files.create_dir(self._folder, recursive=True)
            with self._files.open_output_stream(f"{self._folder}/{kind} {topic}-{partition} {first}-{last}") as file:
                file.write(b"\n")
        except (ArrowException, OSError) as error:
            raise CheckpointError(f"a verdict cannot be written below {self._folder}: {error}") from error

    def refresh(self) -> None:
        """Learn what others know."""
        try:
            found: list[Any] = self._files.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        except (ArrowException, OSError) as error:
            raise CheckpointError(f"verdicts cannot be read below {self._folder}: {error}") from error
        for match in filter(None, (_NAME.fullmatch(one.base_name) for one in found)):
            kind, topic, partition, first, last = match.groups()
            known = self.suspect if kind == "suspect" else self.refused
            known.add((topic, int(partition), int(first), int(last)))


class Guard:
    """One for a process. `seconds`: processor time that one call of a decoder may take. Raises OSError when the folder cannot be written."""

    def __init__(self, folder: Path, verdicts: Verdicts, seconds: float) -> None:
        self._verdicts = verdicts
        self._seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)
        self._conclude(folder)
        verdicts.refresh()
        name = uuid.uuid4().hex
        self._hand_path, self._trace_path = folder / f"{name}.hand", folder / f"{name}.trace"
        self._hand = os.open(self._hand_path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._hand, fcntl.LOCK_EX)  # as long as we live
        # Room that is taken now, for a disk may be full later. Mapped, since a system call for each batch gives up the global lock for each.
        os.posix_fallocate(self._hand, 0, _HAND_BYTES)
        self._in_hand = mmap.mmap(self._hand, _HAND_BYTES)
        self._write(_NOTHING)
        self._trace = self._trace_path.open("w")
        faulthandler.enable(self._trace)
        # The handler writes the trace in C, without the global lock, and then hands on to the default: the end of the process.
        faulthandler.register(signal.SIGPROF, self._trace, all_threads=True, chain=True)
        self._armed = False

    def close(self) -> None:
        """Nothing is in hand any more."""
        self.disarm()
        faulthandler.unregister(signal.SIGPROF)
        faulthandler.disable()
        self._trace.close()
        self._in_hand.close()
        os.close(self._hand)
        self._hand_path.unlink(missing_ok=True)
        self._trace_path.unlink(missing_ok=True)

    def refresh(self) -> None:
        """Learn what other workers found out, before partitions of theirs are read. That it cannot be told now is no reason to stand still."""
        try:
            self._verdicts.refresh()
        except CheckpointError as error:
            _log.warning("verdicts_not_read", error=str(error))

    def is_refused(self, source: TopicPartition, first: int, last: int) -> bool:
        """Whether a batch is never to be unpacked again."""
        return bool(self._verdicts.refused) and (source.topic, source.partition, first, last) in self._verdicts.refused

    def portions(self, batches: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Batches in order: suspects each alone, what lies between them together."""
        begin = 0
        for number, batch in enumerate(batches if self._verdicts.suspect else ()):
            if self._is_suspect(_span(batch)):
                if begin < number:
                    yield batches[begin:number]
                yield batches[number : number + 1]
                begin = number + 1
        if begin < len(batches):
            yield batches[begin:]

    def take(self, spans: Sequence[Span]) -> None:
        """These are unpacked or processed from now on; the clock runs until `disarm`."""
        text = json.dumps(spans[:_SPANS_MAX]).encode()
        self._write(_NOTHING)  # whoever is killed between these leaves nothing rather than half of two
        self._in_hand[_LENGTH_DIGITS : _LENGTH_DIGITS + len(text)] = text
        self._write(f"{len(text):{_LENGTH_DIGITS}}".encode())
        if not self._armed:
            signal.setitimer(signal.ITIMER_PROF, self._seconds)
            self._armed = True

    def disarm(self) -> None:
        """Nothing is in hand."""
        if self._armed:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._armed = False
            self._write(_NOTHING)

    def _write(self, length: bytes) -> None:
        self._in_hand[:_LENGTH_DIGITS] = length

    @contextlib.contextmanager
    def over(self, batches: Sequence[Any]) -> Iterator[None]:
        """While these record batches are processed."""
        self.disarm()
        self.take([_span(batch) for batch in batches] if len(batches) == 1 else _spans(batches))
        try:
            yield
        finally:
            self.disarm()

    def _is_suspect(self, span: Span) -> bool:
        topic, partition, first, last = span
        return any(
            topic == one[0] and partition == one[1] and first <= one[3] and one[2] <= last
            for one in self._verdicts.suspect
        )

    def _conclude(self, folder: Path) -> None:
        """From what dead processes left in the folder of this machine."""
        for path in sorted(folder.glob("*.hand")):
            with path.open("r+b") as file, contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                trace_path = path.with_suffix(".trace")
                trace = trace_path.read_text(errors="replace")[:_TRACE_BYTES_MAX] if trace_path.exists() else ""
                spans = _noted(file.read())
                if trace and spans and not any(f"Fatal Python error: {one}" in trace for one in _ENVIRONMENT):
                    self._accuse(spans, trace)
                path.unlink(missing_ok=True)
                trace_path.unlink(missing_ok=True)

    def _accuse(self, spans: Sequence[Span], trace: str) -> None:
        # What is suspect already was alone in hand.
        self._verdicts.refresh()
        alone = len(spans) == 1 and self._is_suspect(spans[0])
        kind = "refused" if alone else "suspect"
        for span in spans:
            self._verdicts.add(kind, span)
        _log.error(
            "decoder_failed",
            verdict=kind,
            batches=[f"{topic}-{partition} {first} to {last}" for topic, partition, first, last in spans],
            trace=trace,
            meaning="a process crashed, or did not come back, while it decoded these"
            + ("; they are refused" if alone else "; each is tried alone from now on"),
        )


def _noted(hand: bytes) -> list[Span]:
    """What a process had in hand; nothing where what is left of it cannot be read, which then is no proof."""
    length, text = hand[:_LENGTH_DIGITS], hand[_LENGTH_DIGITS:]
    try:
        found = json.loads(text[: int(length or 0)] or b"[]")
        return [(str(topic), int(partition), int(first), int(last)) for topic, partition, first, last in found]
    except (ValueError, TypeError):
        return []


def _span(batch: Any) -> Span:
    return batch.source.topic, batch.source.partition, batch.base_offset, batch.last_offset


def _spans(batches: Iterable[Any]) -> list[Span]:
    """One for each partition."""
    found: dict[tuple[str, int], Span] = {}
    for topic, partition, first, last in map(_span, batches):
        known = found.get((topic, partition), (topic, partition, first, last))
        found[topic, partition] = (topic, partition, min(first, known[2]), max(last, known[3]))
    return list(found.values())


def process(
    stage: Stage[Any], batches: Sequence[Any], guard: Guard | None, *, replaying: bool
) -> tuple[list[Output], list[Any]]:
    """`stage.process`, under guard where there is one; and what was not folded, because the stage deferred its partition then or before."""
    outputs: list[Output] = []
    left: list[Any] = []
    waiting: set[TopicPartition] = set()
    for portion in guard.portions(batches) if guard else [batches]:
        left += [one for one in portion if one.source in waiting]
        if not (given := [one for one in portion if one.source not in waiting]):
            continue
        with guard.over(given) if guard else contextlib.nullcontext():
            outputs += stage.process(given, replaying=replaying)
        if isinstance(stage, Deferring) and (deferred := stage.deferred()):
            left += [one for one in given if one.source in deferred]
            waiting |= deferred
    return outputs, left
