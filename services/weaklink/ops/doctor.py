"""Findings of `weaklink doctor`: what is wrong with an installation, and what to do about it. Pure; `doctor_probe.py` looks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from weaklink.ops.access_differences import Difference
from weaklink.ops.topics import Change, Step

KAFKA_MIN: Final = (3, 9)
"""Oldest Kafka that the tests run on."""
CLOCK_SECONDS_MAX: Final = 2.0
"""Lag in seconds compares the broker's append times with the clock of who asks."""
DISK_BYTES_MIN: Final = 1 << 30
DISK_SHARE_MIN: Final = 0.05
NO_LIMIT: Final = (1 << 31) - 1
"""What a broker tells of `max.connections.per.ip` where nobody has set it."""
_REAUTH: Final = "connections.max.reauth.ms"
_SHOWN_MAX: Final = 5
_BROKERS_FOR_REPLICAS: Final = 3


class Level(StrEnum):
    """How bad. Only an ERROR makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix`: what a person does about it; empty when all is well."""

    check: str
    level: Level
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, what)


def version_finding(brokers: Mapping[int, tuple[int, ...]]) -> Finding:
    """Kafka's version, broker by broker, as far as its protocol tells."""
    found = ", ".join(sorted({".".join(map(str, version)) for version in brokers.values()}))
    old = sorted(broker for broker, version in brokers.items() if version < KAFKA_MIN)
    if old:
        wanted = ".".join(map(str, KAFKA_MIN))
        return Finding(
            "versions",
            Level.ERROR,
            f"broker {_some(old)} speaks the protocol of Kafka {found}",
            f"update to Kafka {wanted} or newer",
        )
    return ok("versions", f"Kafka {found} or newer")


def packages_finding(wrong: Sequence[tuple[str, str, str]]) -> Finding:
    """`wrong`: package, version that is relied upon, version that is installed."""
    if wrong:
        told = ", ".join(f"{name} {have} instead of {want}" for name, want, have in wrong)
        return Finding(
            "versions", Level.ERROR, f"{told}: private names are relied upon", "pip install --force-reinstall 'weaklink[services]'"
        )  # fmt: skip
    return ok("versions", "pinned packages are as they should be")


def clock_finding(before_ms: float, broker_ms: float, after_ms: float) -> Finding:
    """The broker's clock, asked between two looks at ours: what lies outside of the two is skew."""
    skew_seconds = max(before_ms - broker_ms, broker_ms - after_ms, 0.0) / 1000
    if skew_seconds > CLOCK_SECONDS_MAX:
        way = "behind" if broker_ms < before_ms else "ahead of"
        return Finding(
            "clock",
            Level.ERROR,
            f"the broker's clock is {skew_seconds:,.1f} s {way} this machine's: lag in seconds and age limits of events are wrong by that",
            "run chrony or ntpd on both; `chronyc tracking` tells which one is off",
        )
    return ok("clock", f"this machine and the broker agree to within {CLOCK_SECONDS_MAX:.0f} s")


def disk_finding(what: str, usable_bytes: int, total_bytes: int, fix: str) -> Finding:
    """Free space: at least 1 GiB, and a twentieth of the disk."""
    told = f"{what}: {usable_bytes / (1 << 30):,.1f} GiB free of {total_bytes / (1 << 30):,.1f}"
    if usable_bytes < DISK_BYTES_MIN or usable_bytes < DISK_SHARE_MIN * total_bytes:
        return Finding("disk", Level.ERROR, told, fix)
    return ok("disk", told)


def accounts_findings(secret: bytes | None) -> list[Finding]:
    """Where parties are strangers to each other. `secret`: what keys of accounts are made with, as whoever asks has it."""
    if secret is not None:
        return []
    what = (
        "no secret for keys of accounts here: where the stages have none either, a party can make up names whose keys are those of "
        "another's customers, and what it says of them is believed of these"
    )
    fix = "docs/security.md, Keys of accounts: WEAKLINK_ACCOUNTS__SECRET_FILE for ingest, campaigns, the console and this shell"
    return [Finding("access", Level.WARNING, what, fix)]


