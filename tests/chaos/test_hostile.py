"""The short form of a hostile partner: it floods, trespasses and lies on a cluster with logins, and harms nobody."""

from pathlib import Path

import pytest
from chaos.faults import hostile
from chaos.forbidden import Forbidden, unlogged
from chaos.scale import SHORT

from weaklink.ops.broker import LocalCluster

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("own_brokers"),
]


def test_a_hostile_partner_is_refused_throttled_and_not_believed(tmp_path: Path) -> None:
    """Every forbidden act refused and logged, connections beyond the limit closed, its lies its own; nothing of the others' lost."""
    row = hostile.run(tmp_path, SHORT)
    assert not row.failures(), row.to_json()
    report = row.extra["partner"]
    assert report["connections_tried"] > report["connections_held"]
    assert set(report["lies"]) == {"in another's name", "once", "again", "not its record", "another's action"}


def test_acts_that_are_not_refused_are_told(tmp_path: Path) -> None:
    """On a cluster that refuses nobody anything the same acts succeed, and are counted as allowed: the laboratory sees what it looks for."""
    with LocalCluster(tmp_path) as cluster, Forbidden(cluster.kafka, own="lab-b", other="lab-a") as acts:
        acts.try_all()
    assert acts.attempts == acts.refused.total() + len(acts.allowed)
    told = {one.split(":")[0] for one in acts.allowed}
    assert {"create a topic", "lift its own quota", "take weaklink.ingest.0"} <= told


_LINE = (
    "INFO Principal = User:{} is Denied operation = {} from host = 127.0.0.1 on resource = {} for request = {} "
    "with resourceRefCount = 1 based on rule DefaultDeny"
)


def test_each_refusal_must_be_in_the_log_by_itself() -> None:
    """What is logged twice makes up for nothing else, and what others were refused does not count."""
    write, delete = "WRITE Topic:LITERAL:t Produce", "DELETE Topic:LITERAL:t DeleteTopics"
    log = "\n".join(
        [
            _LINE.format("party.evil", *write.split()),
            _LINE.format("party.evil", *write.split()),
            _LINE.format("party.evil", "DESCRIBE", "Topic:LITERAL:t", "DeleteTopics"),
            _LINE.format("party.other", *delete.split()),
        ]
    )
    assert unlogged({write: 2}, log, "party.evil") == {}
    assert unlogged({write: 3, delete: 1, "": 5}, log, "party.evil") == {write: 1, delete: 1}
