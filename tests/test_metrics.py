"""One list of metrics, held to what processes really serve."""

import ast
import re
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily

from weaklink import metrics
from weaklink.metrics import LISTED
from weaklink.ops.exporter import families
from weaklink.ops.lag import History, PartitionLag, ReaderLag
from weaklink.ops.lag_report import LagReport

SERVICES = Path(__file__).parents[1] / "services/weaklink"
SECOND_US = 1_000_000


def report() -> LagReport:
    """A stage and a party that are behind, one partition of which was never committed."""
    parts = (
        PartitionLag("party.a-lab.events", 0, 5, 9, 4, exact=True, oldest_us=60 * SECOND_US),
        PartitionLag("party.a-lab.events", 1, None, 0, 0, exact=True, oldest_us=None),
    )
    unread = (PartitionLag("party.a-lab.actions", 0, 1, 3, 2, exact=True, oldest_us=70 * SECOND_US),)
    at_us = 100 * SECOND_US
    rows = History().add(
        [
            ReaderLag("ingest", "weaklink.ingest", at_us, parts, members=2),
            ReaderLag("party a-lab", "party.a-lab.actions", at_us, unread, members=0),
        ]
    )
    return LagReport(at_us, rows, {"a-lab": 90 * SECOND_US})


def test_every_metric_of_the_process_is_in_the_list_and_the_other_way_round() -> None:
    """A metric that is made past the list would be in no document."""
    ours = {
        family.name: (family.type, family.documentation)
        for family in REGISTRY.collect()
        if not family.name.startswith(("python_", "process_"))
    }
    served = {one.name: (one.kind, one.meaning) for one in LISTED if one.service != metrics.EXPORTER}
    counted = {one.name: (one.kind, one.meaning) for one in LISTED if one.kind == "counter"}
    assert ours == served | counted


def test_no_module_makes_a_metric_of_its_own() -> None:
    """Counter, Gauge and Histogram are called in metrics.py alone."""
    for path in SERVICES.rglob("*.py"):
        if path.name != "metrics.py":
            imported = [
                alias.name
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
                for alias in node.names
            ]
            assert not set(imported) & {"Counter", "Gauge", "Histogram", "Summary"}, path


def test_every_listed_metric_is_used() -> None:
    """One that nobody sets would be a promise that is not kept."""
    code = "".join(path.read_text(encoding="utf-8") for path in SERVICES.rglob("*.py") if path.name != "metrics.py")
    names = [
        target.id
        for node in ast.parse((SERVICES / "metrics.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and isinstance(node.target, ast.Name)
        for target in [node.target]
        if not target.id.startswith("_")
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id.startswith("_")
    ]
    assert len(names) == len(LISTED)
    assert [name for name in names if f"metrics.{name}" not in code] == []


def test_names_follow_prometheus_conventions() -> None:
    """Snake case, base units, no unit but seconds and bytes, no `_total` but that of the library, a meaning for each."""
    assert len({one.name for one in LISTED}) == len(LISTED)
    for one in LISTED:
        assert re.fullmatch(r"(weaklink|kafka)_[a-z]+(_[a-z]+)*", one.name)
        assert not re.search(r"_(ms|milliseconds|minutes|kilobytes|total)$", one.name)
        assert one.kind != "histogram" or one.name.endswith("_seconds")
        assert all(re.fullmatch(r"[a-z]+", label) for label in one.labels)
        assert len(one.meaning) > 3


def test_the_exporter_serves_what_the_list_says_of_it() -> None:
    """All of it, with those labels, and never an undefined number."""
    found: dict[str, GaugeMetricFamily] = {family.name: family for family in families(report(), {"a-lab": 10})}
    listed = {one.name: one for one in LISTED if one.service == metrics.EXPORTER and one.kind == "gauge"}
    assert {name: family.documentation for name, family in found.items()} == {n: o.meaning for n, o in listed.items()}
    for name, family in found.items():
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) == set(listed[name].labels)
            assert sample.value >= 0  # so that it is no NaN either


def test_the_exporter_says_what_the_report_says() -> None:
    """Lag by group and partition, members, and both sides of the party."""
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(report(), {"a-lab": 10, "b-lab": 0})
        for sample in family.samples
    }
    assert values["kafka_consumergroup_group_lag", "weaklink.ingest", "party.a-lab.events", "0"] == 4
    assert values["kafka_consumergroup_group_lag_seconds", "weaklink.ingest", "party.a-lab.events", "0"] == 40
    assert values["kafka_consumergroup_group_lag_seconds", "weaklink.ingest", "party.a-lab.events", "1"] == 0
    assert ("kafka_consumergroup_group_offset", "weaklink.ingest", "party.a-lab.events", "1") not in values
    assert values["weaklink_group_members", "weaklink.ingest"] == 2
    assert values["weaklink_lag_skew", "weaklink.ingest"] == 2
    assert values["weaklink_lag_caught_up_seconds", "weaklink.ingest"] == float("inf")
    assert values["weaklink_party_events_waiting", "a-lab"] == 4
    assert values["weaklink_party_actions_unread_seconds", "a-lab"] == 30
    assert values["weaklink_party_silent_seconds", "a-lab"] == 10
    assert values["weaklink_party_silent_seconds", "b-lab"] == 0