def topics_findings(steps: Iterable[Step]) -> list[Finding]:
    """What `weaklink provision` would do, and what it cannot."""
    steps = list(steps)
    found: list[Finding] = []
    for change, level, told, fix in (
        (Change.CREATE, Level.ERROR, "missing", "weaklink provision"),
        (Change.CONFIGURE, Level.WARNING, "configured otherwise", "weaklink provision"),
        (
            Change.SURPLUS,
            Level.WARNING,
            "settings that are none of Weaklink's",
            "weaklink provision --check names them",
        ),
        (Change.CONFLICT, Level.ERROR, "not what they should be", ""),
    ):
        some = [step for step in steps if step.change is change]
        if some and change is Change.CONFLICT:
            found += [
                Finding("topics", level, f"{one.topic.name} {'; '.join(one.details)}", _conflict_fix(one))
                for one in some
            ]
        elif some:
            found.append(Finding("topics", level, f"{told}: {_some([one.topic.name for one in some])}", fix))
    return found or [ok("topics", f"all {len(steps)} are as they should be")]


def _conflict_fix(step: Step) -> str:
    fixes = {
        "partitions": f"set the setting of its partitions to what is there; or, while it is empty, delete {step.topic.name} "
        "and run `weaklink provision`",
        "replicas": "move them with kafka-reassign-partitions, or set WEAKLINK_KAFKA__REPLICATION_FACTOR to what is there",
    }
    return "; ".join(fix for conflict, fix in fixes.items() if conflict in step.conflicts)


