"""A decoder that crashes or never returns costs its batch, not the stage: found out in two deaths, by processes of their own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from weaklink.stream.guard import Verdicts

BATCHES = [("party.a.events", 0, 0, 9), ("party.a.events", 0, 10, 19), ("party.b.events", 1, 0, 9), ("party.b.events", 1, 10, 19)]  # fmt: skip

PROGRAM = """
import ctypes, itertools, os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
from kafka import TopicPartition
from weaklink.stream.guard import Guard, Verdicts, process

@dataclass
class Batch:
    source: TopicPartition
    base_offset: int
    last_offset: int

def hang():
    while True:  # in C, and never without the global lock
        sum(itertools.repeat(1, 10**12))

HOW = {"hang": hang, "crash": lambda: ctypes.string_at(8), "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
       "full disk": lambda: os.kill(os.getpid(), signal.SIGBUS), "stop": lambda: None}[sys.argv[2]]

class Stage:
    def process(self, batches, *, replaying):
        if any(one.base_offset == 10 and one.source.topic == "party.b.events" for one in batches):
            HOW()
        return [(one.source.topic, one.base_offset) for one in batches]

folder = Path(sys.argv[1])
guard = Guard(folder / "guard", Verdicts(str(folder / "shared"), "ingest"), 0.5)
batches = [Batch(TopicPartition(t, p), a, b) for t, p, a, b in eval(sys.argv[3])]
batches = [one for one in batches if not guard.is_refused(one.source, one.base_offset, one.last_offset)]
print(len(list(guard.portions(batches))), process(Stage(), batches, guard, replaying=False)[0])
guard.close()
"""


def life(folder: Path, how: str) -> tuple[int, str]:
    """One process over all batches: its status, and what it printed."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), how, repr(BATCHES)], capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    return found.returncode, found.stdout + found.stderr


@pytest.mark.parametrize(("how", "status"), [("hang", -signal.SIGPROF), ("crash", -signal.SIGSEGV)])
def test_the_batch_that_makes_a_decoder_fail_is_refused_at_the_third_start(
    tmp_path: Path, how: str, status: int
) -> None:
    """All that was in hand is suspect after the first death, and processed alone; after the second only the one batch is left out, for good."""
    assert life(tmp_path, how)[0] == status
    second, said = life(tmp_path, how)
    assert second == status, said
    assert "decoder_failed" in said
    third, said = life(tmp_path, how)
    assert third == 0, said
    assert str([("party.a.events", 0), ("party.a.events", 10), ("party.b.events", 0)]) in said
    verdicts = Verdicts(str(tmp_path / "shared"), "ingest")
    verdicts.refresh()
    assert verdicts.refused == {BATCHES[3]}
    assert not list((tmp_path / "guard").iterdir())


@pytest.mark.parametrize("how", ["kill", "full disk"])
def test_nothing_is_concluded_from_other_deaths(tmp_path: Path, how: str) -> None:
    """A kill -9 in the middle of a batch, or a bus error of a mapped file on a full disk, says nothing against the batch."""
    assert life(tmp_path, how)[0] < 0
    status, said = life(tmp_path, "stop")
    assert status == 0, said
    assert said.startswith("1 ")
    verdicts = Verdicts(str(tmp_path / "shared"), "ingest")
    verdicts.refresh()
    assert not verdicts.suspect | verdicts.refused


def test_what_a_living_process_has_in_hand_is_its_own(tmp_path: Path) -> None:
    """A second process on the machine leaves its files alone."""
    script = (
        f"{PROGRAM.split('class Stage', maxsplit=1)[0]}\nfolder = Path(sys.argv[1])\n"
        "guard = Guard(folder / 'guard', Verdicts(str(folder / 'shared'), 'ingest'), 60)\n"
        "guard.take([('party.a.events', 0, 0, 9)])\nprint('in hand', flush=True)\ntime.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), "stop"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in hand\n"
        assert life(tmp_path, "stop")[0] == 0
        assert len(list((tmp_path / "guard").glob("*.hand"))) == 1
    finally:
        holder.kill()
        holder.wait()


def test_verdicts_of_other_workers_are_seen(tmp_path: Path) -> None:
    """What one has refused, the next owner of the partition refuses; topics with dots and dashes come back as they were."""
    mine, other = (Verdicts(str(tmp_path), "ingest") for _ in range(2))
    span = ("party.lab-7.events", 12, 100, 199)
    other.add("refused", span)
    other.add("suspect", ("party.lab-7.events", 3, 0, 5))
    mine.refresh()
    assert mine.refused == {span}
    assert mine.suspect == {("party.lab-7.events", 3, 0, 5)}


def test_a_note_that_was_torn_by_a_death_is_no_proof_and_stops_nobody(tmp_path: Path) -> None:
    """Half of one note over half of another, a length beyond what is there, and rubbish: each process starts, and finds nobody guilty."""
    folder = tmp_path / "guard"
    folder.mkdir()
    for number, hand in enumerate(
        (b'        40[["party.a.ev[["party.b.even', b'999999[["party', b"\0" * 64, b"12 rubbish")
    ):
        (folder / f"{number}.hand").write_bytes(hand)
        (folder / f"{number}.trace").write_text("Fatal Python error: Segmentation fault\n", encoding="utf-8")
    status, told = life(tmp_path, "stop")
    assert status == 0, told
    verdicts = Verdicts(str(tmp_path / "shared"), "ingest")
    verdicts.refresh()
    assert not verdicts.suspect
    assert not verdicts.refused
    assert not list(folder.glob("*.hand"))
