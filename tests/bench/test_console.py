"""The measurement of the console in Chromium, on a little data: it reaches every page, and notices what is wrong."""

import asyncio
import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from bench.console_browser import Step, find_chromium, measure_in_chromium, problems, report_steps
from bench.console_data import Size, fill_ledger, fill_topic

from tests.topics import create_topics
from weaklink.console.config import ConsoleConfig
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings

SMALL = Size(campaigns=60, accounts=700, largest=120, actions=1_100)
GOOD = Step("campaigns", 100.0, 50.0, longest=50, elements=900, paged=True, errors=())


@pytest.mark.kafka
def test_every_page_opens_by_clicks_without_errors_and_in_pages(
    kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed: the console is not measured in it")
    topic = f"campaigns-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [topic], partitions=1, configs={"cleanup.policy": "compact"})
    monkeypatch.setattr("weaklink.topology.CAMPAIGNS", topic)
    settings = Settings(kafka=kafka, data_folder=tmp_path, console=ConsoleConfig(lag_seconds=1))
    fill_topic(kafka, SMALL)
    asyncio.run(fill_ledger(settings, SMALL))
    steps = measure_in_chromium(settings, chromium, SMALL, tmp_path)
    assert report_steps(SMALL, steps, tmp_path) == []
    by_name = {step.name: step for step in steps}
    assert {"campaigns page 2", "largest campaign page 3", "account", "queue page 3", "actions filtered page 2"} <= set(
        by_name
    )
    assert by_name["campaigns page 2"].longest == 10
    assert by_name["campaigns filtered"].longest == 1
    assert by_name["queue"].longest == 50
    assert all(step.transferred_kb > 1 for step in steps)
    assert len(json.loads((tmp_path / "size.json").read_text())["steps"]) == len(steps)
    assert (tmp_path / "size-account.png").stat().st_size > 1_000


@pytest.mark.parametrize(
    "wrong", [replace(GOOD, errors=("refused",)), replace(GOOD, longest=51), replace(GOOD, paged=False)]
)
def test_errors_and_lists_without_pages_are_noticed(wrong: Step) -> None:
    assert problems(SMALL, [GOOD]) == []
    assert len(problems(SMALL, [GOOD, wrong])) == 1
