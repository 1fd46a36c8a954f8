"""What the doctor finds: planted faults, each with its fix."""

from dataclasses import replace
from pathlib import Path

import pytest

from weaklink.ops import doctor
from weaklink.ops.access import Grant
from weaklink.ops.access_differences import Difference
from weaklink.ops.doctor import Finding, Level
from weaklink.ops.doctor_probe import look_at_machine
from weaklink.ops.topics import Change, Step, Topic
from weaklink.settings import Settings

GIB = 1 << 30
REAUTH, OWN = "connections.max.reauth.ms", "listener.name.client."
SASL: dict[str, str | None] = {
    "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SASL_SSL",
    "controller.listener.names": "CONTROLLER",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
}
"""Settings of a broker on which a session lasts for ever."""


def step(change: Change, name: str = "weaklink.links", *details: str) -> Step:
    return Step(change, Topic(name, 4, 1, {}), details)


@pytest.mark.parametrize(
    ("finding", "level", "words"),
    [
        (doctor.clock_finding(1_000_000, 1_000_500, 1_001_000), Level.OK, "agree"),
        (doctor.clock_finding(1_000_000, 998_500, 1_001_000), Level.OK, "agree"),
        (doctor.clock_finding(1_000_000, 940_000, 1_001_000), Level.ERROR, "60.0 s behind"),
        (doctor.clock_finding(1_000_000, 1_301_000, 1_001_000), Level.ERROR, "300.0 s ahead of"),
        (doctor.disk_finding("data", 50 * GIB, 100 * GIB, "free some"), Level.OK, "50.0 GiB free"),
        (doctor.disk_finding("data", 4 * GIB, 100 * GIB, "free some"), Level.ERROR, "4.0 GiB free"),
        (doctor.disk_finding("data", GIB // 2, 2 * GIB, "free some"), Level.ERROR, "0.5 GiB free"),
        (doctor.version_finding({1: (4, 3), 2: (4, 0)}), Level.OK, "4.0, 4.3"),
        (doctor.version_finding({1: (4, 3), 2: (2, 8)}), Level.ERROR, "broker 2"),
        (doctor.packages_finding([]), Level.OK, "as they should be"),
        (doctor.packages_finding([("polars", "2.1.0", "2.0.0")]), Level.ERROR, "polars 2.0.0 instead of 2.1.0"),
        (doctor.ledger_finding("db", "2", "2", ["1", "2"]), Level.OK, "at 2"),
        (doctor.ledger_finding("db", None, "2", ["1", "2"]), Level.OK, "new"),
        (doctor.ledger_finding("db", "1", "2", ["1", "2"]), Level.WARNING, "at 1"),
        (doctor.ledger_finding("db", "9", "2", ["1", "2"]), Level.ERROR, "does not know"),
        (doctor.connections_finding({1: 500, 2: 200}), Level.OK, "at most 500"),
        (doctor.connections_finding({1: 500, 2: None}), Level.WARNING, "may not look"),
        (doctor.connections_finding({1: doctor.NO_LIMIT, 2: 200}), Level.WARNING, "broker 1 takes any number"),
        (doctor.sessions_finding({1: SASL | {f"{OWN}scram-sha-512.{REAUTH}": "60000"}}), Level.OK, "after 1.0 min"),
        (doctor.sessions_finding({1: SASL | {REAUTH: "120000", f"{OWN}{REAUTH}": "60000"}}), Level.OK, "after 1.0 min"),
        (doctor.sessions_finding({1: SASL | {REAUTH: "120000"}}), Level.OK, "after 2.0 min"),
        (doctor.sessions_finding({1: SASL | {REAUTH: "0"}}), Level.WARNING, "broker 1, CLIENT SCRAM-SHA-512"),
        (doctor.sessions_finding({1: SASL | {REAUTH: "60000"}, 2: SASL}), Level.WARNING, "broker 2, CLIENT SCRAM-SHA-512"),
        (doctor.sessions_finding({1: SASL | {REAUTH: "60000", f"{OWN}{REAUTH}": "0"}}), Level.WARNING, "for ever"),
        (doctor.sessions_finding({1: SASL | {f"{OWN}sasl.enabled.mechanisms": "PLAIN", f"{OWN}scram-sha-512.{REAUTH}": "1"}}), Level.WARNING, "CLIENT PLAIN"),
        (doctor.sessions_finding({1: SASL | {"listener.security.protocol.map": "CLIENT:SSL"}}), Level.OK, "nobody logs in"),
        (doctor.sessions_finding({1: SASL, 2: {}}), Level.WARNING, "may not look"),
        (doctor.members_finding({"ingest": 2, "enforce": 1}), Level.OK, "ingest 2, enforce 1"),
        (doctor.members_finding({"ingest": 2, "enforce": 0}), Level.WARNING, "nobody runs enforce"),
    ],
)  # fmt: skip
def test_each_fault_has_its_level_and_its_words(finding: Finding, level: Level, words: str) -> None:
    """And a fix, unless all is well."""
    assert finding.level is level
    assert words in finding.what
    assert bool(finding.fix) == (level is not Level.OK)


def test_topics_are_told_with_what_mends_them() -> None:
    """Missing ones together, conflicts one by one."""
    assert [one.level for one in doctor.topics_findings([step(Change.FINE)])] == [Level.OK]
    missing = [step(Change.CREATE, f"weaklink.t{number}") for number in range(7)]
    (finding,) = doctor.topics_findings(missing)
    assert (finding.level, finding.fix) == (Level.ERROR, "weaklink provision")
    assert finding.what.endswith("weaklink.t4 and 2 more")
    conflicts = [
        replace(
            step(Change.CONFLICT, "a", "has 3 partitions", "x.replicas: 1 -> 2"), conflicts=frozenset({"partitions"})
        ),
        replace(step(Change.CONFLICT, "b", "has 1 replicas"), conflicts=frozenset({"replicas"})),
        replace(step(Change.CONFLICT, "c", "both"), conflicts=frozenset({"partitions", "replicas"})),
    ]
    partitions, replicas, both = doctor.topics_findings(conflicts)
    assert "setting of its partitions" in partitions.fix
    assert "x.replicas: 1 -> 2" in partitions.what
    assert "kafka-reassign-partitions" in replicas.fix
    assert "kafka-reassign-partitions" not in partitions.fix
    assert "setting of its partitions" not in replicas.fix
    assert both.fix == f"{partitions.fix.replace('delete a', 'delete c')}; {replicas.fix}"
    (surplus,) = doctor.topics_findings([step(Change.SURPLUS, "weaklink.links", "compression.type: gzip")])
    assert (surplus.level, surplus.fix) == (Level.WARNING, "weaklink provision --check names them")


def test_a_missing_right_is_an_error_and_one_too_many_a_warning() -> None:
    """What a stranger holds is for a person to decide."""
    grant = Grant("weaklink.ingest", "TOPIC", "weaklink.links", "WRITE")
    missing = Difference("grant", str(grant), grant=grant)
    surplus = Difference("revoke", "party.x may READ topic y", grant=grant)
    strange = Difference("revoke", "mallory may READ topic weaklink.*", "remove it with kafka-acls")
    levels = [(one.level, one.fix) for one in doctor.access_findings([missing, surplus, strange])]
    assert levels == [
        (Level.ERROR, "weaklink provision"),
        (Level.WARNING, "weaklink provision"),
        (Level.WARNING, "remove it with kafka-acls"),
    ]
    assert [one.level for one in doctor.access_findings([])] == [Level.OK]


def test_partitions_without_a_leader_or_with_replicas_away_are_told() -> None:
    """Those of Weaklink's topics; what else lives on the cluster is not its affair."""

    def topic(name: str, leader: int, isr: list[int]) -> dict[str, object]:
        partition = {"partition_index": 0, "leader_id": leader, "isr_nodes": isr, "replica_nodes": [1, 2]}
        return {"name": name, "partitions": [partition]}

    (fine,) = doctor.replication_findings([topic("weaklink.links", 1, [1, 2]), topic("other", -1, [])])
    assert fine.level is Level.OK
    found = doctor.replication_findings([topic("weaklink.links", -1, []), topic("party.a.events", 1, [1])])
    assert [(one.level, one.what.split(": ")[1].split(";")[0]) for one in found] == [
        (Level.ERROR, "weaklink.links-0"),
        (Level.WARNING, "party.a.events-0"),
    ]


@pytest.mark.parametrize(("brokers", "warned"), [(1, False), (3, True)])
def test_topics_with_one_replica_are_told_where_there_are_brokers_for_three(*, brokers: int, warned: bool) -> None:
    """As a cluster is that was provisioned without saying how many."""
    partitions = [
        {"partition_index": i, "leader_id": i % brokers, "isr_nodes": [i % brokers], "replica_nodes": [i % brokers]}
        for i in range(4)
    ]
    (found,) = doctor.replication_findings([{"name": "weaklink.links", "partitions": partitions}])
    assert found.level is (Level.WARNING if warned else Level.OK)
    assert ("WEAKLINK_KAFKA__REPLICATION_FACTOR=3" in found.fix) is warned


def test_only_an_error_makes_the_command_fail() -> None:
    """A warning is for the morning."""
    assert not doctor.failed([doctor.ok("x", "y"), Finding("x", Level.WARNING, "y", "z")])
    assert doctor.failed([doctor.ok("x", "y"), Finding("x", Level.ERROR, "y", "z")])


def test_the_doctor_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither its own file nor the folders on the way to it; and what is there stays."""
    settings = Settings(data_folder=tmp_path / "build" / "weaklink")
    look_at_machine(settings)
    assert list(tmp_path.iterdir()) == []
    kept = settings.data_folder / "snapshots" / "ingest"
    kept.mkdir(parents=True)
    look_at_machine(settings)
    assert [one for one in tmp_path.rglob("*") if not list(one.iterdir())] == [kept]
