"""Reference pages hold what the code has: settings, metrics, commands, records, logs."""

import json
import logging
import re
import threading
from pathlib import Path

import pytest
import structlog

from weaklink.errors import BrokerError
from weaklink.logs import FIELDS, configure_logging, service_log
from weaklink.metrics import LISTED
from weaklink.records.schemas import all_schemas
from weaklink.reference import PAGES, attributes
from weaklink.reference.commands import argument_name, commands
from weaklink.reference.logs import events
from weaklink.reference.settings import settings, unit_of


def test_every_setting_says_what_it_is() -> None:
    """Each has a docstring, the weights of the method too."""
    assert [one.variable for one in settings() if not one.meaning] == []


def test_every_number_has_a_unit_or_says_what_it_counts() -> None:
    """Names end in their unit; what has none is counted in what its docstring says."""
    assert [one.variable for one in settings() if one.number and not one.unit and not one.meaning] == []
    assert (unit_of("linger_ms_max"), unit_of("chunk_bytes_max"), unit_of("kept")) == ("milliseconds", "bytes", "")


def test_the_pages_are_complete() -> None:
    """Every setting, metric, command, record, field and event of a log is on its page."""
    pages = {name: make() for name, make in PAGES.items()}
    assert all(f"`{one.variable}`" in pages["settings"] for one in settings())
    assert all(f"`{one.name}" in pages["metrics"] for one in LISTED)
    for path, command in commands():
        assert f"## weaklink {' '.join(path)}\n" in pages["commands"]
        for one in command.params:
            names = [argument_name(one)] if one.param_type_name == "argument" else one.opts
            assert one.name == "help" or all(f"`{name}`" in pages["commands"] for name in names)
    assert all(f"## {record}, version {version}\n" in pages["records"] for record, version in all_schemas())
    assert all(f"| `{name}` | {meaning} |" in pages["logs"] for name, meaning in FIELDS.items())


def test_no_table_is_broken() -> None:
    """Every row has as many cells as its header, whatever defaults and docstrings hold."""
    for name, make in PAGES.items():
        width = 0
        for line in make().splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert not (width and cells and cells != width), (name, line)
            width = cells


def test_secrets_have_no_default_on_the_page() -> None:
    """Nor can a password from this environment get there."""
    (password,) = [one for one in settings() if one.variable == "WEAKLINK_KAFKA__PASSWORD"]
    assert (password.type, password.default) == ("secret or unset", "")


def test_log_lines_use_the_fields_of_the_list_and_no_others() -> None:
    """One name for one thing; an event is a word to search for, never a sentence."""
    for one in events():
        assert set(one.fields) <= set(FIELDS), one
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name), one
    written = {field for one in events() for field in one.fields}
    by_themselves = {
        "message",
        "timestamp",
        "level",
        "event",
        "service",
        "logger",
        "exception",
        "topic",
        "partition",
        "offset",
    }
    assert set(FIELDS) - written <= by_themselves


@pytest.mark.usefixtures("log_of_a_service")
def test_a_line_is_one_json_object_with_those_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A line break in what a party sent stays inside."""
    configure_logging("ingest", json=True)
    try:
        structlog.get_logger().warning("party_not_registered", topic="party.x\n{}", meaning="not read")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    (line,) = capsys.readouterr().err.splitlines()
    assert set(json.loads(line)) == {"timestamp", "level", "event", "service", "topic", "meaning"} <= set(FIELDS)


@pytest.mark.usefixtures("log_of_a_service")
def test_a_line_for_a_terminal_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a line break nor an escape sequence of what a party sent gets there."""
    configure_logging("ingest", json=False)
    try:
        structlog.get_logger().warning("party_not_registered", topic="party.x\x1b[2Jforged\u202e", partitions="a\r\nb")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    (line,) = capsys.readouterr().err.splitlines()
    assert "forged" in line
    assert not re.search("\x1b\\[2J|[\r\u202e]", line)


@pytest.mark.usefixtures("log_of_a_service")
@pytest.mark.parametrize("as_json", [True, False])
def test_an_exception_writes_no_control_characters(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor any line that looks like one of the log; a library's message and its exception, and a thread's, likewise."""
    hostile = "x\x1b[2J\x00\x7f\u202e\n2026-01-01 [info] forged"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", threading.__excepthook__)
        configure_logging("ingest", json=as_json)
        try:
            for write in (
                lambda **exception: structlog.get_logger().error("crashed", **exception),
                lambda **exception: logging.getLogger("kafka.net").warning("lost %s", hostile, **exception),
                lambda **exception: logging.getLogger("uvicorn.error").critical("wrong %d arguments", "x", **exception),
            ):
                try:
                    raise ValueError(hostile)
                except ValueError:
                    write(exc_info=True)
            logging.getLogger("kafka.net").info("chatter")
            dying = threading.Thread(target=int, args=(hostile,))
            dying.start()
            dying.join()
        finally:
            structlog.reset_defaults()
    said = capsys.readouterr().err
    assert said.count("forged") >= 5
    assert "chatter" not in said
    assert not re.search("[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f\u202e]|\x1b\\[2J", said)
    lines = said.splitlines()
    assert not [one for one in lines if one.startswith("2026-01-01 [info] forged")]
    if as_json:
        assert [json.loads(one)["event"] for one in lines] == ["crashed", *["library_message"] * 2, "thread_died"]


@pytest.mark.usefixtures("log_of_a_service")
def test_what_ends_a_service_is_the_last_line_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it was raised on purpose or not; and it ends with status 1."""
    for error, event in ((BrokerError("no\x1bbroker"), "ended"), (ValueError("no\x1bvalue"), "crashed")):
        with pytest.raises(SystemExit, match="1"), service_log("ingest", json=True, level="error"):
            raise error
        (line,) = capsys.readouterr().err.splitlines()
        assert json.loads(line)["event"] == event
    structlog.reset_defaults()


def test_the_page_of_faults_names_what_there_is_to_search_for() -> None:
    """Events of logs, metrics and settings of docs/operations.md are ones that the code has."""
    text = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)[`{]", text))
    metrics = {name for one in LISTED for name in (one.name, f"{one.name}_total")}
    known = (
        {one.name for one in events()} | metrics | {"idle_in_transaction_session_timeout", "issued_at"}
    )  # PostgreSQL's; an action's
    assert len(words & {one.name for one in events()}) > 15
    assert words - known == set()
    named = {one.replace(".", "__").upper() for one in re.findall(r"`([a-z]+\.[a-z]+(?:_[a-z]+)+)`", text)}
    assert len(named) > 5
    assert named - {one.variable.removeprefix("WEAKLINK_") for one in settings()} == set()


class _Example:
    """About it all.

    `first`, `second`: of the class's
      docstring.
    """

    first: int = 1
    second: int = 2
    third: int = 3
    """Its own."""
    fourth_cost: int = 4
    fifth_cost: int = 5
    """`*_cost`: of a family."""


def test_docstrings_of_fields_are_found_wherever_they_are() -> None:
    """Below the field, below the last of a family, or in the class's docstring."""
    family = "`*_cost`: of a family."
    assert attributes.attribute_docstrings(_Example) == {
        "first": "of the class's docstring.",
        "second": "of the class's docstring.",
        "third": "Its own.",
        "fourth_cost": family,
        "fifth_cost": family,
    }
    assert attributes.summary(_Example) == "About it all."
