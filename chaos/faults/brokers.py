"""Brokers of a cluster of three killed under load: leaders, coordinators of groups and of transactions, and the controller, each started again."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from chaos.lab import Lab
from chaos.offsets import Offsets
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.roles import out_of_sync, role_players
from chaos.row import BROKER_STALL_SECONDS, Row
from chaos.scale import Scale
from chaos.traffic import Event, Traffic
from chaos.verify import row_of, verify_lab
from weaklink.errors import BrokerError

Answer = TypeVar("Answer")

_KILLS = 5
_SHORT_ROLES: Final = ("controller",)
"""Which leads and coordinates a third of everything, too."""
_EVENTS_PER_SECOND, _SHORT_EVENTS_PER_SECOND = 1_000, 300
_EVENTS_A_RING: Final = 10_000
_FAILED_SHARE_MAX: Final = 0.01
"""Of the events, which a producer may give up on while the broker that it asks is dead; it says so, and an event that was not acknowledged is not lost."""
_DOWN_SECONDS: Final = 3.0
"""A broker stays away for at least so long, and until everything goes on without it."""
_ROLE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.25


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault. extra: `stalls_by_role`, seconds until every stage went on, by role; `restarted`: services that ended."""
    with Lab(folder, scale=scale, nodes=3, heap_mib=384) as lab:
        lab.start_all()
        return torment(lab, scale)


def torment(lab: Lab, scale: Scale) -> Row:
    """Kill after kill in a laboratory of three brokers whose services run."""
    kills = scale.count(_KILLS, 1)
    per_second = _SHORT_EVENTS_PER_SECOND if scale.is_short else _EVENTS_PER_SECOND
    traffic = Traffic(4, accounts=5_000)
    lab.publisher.publish(traffic.ring(0))
    lab.settle()
    transactional_ids = [f"weaklink.{one.stage}.{one.slot}" for one in lab.workers if one.stage != "enforce"]
    by_role: dict[str, list[float]] = {}
    stalls: dict[str, float] = {}
    lab.watch.reset()
    with (
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        closing(KafkaAdminClient(**lab.kafka.client_options())) as admin,
        closing(Offsets(lab.kafka)) as offsets,
    ):
        roles = role_players(admin, transactional_ids)
        with Stream(lab.publisher, endless(traffic), per_second):
            for number, role in itertools.product(range(kills), _SHORT_ROLES if scale.is_short else tuple(roles)):
                lab.watch.reset_stalls()
                seconds = _kill(lab, admin, offsets, partial(roles[role], number))
                by_role.setdefault(role, []).append(max(seconds, lab.watch.stall_seconds_max))
                stalls |= {stage: max(stood, stalls.get(stage, 0.0)) for stage, stood in lab.watch.stalls.items()}
        lab.settle()
    lab.finish()
    row = row_of("brokers", sum(map(len, by_role.values())), lab, verify_lab(lab), failed_share_max=_FAILED_SHARE_MAX)
    row.stall_seconds_max = max(seconds for measured in by_role.values() for seconds in measured)
    row.extra |= {"stall_seconds": stalls, "stalls_by_role": by_role, "events_per_second": per_second}
    del row.extra["stood_longest"]  # of the last kill alone
    parties.judge(row)
    row.extra["restarted"] = {one.name: one.lives - 1 for one in lab.workers if one.lives > 1}
    for role, measured in by_role.items():
        worst = max(measured)
        sentence = f"{role}: {worst:.1f} s until everything went on, {BROKER_STALL_SECONDS:.0f} are allowed"
        row.bar(worst <= BROKER_STALL_SECONDS, sentence, timing=True)
    return row


def _kill(lab: Lab, admin: KafkaAdminClient, offsets: Offsets, who: Callable[[], int]) -> float:
    """Kill whoever plays the part; start it again once everything goes on without it, and wait until it is in sync again. How long it took until
    every stage went on, in seconds."""
    node = _asked(lab, who, "nobody plays the part")
    lab.cluster.kill_node(node)
    killed = time.monotonic()
    _asked(lab, lambda: _moved(lab, offsets), "not every stage goes on")
    seconds = time.monotonic() - killed
    time.sleep(max(0.0, killed + _DOWN_SECONDS - time.monotonic()))
    lab.cluster.start_node(node)
    lab.cluster.await_node(node)
    _asked(lab, lambda: not out_of_sync(admin), "replicas do not come into sync")
    return seconds


def _moved(lab: Lab, offsets: Offsets) -> bool:
    """Whether every partition that has input now has moved on, or turned out to have none: a transaction that hid it was aborted."""
    waiting = {(one.stage, one.tp): one for one in offsets.behind([one.stage for one in lab.workers])}
    deadline = time.monotonic() + _ROLE_SECONDS
    while waiting:
        now = {(one.stage, one.tp): one for one in offsets.behind({stage for stage, _ in waiting})}
        waiting = {
            key: now[key]
            for key, old in waiting.items()
            if key in now and now[key].committed <= old.committed and offsets.has_records(now[key])
        }
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _asked(lab: Lab, question: Callable[[], Answer], what: str) -> Answer:
    """The first answer that is not false; while brokers change places none may come. A service that ends meanwhile is started again, as an
    orchestrator would."""
    found: list[Answer] = []

    def answered() -> bool:
        lab.revive()
        try:
            answer = question()
        except (KafkaError, BrokerError, StopIteration):
            return False
        if answer:
            found.append(answer)
        return bool(answer)

    lab.until(answered, what)
    return found[0]


def endless(traffic: Traffic) -> Iterator[Event]:
    """Ordinary events, with a campaign among them now and then, without end."""
    for ring, begin in enumerate(itertools.count(0, _EVENTS_A_RING), 1):
        yield from traffic.events(begin, begin + _EVENTS_A_RING // 2)
        yield from traffic.ring(ring)
        yield from traffic.events(begin + _EVENTS_A_RING // 2, begin + _EVENTS_A_RING)
