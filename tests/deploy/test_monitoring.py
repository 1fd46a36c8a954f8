"""Dashboard and alert rules: held to the list of metrics, parsed as PromQL, and the alerts tried by promtool."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from weaklink.metrics import LISTED
from weaklink.ops.kafka_jars import cache_folder

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
NAMES = {name: one for one in LISTED for name in one.sample_names}
FOREIGN = {"up": {"job", "instance", "service"}, "process_resident_memory_bytes": {"job", "instance", "service"}}
"""Metrics of Prometheus itself and of its client library, with the labels that scraping gives them."""


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/weaklink.json").read_text(encoding="utf-8"))[
        "panels"
    ]
    return found


def queries() -> list[str]:
    """Every query of dashboard and rules, with Grafana's variables set."""
    drawn = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [one.replace("$__rate_interval", "1m") for one in [*drawn, *(rule["expr"] for rule in rules())]]


def selectors(expression: Any) -> Iterator[Any]:
    """Every vector selector in a parsed query."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "vs"):
        if (below := getattr(expression, name, None)) is not None:
            yield from selectors(below)
    for below in getattr(expression, "args", ()) or ():
        yield from selectors(below)


@pytest.mark.parametrize("query", queries())
def test_every_query_is_promql_over_metrics_of_the_list(query: str) -> None:
    """A metric or label that is renamed in the code fails here, not at night."""
    found = list(selectors(promql_parser.parse(query)))
    assert found
    known = set(re.findall(r"\b(?:weaklink|kafka)_[a-z_]+", query))
    assert {one.name for one in found} >= known  # the walk above missed none
    for one in found:
        assert one.name in NAMES or one.name in FOREIGN, one.name
        labels = {matcher.name for matcher in one.matchers.matchers}
        allowed = FOREIGN[one.name] if one.name in FOREIGN else {*NAMES[one.name].labels, "le"}
        assert labels <= allowed, one.name


@pytest.mark.parametrize("query", queries())
def test_queries_group_by_labels_that_the_metrics_have(query: str) -> None:
    """An aggregation by a label that is not there is one number for all."""
    names = set(re.findall(r"\b(?:weaklink|kafka|process)_[a-z_]+", query))
    labels = {label for name in names for label in (NAMES[name].labels if name in NAMES else FOREIGN[name])} | {"le"}
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        assert {one.strip() for one in group.split(",")} <= labels


def test_every_metric_is_drawn_or_alerted_on_or_left_out_on_purpose() -> None:
    """What nobody looks at need not be measured."""
    text = "\n".join(queries())
    used = {one.name for name, one in NAMES.items() if re.search(rf"\b{name}\b", text)}
    by_partition = {"kafka_consumergroup_group_lag", "kafka_consumergroup_group_lag_seconds"}
    by_partition |= {"kafka_consumergroup_group_offset", "kafka_partition_latest_offset"}  # for a closer look
    details = {
        "weaklink_build_info",
        "weaklink_messages",
        "weaklink_units",
        "weaklink_state_rows",
        "weaklink_spilled_bytes",
        "weaklink_pruned_rows",
    }
    details |= {
        "weaklink_outbox_messages",
        "weaklink_outbox_given_up",
        "weaklink_party_actions_unread",
        "weaklink_lag_samples_failed",
    }
    assert {one.name for one in LISTED} - used <= by_partition | details


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    """Title, description, unit, a legend for each line; each cell of the grid once."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["legendFormat"] for target in panel["targets"])
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_alert_says_what_to_do() -> None:
    """It names a paragraph of docs/operations.md that exists."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w]+", "-", line.lower()).strip("-") for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "operations.html"
        assert anchor in headings
        assert rule["labels"]["severity"] in ("warning", "critical")


def promtool() -> str:
    """Prometheus' own tool: on PATH, or where `deploy/test-prerequisites` unpacks it."""
    found = shutil.which("promtool") or shutil.which(str(cache_folder() / "prometheus/usr/bin/promtool"))
    if found is None:  # in CI, too: it is downloaded, and not every machine may
        pytest.skip("promtool is not installed: it comes with Prometheus (Debian: apt-get install prometheus)")
    return found


def test_every_alert_fires_when_it_should_and_not_when_all_is_well() -> None:
    """alerts.test.yml plays time series to the rules; every alert has its case there."""
    tool = promtool()
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        run = subprocess.run([tool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    run = subprocess.run(
        [tool, "check", "config", "--syntax-only", "prometheus.yml"],
        cwd=PROMETHEUS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}
