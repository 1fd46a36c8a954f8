"""Machines that fail their processes: a disk without room for snapshots, clocks that jump an hour, and a partner whose clock is wrong by hours or days."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from chaos.clocks import Clock
from chaos.disks import Disk, small_disk
from chaos.lab import Lab
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Event, Traffic
from chaos.verify import row_of, verify_lab

_EVENTS, _SHORT_EVENTS = 100_000, 3_000
_DISK_MIB: Final = 24
_HOUR_SECONDS: Final = 3_600
_HOUR_US: Final = _HOUR_SECONDS * 1_000_000
_LOGGED_SECONDS, _LOGGED_WITHIN_SECONDS = 1.0, 600.0
"""What was logged so long after a jump is of the new time; how far that may lie from now, however long all took to be read."""
_DAY_US: Final = 24 * _HOUR_US
_SKEWS_US: Final = (-3 * _HOUR_US, -2 * _DAY_US, -8 * _DAY_US, 10 * _HOUR_US, 3 * _DAY_US)
_WRONG_NUMBER: Final = 1 << 45  # far from the numbers of other events
_WRONG_EVENTS, _SHORT_WRONG_EVENTS = 2_000, 200
_AGED: Final = frozenset({"ApiUsage", "PaymentAttempt"})


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(folder)
    with small_disk(folder / "disk", _DISK_MIB) as disk:
        environment = dict(clock.environment)
        if disk:
            # Snapshots and ingest's spilled event ids, which are made to be many.
            environment["WEAKLINK_STREAM__SNAPSHOT_URL"] = str((disk.folder / "snapshots").resolve())
            environment["WEAKLINK_INGEST__DUPLICATE_MEMORY_BYTES_MAX"] = str(64 << 10)
        with Lab(folder, scale=scale, environment=environment) as lab:
            if disk:
                lab.start("ingest", WEAKLINK_DATA_FOLDER=str((disk.folder / "ingest").resolve()))
            else:
                lab.start("ingest")
            for stage in ("correlate", "campaigns", "enforce"):
                lab.start(stage)
            lab.await_ready()
            return trouble(lab, disk, clock, scale)


def trouble(lab: Lab, disk: Disk | None, clock: Clock, scale: Scale) -> Row:
    """One after the other, with events on their way all the time."""
    events = scale.count(_EVENTS, _SHORT_EVENTS)
    traffic, parts = Traffic(11, accounts=max(200, events // 20)), iter(_parts(events, 8))

    def go_on() -> None:
        begin, end = next(parts)
        lab.publisher.publish(traffic.events(begin, end))
        lab.publisher.publish(traffic.ring(begin))
        lab.settle()

    go_on()
    lab.watch.reset()
    skipped = []
    if disk:
        _full_disk(lab, disk, go_on)
    else:
        skipped.append("disk: no right to mount one")
    if clock.works:
        _jumps(lab, clock, go_on)
    else:
        skipped.append("clocks: there is no C compiler")
    wrong = list(_wrong_clock(traffic, _SHORT_WRONG_EVENTS if scale.is_short else _WRONG_EVENTS))
    too_far = _too_far(traffic.start_us)
    for event in wrong:
        if too_far(event.topic, event.record, event.values):
            lab.publisher.send(event.topic, event.key, event.encoded())  # not one that must count
        else:
            lab.publisher.publish([event])
    go_on()
    stalls = lab.watch.stalls
    lab.finish()
    row = row_of("machine", 3 - len(skipped), lab, verify_lab(lab, refused=too_far))
    row.stall_seconds_max = max(stalls.values(), default=0.0)
    refused = sum(too_far(event.topic, event.record, event.values) for event in wrong)
    rejects, failed = row.extra["counted"]["rejects"], len(lab.logged("snapshot_failed"))
    row.bar(rejects == refused, f"{rejects} events were rejected, not the {refused} whose clocks are too wrong")
    row.bar(not disk or failed > 0, "no snapshot failed: the disk was not full")
    row.extra |= {"snapshots_failed": failed, "spills_failed": len(lab.logged("event_ids_not_spilled"))}
    row.bar(scale.is_short or not skipped, f"not done: {', '.join(skipped)}")
    row.extra |= {"skipped": skipped, "stall_seconds": stalls}
    return row


def _parts(events: int, count: int) -> Iterator[tuple[int, int]]:
    return ((at * events // count, (at + 1) * events // count) for at in range(count))


def _full_disk(lab: Lab, disk: Disk, go_on: Any) -> None:
    """Snapshots fail, and the stages go on; killed then, they rebuild from an older snapshot and the log; with room again, snapshots are written again."""
    lab.until(lambda: bool(_snapshots(disk)), "no snapshot was written while there was room")
    disk.fill()
    go_on()
    lab.until(lambda: bool(lab.logged("snapshot_failed")), "no snapshot failed on a full disk")
    assert not list(disk.folder.rglob("*.partial")), "half a snapshot was left on the full disk"
    for stage in ("correlate", "ingest"):
        for worker in lab.of(stage):
            worker.kill()
            worker.start()
    lab.await_ready()
    go_on()
    disk.free()
    at = max(_snapshots(disk), default="")
    go_on()
    lab.until(lambda: max(_snapshots(disk), default="") > at, "no snapshot was written when there was room again")


def _snapshots(disk: Disk) -> list[str]:
    return [path.name for path in disk.folder.rglob("*.snapshot")]


def _jumps(lab: Lab, clock: Clock, go_on: Any) -> None:
    """An hour ahead, an hour behind, a process that starts with the wrong clock, and right again."""
    for seconds in (_HOUR_SECONDS, -_HOUR_SECONDS):
        clock.set(seconds)
        at = time.time()
        time.sleep(2)
        go_on()
        _assert_jumped(lab, clock, seconds, at)
    (correlate,) = lab.of("correlate")
    correlate.kill()
    correlate.start()
    lab.await_ready()
    clock.set(0)
    time.sleep(2)
    go_on()


def _assert_jumped(lab: Lab, clock: Clock, seconds: int, since: float) -> None:
    """Every service has this clock, and what those log that have logged anything since that moment is of its time."""
    told: list[float] = []
    for worker in lab.workers:
        assert clock.is_of(worker.pid), f"{worker.name} has the machine's clock"
        if worker.log.stat().st_mtime > since + _LOGGED_SECONDS:
            line = next(one for one in reversed(worker.tail().splitlines()) if one.startswith("{"))
            told.append(datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() - time.time())
    assert told, "nobody has logged anything"
    assert all(abs(ahead - seconds) < _LOGGED_WITHIN_SECONDS for ahead in told), (
        f"moved by {seconds} s, services say {told}"
    )


def _wrong_clock(traffic: Traffic, count: int) -> Iterator[Event]:
    """Ordinary events, whose party's clock is hours or days behind or ahead."""
    for number in range(count):
        event, skew_us = traffic.event(_WRONG_NUMBER + number), _SKEWS_US[number % len(_SKEWS_US)]
        values = event.values | {"occurred_at": event.values["occurred_at"] + skew_us}
        if event.record == "AddressLease":
            values["released_at"] = values["occurred_at"] + _HOUR_US
        yield replace(event, values=values)


def _too_far(start_us: int) -> Any:
    """Which events must come back: said to be of the future, or of last week where only a week counts."""

    def is_refused(_topic: str, record: str, fields: dict[str, Any]) -> bool:
        ahead_us = fields["occurred_at"] - start_us
        return bool(ahead_us > 5 * _HOUR_US or (record in _AGED and ahead_us < -7.5 * _DAY_US))

    return is_refused