def replication_findings(described: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Partitions of Weaklink's topics without a leader, with replicas that lag, or with one replica though there are brokers for three.

    `described`: `describe_topics` of the admin client.
    """
    leaderless, behind, alone = [], [], []
    nodes: set[int] = set()
    for topic in described:
        nodes.update(node for one in topic["partitions"] for node in one["replica_nodes"])
        if topic["name"].startswith(("weaklink.", "party.")):
            for one in topic["partitions"]:
                if len(one["replica_nodes"]) == 1:
                    alone.append(topic["name"])
                place = f"{topic['name']}-{one['partition_index']}"
                if one["leader_id"] < 0:
                    leaderless.append(place)
                elif len(one["isr_nodes"]) < len(one["replica_nodes"]):
                    behind.append(place)
    found = []
    if leaderless:
        what = f"no leader: {_some(leaderless)}; nothing can be read or written there"
        found.append(Finding("replication", Level.ERROR, what, "start the brokers that hold them"))
    if behind:
        what = f"replicas are behind or away: {_some(behind)}"
        found.append(
            Finding("replication", Level.WARNING, what, "start the broker that is away, or see why it is slow")
        )
    if alone and len(nodes) >= _BROKERS_FOR_REPLICAS:
        what = (
            f"one replica, on {len(nodes)} brokers: {_some(list(dict.fromkeys(alone)))}; what a lost disk held is lost"
        )
        fix = "kafka-reassign-partitions to three, then WEAKLINK_KAFKA__REPLICATION_FACTOR=3 wherever `weaklink` runs"
        found.append(Finding("replication", Level.WARNING, what, fix))
    return found or [ok("replication", "every partition has its leader and all its replicas")]


def access_findings(steps: Sequence[Difference]) -> list[Finding]:
    """How ACLs, quotas and secrets differ from the table."""
    found = []
    mendable = [step for step in steps if step.mendable]
    if lacking := [step.what for step in mendable if step.change == "grant"]:
        found.append(Finding("access", Level.ERROR, f"missing: {_some(lacking)}", "weaklink provision"))
    if rest := [step.what for step in mendable if step.change != "grant"]:
        found.append(Finding("access", Level.WARNING, f"differs: {_some(rest)}", "weaklink provision"))
    found += [Finding("access", Level.WARNING, step.what, step.advice) for step in steps if not step.mendable]
    return found or [ok("access", "principals, ACLs and quotas are as they should be")]


def connections_finding(per_address: Mapping[int, int | None]) -> Finding:
    """How many connections each broker takes from one address (`max.connections.per.ip`); None: this user may not know."""
    told = {broker: limit for broker, limit in per_address.items() if limit is not None}
    if len(told) < len(per_address):
        what = "this user may not look at the brokers' settings"
        return Finding("connections", Level.WARNING, what, "run the doctor as the cluster's administrator")
    if unlimited := sorted(broker for broker, limit in told.items() if limit >= NO_LIMIT):
        return Finding(
            "connections",
            Level.WARNING,
            f"broker {_some(unlimited)} takes any number of connections from one address: one party can use up what all need",
            "set max.connections.per.ip and max.connection.creation.rate on every broker (docs/security.md)",
        )
    return ok("connections", f"at most {max(told.values(), default=0):,} from one address")


def sessions_finding(brokers: Mapping[int, Mapping[str, str | None]]) -> Finding:
    """Whether sessions must log in again. `brokers`: settings of each, by Kafka's names; empty where this user may not know them."""
    if not all(brokers.values()):
        what = "this user may not look at the brokers' settings"
        return Finding("sessions", Level.WARNING, what, "run the doctor as the cluster's administrator")
    told = {(broker, place): ms for broker, one in brokers.items() for place, ms in _session_ms(one).items()}
    if forever := [f"broker {broker}, {place}" for (broker, place), ms in told.items() if ms <= 0]:
        return Finding(
            "sessions",
            Level.WARNING,
            f"sessions last for ever once they are let in, also when their secret has been changed: {_some(forever)}",
            "set listener.name.<listener>.<mechanism>.connections.max.reauth.ms=900000 on every broker, and restart it (docs/security.md)",
        )
    if not told:
        return ok("sessions", "nobody logs in with a secret")
    return ok("sessions", f"must log in again after {max(told.values()) / 60_000:,.1f} min at the latest")


def _session_ms(settings: Mapping[str, str | None]) -> dict[str, int]:
    """How long a session lasts (ms; 0: for ever) by listener and mechanism: the most special setting that there is decides."""

    def value(name: str) -> str:
        return settings.get(name) or ""

    found = {}
    for listener, _, protocol in (pair.partition(":") for pair in value("listener.security.protocol.map").split(",")):
        if protocol.startswith("SASL_") and listener not in value("controller.listener.names").split(","):
            own = f"listener.name.{listener.lower()}."
            mechanisms = value(f"{own}sasl.enabled.mechanisms") or value("sasl.enabled.mechanisms")
            for mechanism in mechanisms.split(","):
                names = (f"{own}{mechanism.lower()}.{_REAUTH}", f"{own}{_REAUTH}", _REAUTH)
                found[f"{listener} {mechanism}"] = int(next((value(name) for name in names if value(name)), "0"))
    return found


def members_finding(members: Mapping[str, int]) -> Finding:
    """Stages (by name) and the processes in their groups."""
    nobody = [stage for stage, count in members.items() if count == 0]
    if nobody:
        commands = "; ".join(f"weaklink run {stage}" for stage in nobody)
        return Finding("stages", Level.WARNING, f"nobody runs {_some(nobody)}", commands)
    return ok("stages", ", ".join(f"{stage} {count}" for stage, count in members.items()))


def ledger_finding(where: str, current: str | None, head: str, known: Iterable[str]) -> Finding:
    """The revision of the ledger's schema against that of this version."""
    if current is None:
        return ok("ledger", f"{where} is new: enforce makes its tables when it starts")
    if current == head:
        return ok("ledger", f"{where} is at {head}")
    if current in set(known):
        fix = "restart enforce: it migrates the ledger at its start (back it up first)"
        return Finding("ledger", Level.WARNING, f"{where} is at {current}, this version's is {head}", fix)
    what = f"{where} is at {current}, which this version does not know"
    return Finding("ledger", Level.ERROR, what, "run the newer version of Weaklink that migrated it, everywhere")


def failed(findings: Iterable[Finding]) -> bool:
    """Whether any of them is an error."""
    return any(one.level is Level.ERROR for one in findings)


def _some(names: Sequence[object]) -> str:
    shown = ", ".join(str(name) for name in names[:_SHOWN_MAX])
    return shown if len(names) <= _SHOWN_MAX else f"{shown} and {len(names) - _SHOWN_MAX} more"
