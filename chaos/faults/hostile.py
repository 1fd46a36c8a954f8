"""A hostile partner on a cluster with logins: floods, a thousand connections, whatever is forbidden, lies. The others' actions come as before."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer
from pydantic import SecretStr

from chaos.forbidden import unlogged
from chaos.hostile_partner import Orders, Report
from chaos.lab import STAGES, Lab
from chaos.ledger import rows
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verifier.avro import read
from chaos.verify import row_of, verify_lab
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access_config import AccessConfig
from weaklink.ops.membership import issue_secret
from weaklink.ops.provision import add_party
from weaklink.parties import Party, PartyKind

EVIL: Final = Party(id="router-evil", kind=PartyKind.ROUTER)
_SHORT_QUOTA_BYTES_PER_SECOND: Final = 128 << 10
"""In the short form, beside other tests; else the quota that a party has unless told otherwise."""
_TIMES_ITS_QUOTA: Final = 10
_CONNECTIONS, _SHORT_CONNECTIONS = 1_000, 200
_CONNECTIONS_PER_ADDRESS: Final = 50
_ITS_ADDRESS: Final = "127.0.0.2"
_RINGS, _SHORT_RINGS = 15, 1
_EVENTS_PER_SECOND: Final = 100
_LATENCY_TIMES: Final = 2.0
_OFFERED_TIMES: Final = 0.8 * _TIMES_ITS_QUOTA
"""A busy machine may not quite keep up with what the partner was told to send."""
_ACCEPTED_TIMES: Final = 1.5
"""Kafka averages a quota over eleven seconds: a short burst may exceed it."""
_WRITTEN_TIMES: Final = 0.7
"""A flood that the broker does not feel proves nothing."""
_RING_SECONDS: Final = 120.0


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault. extra: `partner`, what it tried and achieved; `latency_seconds`, from a campaign's last event to its first action."""
    limits = {
        "max.connections.per.ip": str(_CONNECTIONS_PER_ADDRESS),
        "max.connections.per.ip.overrides": "127.0.0.1:10000",
    }
    with Lab(folder, scale=scale, scram=True, broker=limits) as lab:
        login = admit(lab, quota_bytes_per_second(scale))
        for stage in STAGES:
            principal = topology.stage(stage).group
            lab.start(stage, 1, **_login(lab, principal).environment())
        lab.await_ready()
        return torment(lab, login, scale)


def quota_bytes_per_second(scale: Scale) -> int:
    """What the hostile party may write."""
    return _SHORT_QUOTA_BYTES_PER_SECOND if scale.is_short else AccessConfig().producer_bytes_per_second_max


def admit(lab: Lab, quota: int) -> KafkaConfig:
    """Add the hostile party with this quota in bytes per second; how it connects."""
    access = AccessConfig(producer_bytes_per_second_max=quota)
    add_party(lab.settings.model_copy(update={"access": access}), EVIL)
    return _login(lab, EVIL.principal)


def _login(lab: Lab, principal: str) -> KafkaConfig:
    secret = issue_secret(lab.settings, principal)
    assert secret
    return lab.kafka.model_copy(update={"username": principal, "password": SecretStr(secret)})


def torment(lab: Lab, login: KafkaConfig, scale: Scale) -> Row:
    """Campaigns one after another, without the hostile partner and with it, in a laboratory whose services run."""
    traffic = Traffic(9, accounts=5_000)
    rings = scale.count(_RINGS, _SHORT_RINGS)
    with (
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        closing(ActionClock(lab, traffic)) as clock,
        Stream(lab.publisher, traffic.events(0, 1 << 30), _EVENTS_PER_SECOND),
    ):
        clock.seconds_to_action()  # the first one finds everything cold
        lab.watch.reset()
        before = [clock.seconds_to_action() for _ in range(rings)]
        with partner_gone_bad(lab, login, traffic, scale) as reported:
            time.sleep(_settling_seconds(scale))
            during = [clock.seconds_to_action() for _ in range(rings)]
    lab.finish()
    found = verify_lab(lab, refused=_not_its_records)
    report = reported[0]
    row = row_of("hostile", report.forbidden_attempts, lab, found)
    ratio = statistics.median(during) / statistics.median(before)
    row.extra |= {
        "partner": asdict(report),
        "latency_seconds": {"without": [round(one, 2) for one in before], "with": [round(one, 2) for one in during]},
        "latency_ratio": round(ratio, 2),
        "connections_rejected": _broker_log(lab).count(f"Rejected connection from /{_ITS_ADDRESS}"),
    }
    parties.judge(row)
    _judge(row, report, lab, scale)
    return row


def _settling_seconds(scale: Scale) -> float:
    return 2.0 if scale.is_short else 15.0


