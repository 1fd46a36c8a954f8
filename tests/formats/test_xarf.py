"""XARF reports, judged by the schemas of XARF's own package."""

from datetime import UTC, datetime

import pytest
from xarf import parse

from tests.formats.actions import action
from weaklink.errors import ConfigurationError
from weaklink.formats.xarf import Reporter, Source, report
from weaklink.partner.symbols import ActionState

REPORTER = Reporter("Lab A", "abuse@lab-a.example", "lab-a.example")
SOURCE = Source("203.0.113.7", 670, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC), 51_234)


def test_a_report_is_sound_by_xarfs_schemas() -> None:
    made = report(action(), SOURCE, REPORTER)
    assert made is not None
    assert parse(made, strict=False).errors == []
    # The package's classes have confidence as a whole number, against its own schema (0.0 to 1.0), which counts here.
    assert parse({name: value for name, value in made.items() if name != "confidence"}).report is not None
    assert parse(made | {"protocol": "pigeon"}).errors
    assert (made["category"], made["type"], made["source_identifier"], made["total_requests"]) == (
        "connection",
        "scraping",
        "203.0.113.7",
        670,
    )


def test_a_report_tells_of_the_address_and_of_nothing_that_others_said() -> None:
    text = str(report(action(), SOURCE, REPORTER))
    assert str(action().target_account) not in text
    assert action().campaign_id not in text
    assert "SHARED_CARD" not in text


def test_only_active_actions_on_accounts_are_reported() -> None:
    assert report(action("block-card-withdrawn"), SOURCE, REPORTER) is None
    assert report(action(state=ActionState.WITHDRAWN), SOURCE, REPORTER) is None


def test_a_report_made_again_is_the_same_report_and_another_address_is_another() -> None:
    first, again = (report(action(), SOURCE, REPORTER) for _ in range(2))
    other = report(action(), Source("203.0.113.8", 1, datetime(2026, 3, 1, tzinfo=UTC)), REPORTER)
    assert first == again
    assert first
    assert other
    assert first["report_id"] != other["report_id"]


def test_what_xarf_refuses_is_told_by_field() -> None:
    with pytest.raises(ConfigurationError, match="contact"):
        report(action(), SOURCE, Reporter("Lab A", "no mail address", "lab-a.example"))
    with pytest.raises(ConfigurationError, match="total_requests"):
        report(action(), Source("203.0.113.7", 0, datetime(2026, 3, 1, tzinfo=UTC)), REPORTER)