def _judge(row: Row, report: Report, lab: Lab, scale: Scale) -> None:
    row.bar(not report.errors, f"the hostile partner failed at being hostile: {report.errors}")
    row.bar(report.forbidden_attempts > 0, "nothing forbidden was tried")
    refused = sum(report.forbidden_refused.values())
    row.bar(refused == report.forbidden_attempts, f"not refused: {report.forbidden_allowed}")
    missing = unlogged(report.forbidden_refused, _broker_log(lab), EVIL.principal)
    row.bar(not missing, f"refused, and not in the broker's log (how often): {missing}")
    held, rejected = report.connections_held, row.extra["connections_rejected"]
    row.bar(0 < held <= _CONNECTIONS_PER_ADDRESS, f"it held {held} connections, {_CONNECTIONS_PER_ADDRESS} are allowed")
    turned_away = report.connections_tried - _CONNECTIONS_PER_ADDRESS
    row.bar(rejected >= turned_away, f"the broker's log has {rejected} connections turned away, not {turned_away}")
    believed = rows(
        lab.ledger_url,
        f"SELECT count(*) AS n FROM receipts WHERE party = '{EVIL.id}' AND outcome NOT IN ('NOT_YOUR_ACTION', 'UNKNOWN_ACTION')",
    )[0]["n"]
    row.bar(report.acknowledged_bytes > 0, "nothing of its flood came to the broker")
    answers = report.lies.get("another's action", 0)
    row.bar(answers > 0 and not believed, f"{believed} of its {answers} answers to others' actions were believed")
    if not scale.is_short:  # in seconds neither a quota's window nor a median says anything
        rate = report.acknowledged_bytes / report.seconds
        quota = quota_bytes_per_second(scale)
        allowed = _ACCEPTED_TIMES * quota
        row.bar(rate >= _WRITTEN_TIMES * quota, f"it wrote only {rate:,.0f} bytes a second, {quota:,} are its quota")
        row.bar(rate <= allowed, f"it wrote {rate:,.0f} bytes a second, {allowed:,.0f} are allowed")
        offered = report.offered_bytes / report.seconds / quota
        row.bar(offered >= _OFFERED_TIMES, f"it offered only {offered:.1f} times its quota")
        ratio = row.extra["latency_ratio"]
        row.bar(ratio <= _LATENCY_TIMES, f"others' actions took {ratio} times as long, {_LATENCY_TIMES} are allowed")


def _not_its_records(topic: str, record: str, _fields: dict[str, Any]) -> bool:
    """Which of its readable events must come back: a router reports no payments."""
    return topic == EVIL.events_topic and record == "PaymentAttempt"


class ActionClock:
    """Publishes campaigns, one at a time, and measures how long each takes to its first action."""

    def __init__(self, lab: Lab, traffic: Traffic) -> None:
        self._lab, self._traffic = lab, traffic
        self._numbers = count()
        self._consumer = KafkaConsumer(
            "party.lab-a.actions", "party.lab-b.actions", **lab.kafka.client_options(), group_id=None,
            auto_offset_reset="earliest",
        )  # fmt: skip

    def seconds_to_action(self) -> float:
        """From when the broker has a campaign's last event to when it has the first action, by the broker's own clock."""
        number = next(self._numbers)
        self._lab.publisher.publish(self._traffic.ring(number))
        self._lab.publisher.flush()
        published = time.time()
        found: list[float] = []

        def acted() -> bool:
            for records in self._consumer.poll(200).values():
                for record in records:
                    target = read(record.value)[1]["target_account"] or ""
                    if target.startswith(f"ring{number}-"):
                        found.append(record.timestamp / 1000)
            return bool(found)

        self._lab.until(acted, f"no action against ring {number}", _RING_SECONDS)
        return max(0.0, min(found) - published)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


@contextmanager
def partner_gone_bad(lab: Lab, login: KafkaConfig, traffic: Traffic, scale: Scale) -> Iterator[list[Report]]:
    """It rages in a process of its own while the block lasts, from its beginning on; the list holds its report afterwards."""
    known = rows(lab.ledger_url, "SELECT action_id FROM actions LIMIT 100")
    report, raging = lab.folder / "partner-report.json", lab.folder / "partner-rages"
    orders = Orders(
        own=EVIL.id, other="lab-a", seed=traffic.seed, start_us=traffic.start_us,
        bytes_per_second=_TIMES_ITS_QUOTA * quota_bytes_per_second(scale), connections=scale.count(_CONNECTIONS, _SHORT_CONNECTIONS),
        address=_ITS_ADDRESS, actions=[row["action_id"] for row in known],
        raging=str(raging), report=str(report),
    )  # fmt: skip
    path = lab.folder / "partner-orders.json"
    path.write_text(json.dumps(asdict(orders)), encoding="utf-8")
    found: list[Report] = []
    with (lab.folder / "partner.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.hostile_partner", str(path)], stdout=log, stderr=log,
            env={**os.environ, **login.environment()}, start_new_session=True,
        )  # fmt: skip
    try:
        lab.until(lambda: raging.exists() or process.poll() is not None, "the hostile partner did not get to it")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    found.append(Report(**json.loads(report.read_text(encoding="utf-8"))))


def _broker_log(lab: Lab) -> str:
    return (lab.folder / "kafka" / "node-1" / "broker.log").read_text(encoding="utf-8", errors="replace")
